"""Plain values as the source text of an expression, to be evaluated where nothing is imported."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_SHORT = 10**1000


def call_expression(function: str, arguments: Sequence[object]) -> str:
    """The source of a call, such as `"f(1, [2.5])"`.

    Raises:
        UsageError: The function is no (dotted) name, or an argument is no plain data.
    """
    check_function(function)
    return f"{function}({', '.join(map(literal, arguments))})"


def check_function(name: object) -> None:
    """Refuse what cannot be called by its name.

    Raises:
        UsageError: It is no (dotted) name.
    """
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError("entry_point", name, "give the name of a function in the program")


def literal(value: object) -> str:
    """The source of a plain value: None, bool, numbers, str, bytes and containers of these.

    Raises:
        UsageError: It is something else.
    """
    kind = type(value)
    if kind in _SIMPLE or (kind is int and abs(cast("int", value)) < _SHORT):
        return repr(value)
    write = _WRITERS.get(kind)
    if write is None:
        raise UsageError("tests", value, "use plain data: numbers, texts and containers of these")
    return write(value)


def _float(value: object) -> str:
    number = cast("float", value)
    if math.isnan(number):
        return "(1e999 - 1e999)"
    return repr(number) if math.isfinite(number) else f"{'-' if number < 0 else ''}1e999"


def _complex(value: object) -> str:
    number = cast("complex", value)
    return f"complex({_float(number.real)}, {_float(number.imag)})"


def _items(value: object) -> str:
    return ", ".join(map(literal, cast("Sequence[object]", value)))


def _tuple(value: object) -> str:
    return f"({_items(value)}{',' * (len(cast('tuple[object, ...]', value)) == 1)})"


def _set(value: object) -> str:
    return f"{{{_items(value)}}}" if value else "set()"


def _dict(value: object) -> str:
    pairs = cast("dict[object, object]", value).items()
    return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in pairs)}}}"


_SIMPLE = frozenset({type(None), bool, str, bytes})
_WRITERS: dict[type, Callable[[object], str]] = {
    int: lambda value: hex(cast("int", value)),  # Python limits the digits of the decimal form
    float: _float,
    complex: _complex,
    list: lambda value: f"[{_items(value)}]",
    tuple: _tuple,
    set: _set,
    frozenset: lambda value: f"frozenset({_set(value)})",
    dict: _dict,
}
