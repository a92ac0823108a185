"""One text for equal data: JSON with sorted keys and numbers in one form."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from numbers import Integral, Real
from pathlib import PurePath
from uuid import UUID

from thinktwice.answers.numbers import canonical_number
from thinktwice.answers.shapes import plain_of
from thinktwice.errors import UsageError

_HUGE_BITS = 10_000
"""Python refuses to print longer integers in decimal."""


def canonical_json(value: object) -> str:
    """Write data so that equal data gives equal text.

    Keys and sets are sorted; 1, 1.0 and Decimal("1.00") are the same and differ from True; dates
    are in ISO form, aware ones in UTC; enum members count as their value; pydantic models and
    dataclasses as their fields. Strings stay as they are. It is JSON for data that JSON has.

    Raises:
        UsageError: The data holds an object without a value of its own, or itself.
    """
    try:
        return _write(value)
    except RecursionError:
        remedy = f"a {type(value).__name__} is nested too deep or holds itself: pass a callable"
        raise UsageError("key", None, remedy) from None


def _write(value: object) -> str:
    quick = _QUICK.get(type(value))
    if quick is not None:
        return quick(value)
    plain = plain_of(value)
    return _write_leaf(plain) if plain is value else _write(plain)


@functools.singledispatch
def _write_leaf(value: object) -> str:
    if callable(getattr(value, "tolist", None)):  # an array, and its scalars
        return _write(value.tolist())  # type: ignore[attr-defined]
    kind = type(value)
    if kind.__eq__ is object.__eq__ or kind.__str__ is object.__str__:
        remedy = f"values of type {kind.__name__} cannot be compared: pass a callable or a name"
        raise UsageError("key", None, remedy)
    return json.dumps([kind.__name__, str(value)], ensure_ascii=False)


@_write_leaf.register
def _(value: str) -> str:
    return _write(value.value) if isinstance(value, Enum) else json.dumps(value, ensure_ascii=False)


@_write_leaf.register(Integral)
@_write_leaf.register(Real)
@_write_leaf.register(Decimal)
def _(value: float | Decimal) -> str:
    if isinstance(value, Enum):
        return _write(value.value)
    known = isinstance(value, int | Decimal | Fraction)
    number = canonical_number(value if known else float(value))
    if number is None:
        return "NaN"
    return _write_int(number) if isinstance(number, int) else str(number)


@_write_leaf.register
def _(value: Enum) -> str:
    return _write(value.value)


@_write_leaf.register
def _(value: bytes) -> str:
    return json.dumps(base64.b64encode(value).decode())


@_write_leaf.register(date)
@_write_leaf.register(time)
def _(value: date | time) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    return json.dumps(value.isoformat())


@_write_leaf.register
def _(value: timedelta) -> str:
    return json.dumps(f"{value.days}d{value.seconds}.{value.microseconds:06}s")


@_write_leaf.register(UUID)
@_write_leaf.register(PurePath)
def _(value: UUID | PurePath) -> str:
    return json.dumps(str(value), ensure_ascii=False)


@_write_leaf.register(Mapping)
def _(value: Mapping[object, object]) -> str:
    # A key that is no string stays bare: {1: x} is not {"1": x}.
    return _join("{}", sorted(f"{_write(key)}:{_write(item)}" for key, item in value.items()))


@_write_leaf.register(Sequence)
def _(value: Sequence[object]) -> str:
    return _join("[]", map(_write, value))


@_write_leaf.register(AbstractSet)
def _(value: AbstractSet[object]) -> str:
    return _join("[]", sorted(map(_write, value)))


def _write_int(value: int) -> str:
    return f"{value:#x}" if value.bit_length() > _HUGE_BITS else str(value)


# What most data is made of, without looking for a better fit.
_QUICK: dict[type, Callable[..., str]] = {
    str: partial(json.dumps, ensure_ascii=False),
    int: _write_int,
    bool: json.dumps,
    type(None): json.dumps,
}


def _join(brackets: str, items: Iterable[str]) -> str:
    return brackets[0] + ",".join(items) + brackets[1]
