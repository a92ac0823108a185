"""The fields of an object, and their votes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

import pytest

from thinktwice import UsageError
from thinktwice.answers.documents import OBJECT, SET, Kind
from thinktwice.answers.fields import ABSENT, DEEPEST, MOST_FIELDS, FieldRules, Part

PLAIN = FieldRules()


class Colour(Enum):
    RED = "red"


def votes(content, rules=PLAIN) -> dict[str, object]:
    """The votes of what is voted on alone, by path."""
    whole = rules.read(content)
    assert whole is not None
    found: dict[str, object] = {}

    def walk(part: Part) -> None:
        if part.vote is not None:
            found[part.path.path] = part.vote
        for each in part.parts.values():
            walk(each)

    walk(whole)
    return found


class TestVotes:
    """What a field is counted by."""

    def test_scalars_by_the_default_key(self):
        """Texts folded, numbers in one form, a bool is no number, an enum its value."""
        content = {"t": " Paris. ", "n": 2.0, "b": True, "e": Colour.RED}
        assert votes(content) == {
            "": OBJECT,
            "t": "paris",
            "n": 2,
            "b": ("bool", True),
            "e": "red",
        }

    @pytest.mark.parametrize("nothing", [None, "", "  ", float("nan")])
    def test_nothing_votes_for_absence(self, nothing):
        """None, an empty text, NaN."""
        assert votes({"a": nothing})["a"] == ABSENT

    def test_what_holds_fields_votes_for_its_kind(self):
        """Objects, lists of a length, models of a class."""

        @dataclass
        class Item:
            price: int

        found = votes({"items": [Item(1), Item(2)], "none": {}, "empty": []})
        assert found["items"] == Kind("list", 2)
        assert found["items[0]"] == Kind(Item)
        assert found["items[1].price"] == 2
        assert (found["none"], found["empty"]) == (OBJECT, Kind("list", 0))

    def test_wrong_types_differ(self):
        """5 and "5", a list and an object, an object and a text."""
        for one, other in ((5, "5"), ([], {}), ({"b": 1}, "b"), (True, 1), ([1], [1, 1])):
            assert votes({"a": one})["a"] != votes({"a": other})["a"]

    def test_a_whole_that_says_nothing(self):
        """Is no answer."""
        for nothing in (None, "", float("nan")):
            assert PLAIN.read(nothing) is None
            assert PLAIN.answer(nothing) is None

    def test_a_scalar_is_one_field(self):
        """So is a text that is no object."""
        assert votes(7) == {"": 7}

    def test_what_cannot_be_compared(self):
        """Is named, with what to do; unless it is ignored."""
        content = {"a": 1, "b": object()}
        with pytest.raises(UsageError, match="name the field in ignore=") as caught:
            PLAIN.read(content)
        assert caught.value.parameter == "sampler"
        assert votes(content, FieldRules(ignore=("b",))) == {"": OBJECT, "a": 1}


class TestSets:
    """Their elements are in or out."""

    def test_by_type(self):
        """A set has no order."""
        whole = PLAIN.read({"tags": {"b", "a"}})
        tags = whole.parts["tags"]
        assert tags.vote == SET
        assert {key.key for key in tags.parts} == {"a", "b"}

    def test_by_parameter(self):
        """A list that is named, at any position; equal elements count each."""
        rules = FieldRules(unordered=("groups[].tags",))
        one = rules.answer({"groups": [{"tags": ["a", "B", "a"]}]})
        assert one == rules.answer({"groups": [{"tags": ["b", "a", "A "]}]})
        assert one != rules.answer({"groups": [{"tags": ["b", "a"]}]})
        assert PLAIN.answer({"tags": ["a", "b"]}) != PLAIN.answer({"tags": ["b", "a"]})

    def test_elements_may_be_objects(self):
        """Each counts as a whole."""
        rules = FieldRules(unordered=("a",))
        one = rules.answer({"a": [{"x": 1, "y": 2}, None]})
        assert one == rules.answer({"a": [None, {"y": 2.0, "x": 1}]})


class TestCoupled:
    """Fields that vote as one."""

    RULES = FieldRules(coupled=(("address.street", "address.city"),))

    def test_one_vote_for_both(self):
        """And none of their own."""
        found = votes({"address": {"street": "A", "city": "B", "zip": 1}}, self.RULES)
        assert found == {
            "": OBJECT,
            "address": OBJECT,
            "address.zip": 1,
            "address.street + address.city": ("a", "b"),
        }

    def test_parts_may_be_missing(self):
        """All missing is absence."""
        only = votes({"address": {"city": "B"}}, self.RULES)
        assert only["address.street + address.city"] == (ABSENT, "b")
        none = votes({"address": {"zip": 1}}, self.RULES)
        assert none["address.street + address.city"] == ABSENT
        assert votes({"address": None}, self.RULES) == {"": OBJECT, "address": ABSENT}

    def test_in_each_item_of_a_list(self):
        """By a pattern."""
        rules = FieldRules(coupled=(("items[].price", "items[].currency"),))
        found = votes({"items": [{"price": 1, "currency": "EUR"}, {"price": 2}]}, rules)
        assert found["items[0].price + items[0].currency"] == (1, "eur")
        assert found["items[1].price + items[1].currency"] == (2, ABSENT)

    def test_a_part_as_a_whole(self):
        """A group of one."""
        found = votes({"a": {"b": [1, 2]}, "c": 1}, FieldRules(coupled=(("a",),)))
        assert found == {"": OBJECT, "c": 1, "a": (("json", '{"b":[1,2]}'),)}

    def test_all_of_it(self):
        """As one vote."""
        rules = FieldRules(coupled=True)
        assert votes({"a": {"b": 1.0}}, rules) == {"": ("json", '{"a":{"b":1}}')}

    @pytest.mark.parametrize(
        "coupled", ["a", ("a", "b"), (("a", "a"),), (("a",), ("a", "b")), 3, (3,)]
    )
    def test_what_cannot_be_coupled(self, coupled):
        """Is refused: a path twice, or what is no group of paths."""
        with pytest.raises(UsageError) as caught:
            FieldRules(coupled=coupled)
        assert caught.value.parameter == "coupled"


class TestIgnored:
    """What is not voted on."""

    def test_is_kept_and_has_no_vote(self):
        """With all that is in it."""
        rules = FieldRules(ignore=("why", "items[].why"))
        content = {"why": {"x": 1}, "items": [{"why": "a", "n": 1}]}
        assert votes(content, rules) == {
            "": OBJECT,
            "items": Kind("list", 1),
            "items[0]": OBJECT,
            "items[0].n": 1,
        }
        assert rules.read(content).parts["why"].value == {"x": 1}


class TestAnswer:
    """What two objects share that have the same votes."""

    def test_equal_votes(self):
        """Whatever the order of keys, the spelling, or what is absent."""
        one = PLAIN.answer({"a": "X", "b": 1.0, "c": None})
        assert one == PLAIN.answer({"b": 1, "a": "x."}) == frozenset({("a", "x"), ("b", 1)})

    def test_empty_objects_are_there(self):
        """An object without fields is not nothing."""
        assert PLAIN.answer({}) == frozenset({("", OBJECT)})
        assert PLAIN.answer({"a": {}}) != PLAIN.answer({"a": None})

    def test_keys_of_other_types(self):
        """1 and "1" are two fields."""
        assert PLAIN.answer({1: "x"}) != PLAIN.answer({"1": "x"})


class TestLimits:
    """Nothing is read without end."""

    def test_many_fields_vote_as_a_whole(self):
        """Only what has too many: the rest of the object is divided."""
        rows = [{"id": n, "x": n} for n in range(MOST_FIELDS)]
        found = votes({"a": 1, "rows": rows})
        assert set(found) == {"", "a", "rows"}
        assert found["rows"] != votes({"a": 1, "rows": rows[::-1]})["rows"]
        most = votes({str(n): n for n in range(MOST_FIELDS)})
        assert len(most) == MOST_FIELDS + 1
        assert len(votes({"s": set(range(MOST_FIELDS + 1))})) == 2

    def test_too_deep_is_no_answer(self):
        """Nor is what holds itself."""

        def nested(levels):
            return {"a": nested(levels - 1)} if levels else 1

        assert PLAIN.read(nested(DEEPEST)) is not None
        assert PLAIN.read(nested(DEEPEST + 1)) is None
        circle: dict[str, object] = {}
        circle["a"] = circle
        assert PLAIN.read(circle) is None

    def test_a_megabyte(self):
        """Takes a moment."""
        text = json.dumps([{"id": n, "name": f"item {n}"} for n in range(30_000)])
        assert len(text) > 1_000_000
        assert votes(json.loads(text)).keys() == {""}
