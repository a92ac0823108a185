"""Canonical texts of values, and back."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice.sandbox.values import MAX_DEPTH, NoText, decode, encode


class Pair(NamedTuple):
    """A tuple by another name."""

    a: int
    b: int


hashable = st.one_of(
    st.sampled_from([None, True, False, 0, 1, 1.0, -0.5, 1j, "", "1", b"1", (), (1,), frozenset()]),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.datetimes(),
    st.tuples(st.integers(), st.text()),
    st.frozensets(st.booleans() | st.integers(0, 2)),
)
values = st.recursive(
    hashable,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(hashable, inner, max_size=2),
        st.sets(hashable, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=5,
)
few = settings(max_examples=60)


def same(one: object, other: object) -> bool:
    """Equal, and of equal types throughout."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, list | tuple):
        return all(map(same, one, other))
    if isinstance(one, dict):
        return all(any(same(key, k) and same(one[key], other[k]) for k in other) for key in one)
    if isinstance(one, set | frozenset):
        return all(any(same(a, b) for b in other) for a in one)
    return True


@few
@given(values)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    """Text and value say the same, types included."""
    assert same(decode(encode(value)), value)


@few
@given(values, values)
def test_texts_are_equal_exactly_where_values_and_types_are(one: object, other: object) -> None:
    """Comparing texts is comparing values, strictly."""
    assert (encode(one) == encode(other)) == same(one, other)


@few
@given(values)
def test_a_text_is_one_line_of_ascii(value: object) -> None:
    """So that one line is one result, whatever it holds."""
    assert encode(value).isascii()
    assert encode(value).isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (1, 1.0),
        (False, 0),
        ("1", 1),
        ((1,), [1]),
        ({1}, frozenset({1})),
        (b"a", "a"),
        (b"a", bytearray(b"a")),
        (Decimal(1), 1),
        (Fraction(1), 1),
        (1.0, 1 + 0j),
        ({}, []),
        (None, "null"),
        ({"tuple": [1]}, (1,)),
        ("nan", math.nan),
        (date(2026, 1, 1), "2026-01-01"),
        (10**20, f"{10**20:x}"),
    ],
)
def test_unlike_types_have_unlike_texts(one: object, other: object) -> None:
    """What Python takes for equal, or looks alike, is told apart."""
    assert encode(one) != encode(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (-0.0, 0.0),
        (math.nan, -math.nan),
        ({1: 2, 3: 4}, {3: 4, 1: 2}),
        ({"b", "a", "c"}, {"c", "a", "b"}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (Pair(1, 2), (1, 2)),
        (IntEnum("Colour", "RED").RED, 1),
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal("-0"), Decimal(0)),
        (Decimal(100), Decimal("1E2")),
    ],
)
def test_equal_data_have_equal_texts(one: object, other: object) -> None:
    """Order, zeros and subclasses make no difference."""
    assert encode(one) == encode(other)


def test_an_int_may_have_more_digits_than_python_writes() -> None:
    """Its text has hexadecimal ones, which take no longer than it is long."""
    assert decode(encode(10**100_000)) == 10**100_000


@pytest.mark.parametrize(
    "value",
    [
        *(10**4000, -(10**15), 10**15 - 1, 1e300, 5e-324, math.inf, -math.inf),
        *(Decimal("Infinity"), Decimal("-1.5E-400"), "\ud800", "\0\n\r\u2028\x7f", b"\xff"),
        *(datetime(2026, 1, 1, 3, tzinfo=UTC), time(1, 2, 3, 4), -math.inf * 1j),
    ],
)
def test_extremes_come_back(value: object) -> None:
    """Sizes, signs, surrogates and controls."""
    assert repr(decode(encode(value))) == repr(value)


class Liar:
    """Equal to everything, and says that it is an int."""

    __class__ = int

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize(
    "value", [object(), int, len, (x for x in ()), range(3), iter([]), ..., [{"a": object()}]]
)
def test_what_is_no_data_has_no_text(value: object) -> None:
    """Objects, functions and iterators are not written down."""
    with pytest.raises(NoText, match="has no text"):
        encode(value)


def test_what_lies_about_its_type_has_no_text() -> None:
    """Its own word does not count; how it fails does not matter."""
    with pytest.raises((NoText, TypeError)):
        encode(Liar())


def nested(depth: int) -> object:
    """Lists in lists."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_limited() -> None:
    """Also where it has no end."""
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(NoText, match="deeper"):
        encode(nested(MAX_DEPTH + 1))
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(NoText, match="deeper"):
        encode(endless)


def shared(depth: int) -> object:
    """A small value with an enormous text."""
    value: object = 1
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    ["x" * 101, b"x" * 51, 1 << 500, [0] * 101, shared(50), "\0" * 20, {1: "x" * 99}],
    ids=["text", "bytes", "int", "list", "shared", "escapes", "dict"],
)
def test_length_is_limited_before_it_is_written(value: object) -> None:
    """A text longer than allowed is given up, whatever would make it so long."""
    with pytest.raises(NoText):
        encode(value, size=100)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "[1", "[1, 2]", "1.50", "1e5", "NaN", "Infinity", '"\u00e9"', " 1", "01"),
        *('{"a":1}', '{"tuple":1}', '{"int":"zz"}', '{"int":"1"}', '{"set":[[1]]}', "{}"),
        *('{"set":[2,1]}', '{"dict":[[1]]}', '{"float":"x"}', '{"complex":[1]}', "[" * 10**5),
        *('{"decimal.Decimal":"x"}', '{"set":[1,1]}', '{"tuple":[],"set":[]}', '{"bytes":"g"}'),
        *('{"fractions.Fraction":"1/0"}', '{"dict":[[1,2],[1,3]]}', '{"float":"1.0"}', "-0.0"),
    ],
)
def test_what_is_no_canonical_text_is_refused(text: str) -> None:
    """Whoever writes another form of the same value, or nonsense, is not read."""
    with pytest.raises(NoText):
        decode(text)
