"""A vote on each field of structured answers."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from thinktwice import (
    AtMost,
    Budget,
    BudgetExceeded,
    Completion,
    Lead,
    Settled,
    UsageError,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.errors import ThinktwiceWarning
from thinktwice.stop import After, Certain, GoodEnough
from thinktwice.strategies.field_vote import CLOSEST, SCATTERED, UNSOUND, FieldVote
from thinktwice.testing import ScriptedSampler, run_virtual

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


def vote(values, strategy: FieldVote, seconds=1.0, **more) -> Result[object]:
    sampler = ScriptedSampler(values, seconds=seconds)
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))


ABC = [{"a": 1, "b": 2, "c": 9}, {"a": 1, "b": 9, "c": 3}, {"a": 9, "b": 2, "c": 3}]
"""No sample has all three winners."""


class Thing(BaseModel):
    """Of three numbers."""

    a: int
    b: int
    c: int


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("n", {"n": 0}),
            ("stop", {"stop": 3}),
            ("stop", {"stop": GoodEnough(0.5)}),
            ("prefer", {"prefer": "speed"}),
            ("coupled", {"coupled": ("street", "city")}),
            ("unordered", {"unordered": "tags"}),
            ("ignore", {"ignore": ("a..b",)}),
            ("tolerance", {"tolerance": 0.1}),
            ("tolerance", {"tolerance": {"a": -0.1}}),
            ("tolerance", {"tolerance": {"a": math.nan}}),
            ("tolerance", {"tolerance": {"a": True}}),
            ("tolerance", {"tolerance": {"": 0.1}}),
            ("validate", {"validate": "schema"}),
            ("validate", {"validate": asyncio.sleep}),
            ("of", {"of": 3}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError) as caught:
            FieldVote(**{"n": 4, **given})
        assert caught.value.parameter == parameter

    def test_it_is_a_value(self):
        """Equal to its like, hashable, picklable, and shown as its constructor."""
        one = FieldVote(4, ignore=("why",), coupled=(("a", "b"),))
        assert one == pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
        assert len({one, FieldVote(4, ignore=("why",), coupled=(("a", "b"),))}) == 1
        assert repr(FieldVote(4)).startswith("FieldVote(n=4, stop=Settled(risk=0.05), prefer=")

    def test_draws_and_calls(self):
        """Products, where strategies nest."""
        assert (FieldVote(4).draws, FieldVote(4).calls) == (4, 4)
        nested = FieldVote(4, of=Vote(3))
        assert (nested.draws, nested.calls) == (12, 12)


class TestWinner:
    """The most voted value of each field."""

    @pytest.mark.parametrize(
        "made",
        [
            dict,
            Thing,
            lambda **fields: json.dumps(fields),
            lambda **fields: {"raw": "m", "parsed": Thing(**fields), "parsing_error": None},
        ],
        ids=["dict", "model", "text", "raw"],
    )
    def test_composed(self, made):
        """Of the type that the sampler returns; the result says that no sample has it."""
        result = vote([made(**each) for each in ABC], FieldVote(3, stop=AtMost(3)))
        assert result.value == made(a=1, b=2, c=3)
        assert type(result.value) is type(made(a=1, b=2, c=3))
        assert result.composed
        assert result.shares == pytest.approx(dict.fromkeys("abc", 2 / 3))
        assert result.agreement == pytest.approx(2 / 3)
        assert dict(result.answer) == {"a": 1, "b": 2, "c": 3}

    def test_one_of_the_samples(self):
        """Returned as it is."""
        values = [{"a": 1, "b": 9}, {"a": 1, "b": 2}, {"a": 8, "b": 2}]
        result = vote(values, FieldVote(3, stop=AtMost(3)))
        assert result.value is values[1]
        assert result.winner is result.samples[1]
        assert not result.composed

    def test_agreement_is_that_of_the_least_agreed_field(self):
        """No more samples than that can agree with the whole."""
        values = [{"a": 1, "b": n % 2, "c": n} for n in range(4)]
        result = vote(values, FieldVote(4, stop=AtMost(4)))
        assert result.shares == {"a": 1.0, "b": 0.5, "c": 0.25}
        assert result.agreement == 0.25

    def test_failed_and_unusable_samples_abstain(self):
        """A text without JSON, a reply that was cut short, an error."""
        cut = Completion(value={"a": 2}, finish_reason="length")
        values = [{"a": 1}, "I do not know", cut, TimeoutError(), {"a": 1}, {"a": 2}]
        result = vote(values, FieldVote(6, stop=AtMost(6)))
        assert result.value == {"a": 1}
        assert (result.agreement, result.used) == (pytest.approx(2 / 3), 6)

    def test_all_abstain(self):
        """There is no value, and a warning."""
        result = vote(["no", "nor this"], FieldVote(2))
        assert (result.value, result.agreement, result.shares) == (None, None, {})
        assert result.settled.text == "no claim: no usable sample"

    def test_all_fail(self):
        """Their error is raised."""
        with pytest.raises(TimeoutError):
            vote([TimeoutError()], FieldVote(2))

    def test_coupled_as_a_whole_it_is_a_vote(self):
        """On the same samples, with the same stop."""
        values = [{"a": n % 3, "b": [n % 2]} for n in (0, 1, 2, 3, 0, 6, 6, 6)]
        one = vote(values, FieldVote(8, coupled=True))
        other = vote(values, Vote(8))
        assert (one.value, one.agreement, one.launched) == (
            other.value,
            other.agreement,
            other.launched,
        )
        assert (one.stopped_by, one.settled) == (other.stopped_by, other.settled)
        assert one.shares == {"": one.agreement}


class TestValidate:
    """An object that does not pass is not returned."""

    @pytest.mark.parametrize(
        "check",
        [
            lambda content: content["a"] != 1 or content["c"] != 3,
            lambda content: 1 // (content["a"] * content["c"] - 3),
        ],
        ids=["False", "raises"],
    )
    def test_a_callable(self, check):
        """Returns False, or raises."""
        result = vote(ABC, FieldVote(3, stop=AtMost(3), validate=check))
        assert result.value in (ABC[0], ABC[2])
        assert not result.composed
        assert CLOSEST in result.warnings
        assert result.settled.text.startswith("no claim: void by a fallback")

    def test_a_class(self):
        """A model, or a dataclass with checks of its own."""

        @dataclass
        class Checked:
            a: int
            b: int
            c: int

            def __post_init__(self) -> None:
                if self.c == 3:
                    raise ValueError("three")

        class Small(Thing):
            @classmethod
            def model_validate(cls, obj, **more):
                assert obj["c"] != 3
                return super().model_validate(obj, **more)

        for check in (Checked, Small):
            result = vote(ABC, FieldVote(3, stop=AtMost(3), validate=check))
            assert result.value == ABC[0]
        assert vote(ABC, FieldVote(3, stop=AtMost(3), validate=Thing)).composed

    def test_none_passes(self, fresh_remarks):
        """The check may be wrong, so it is said aloud."""
        with pytest.warns(ThinktwiceWarning, match="no sample passes validate="):
            result = vote(ABC, FieldVote(3, stop=AtMost(3), validate=lambda _: False))
        assert UNSOUND in result.warnings
        assert result.value == ABC[0]


class TestStopping:
    """When all fields are settled at once."""

    def test_equal_samples(self):
        """Few are enough."""
        result = vote([{"a": 1, "b": 2}], FieldVote(8, prefer="cost"))
        assert result.launched == 3
        assert result.stopped_by == Settled(0.05)
        assert result.settled.holds
        assert result.settled.risk == pytest.approx(0.05)

    def test_one_open_field_keeps_the_others_waiting(self):
        """The run ends when that one is settled."""
        values = [{"a": 1, "b": n % 2} for n in range(3)] + [{"a": 1, "b": 1}] * 13
        result = vote(values, FieldVote(16, prefer="cost"))
        alone = vote([each["b"] for each in values], Vote(16, stop=Settled(0.025), prefer="cost"))
        assert result.launched == alone.launched > 3

    def test_other_rules_have_to_fire_in_each_field(self):
        """And are named."""
        values = [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]
        result = vote(values * 3, FieldVote(12, stop=Lead(2), prefer="cost"))
        assert result.stopped_by == Lead(2)
        assert result.launched == 4
        assert not result.settled.holds

    def test_a_certain_outcome_ends_it(self):
        """As in every vote."""
        result = vote([{"a": 1, "b": 2}], FieldVote(4, prefer="cost"))
        assert (result.launched, result.stopped_by) == (2, Certain())
        assert result.settled.probability == 1.0

    def test_all_drawn(self):
        """The full vote."""
        result = vote(ABC, FieldVote(3, stop=AtMost(3)))
        assert result.stopped_by == AtMost(3)
        assert "all 3 draws were counted" in result.settled.text

    def test_a_time(self):
        """Ends it with what there is."""
        result = vote(
            [{"a": 1}, {"a": 2}, {"a": 3}],
            FieldVote(8, stop=Settled() | After(seconds=2.5), prefer="latency"),
            seconds=[1, 2, 9, 9, 9, 9, 9, 9],
        )
        assert result.stopped_by == After(seconds=2.5)
        assert result.used == 2

    @pytest.mark.parametrize(
        ("strategy", "reason"),
        [
            (FieldVote(8, tolerance={"a": 0.1}), "tolerance="),
            (FieldVote(8, prefer="shortest"), "a preference for answers that come first"),
        ],
    )
    def test_what_voids_the_claim(self, strategy, reason):
        """Its reason is in the result."""
        values = [{"a": 1}, {"a": 1}, {"a": 1}, {"a": 5}]
        assert vote(values, strategy).settled.text == f"no claim: void by {reason}"


class TestLaunching:
    """As many calls as the least settled field needs."""

    def test_cost_discards_nothing(self):
        """Whatever the latencies: what is launched is counted."""
        values = [{"a": n % 3, "b": n % 2} for n in (0, 2, 4, 0, 0, 1, 3, 2, 0, 0, 0, 0)]
        for seconds in (1.0, [5, 1, 3], [1, 2, 9, 1]):
            result = vote(values, FieldVote(12, prefer="cost"), seconds=seconds)
            assert result.launched == len(result.samples) == result.used

    def test_preferences(self):
        """All at once, some, or only those that are needed."""

        def launched(prefer):
            strategy = FieldVote(16, prefer=prefer)
            return vote([{"a": 1}], strategy, max_concurrency=16).launched

        assert launched("latency") == 16
        assert launched("cost") <= launched("balanced") < 16
        assert launched(1) == launched("cost")

    def test_over_a_sync_sampler(self):
        """Which cannot be recalled, so that nothing is launched in vain."""
        result = solve_sync("q", sampler=lambda _: {"a": 1, "b": "x"}, strategy=FieldVote(8))
        assert (result.launched, result.value) == (3, {"a": 1, "b": "x"})


class TestBudget:
    """A cap ends it with the best object so far."""

    def test_calls(self):
        """The claim is void, unless the outcome is certain."""
        result = vote(ABC, FieldVote(8), budget=Budget(calls=3))
        assert result.cut is not None
        assert result.value == {"a": 1, "b": 2, "c": 3}
        assert "a budget cut" in result.settled.text

    def test_seconds(self):
        """What has finished counts."""
        result = vote(ABC, FieldVote(8), seconds=[1, 1, 9, 9, 9, 9], budget=Budget(seconds=5))
        assert result.cut.kind == "seconds"
        assert result.used == 2

    def test_raise(self):
        """With what was paid for."""
        with pytest.raises(BudgetExceeded) as caught:
            vote(ABC, FieldVote(8), budget=Budget(calls=3), on_exhausted="raise")
        assert caught.value.result.composed


class TestRemarks:
    """What the caller should know."""

    def test_a_field_of_free_text(self, fresh_remarks):
        """Its vote is never settled: it can be ignored."""
        values = [{"a": 1, "why": f"reason {n}"} for n in range(8)]
        with pytest.warns(ThinktwiceWarning, match="ignore="):
            result = vote(values, FieldVote(8))
        assert SCATTERED in result.warnings
        assert result.launched == 8
        ignored = vote(values, FieldVote(8, ignore=("why",), prefer="cost"))
        assert (ignored.launched, ignored.warnings) == (3, ())
        assert ignored.value is values[0] or ignored.value == values[0]

    def test_a_path_that_no_object_has(self):
        """It is misspelt."""
        result = vote([{"a": 1}], FieldVote(4, ignore=("wy",)))
        assert result.warnings == ("no object has anything at 'wy': check the paths of FieldVote",)


class TestResult:
    """What it shows."""

    def test_one_line(self):
        """Without content, and without names of fields."""
        result = vote(ABC, FieldVote(3, stop=AtMost(3)))
        assert repr(result) == (
            "<Result: 3 samples, composed, agreement 0.67 in the least agreed of 3 fields, "
            "stopped by AtMost(n=3), 3 launched, 45 tokens, unpriced, 1.0 s>"
        )

    def test_in_a_notebook(self):
        """A table of the fields, the least agreed first; paths are escaped."""
        values = [{"<b>": n, "a": 1} for n in range(2)]
        shown = vote(values, FieldVote(2, stop=AtMost(2)))._repr_html_()
        assert "<tr><td>&lt;b&gt;</td><td>0.50</td></tr><tr><td>a</td><td>1.00</td></tr>" in shown

    def test_it_can_be_sent(self):
        """Between processes."""
        result = vote([Thing(**each) for each in ABC], FieldVote(3, stop=AtMost(3)))
        other = pickle.loads(pickle.dumps(result))  # noqa: S301 - our own bytes
        assert (other.value, other.shares, other.composed) == (
            Thing(a=1, b=2, c=3),
            result.shares,
            True,
        )


class TestNesting:
    """Over and under other strategies."""

    def test_over_a_vote(self):
        """Each object is the winner of a vote."""
        result = vote([{"a": 1, "b": 2}], FieldVote(2, of=Vote(3), stop=AtMost(2)))
        assert result.value == {"a": 1, "b": 2}
        assert len(result.nested) == 2

    def test_under_a_vote(self):
        """Composed objects are samples like any."""
        strategy = Vote(2, of=FieldVote(3, stop=AtMost(3), prefer="cost"))
        sampler = ScriptedSampler(ABC)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, max_concurrency=1))
        assert result.value == {"a": 1, "b": 2, "c": 3}
        assert result.agreement == 1.0


def test_a_value_that_cannot_be_compared_is_a_mistake():
    """Of the caller's; what was paid for is in the error."""
    with pytest.raises(UsageError, match="cannot be compared") as caught:
        vote([{"a": object()}], FieldVote(2))
    assert caught.value.result.ledger.total.calls >= 1
