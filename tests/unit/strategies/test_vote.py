"""Majority vote."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import Completion, Sample, UsageError, Vote, remarks, solve
from thinktwice.launch import in_flight
from thinktwice.stop import (
    After,
    AtMost,
    Certain,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    with_certain,
)
from thinktwice.stop.tally import Tally
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Likelihood

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


def vote(answers, strategy: Vote, seconds=1.0, **more) -> Result[object]:
    sampler = ScriptedSampler(answers, seconds=seconds)
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("n", {"n": 0}),
            ("n", {"n": 1.5}),
            ("n", {"n": True}),
            ("stop", {"stop": 3}),
            ("k", {"stop": Quorum(5)}),
            ("stop", {"stop": GoodEnough(0.5)}),
            ("prefer", {"prefer": "speed"}),
            ("prefer", {"prefer": 1.5}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError) as caught:
            Vote(**{"n": 4, **given})
        assert caught.value.parameter in {parameter, "stop"}

    def test_it_reprs_as_its_constructor(self):
        """And is equal to its like."""
        assert repr(Vote(4)).startswith("Vote(n=4, key=None, stop=Settled(risk=0.05)")
        assert Vote(4) == Vote(4)

    def test_draws_and_calls(self):
        """Products, where strategies nest."""
        assert (Vote(4).draws, Vote(4).calls) == (4, 4)
        nested = Vote(4, of=Vote(3))
        assert (nested.draws, nested.calls) == (12, 12)


class TestWinner:
    """The most frequent answer."""

    def test_by_key(self):
        """The value is returned exactly as it was sampled, by the first that had the answer."""
        texts = ["is it 5?", "that is 4", "so 4", "4."]
        result = vote(texts, Vote(4, key="number", stop=AtMost(4)))
        assert (result.value, result.answer, result.agreement) == ("that is 4", 4, 0.75)

    def test_ties_go_to_the_shorter_and_then_to_the_first_launched(self):
        """Never to chance or to arrival."""
        full = Vote(4, stop=AtMost(4))
        assert vote(["long", "s", "s", "long"], full, seconds=[4, 3, 2, 1]).value == "s"
        assert vote(["b", "a", "a", "b"], full, seconds=[4, 3, 2, 1]).value == "b"

    def test_abstentions_count_for_none(self):
        """A key of None, a cut answer, a failure."""
        cut = Completion(value="b", finish_reason="length")
        result = vote(["", "a", cut, KeyError("x")], Vote(4, stop=AtMost(4)))
        assert (result.value, result.agreement) == ("a", 1.0)
        assert len(result.samples) == 4

    def test_weights(self):
        """A heavy vote outweighs two light ones; nothing is claimed then."""

        def weight(sample: Sample[object]) -> float:
            return 1.0 if sample.value == "a" else 0.3

        early = Vote(9, stop=AtMost(3), weight=weight)
        result = vote(["b", "a", "b"], early, seconds=[1, 2, 3])
        assert (result.value, result.agreement) == ("a", pytest.approx(1 / 1.6))
        assert result.settled is not None
        assert not result.settled.holds
        assert "weights" in result.settled.text

    def test_weights_leave_what_is_certain(self):
        """By default a weighted vote ends when the weight to come cannot change the winner."""

        def weight(sample: Sample[object]) -> float:
            return 1.0 if sample.value == "a" else 0.3

        result = vote(["a", "a", "b"], Vote(6, weight=weight, prefer="cost"))
        assert (result.value, result.used) == ("a", 4)  # 3 : .3, and 2 to come
        assert result.settled is not None
        assert (result.settled.holds, result.settled.probability) == (False, 1.0)
        assert result.settled.certificate is None

    def test_a_weight_that_is_not_known(self):
        """Weighs the mean so far: such a sample neither vouches for an answer nor against it."""
        known = {"a": 0.5, "b": 0.3}
        result = vote(
            ["a", "?", "b"], Vote(3, stop=AtMost(3), weight=lambda each: known.get(each.value))
        )
        assert (result.value, result.agreement) == ("a", pytest.approx(0.5 / 1.3))
        assert remarks.UNWEIGHTED not in result.warnings

    def test_no_weight_is_known(self):
        """A plain vote, stopped as one, and said."""
        result = vote(["a", "a", "b", "a"], Vote(16, weight=Likelihood(), prefer="cost"))
        plain = vote(["a", "a", "b", "a"], Vote(16, prefer="cost"))
        assert (result.value, result.used) == (plain.value, plain.used)
        assert result.warnings == (remarks.UNWEIGHTED,)

    def test_a_weight_out_of_range(self):
        """Is the caller's mistake."""
        with pytest.raises(UsageError, match=r"^weight="):
            vote(["a"], Vote(3, weight=lambda sample: 2.0))

    def test_equivalent(self):
        """Groups by a function of two answers; the claim is void."""

        def same(left: object, right: object) -> bool:
            return str(left)[0] == str(right)[0]

        result = vote(["xa", "ya", "yb"], Vote(3, stop=AtMost(3), equivalent=same))
        assert result.value == "ya"
        assert result.settled is not None
        assert "equivalent" in result.settled.text


class TestStops:
    """When it has seen enough."""

    def test_settled_by_default(self):
        """16 that agree are settled after a few."""
        result = vote(["a"], Vote(16), seconds=[1, 1.5, 2.25, 3.5])
        assert isinstance(result.stopped_by, Settled)
        assert len(result.samples) <= 5
        assert result.settled is not None
        assert result.settled.holds

    def test_the_full_vote(self):
        """`AtMost(n)` draws all."""
        result = vote(["a"], Vote(7, stop=AtMost(7)))
        assert (result.launched, result.stopped_by) == (7, AtMost(7))
        assert result.settled is not None
        assert result.settled.probability == 1

    def test_certain_is_part_of_others(self):
        """Three of five agree, however far the lead that was asked for."""
        result = vote(["a"], Vote(5, stop=Lead(5), prefer="cost"))
        assert (result.stopped_by, len(result.samples)) == (Certain(), 3)

    def test_the_rule_that_fires_is_named(self):
        """Of a combination, the part."""
        result = vote(["a"], Vote(9, stop=Lead(2) | Quorum(8), prefer="cost"))
        assert result.stopped_by == Lead(2)

    def test_after_wakes_without_an_arrival(self):
        """At its time, not at the next sample."""
        strategy = Vote(8, stop=After(seconds=3), prefer="latency")
        result = vote(["a", "-", "b", "-"], strategy, seconds=[1, 50])
        assert result.stopped_by == After(seconds=3)
        assert result.ledger.seconds == 3
        assert len(result.samples) == 4
        assert result.settled is not None
        assert not result.settled.holds


class TestLaunching:
    """How many calls are in flight."""

    @staticmethod
    def launched_at(prefer, *, n=16, seconds=1.0, answers=("a",), **more):
        """Clock times of the launches."""
        times: list[float] = []

        class Noting(ScriptedSampler):
            async def __call__(self, prompt, /, *, options):
                times.append(asyncio.get_running_loop().time())
                return await super().__call__(prompt, options=options)

        sampler = Noting(list(answers), seconds=seconds)
        strategy = Vote(n, prefer=prefer)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))
        return times, result

    def test_latency_starts_all_at_once(self):
        """As many as may be in flight."""
        times, result = self.launched_at("latency", max_concurrency=99)
        assert times == [0.0] * 16
        assert result.launched == 16

    def test_max_concurrency_binds(self):
        """Whatever is preferred."""
        answers = ["a", "b", "c"]
        times, _ = self.launched_at("latency", answers=answers, max_concurrency=3)
        assert times[:4] == [0, 0, 0, 1]

    def test_cost_discards_nothing(self):
        """All that was launched is counted."""
        _, result = self.launched_at("cost", seconds=[1, 3, 0.5])
        assert result.launched == len(result.samples) == result.ledger.total.calls

    def test_balanced_lies_between(self):
        """By the pure decision, asked at the start."""
        rule, tally = with_certain(Settled()), Tally(16)
        times, _ = self.launched_at("balanced", max_concurrency=99)
        assert times.count(0.0) == in_flight(tally, rule, tau=0.5)
        cost = in_flight(tally, rule, tau=1.0)
        assert cost <= times.count(0.0) < 16

    def test_losers_are_recalled_once_and_booked(self):
        """Cancelled when the vote has ended, at no further time."""
        sampler = ScriptedSampler(["a"], seconds=[1, 1, 1, 90, 90])
        strategy = Vote(5, prefer="latency")
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
        assert result.ledger.seconds == 1
        assert sampler.cancelled == 2
        statuses = [entry.status for entry in result.ledger.entries]
        assert sorted(statuses) == ["cancelled"] * 2 + ["ok"] * 3
        assert (result.launched, len(result.samples)) == (5, 3)


scripts = st.lists(
    st.tuples(st.sampled_from("aaabbc"), st.floats(0.1, 9, allow_nan=False)),
    min_size=1,
    max_size=12,
)
rules = st.sampled_from(
    [Settled(), Settled(0.1), Lead(2), Lead(3), Quorum(1), Lead(2) | Quorum(3), AtMost(1)]
)


@given(script=scripts, rule=rules, failing=st.frozensets(st.integers(0, 11), max_size=3))
@settings(max_examples=60)
def test_cost_equals_the_vote_one_by_one(script, rule, failing):
    """Whatever latencies, and however they depend on the answers, in launch order."""
    values = [
        KeyError("x") if index in failing else answer for index, (answer, _) in enumerate(script)
    ]
    if all(isinstance(value, KeyError) for value in values):
        values[0] = "a"
    try:
        strategy = Vote(len(script), stop=rule, prefer="cost")
    except UsageError:  # a rule that can never fire for so few
        return

    def solved(seconds, **more):
        sampler = ScriptedSampler(values, seconds=seconds)
        return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))

    try:
        one_by_one = solved(1.0, max_concurrency=1)
    except KeyError:
        with pytest.raises(KeyError):
            solved([seconds for _, seconds in script], max_concurrency=99)
        return
    at_once = solved([seconds for _, seconds in script], max_concurrency=99)
    assert at_once.answer == one_by_one.answer
    assert at_once.value == one_by_one.value
    assert at_once.stopped_by == one_by_one.stopped_by
    assert at_once.launched == one_by_one.launched == len(one_by_one.samples)
    assert at_once.agreement == one_by_one.agreement
