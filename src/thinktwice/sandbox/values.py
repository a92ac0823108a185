"""Values as canonical text, and back."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, cast

from thinktwice.sandbox.encoding import MAX_DEPTH, NoText, encode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_DEPTH", "NoText", "decode", "encode"]


def decode(text: str) -> object:
    """The value of a canonical text.

    Raises:
        NoText: It is not one.
    """
    try:
        value = _read(json.loads(text))
        canonical = encode(value, size=len(text)) == text
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise NoText("not the text of a value") from error
    if not canonical:
        raise NoText("not in canonical form")
    return value


def _read(data: object) -> object:
    if isinstance(data, list):
        return _list(cast("list[object]", data))
    if not isinstance(data, dict):
        return data
    ((tag, inner),) = cast("dict[str, object]", data).items()
    return _READERS[tag](inner)


def _list(data: list[object]) -> list[object]:
    return [_read(each) for each in data]


_READERS: Final[dict[str, Callable[[Any], object]]] = {
    "int": lambda digits: int(digits, 16),
    "float": float,
    "complex": lambda parts: complex(*_list(parts)),  # pyright: ignore[reportArgumentType, reportCallIssue]
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "tuple": lambda values: tuple(_list(values)),
    "set": lambda values: set(_list(values)),
    "frozenset": lambda values: frozenset(_list(values)),
    "dict": lambda pairs: dict(map(_list, pairs)),  # pyright: ignore[reportArgumentType, reportCallIssue]
    "decimal.Decimal": Decimal,
    "fractions.Fraction": Fraction,
    "datetime.date": date.fromisoformat,
    "datetime.time": time.fromisoformat,
    "datetime.datetime": datetime.fromisoformat,
}
