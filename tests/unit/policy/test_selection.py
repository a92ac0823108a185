"""What each way to choose among n samples would get right."""

from __future__ import annotations

from itertools import permutations
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import AtMost, BestOfN, Completion, Verdict, Vote, solve
from thinktwice.policy.selection import RULES, Candidate, chosen, expected
from thinktwice.testing import ScriptedSampler, run_virtual

SCORES = st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        answer=st.sampled_from(["a", "b", "c"]),
        right=st.booleans(),
        score=SCORES,
        length=st.integers(1, 3),
    ),
    min_size=1,
    max_size=5,
)


def candidate(answer, right, score, *, bar=1.0):
    passed = None if score is None else score >= bar
    return Candidate(answer=answer, right=right, score=score, passed=passed)


POOL = [
    candidate("a", True, 0.5),
    candidate("a", True, 0.25),
    candidate("b", False, 1.0),
    candidate("c", False, 0.0),
    candidate("b", False, None),
    candidate(None, False, None),
]


def by_hand(pick, n):
    """The mean over all orders of the pool."""
    return fmean(pick(order[:n]) for order in permutations(POOL))


def best(order):
    voting = [each for each in order if each.answer is not None]
    if not voting:
        return False
    return max(voting, key=lambda each: -1 if each.score is None else each.score).right


def first_pass(order):
    passing = [each for each in order if each.passed]
    return passing[0].right if passing else best(order)


@pytest.mark.parametrize(
    ("rule", "pick"),
    [
        ("best score", best),
        ("first pass", first_pass),
        ("oracle", lambda order: any(each.right for each in order)),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_expectations_are_those_over_all_orders(rule, pick, n):
    """The closed form against 720 orders, with ties, abstentions and samples without a score."""
    (found,) = expected(POOL, [n], orders=1, seed=0)[rule]
    assert found == pytest.approx(by_hand(pick, n))


def test_a_first_pass_ends_it_however_much_better_others_are():
    """The first of those that pass is taken; the best score would have been right."""
    pool = [candidate("a", True, 1.0, bar=0.5), candidate("b", False, 0.6, bar=0.5)]
    found = expected(pool, [2], orders=1, seed=0)
    assert found["first pass"] == [0.5]
    assert found["best score"] == [1.0]


def test_every_rule_is_there_and_agrees_at_one_sample():
    """One sample is what it is."""
    found = expected(POOL, [1], orders=6000, seed=0)
    assert set(found) == set(RULES)
    for rule in RULES:
        assert found[rule][0] == pytest.approx(2 / 6, abs=0.02)


def test_a_vote_does_not_see_the_scores():
    """Of two answers with as many votes the scores would choose the other."""
    pool = [candidate("a", True, 0.0), candidate("b", False, 1.0)]
    found = expected(pool, [2], orders=500, seed=0)
    assert found["vote"][0] == pytest.approx(0.5, abs=0.07)
    assert found["weighted"] == [0.0]


def test_if_all_abstain_nothing_is_right():
    """There is nothing to return."""
    pool = [candidate(None, True, None)] * 3
    found = expected(pool, [1, 3], orders=3, seed=0)
    assert all(found[rule] == [0, 0] for rule in RULES if rule != "oracle")


def recorded(value: Candidate) -> float | Verdict:
    return Verdict(outcome="error") if value.score is None else value.score


def selected(strategy, candidates):
    """What a run over these candidates returns, in this order."""
    values = [Completion(value=each, text="x" * int(each.length)) for each in candidates]
    sampler = ScriptedSampler(values)
    return run_virtual(solve("", sampler=sampler, strategy=strategy)).value


@pytest.mark.usefixtures("silent_remarks")
@settings(max_examples=60)
@given(CANDIDATES)
def test_it_chooses_as_best_of_n_does(candidates):
    """Sums of scores over equal answers, with all ties."""
    n, check = len(candidates), recorded
    strategy = BestOfN(n, verifier=as_check(check), key=answer, prefer="cost", stop=AtMost(n))
    known = [each.score for each in candidates if each.score is not None]
    neutral = sum(known) / len(known) if known else 1.0
    weights = [neutral if each.score is None else each.score for each in candidates]
    assert chosen(candidates, weights) is selected(strategy, candidates)


@pytest.mark.usefixtures("silent_remarks")
@settings(max_examples=60)
@given(CANDIDATES)
def test_it_votes_as_vote_does(candidates):
    """Blind candidates of weight 1."""
    n = len(candidates)
    blind = [
        Candidate(answer=c.answer, right=c.right, score=None, length=c.length) for c in candidates
    ]
    found = chosen(blind, [1.0] * n)
    strategy = Vote(n, key=answer, prefer="cost", stop=AtMost(n))
    assert found is selected(strategy, blind)


def answer(value: Candidate) -> object:
    return value.answer


def as_check(check):
    async def said(value: Candidate) -> float | Verdict:
        return check(value)

    return said
