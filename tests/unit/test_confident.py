"""Counting the votes of the confident."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Sample, UsageError
from thinktwice.confident import Bar, Poll, softmax_weights
from thinktwice.stop.tally import Tally


def sample(index: int, answer: str | None, confidence: object = None) -> Sample[object]:
    return Sample(index=index, value=confidence, answer=answer)


def polled(n: int, *draws: tuple[str | None, object], keep=1.0, **more) -> Poll[object]:
    """Draws are pairs of an answer and a confidence."""
    poll: Poll[object] = Poll(n, lambda sample: sample.value, keep=keep, **more)
    for index, draw in enumerate(draws):
        poll.add(sample(index, *draw))
    return poll


class TestSoftmaxWeights:
    """Those of confidence-informed self-consistency."""

    def test_their_ratios(self):
        """Are those of a softmax; the best has 1, the unknown the mean."""
        best, other, unknown = softmax_weights([0.9, 0.4, None], temperature=0.25)
        assert (best, other) == (1.0, pytest.approx(math.exp(-2)))
        assert unknown == pytest.approx((best + other) / 2)
        assert softmax_weights([None, None], temperature=1) == [1.0, 1.0]
        assert softmax_weights([], temperature=1) == []

    def test_large_scores(self):
        """Neither too large for a number nor lost."""
        assert softmax_weights([1000.0, 0.0], temperature=0.1) == [1.0, 0.0]


class TestBar:
    """What the warm-up says of weights."""

    def test_the_threshold_is_a_quantile(self):
        """As numpy's percentile(…, 100 * (1 - keep)) sets it: linear between neighbours."""
        known = [float(each) for each in range(1, 17)]
        assert Bar.of(known, keep=0.1).least == pytest.approx(14.5)
        assert Bar.of(known, keep=0.9).least == pytest.approx(2.5)
        assert Bar.of(known, keep=1).least == 1
        assert Bar.of([3.0], keep=0.1).least == 3

    def test_weights_are_shares_of_the_largest(self):
        """Those below the threshold have none; what is beyond the warm-up weighs no more."""
        bar = Bar.of([4.0, 8.0, 6.0], keep=0.5)
        assert [bar.weight(each) for each in (5.9, 6.0, 8.0, 9.0)] == [0.0, 0.75, 1.0, 1.0]

    def test_the_unknown_weigh_the_mean(self):
        """Of the warm-up, those below the threshold included; all 1 where nothing is known."""
        bar = Bar.of([4.0, None, 8.0, 6.0], keep=0.5)
        assert bar.weight(None) == pytest.approx((0 + 1 + 0.75) / 3)
        assert Bar.of([None, None], keep=0.1).weight(None) == 1.0
        assert Bar.of([], keep=0.1).weight(7.0) == 1.0

    def test_all_alike(self):
        """None is filtered, also not at 0."""
        for each in (0.0, 0.1, 7.0):
            assert Bar.of([each] * 16, keep=0.1).weight(each) == 1.0

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(0.01, 1))
    def test_some_reach_it(self, confidences, keep):
        """At least the best one, and never fewer than the share says, but for rounding."""
        bar = Bar.of(confidences, keep=keep)
        kept = sum(each >= bar.least for each in confidences)
        assert kept >= max(1, math.floor(keep * (len(confidences) - 1)))
        assert all(0 <= bar.weight(each) <= 1 for each in confidences)
        assert bar.weight(max(confidences)) == 1


class TestPoll:
    """The counting alone."""

    def test_during_the_warmup_nothing_is_counted(self):
        """But how many have finished, which launching goes by."""
        poll = polled(8, warmup=3)
        for index in range(3):
            assert poll.tally() == Tally(8, finished=index)
            poll.add(sample(index, "a", 5.0))
        assert poll.tally().counts == (3.0,)

    def test_every_vote_is_cast_once(self):
        """Those of the warm-up when it ends, the others as they come."""
        poll = polled(8, ("a", 4), ("b", 2), ("a", 3), (None, 9), warmup=2)
        assert poll.tally().counts == (1.75, 0.5)
        assert poll.tally().finished == 4
        poll.close()
        assert poll.tally().counts == (1.75, 0.5)

    def test_a_warmup_that_is_cut_off(self):
        """Is weighed as far as it came."""
        poll = polled(8, ("a", 4), ("b", 8), warmup=5)
        assert poll.winner() is None
        poll.close()
        winner = poll.winner()
        assert winner is not None
        assert (winner.answer, poll.agreement) == ("b", pytest.approx(2 / 3))

    def test_the_confidence_of_an_abstention_is_not_asked_for(self):
        """It decides nothing."""
        poll = polled(4, (None, "broken"), warmup=1)
        assert not poll.unweighted
        assert polled(4, ("a", None), warmup=1).unweighted

    def test_what_is_no_confidence(self):
        """Is refused where it is seen."""
        for found in ("sure", -1, [2.0]):
            with pytest.raises(UsageError, match=r"^confidence="):
                polled(4, ("a", found), warmup=1)
