"""Telling right from wrong within a question, and scores as probabilities."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.policy.discrimination import auc, bins_of, calibration_error, gaps_of, tenths
from thinktwice.policy.selection import Candidate


def samples(*pairs):
    return [Candidate(answer="a", right=right, score=score) for score, right in pairs]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.booleans()), max_size=12))
def test_the_area_is_the_share_of_pairs(pairs):
    """One by one; an equal score is half."""
    right = [s for s, r in pairs if r]
    wrong = [s for s, r in pairs if not r]
    found = auc(samples(*pairs))
    if not right or not wrong:
        assert found is None
        return
    wins = sum((a > b) + (a == b) / 2 for a in right for b in wrong)
    assert found == pytest.approx(wins / len(right) / len(wrong))


def test_samples_without_a_score_do_not_count():
    """A check that broke prefers nothing."""
    found = [*samples((1.0, True), (0.0, False)), Candidate(answer="a", right=False, score=None)]
    assert auc(found) == 1.0
    assert sum(tenths(found)[::3]) == 2


def test_bins_hold_all_scores_from_0_to_1():
    """1 belongs to the last tenth, and empty ones are left out."""
    (low, high) = bins_of(tenths(samples((0.0, False), (0.95, True), (1.0, True))))
    assert low == (0.0, 1, 0.0, 0.0)
    assert high == (0.9, 2, pytest.approx(0.975), 1.0)


def test_scores_that_are_probabilities_have_no_error():
    """As many are right as they say."""
    rng = random.Random(0)
    scores = [rng.random() for _ in range(20_000)]
    sums = tenths(samples(*((s, rng.random() < s) for s in scores)))
    assert calibration_error(gaps_of(sums), 20_000) < 0.02


def test_the_error_is_the_gap():
    """Scores of .9 of which half are right."""
    sums = tenths(samples(*((0.9, bool(at % 2)) for at in range(10))))
    assert calibration_error(gaps_of(sums), 10) == pytest.approx(0.4)
    assert calibration_error(gaps_of(tenths([])), 0) == 0.0
