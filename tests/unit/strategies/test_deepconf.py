"""A vote of the confident."""

from __future__ import annotations

import gzip
import json
import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import Budget, Completion, Sample, UsageError, Vote, remarks, solve
from thinktwice.stop import AtMost, Certain, Stop
from thinktwice.stop.tally import Tally
from thinktwice.strategies.deepconf import Consensus, DeepConf
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Likelihood, TokenConfidence

if TYPE_CHECKING:
    from pathlib import Path

    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


@dataclass(frozen=True)
class Draw:
    """An answer with its confidence."""

    answer: str | None
    confidence: float | None


def confidence_of(sample: Sample[object]) -> float | None:
    assert isinstance(sample.value, Draw)
    return sample.value.confidence


def answer_of(draw: Draw) -> str | None:
    return draw.answer


def deepconf(draws, n=None, *, seconds=1.0, budget=None, limit=8, **more) -> Result[Draw]:
    """Draws are pairs of an answer and a confidence."""
    sampler = ScriptedSampler([Draw(*draw) for draw in draws], seconds=seconds)
    more = {"confidence": confidence_of, "key": answer_of, **more}
    strategy = DeepConf(n or len(draws), **more)
    return run_virtual(
        solve("q", sampler=sampler, strategy=strategy, budget=budget, max_concurrency=limit)
    )


def answer_in(result: Result[Draw]) -> str | None:
    return None if result.value is None else result.value.answer


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("n", {"n": 0}),
            ("warmup", {"warmup": 0}),
            ("warmup", {"n": 8, "warmup": 9}),
            ("warmup", {"n": 8}),
            ("keep", {"keep": 0}),
            ("keep", {"keep": 1.1}),
            ("keep", {"keep": math.nan}),
            ("consensus", {"consensus": 0.5}),
            ("consensus", {"consensus": 1.1}),
            ("prefer", {"prefer": "speed"}),
            ("confidence", {"confidence": None}),
            ("confidence", {"confidence": 0.5}),
            ("key", {"key": "nubmer"}),
            ("of", {"of": 3}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            DeepConf(**{"n": 32, **given})

    def test_it_is_a_value(self):
        """Written as it is made, equal to its like, with the draws of what it holds."""
        assert repr(DeepConf(32)).startswith("DeepConf(n=32, confidence=TokenConfidence(")
        assert DeepConf(32) == DeepConf(32)
        assert (DeepConf(32).draws, DeepConf(32).calls) == (32, 32)
        nested = DeepConf(16, of=Vote(3))
        assert (nested.draws, nested.calls) == (48, 48)

    def test_consensus(self):
        """As a rule of its own."""
        for share, after in ((0.4, 1), (0.9, 0)):
            with pytest.raises(UsageError):
                Consensus(share, after=after)
        assert Consensus(0.9, after=3).least == 3

    @given(
        st.lists(st.floats(0, 5), max_size=4),
        st.integers(0, 12),
        st.sampled_from([0.51, 0.8, 0.95, 1.0]),
        st.integers(1, 12),
    )
    def test_how_soon_a_consensus_can_be(self, counts, finished, share, after):
        """As by trying every number of further votes for the leader."""
        tally = Tally(12, tuple(sorted(counts, reverse=True)), finished, weighted=True)
        rule = Consensus(share, after=after)
        assert rule.soonest(tally) == Stop.soonest(rule, tally)


class TestVote:
    """Who votes, and with what weight."""

    def test_the_confident_outvote_the_many(self):
        """With a filter, and with weights alone."""
        draws = [("wrong", 5), ("wrong", 5), ("wrong", 6), ("right", 25)]
        result = deepconf(draws, warmup=4, keep=0.5)
        assert (answer_in(result), result.agreement) == ("right", pytest.approx(25 / 31))
        result = deepconf(draws, warmup=4, keep=1)
        assert (answer_in(result), result.agreement) == ("right", pytest.approx(25 / 41))

    def test_what_comes_after_the_warmup_has_to_reach_the_threshold(self):
        """Else it is drawn, and does not vote."""
        draws = [("a", 10), ("b", 10), ("c", 9.9), ("c", 9.9), ("c", 9.9), ("b", 12)]
        result = deepconf(draws, warmup=2)
        assert (answer_in(result), result.agreement) == ("b", pytest.approx(2 / 3))
        assert result.used == 6

    def test_the_value_is_that_of_the_most_confident(self):
        """Of those with the winning answer."""
        result = deepconf([("a", 7), ("a", 9), ("a", 8)], warmup=3)
        assert result.value == Draw("a", 9)

    def test_ties_go_to_the_more_confident_and_then_to_the_first(self):
        """Never to chance or arrival."""
        draws = [("a", 4), ("b", 4)]
        assert answer_in(deepconf(draws, warmup=2, keep=1, seconds=[2, 1])) == "a"

    def test_abstentions_set_no_threshold(self):
        """However confident: a threshold that no voter reaches would leave no vote."""
        draws = [(None, 30), (None, 29), ("a", 5), ("b", 4), ("b", 4)]
        result = deepconf(draws, warmup=4, keep=0.1)
        assert answer_in(result) == "a"

    def test_all_abstain(self):
        """There is no answer, and no error."""
        result = deepconf([(None, 5)] * 4, warmup=2)
        assert (result.value, result.agreement) == (None, None)
        assert result.used == 4

    def test_the_warmup_goes_on_until_it_has_its_answers(self):
        """Else one vote after many abstentions would be a consensus."""
        draws = [(None, 9), (None, 9), ("a", 4), ("b", 5), ("b", 4.5), ("b", 3)]
        result = deepconf(draws, 16, warmup=2, keep=0.5, prefer="cost")
        assert (answer_in(result), result.used) == ("b", 4)

    def test_equivalent_answers_are_one(self):
        """As in a vote."""
        draws = [("a1", 5), ("a2", 5), ("b", 9)]
        result = deepconf(draws, warmup=3, keep=1, equivalent=lambda x, y: x[0] == y[0])
        assert answer_in(result) in {"a1", "a2"}


class TestUnknownConfidence:
    """Samples whose confidence nobody knows."""

    def test_they_weigh_the_mean_and_are_not_filtered(self):
        """As a broken check does in best-of-N."""
        result = deepconf([("a", 8), ("b", None), ("b", 4), ("b", None)], warmup=4, keep=1)
        assert result.agreement == pytest.approx(2 / 3)  # 1 + 0.5 + 2 x 0.75, of which b has 2

    def test_numbers_that_are_none(self):
        """Count as not known: what was paid for is not lost."""
        draws = [("a", math.nan), ("b", math.inf), ("b", -math.inf)]
        assert answer_in(deepconf(draws, warmup=3)) == "b"

    def test_none_has_one(self, monkeypatch):
        """A plain vote, which is said once."""
        monkeypatch.setattr(remarks, "_told", set())
        draws = [("a", None), ("b", None), ("b", None)]
        with pytest.warns(UserWarning, match="no sample has a confidence"):
            result = deepconf(draws, warmup=3)
        assert answer_in(deepconf(draws, warmup=3)) == "b"
        assert (answer_in(result), result.agreement) == ("b", pytest.approx(2 / 3))
        assert result.warnings == (remarks.UNWEIGHTED,)

    def test_samples_without_logprobs(self):
        """With the confidence of the paper."""
        result = run_virtual(
            solve("q", sampler=ScriptedSampler(["a", "b", "b"]), strategy=DeepConf(3, warmup=3))
        )
        assert result.value == "b"
        assert remarks.UNWEIGHTED in result.warnings

    @pytest.mark.parametrize("found", ["sure", -0.5, [1.0]])
    def test_what_is_no_confidence(self, found):
        """Is the caller's mistake."""
        with pytest.raises(UsageError, match=r"^confidence=.*at least 0"):
            deepconf([("a", found)], warmup=1)

    def test_a_function_that_breaks(self):
        """Is named, with what it raised and not what it said."""

        def broken(sample: Sample[object]) -> float:
            raise KeyError("secret")

        with pytest.raises(UsageError, match=r"^confidence=.*KeyError") as caught:
            deepconf([("a", 1)], warmup=1, confidence=broken)
        assert "secret" not in str(caught.value)


class TestEnd:
    """When it stops, and what is said of it."""

    def test_a_consensus_ends_it_after_the_warmup(self):
        """Not before, whatever the first ones say."""
        result = deepconf([("a", 5)] * 8, 8, warmup=3, prefer="cost")
        assert result.stopped_by == Consensus(0.95, after=3)
        assert (result.used, result.launched) == (3, 3)
        assert deepconf([("a", 5)] * 8, 8, warmup=1, prefer="cost").used == 1

    def test_without_one_it_draws_to_the_cap(self):
        """Or until nothing can change."""
        result = deepconf([("a", 5), ("b", 5)] * 4, warmup=2)
        assert (result.stopped_by, result.used) == (Certain(), 7)
        draws = [(None, 5), ("a", 5), ("b", 5), ("c", 5)]
        result = deepconf(draws, warmup=3, keep=1)
        assert (result.stopped_by, result.used) == (AtMost(4), 4)
        result = deepconf([("a", 5)] * 6 + [("b", 5)] * 4, warmup=2, consensus=1.0, prefer="cost")
        assert result.used == 2
        draws = [("a", 5), ("b", 1), *[("a", 5)] * 8]
        result = deepconf(draws, warmup=2, keep=1, consensus=1.0, prefer="cost")
        assert isinstance(result.stopped_by, Certain)

    def test_a_warmup_of_all(self):
        """Is the offline method: all n are drawn."""
        result = deepconf([("a", 5)] * 6, warmup=6)
        assert (result.used, result.stopped_by) == (6, AtMost(6))

    def test_nothing_is_claimed_of_the_full_vote(self):
        """With the reason."""
        claim = deepconf([("a", 5)] * 8, warmup=3).settled
        assert claim is not None
        assert not claim.holds
        assert claim.text == "no claim: void by a filter by confidence"

    @pytest.mark.filterwarnings("ignore")
    def test_a_budget_may_end_it_within_the_warmup(self):
        """The best of what there is is returned, by the weights of that."""
        result = deepconf(
            [("b", 2), ("b", 2), ("a", 9), ("b", 1)],
            32,
            warmup=16,
            keep=0.5,
            budget=Budget(calls=4),
        )
        assert result.cut is not None
        assert answer_in(result) == "a"

    def test_preferences(self):
        """As in a vote: what is launched at once, and what is thrown away."""
        draws = [("a", 5)] * 32
        cost = deepconf(draws, warmup=4, prefer="cost", limit=32)
        latency = deepconf(draws, warmup=4, prefer="latency", limit=32)
        assert (cost.launched, latency.launched) == (4, 32)
        balanced = deepconf(draws, warmup=4, limit=32)
        assert 4 <= balanced.launched < 32
        assert balanced.ledger.seconds == 1.0

    @settings(max_examples=40)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([None, 0.0, 1.0, 2.5])),
            min_size=1,
            max_size=12,
        ),
        st.integers(1, 12),
        st.sampled_from([0.1, 0.5, 1.0]),
    )
    def test_cost_throws_nothing_away_and_loses_nothing(self, draws, warmup, keep):
        """For any draws: all that is launched is used; weights add up to the agreement."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = deepconf(draws, warmup=min(warmup, len(draws)), keep=keep, prefer="cost")
        assert result.launched == result.used == len(result.samples)
        answers = {sample.answer for sample in result.samples} - {None}
        assert (answer_in(result) is None) == (not answers)
        assert result.agreement is None or 0 < result.agreement <= 1


class TestConfidences:
    """What it asks."""

    def test_a_confidence_object_is_read_by_its_score(self):
        """So that its scale, which is for votes, cuts nothing."""
        draws = [
            Completion(value="a", top_logprobs=((0.0, -80.0),)),
            Completion(value="b", top_logprobs=((0.0, -60.0),)),
        ]
        strategy = DeepConf(2, warmup=2, keep=1, confidence=TokenConfidence(scale=1.0))
        result = run_virtual(solve("q", sampler=ScriptedSampler(draws), strategy=strategy))
        assert (result.value, result.agreement) == ("a", pytest.approx(4 / 7))
        strategy = DeepConf(2, warmup=2, confidence=Likelihood())
        draws = [Completion(value=each, logprobs=(math.log(0.5),)) for each in "ab"]
        assert run_virtual(
            solve("q", sampler=ScriptedSampler(draws), strategy=strategy)
        ).agreement == pytest.approx(0.5)


@cache
def _recorded(folder: Path) -> tuple[tuple[str, tuple[dict[str, object], ...]], ...]:
    path = folder / "deepconf_brumo25_online_budget128.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        problems = map(json.loads, lines)
        return tuple((problem["gold"], tuple(problem["samples"])) for problem in problems)


def _accuracy(folder: Path, strategy, *, finish=lambda trace: "stop") -> float:
    """Of a strategy on the recorded problems, in percent."""
    right = []
    for gold, traces in _recorded(folder):
        draws = [
            Completion(
                value=Draw(each["answer"], each["score"]), finish_reason=finish(each["trace"])
            )
            for each in traces
        ]
        result = run_virtual(solve("q", sampler=ScriptedSampler(draws), strategy=strategy))
        right.append(answer_in(result) == gold)
    return 100 * sum(right) / len(right)


@pytest.mark.slow
class TestRecordings:
    """On 29 problems of BRUMO 2025, 128 traces each, by the public API."""

    def test_confidence_beats_the_plain_vote(self, shared_data):
        """As published for this recording: 48.3 % by votes, 72.4 % by weights."""
        plain = _accuracy(shared_data, Vote(128, key=answer_of, stop=AtMost(128)))
        weighted = DeepConf(128, warmup=128, keep=1, key=answer_of, confidence=confidence_of)
        assert plain == pytest.approx(48.3, abs=0.1)
        assert _accuracy(shared_data, weighted) == pytest.approx(72.4, abs=0.1)

    def test_a_filter_beats_weights(self, shared_data):
        """The best tenth."""
        strategy = DeepConf(128, warmup=128, keep=0.1, key=answer_of, confidence=confidence_of)
        assert _accuracy(shared_data, strategy) >= 85

    def test_traces_that_were_cut_abstain(self, shared_data):
        """By their finish reason: 93.1 % of the vote over the completed ones."""

        def finish(trace: str) -> str:
            return "length" if trace == "truncated" else "stop"

        strategy = DeepConf(128, warmup=16, keep=1, key=answer_of, confidence=confidence_of)
        assert _accuracy(shared_data, strategy, finish=finish) >= 90
