"""Values as canonical text: equal texts are equal values of equal types.

JSON, with a tag where JSON has no type of its own: `True` is not `1`, `1` is not `1.0`, a tuple is
not a list. This file also runs inside sandboxes, as text: it imports nothing of thinktwice, and
little else, since an import there costs more than most programs.
"""

from __future__ import annotations

from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal
    from typing import Any, Final

MAX_DEPTH: Final = 64
"""Levels of containers in containers."""

_PLAIN: Final = 10**15  # few JSON readers are exact beyond it


class NoText(ValueError):  # noqa: N818 - says what a value lacks, and belongs to no exception tree
    """The value has no canonical text: its type has none, or it is too deep or too large."""


def encode(value: object, *, size: int = 1024 * 1024) -> str:
    """The canonical text of a value, in ASCII and on one line.

    These have one: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set,
    frozenset, dict, and Decimal, Fraction, date, time and datetime. A value of a subclass of one of
    the builtins counts as what it extends: a Counter as a dict, a named tuple as a tuple. Sets and
    dicts have no order; -0.0 is 0.0, and one nan is the other.

    Args:
        value: Anything.
        size: Most characters.

    Raises:
        NoText: It has none, or is nested deeper than `MAX_DEPTH`, or longer than `size`.
    """
    text = _Writer(size).write(value, 0)
    if len(text) > size:
        raise NoText(f"longer than {size} characters")
    return text


class _Writer:
    """Writes one value; gives up as soon as its parts alone are longer than allowed."""

    def __init__(self, size: int) -> None:
        self.left = size

    def write(self, value: object, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise NoText(f"deeper than {MAX_DEPTH} levels")
        self.take(1)
        if value is None or value is True or value is False:
            return {None: "null", True: "true", False: "false"}[value]
        for kind, write in _BUILTIN:
            if isinstance(value, kind):
                return write(self, value, depth + 1)
        kind = type(value)
        name = f"{kind.__module__}.{kind.__name__}"
        if name in _STANDARD:
            return f'{{"{name}":{self.string(_STANDARD[name](value), depth)}}}'
        raise NoText(f"a {kind.__name__} has no text")

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise NoText("too long")

    def string(self, value: str, _: int) -> str:
        self.take(len(value))
        return encode_basestring_ascii(value)

    def integer(self, value: int, _: int) -> str:
        number = int(value)
        if -_PLAIN < number < _PLAIN:
            return repr(number)
        self.take(number.bit_length() // 4)
        return f'{{"int":"{number:x}"}}'

    def real(self, value: float, _: int) -> str:
        number = float(value) + 0.0  # the sum of -0.0 and 0.0 is 0.0
        text = repr(number)
        return text if number - number == 0 else f'{{"float":"{text}"}}'

    def pair(self, value: complex, depth: int) -> str:
        return f'{{"complex":[{self.real(value.real, depth)},{self.real(value.imag, depth)}]}}'

    def octets(self, value: bytes, _: int) -> str:
        self.take(2 * len(value))
        return f'{{"bytes":"{value.hex()}"}}'

    def changeable_octets(self, value: bytearray, _: int) -> str:
        self.take(2 * len(value))
        return f'{{"bytearray":"{value.hex()}"}}'

    def texts(self, values: Iterable[object], depth: int) -> list[str]:
        return [self.write(value, depth) for value in values]

    def sequence(self, value: list[object], depth: int) -> str:
        return f"[{','.join(self.texts(value, depth))}]"

    def fixed(self, value: tuple[object, ...], depth: int) -> str:
        return f'{{"tuple":[{",".join(self.texts(value, depth))}]}}'

    def unordered(self, value: set[object], depth: int) -> str:
        return f'{{"set":[{",".join(sorted(self.texts(value, depth)))}]}}'

    def frozen(self, value: frozenset[object], depth: int) -> str:
        return f'{{"frozenset":[{",".join(sorted(self.texts(value, depth)))}]}}'

    def mapping(self, value: dict[object, object], depth: int) -> str:
        pairs = sorted(f"[{','.join(self.texts(pair, depth))}]" for pair in value.items())
        return f'{{"dict":[{",".join(pairs)}]}}'


_BUILTIN: Final[tuple[tuple[type, Callable[..., str]], ...]] = (
    (str, _Writer.string),
    (int, _Writer.integer),
    (float, _Writer.real),
    (list, _Writer.sequence),
    (tuple, _Writer.fixed),
    (dict, _Writer.mapping),
    (set, _Writer.unordered),
    (frozenset, _Writer.frozen),
    (bytes, _Writer.octets),
    (bytearray, _Writer.changeable_octets),
    (complex, _Writer.pair),
)


def _decimal_text(value: Decimal) -> str:
    """Without the zeros that a Decimal keeps: 1.0 and 1.00 are equal."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):  # infinite, or no number
        return str(value)
    number = "".join(map(str, digits)).lstrip("0")
    kept = number.rstrip("0")
    return f"{'-' * sign}{kept}E{exponent + len(number) - len(kept)}" if kept else "0"


_STANDARD: Final[dict[str, Callable[[Any], str]]] = {
    "decimal.Decimal": _decimal_text,
    "fractions.Fraction": str,
    "datetime.date": str,
    "datetime.time": str,
    "datetime.datetime": str,
}
