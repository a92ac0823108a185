"""Values as canonical text: equal texts are equal values of equal types.

JSON, with a tag where JSON has no type of its own: `True` is not `1`, `1` is not `1.0`, a tuple is
not a list. This file also runs inside sandboxes, as text: it imports nothing of thinktwice, and
little else, since an import there costs more than the program.
"""

from __future__ import annotations

from _json import encode_basestring_ascii

MAX_DEPTH = 64
"""Levels of containers in containers."""

_PLAIN = 10**15  # few JSON readers are exact beyond it, and Python limits digits, not hex digits


class NoText(ValueError):  # noqa: N818 - says what a value lacks, and is part of no exception tree
    """The value has no canonical text: its type has none, or it is too deep or too large."""


def encode(value: object, *, size: int = 1024 * 1024) -> str:
    """The canonical text of a value, in ASCII and on one line.

    These have one: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set,
    frozenset, dict, and Decimal, Fraction, date, time, datetime and timedelta. A value of a
    subclass of one of the first counts as what it extends: a Counter as a dict, a named tuple as a
    tuple. Sets and dicts have no order; -0.0 is 0.0, and one nan is the other.

    Args:
        value: Anything; no method of a class of its own decides what is written.
        size: Most characters.

    Raises:
        NoText: It has none, or is nested deeper than `MAX_DEPTH`, or longer than `size`.
    """
    text = _Writer(size).write(value, 0)
    if len(text) > size:
        raise NoText(f"longer than {size} characters")
    return text


def decode(text: str) -> object:
    """The value of a canonical text.

    Raises:
        NoText: It is not one.
    """
    import json

    try:
        value = _read(json.loads(text))
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise NoText("not the text of a value") from error
    if encode(value, size=len(text)) != text:
        raise NoText("not in canonical form")
    return value


class _Writer:
    """Writes one value; gives up once the parts alone are longer than allowed."""

    def __init__(self, size):
        self.left = size

    def write(self, value, depth):
        if depth > MAX_DEPTH:
            raise NoText(f"deeper than {MAX_DEPTH} levels")
        kind = type(value)
        for base in kind.__mro__:
            if base in _FORMS:
                return _FORMS[base](self, value, depth + 1)
        name = f"{kind.__module__}.{kind.__name__}"
        if name not in _STANDARD:
            raise NoText(f"a {kind.__name__} has no text")
        return self.tagged(name, self.string(_STANDARD[name](value), depth))

    def take(self, length):
        self.left -= length
        if self.left < 0:
            raise NoText("too long")
