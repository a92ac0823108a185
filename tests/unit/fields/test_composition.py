"""The object that the fields' winners make up."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, Field, model_validator

from thinktwice import Sample
from thinktwice.answers.fields import FieldRules
from thinktwice.fields.ballot import FieldBallots
from thinktwice.fields.composition import compose

if TYPE_CHECKING:
    from thinktwice.fields.composition import Composition


class Address(BaseModel):
    """Refuses an unknown zip."""

    street: str
    zip: int = Field(ge=0)


class Person(BaseModel):
    """Holds another model, and lists."""

    name: str
    address: Address | None = None
    tags: set[str] = set()
    sizes: list[int] = []


@dataclass(frozen=True)
class Range:
    """Refuses a low above its high."""

    low: int
    high: int
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("empty")


def made(values, *, sound=lambda _: True, tolerance=None, texts=None, **rules) -> Composition:
    ballots: FieldBallots[object] = FieldBallots(
        len(values), rules=FieldRules(**rules), tolerance=tolerance
    )
    for index, value in enumerate(values):
        text = texts[index] if texts else None
        ballots.add(Sample(index=index, value=value, answer="some", text=text))
    composition = compose(ballots, sound=sound)
    assert composition is not None
    return composition


def value(values, **more):
    return made(values, **more).winner.value


AB = [{"a": 1, "b": 9}, {"a": 1, "b": 2}, {"a": 8, "b": 2}]
"""One sample has both winners."""
ABC = [{"a": 1, "b": 2, "c": 9}, {"a": 1, "b": 9, "c": 3}, {"a": 9, "b": 2, "c": 3}]
"""None has all three."""


class TestWinners:
    """What is most voted in each field."""

    def test_a_sample_that_has_all_of_them(self):
        """Is returned as it is."""
        composition = made(AB)
        assert composition.winner.value is AB[1]
        assert not composition.composed
        assert composition.shares == pytest.approx({"a": 2 / 3, "b": 2 / 3})

    def test_a_composed_object(self):
        """That no sample has; nothing else of the closest sample is passed off as its own."""
        values = [json.dumps(each) for each in ABC]
        composition = made(values)
        winner = composition.winner
        assert composition.composed
        assert winner.value == winner.text == '{"a": 1, "b": 2, "c": 3}'
        assert winner.answer == frozenset({("a", 1), ("b", 2), ("c", 3)})
        assert winner.logprobs is None
        assert winner.index == 0

    def test_absence_wins_over_one_extra_key(self):
        """And a key that most have is there."""
        values = [{"a": 1}, {"a": 2, "x": 1}, {"a": 1, "x": 1}, {"a": 1}]
        assert value(values) == {"a": 1}
        assert value([*values, {"a": 1, "x": 1}, {"a": 3, "x": 1}]) == {"a": 1, "x": 1}

    def test_none_stays_none(self):
        """Where nothing wins, what the first such sample has stands: None, or no key at all."""
        values = [
            {"a": None, "b": 1, "c": 9},
            {"a": None, "b": 9, "c": 1},
            {"a": 5, "b": 1, "c": 1},
        ]
        assert value(values) == {"a": None, "b": 1, "c": 1}

    def test_spelling_is_that_of_the_first(self):
        """Texts that count as one differ in case."""
        values = [{"a": "Ulm", "b": 9, "c": 1}, {"a": "ulm.", "b": 2}, {"a": "x", "b": 2, "c": 1}]
        assert value(values) == {"a": "Ulm", "b": 2, "c": 1}

    def test_ties_go_to_the_shorter_text_then_to_the_first(self):
        """In every field alike, so that they go to one sample."""
        values = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
        assert value(values) is values[0]
        assert value(values, texts=["long", "sho"]) is values[1]

    def test_types_of_one_field_differ(self):
        """The most frequent one wins; the others are votes like any."""
        values = [{"a": {"x": 1}}, {"a": "1"}, {"a": 1}, {"a": {"x": 2}}, {"a": {"x": 2}}]
        assert value(values) == {"a": {"x": 2}}
        assert value([{"a": [1]}, 5, 5, "text"]) == 5


class TestLists:
    """By position, or as sets."""

    def test_by_position_among_those_of_the_most_frequent_length(self):
        """An object in a list is divided further."""
        values = [
            {"items": [{"n": 1, "p": 5}, {"n": 2, "p": 6}]},
            {"items": [{"n": 1, "p": 7}, {"n": 2, "p": 6}]},
            {"items": [{"n": 3, "p": 5}, {"n": 2, "p": 9}]},
            {"items": [{"n": 2, "p": 6}]},
        ]
        composition = made(values)
        assert composition.winner.value == {"items": [{"n": 1, "p": 5}, {"n": 2, "p": 6}]}
        assert composition.shares["items"] == 0.75
        assert composition.shares["items[0].n"] == pytest.approx(2 / 3)

    def test_unordered_by_element(self):
        """In, if more have it than lack it; in the order of the first sample that has the list."""
        values = [{"t": ["b", "a"]}, {"t": ["a", "c"]}, {"t": ["d", "a", "b"]}]
        composition = made(values, unordered=("t",))
        assert composition.winner.value == {"t": ["b", "a"]}
        assert composition.shares == pytest.approx({"t": 2 / 3})
        values = [
            {"t": ["a", "x"]},
            {"t": ["c", "b", "a"]},
            {"t": ["d", "b"]},
            {"t": ["b", "a", "y"]},
        ]
        assert value(values, unordered=("t",)) == {"t": ["a", "b"]}

    def test_other_collections_keep_their_type(self):
        """Tuples and sets."""
        values = [{"t": (1, 2, 9)}, {"t": (1, 9, 3)}, {"t": (9, 2, 3)}]
        assert value(values) == {"t": (1, 2, 3)}
        values = [{"t": frozenset("abx")}, {"t": frozenset("acy")}, {"t": frozenset("bcz")}]
        assert value(values) == {"t": frozenset("abc")}

    def test_a_list_of_everything(self):
        """The whole object may be a list."""
        assert value([[1, 2, 9], [1, 9, 3], [9, 2, 3]]) == [1, 2, 3]


class TestClasses:
    """Models and dataclasses."""

    def test_a_model_is_of_its_class(self):
        """All the way down."""
        values = [
            Person(name="A", address=Address(street="s", zip=1), tags={"x"}, sizes=[1, 9]),
            Person(name="A", address=Address(street="t", zip=2), tags={"x", "y"}, sizes=[9, 2]),
            Person(name="B", address=Address(street="s", zip=2), tags={"y"}, sizes=[1, 2]),
        ]
        composition = made(values)
        assert composition.composed
        assert composition.winner.value == Person(
            name="A", address=Address(street="s", zip=2), tags={"x", "y"}, sizes=[1, 2]
        )
        assert type(composition.winner.value.address) is Address

    def test_what_its_class_refuses_is_not_returned(self):
        """The closest sample is."""
        values = [Range(1, 2, "a"), Range(5, 6), Range(5, 6), Range(1, 4), Range(1, 4), Range(5, 9)]
        assert made(values[1:5]).fallback is None
        lows_and_highs = [Range(5, 6), Range(5, 7), Range(5, 8), Range(1, 2), Range(0, 2)]
        composition = made(lows_and_highs)
        assert composition.fallback == "closest"
        assert composition.winner.value is lows_and_highs[0]
        assert composition.shares == pytest.approx({"low": 3 / 5, "high": 1 / 5})

    def test_what_its_class_changes_is_not_returned(self):
        """A check that computes would put into the object what nobody voted for."""

        class Sum(BaseModel):
            a: int
            b: int
            total: int = 0

            @model_validator(mode="after")
            def add(self):
                self.total = self.a + self.b
                return self

        values = [Sum(a=1, b=2), Sum(a=1, b=2), Sum(a=1, b=9), Sum(a=8, b=2), Sum(a=3, b=7)]
        assert value(values) == Sum(a=1, b=2)
        values = [Sum(a=1, b=9), Sum(a=1, b=9), Sum(a=8, b=2), Sum(a=8, b=2), Sum(a=1, b=2)]
        composition = made(values)
        assert composition.fallback == "closest"
        assert composition.winner.value in values

    def test_a_check_that_does_not_repeat(self):
        """Validation of a value that was validated before must not change it."""

        class Price(BaseModel):
            cents: int
            a: int
            b: int

            @model_validator(mode="before")
            @classmethod
            def scale(cls, data):
                return {**data, "cents": data["cents"] * 100}

        values = [Price(cents=5, a=1, b=9), Price(cents=5, a=9, b=2), Price(cents=5, a=1, b=2)]
        values[2] = Price(cents=7, a=1, b=2)
        composition = made(values)
        assert composition.fallback == "closest"
        assert composition.winner.value in values

    def test_raw_beside_parsed(self):
        """The raw message is that of the closest sample."""
        raws = [{"raw": f"m{i}", "parsed": p, "parsing_error": None} for i, p in enumerate(ABC)]
        bad = {"raw": "m", "parsed": None, "parsing_error": ValueError()}
        composition = made([bad, *raws])
        assert composition.winner.value == {**raws[0], "parsed": {"a": 1, "b": 2, "c": 3}}


class TestCoupled:
    """Fields that vote as one."""

    def test_come_from_one_sample(self):
        """Even nested, and beside fields that are composed."""
        values = [
            {"a": {"street": 1, "city": 1, "zip": 9}, "n": 1},
            {"a": {"street": 1, "city": 2, "zip": 1}, "n": 1},
            {"a": {"street": 2, "city": 2, "zip": 1}, "n": 9},
            {"a": {"street": 2, "city": 2, "zip": 9}, "n": 1},
        ]
        coupled = (("a.street", "a.city"),)
        composition = made(values, coupled=coupled)
        assert composition.winner.value["a"]["street"] == composition.winner.value["a"]["city"] == 2
        assert composition.shares["a.street + a.city"] == 0.5

    def test_across_objects(self):
        """They stay together, or nothing is composed."""
        values = [
            {"a": {"x": 1, "z": 5}, "b": 1},
            {"a": {"x": 1, "z": 6}, "b": 1},
            {"a": {"x": 2, "z": 6}, "b": 2},
        ]
        assert value(values, coupled=(("a.x", "b"),)) == {"a": {"x": 1, "z": 6}, "b": 1}
        lost = [{"a": None, "b": 1}, {"a": None, "b": 2}, {"a": None, "b": 3}] + [
            {"a": {"x": 1, "z": 5}, "b": 1}
        ] * 2
        composition = made(lost, coupled=(("a.x", "b"),))
        assert composition.fallback == "closest"
        assert composition.winner.value in lost

    def test_a_missing_one_stays_missing(self):
        """With the others of its group."""
        values = [
            {"x": 1, "y": 2, "a": 1, "b": 9},
            {"x": 1, "a": 1, "b": 2},
            {"x": 1, "a": 9, "b": 2},
        ]
        assert value(values, coupled=(("x", "y"),)) == {"x": 1, "a": 1, "b": 2}

    def test_everything(self):
        """Then the most frequent object wins."""
        values = [*ABC, ABC[2]]
        composition = made(values, coupled=True)
        assert composition.winner.value is ABC[2]
        assert composition.shares == {"": 0.5}


class TestIgnored:
    """What is not voted on."""

    def test_is_that_of_the_closest_sample(self):
        """Also where another has none."""
        values = [
            {"why": "w0", "a": 9, "b": 2, "c": 3, "d": 9},
            {"why": "w1", "a": 1, "b": 9, "c": 3, "d": 4},
            {"why": "w2", "a": 1, "b": 2, "c": 9, "d": 4},
        ]
        composition = made(values, ignore=("why",))
        assert composition.winner.value == {"why": "w1", "a": 1, "b": 2, "c": 3, "d": 4}
        assert "why" not in composition.shares
        del values[1]["why"]
        assert made(values, ignore=("why",)).winner.value["why"] == "w0"

    def test_with_the_sample_that_has_all_winners(self):
        """It is returned as it is."""
        values = [{"a": 1, "why": "x"}, {"a": 1, "why": "y"}]
        assert value(values, ignore=("why",)) is values[0]


class TestNumbers:
    """Those that count as one."""

    def test_their_median(self):
        """A number that was sampled: the lower one of two."""
        values = [{"a": each, "b": i} for i, each in enumerate([100.9, 100.1, 100.5, 250, 100.7])]
        assert value(values, tolerance={"a": 0.01}, ignore=("b",))["a"] == 100.5

    def test_of_all(self):
        """Whatever the spread."""
        numbers = [{"a": 1}, {"a": 50}, {"a": 3}, {"a": "x"}, {"a": 1000}, {"a": 4}]
        assert value(numbers, tolerance={"a": math.inf}) == {"a": 4}
        assert value([{"a": 5}, {"a": 5}, {"a": 5.0}], tolerance={"a": math.inf}) == {"a": 5}


class TestCheck:
    """An object that does not pass is not returned."""

    def test_the_closest_that_passes(self):
        """Whether the winners' object was composed or sampled."""
        composition = made(ABC, sound=lambda c: c["c"] != 3)
        assert (composition.winner.value, composition.fallback) == (ABC[0], "closest")
        composition = made(AB, sound=lambda c: c["a"] == 8)
        assert (composition.winner.value, composition.fallback) == (AB[2], "closest")
        assert composition.shares == pytest.approx({"a": 1 / 3, "b": 2 / 3})

    def test_none_passes(self):
        """The closest of all."""
        composition = made(ABC, sound=lambda _: False)
        assert (composition.winner.value, composition.fallback) == (ABC[0], "unsound")

    def test_the_check_sees_the_object(self):
        """Not the text that it stands in."""
        seen = []
        made([json.dumps(each) for each in ABC], sound=lambda c: seen.append(c) or True)
        assert seen == [{"a": 1, "b": 2, "c": 3}]


def test_without_an_object():
    """Nothing is returned."""
    ballots: FieldBallots[object] = FieldBallots(3, rules=FieldRules())
    ballots.add(Sample(index=0, value="text", answer=None))
    assert compose(ballots, sound=lambda _: True) is None


def test_values_of_several_types():
    """An object that cannot stand where the closest sample has its own is not composed."""

    class Thing(BaseModel):
        a: int
        b: int
        c: int

    values = [Thing(**ABC[0]), json.dumps(ABC[1]), json.dumps(ABC[2])]
    composition = made(values)
    assert composition.winner.value in [*values, '{"a": 1, "b": 2, "c": 3}']
