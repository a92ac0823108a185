"""Counting objects field by field."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from fractions import Fraction

from thinktwice import Sample
from thinktwice.answers.fields import ABSENT, FieldRules
from thinktwice.fields.ballot import FieldBallots, size


def counted(contents, n=8, **more) -> FieldBallots[object]:
    rules = FieldRules(**{k: more.pop(k) for k in list(more) if k != "tolerance"})
    ballots: FieldBallots[object] = FieldBallots(n, rules=rules, **more)
    for index, content in enumerate(contents):
        failed = isinstance(content, Exception)
        ballots.add(
            Sample(
                index=index,
                value=None if failed else content,
                answer=None if failed or content is None else "some",
                error=content if failed else None,
            )
        )
    return ballots


def results(ballots) -> dict[str, dict[object, float]]:
    """Votes by answer, by path, of the fields that count."""
    return {
        field.path.path: {group.answer: group.weight for group in field.ballot.groups}
        for field in ballots.live
        if field.contested
    }


class TestCounting:
    """One ballot a field."""

    def test_each_field(self):
        """Of the objects that have what holds it."""
        ballots = counted([{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "y"}])
        assert results(ballots) == {"a": {1: 2, 2: 1}, "b": {"x": 1, "y": 2}}

    def test_a_late_field_is_counted_from_the_first_sample(self):
        """Those before it vote for its absence."""
        ballots = counted([{"a": 1}, {"a": 1}, {"a": 1, "b": 2}])
        assert results(ballots)["b"] == {ABSENT: 2, 2: 1}

    def test_without_the_holder_there_is_no_vote(self):
        """Not even for absence: three have no address, and the others agree on the city."""
        no, yes = {"address": None}, {"address": {"city": "Ulm"}}
        ballots = counted([no, yes, no, yes, yes, no, yes])
        assert results(ballots)["address.city"] == {"ulm": 4}
        assert results(ballots)["address"].keys() > {ABSENT}

    def test_fields_of_a_losing_shape_do_not_count(self):
        """A list of another length, an object where most have a text."""
        ballots = counted([{"a": [1, 2]}, {"a": [1, 3]}, {"a": [9]}, {"a": {"b": 1}}])
        assert results(ballots).keys() == {"a", "a[0]", "a[1]"}
        assert results(ballots)["a[0]"] == {1: 2}

    def test_what_only_holds_fields_is_no_field(self):
        """Unless some objects lack it."""
        ballots = counted([{"a": {"b": 1}}])
        assert results(ballots).keys() == {"a.b"}
        assert results(counted([{}])).keys() == {""}

    def test_abstentions(self):
        """Failed, None, and what has no answer: drawn in every field, a vote in none."""
        ballots = counted([{"a": 1}, None, RuntimeError(), "no object", {"a": 1}])
        [whole, field] = ballots.live
        assert field.ballot.tally().history == (0, -1, -1, -1, 0)
        assert whole.ballot.tally().finished == 5

    def test_elements_of_a_set_are_voted_in_or_out(self):
        """Of all objects that have the set."""
        ballots = counted([{"t": {"a", "b"}}, {"t": {"a"}}, {"t": None}, {"t": set()}])
        tallies = sorted(field.ballot.tally().counts for field in ballots.live)
        assert tallies == [(2, 1), (2, 1), (3, 1), (4,)]


class TestTallies:
    """What a stop rule sees."""

    def test_equal_counts_are_one(self):
        """With the number of fields that have them; 0 for what only holds fields."""
        ballots = counted([{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 2}])
        sizes = {tally.counts: count for tally, count in ballots.tallies.items()}
        assert sizes == {(2,): 2, (1, 1): 1}

    def test_before_the_first(self):
        """One ballot, with nothing in it."""
        [tally] = counted([]).tallies
        assert (tally.finished, tally.n) == (0, 8)


class TestTolerance:
    """Numbers that count as one."""

    def test_relative_to_the_larger(self):
        """Of any type; others only if equal."""
        contents = [{"a": each} for each in (100, 101.0, Decimal(99), Fraction(301, 3), 110, "x")]
        ballots = counted(contents, tolerance={"a": 0.01})
        assert list(results(ballots)["a"].values()) == [4, 1, 1]

    def test_only_at_its_path(self):
        """Or pattern."""
        contents = [{"a": [1.0], "b": 1.0}, {"a": [1.001], "b": 1.001}]
        ballots = counted(contents, tolerance={"a[]": 0.01})
        assert len(results(ballots)["a[0]"]) == 1
        assert len(results(ballots)["b"]) == 2

    def test_infinite(self):
        """All numbers count as one, and nothing else does."""
        contents = [{"a": each} for each in (1, -5.5, 10**400, True, None)]
        ballots = counted(contents, tolerance={"a": math.inf})
        assert results(ballots)["a"] == {1: 3, ("bool", True): 1, ABSENT: 1}

    def test_size(self):
        """Of numbers that no float can hold, too."""
        assert size(Fraction(1, 2)) == 0.5
        assert size(10**400) == -size(-(10**400)) == sys.float_info.max


class TestRemarks:
    """What a caller should know."""

    def test_scattered(self):
        """Four different answers in the first four votes of a field."""
        same = [{"a": 1, "b": n} for n in range(3)]
        assert not counted(same).scattered
        assert counted([*same, {"a": 1}]).scattered
        assert not counted([*same, {"a": 1}], ignore=("b",)).scattered

    def test_paths_that_no_object_has(self):
        """By path and by pattern, ignored and coupled ones included."""
        rules = {"ignore": ("why",), "coupled": (("x[].a", "x[].b"),)}
        ballots = counted([{"why": 1, "x": [{"a": 1, "b": 2}]}, None], **rules)
        asked = ["why", "x[].a", "x[0].b", "x", "x[].c", "wy"]
        assert ballots.missing(asked) == ["x[].c", "wy"]
