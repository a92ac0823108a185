"""One text for equal data."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID

import pydantic
import pytest

from thinktwice import errors
from thinktwice.answers import canonical_json


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    S = 1


class Word(StrEnum):
    YES = "yes"


class Bits(Flag):
    ONE = 1


class Order(pydantic.BaseModel):
    price: Decimal
    day: date
    tags: set[str]


@dataclass
class Item:
    name: str
    seen: float = field(default=0.0, compare=False)


Point = namedtuple("Point", "x y")  # noqa: PYI024 - an untyped one must serve as well

ONE_FORM = [
    ({"a": 1, "b": [2.0]}, '{"a":1,"b":[2]}'),
    ((1, "x"), '[1,"x"]'),
    ({3, 1, 2}, "[1,2,3]"),
    (Decimal("1.50"), "1.5"),
    (Fraction(1, 2), "0.5"),
    (Fraction(1, 3), "1/3"),
    (float("nan"), "NaN"),
    (None, "null"),
    (b"x", '"eA=="'),
    (date(2020, 1, 2), '"2020-01-02"'),
    (time(1, 2), '"01:02:00"'),
    (timedelta(days=1, seconds=2), '"1d2.000000s"'),
    (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (PurePosixPath("a/b"), '"a/b"'),
    (Colour.RED, '"red"'),
    (Size.S, "1"),
    (Word.YES, '"yes"'),
    (Bits.ONE, "1"),
    (Point(1, 2), "[1,2]"),
    ({1: "x"}, '{1:"x"}'),
    ("Zürich\n", '"Zürich\\n"'),
]


@pytest.mark.parametrize(("value", "text"), ONE_FORM)
def test_form(value: object, text: str):
    """Each type of data has one form."""
    assert canonical_json(value) == text


def test_one_is_not_true():
    """Python has 1 == True; an answer does not."""
    assert canonical_json([1, True, 0, False]) == "[1,true,0,false]"


def test_keys_that_are_no_strings_differ_from_strings():
    """{1: x} and {"1": x} are different data."""
    assert canonical_json({1: 0}) != canonical_json({"1": 0})


def test_instants_compare_across_time_zones():
    """The same instant, told elsewhere."""
    there = datetime(2020, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert canonical_json(there) == canonical_json(datetime(2020, 1, 1, 12, tzinfo=UTC))


def test_models_count_as_their_fields():
    """A pydantic model is its dump, recursively."""
    order = Order(price=Decimal("1.50"), day=date(2020, 1, 2), tags={"b", "a"})
    expected = {"price": 1.5, "day": "2020-01-02", "tags": ["a", "b"]}
    assert canonical_json({"order": order}) == canonical_json({"order": expected})


def test_fields_left_out_of_comparison_do_not_count():
    """A dataclass says itself which fields make it equal."""
    assert canonical_json(Item("x", 1.0)) == canonical_json(Item("x", 2.0)) == '{"name":"x"}'


def test_json_data_is_written_as_json():
    """What JSON has, `json` can read back."""
    data = {"b": [1, 2.5, None, True], "a": {"ü": "x"}}
    assert json.loads(canonical_json(data)) == data


def test_huge_integers_are_written():
    """Longer than Python prints by default."""
    assert canonical_json(10**5000) == f"{10**5000:#x}"


def test_array_likes_are_lists():
    """Arrays and their scalars come in by `tolist`."""

    class Array:
        def tolist(self) -> list[float]:
            return [1.0, 2.5]

    assert canonical_json({"a": Array()}) == '{"a":[1,2.5]}'


def test_an_object_without_a_value_is_refused():
    """Its repr would hold an address, and make every answer differ."""
    with pytest.raises(errors.UsageError, match="values of type object cannot be compared"):
        canonical_json({"a": object()})


def test_data_that_holds_itself_is_refused():
    """A cycle has no text."""
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(errors.UsageError, match="holds itself"):
        canonical_json(cycle)
