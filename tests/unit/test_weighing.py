"""What samples weigh by their scores, without a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.ballot import Ballot
from thinktwice.errors import UsageError
from thinktwice.sample import Sample
from thinktwice.weighing import WEIGHING, weights_of

SCORES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=8)


def groups_of(*answers: str):
    ballot: Ballot[str] = Ballot(len(answers))
    for index, answer in enumerate(answers):
        ballot.add(Sample(index=index, value=answer, answer=answer))
    return ballot.groups


def test_scores_weigh_as_they_are():
    """One whose check broke gets their mean."""
    weights = weights_of(groups_of("a", "b", "a"), {0: 0.2, 1: 0.6}, WEIGHING["score"])
    assert weights == pytest.approx({0: 0.2, 1: 0.6, 2: 0.4})


def test_ranks_weigh_by_order_alone():
    """However far apart the scores are."""
    near = weights_of(groups_of("a", "b"), {0: 0.5, 1: 0.51}, WEIGHING["rank"])
    assert near == weights_of(groups_of("a", "b"), {0: 0.0, 1: 1.0}, WEIGHING["rank"])
    assert near[1] > near[0] > 0


def test_of_an_exact_verifier_only_the_best_weigh():
    """So that the vote decides among them."""
    weights = weights_of(groups_of("a", "b", "a"), {0: 0.9, 1: 0.9, 2: 0.1}, WEIGHING["exact"])
    assert weights == {0: 1.0, 1: 1.0, 2: 0.0}


@pytest.mark.parametrize("name", WEIGHING)
def test_where_nothing_is_known_all_weigh_the_same(name):
    """No verdict came in time: the vote decides."""
    assert len(set(weights_of(groups_of("a", "b", "b"), {}, WEIGHING[name]).values())) == 1


def test_where_all_fail_alike_all_weigh_one():
    """Sums of nothing tell nothing."""
    weights = weights_of(groups_of("a", "b"), {0: 0.0, 1: 0.0}, WEIGHING["score"])
    assert weights == {0: 1.0, 1: 1.0}


@pytest.mark.parametrize("found", [[], [1.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]])
def test_what_is_no_weight_is_refused(found):
    """As many as there are scores, and none below 0."""
    with pytest.raises(UsageError, match=r"^weights="):
        weights_of(groups_of("a", "b"), {0: 0.4, 1: 0.9}, lambda _: found)


@given(scores=SCORES, name=st.sampled_from(sorted(WEIGHING)))
def test_every_sample_has_a_weight_and_some_weigh_something(scores, name):
    """Whatever the scores are; none weighs less than nothing."""
    known = {index: score for index, score in enumerate(scores) if score is not None}
    weights = weights_of(groups_of(*map(str, range(len(scores)))), known, WEIGHING[name])
    assert weights.keys() == set(range(len(scores)))
    assert all(weight >= 0 for weight in weights.values())
    assert any(weights.values())
