"""Objects: found in what a sampler returns, taken apart, and put together again."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, computed_field

from thinktwice import UsageError
from thinktwice.answers import default_key
from thinktwice.answers.documents import OBJECT, Document, Kind, opened, parts_of, rebuilt


class Town(BaseModel):
    """With an alias, a validated number and a computed field."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(alias="townName")
    people: int = Field(ge=0, validation_alias="inhabitants")

    @computed_field
    @property
    def large(self) -> bool:
        return self.people > 100_000


@dataclass(frozen=True)
class Order:
    """With a field that is computed, and one that is no part of its value."""

    total: float
    note: str = field(default="", compare=False)
    cents: int = field(init=False)

    def __post_init__(self) -> None:
        if self.total < 0:
            raise ValueError("negative")
        object.__setattr__(self, "cents", round(self.total * 100))


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


def content(value):
    document = opened(value)
    return None if document is None else document.content


class TestOpened:
    """Where the object is."""

    @pytest.mark.parametrize("value", [{"a": 1}, [1, 2], Point(1, 2), Order(2.5), 7], ids=repr)
    def test_a_value_is_its_own_object(self, value):
        """And another object takes its place."""
        assert opened(value).content is value
        assert opened(value).holding({"b": 2}) == {"b": 2}

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('{"a": 1.5}', {"a": 1.5}),
            ('So:\n```json\n{"a": 1}\n```\nor\n```\n{"a": 2}\n```\nDone.', {"a": 2}),
            ("[1, 2]", [1, 2]),
            ('{"a": 1, "a": 2}', {"a": 2}),
            ("It is 5.", None),
            ("{'a': 1}", None),
            ("", None),
            ("[" * 100_000, None),
        ],
        ids=lambda each: repr(each)[:40],
    )
    def test_a_text_is_its_json(self, text, found):
        """Whole or in the last fence; of a key that occurs twice the last value counts."""
        assert content(text) == found

    def test_a_text_stays_a_text(self):
        """The JSON alone, readable."""
        assert opened('```json\n{"a": 1}\n```').holding({"a": "\u00e9", "b": 0.1}) == (
            '{"a": "\u00e9", "b": 0.1}'
        )

    def test_raw_beside_parsed(self):
        """What was parsed is taken out and put back, whatever it is."""
        raw = {"raw": "message", "parsed": '{"a": 1}', "parsing_error": None}
        assert content(raw) == {"a": 1}
        assert opened(raw).holding({"a": 2}) == {**raw, "parsed": '{"a": 2}'}

    def test_what_was_not_parsed_is_none(self):
        """An error, or nothing."""
        nothing = {"raw": "message", "parsed": None, "parsing_error": None}
        assert content(nothing) is None
        assert content({**nothing, "parsed": {"a": 1}, "parsing_error": ValueError()}) is None
        assert content(None) is None

    def test_a_type_that_an_adapter_knows_is_refused(self):
        """A message has metadata and ids, and no fields that anyone would vote on."""

        @dataclass(frozen=True)
        class Reply:
            text: str

        default_key.register(Reply, lambda reply: reply.text)
        with pytest.raises(UsageError, match="parse it in the sampler"):
            opened(Reply("a"))
        assert parts_of(Reply("a")) is None


class TestParts:
    """What a value is divided into."""

    def test_of_a_model_by_field_names(self):
        """Neither by alias nor with computed fields; values as they are."""
        town = Town(townName="Ulm", inhabitants=5)
        assert parts_of(town) == (Kind(Town), {"name": "Ulm", "people": 5})

    def test_of_a_model_with_extra_fields(self):
        """They are fields too."""

        class Open(BaseModel):
            model_config = ConfigDict(extra="allow")
            a: int

        assert parts_of(Open(a=1, b=2))[1] == {"a": 1, "b": 2}

    def test_of_a_dataclass(self):
        """Without what it leaves out of comparison."""
        assert parts_of(Order(2.5, "x")) == (Kind(Order), {"total": 2.5, "cents": 250})

    def test_of_mappings_and_lists(self):
        """A list is of its length."""
        assert parts_of({1: 2}) == (OBJECT, {1: 2})
        assert parts_of(("a", "b")) == (Kind("list", 2), {0: "a", 1: "b"})
        assert parts_of([]) == (Kind("list", 0), {})

    @pytest.mark.parametrize("value", ["text", b"x", 1, None, True, {1}, Order, Enum("E", "A").A])
    def test_of_anything_else_none(self, value):
        """It is one value."""
        assert parts_of(value) is None


class TestRebuilt:
    """Another value of the same class."""

    def test_a_model_validates(self):
        """By its field names; what it refuses is an error."""
        town = Town(townName="Ulm", inhabitants=5)
        assert rebuilt(town, {"name": "Bonn", "people": 7}) == Town(townName="Bonn", inhabitants=7)
        with pytest.raises(ValidationError):
            rebuilt(town, {"name": "Bonn", "people": -7})
        with pytest.raises(ValidationError):
            rebuilt(town, {"name": "Bonn"})

    def test_a_root_model(self):
        """Has one part."""
        names = RootModel[list[str]](["a"])
        assert rebuilt(names, {"root": ["b", "c"]}) == RootModel[list[str]](["b", "c"])

    def test_a_dataclass_runs_its_own_checks(self):
        """What is no part of its value stays; what it computes is computed."""
        order = Order(2.5, "note")
        other = rebuilt(order, {"total": 3.0, "cents": 250})
        assert (other, other.note, other.cents) == (Order(3.0), "note", 300)
        with pytest.raises(ValueError, match="negative"):
            rebuilt(order, {"total": -1.0})

    @pytest.mark.parametrize(
        ("template", "parts", "made"),
        [
            ({"z": 1}, {"a": 1}, {"a": 1}),
            (OrderedDict(z=1), {"a": 1}, OrderedDict(a=1)),
            ([1], {0: "a", 1: "b"}, ["a", "b"]),
            ((1,), {0: "a"}, ("a",)),
            (Point(1, 2), {0: 5, 1: 6}, Point(5, 6)),
            ({1}, {0: "a"}, {"a"}),
            (frozenset({1}), {}, frozenset()),
        ],
        ids=lambda each: repr(each)[:30],
    )
    def test_collections(self, template, parts, made):
        """Of the same type, with other contents."""
        other = rebuilt(template, parts)
        assert (type(other), other) == (type(made), made)

    def test_nothing_changes_the_template(self):
        """Samples stay as they are."""
        template = {"a": [1]}
        rebuilt(template, {"a": [2]})
        assert json.dumps(template) == '{"a": [1]}'


@dataclass
class Envelope:
    """Holds an object, beside other things."""

    inside: object
    stamp: str = "old"


def test_a_type_that_an_adapter_registers_is_opened_its_way():
    """And what is put together goes back into one."""

    @opened.register
    def _(value: Envelope) -> Document | None:
        inner = opened(value.inside)
        return inner and Document(inner.content, lambda content: replace(value, inside=content))

    document = opened(Envelope({"a": 1}))
    assert document is not None
    assert document.content == {"a": 1}
    assert document.holding({"a": 2}) == Envelope({"a": 2})
    assert opened(Envelope(None)) is None
