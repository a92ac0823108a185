"""With `prefer="cost"` nothing is discarded, and latencies do not change what is counted."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice.ballot import Ballot
from thinktwice.launch import in_flight
from thinktwice.sample import Sample
from thinktwice.stop import (
    AdaptiveConsistency,
    AtMost,
    Certain,
    Certificate,
    EarlyStopping,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    Stop,
    Tally,
    with_certain,
)

N = 16
simple = st.one_of(
    st.sampled_from([0.01, 0.05, 0.1, 0.3]).map(Settled),
    st.just(Certain()),
    st.sampled_from([0.2, 0.6]).map(Certificate),
    st.integers(1, N).map(Quorum),
    st.integers(1, N).map(Lead),
    st.integers(1, N).map(AtMost),
    st.sampled_from([0.8, 0.95]).map(AdaptiveConsistency),
    st.integers(1, 6).map(EarlyStopping),
    st.sampled_from([0.5, 0.9]).map(GoodEnough),
)
rules = st.recursive(
    simple,
    lambda inner: st.builds(
        lambda a, b, both: a & b if both else a | b, inner, inner, st.booleans()
    ),
    max_leaves=4,
)


@dataclass(frozen=True)
class Draw:
    """What the k-th launch would return, and when."""

    answer: int | None
    latency: float
    score: float
    weight: float


draws = st.builds(
    Draw,
    answer=st.sampled_from([0, 0, 0, 1, 1, 2, 3, None]),
    latency=st.floats(0.1, 10),
    score=st.sampled_from([0.1, 0.6, 1.0]),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
)


def launch_all(script: list[Draw], rule: Stop, tau: float, *, weighted: bool) -> tuple[Tally, int]:
    """Run a ballot over scripted latencies: the tally when it ended, and the calls launched."""
    ballot = Ballot[int](len(script), weighted=weighted)
    pending: list[tuple[float, int]] = []
    now, launched = 0.0, 0
    while True:
        tally = ballot.tally()
        allowed = in_flight(tally, rule, tau=tau)
        if not allowed:
            return tally, launched
        while len(pending) < allowed and launched < len(script):
            heapq.heappush(pending, (now + script[launched].latency, launched))
            launched += 1
        now, index = heapq.heappop(pending)
        draw = script[index]
        ballot.add(
            Sample(index=index, answer=draw.answer),
            weight=draw.weight if weighted else 1.0,
            score=draw.score,
            passed=draw.score == 1.0,
        )


def one_by_one(script: list[Draw], rule: Stop, *, weighted: bool) -> Tally:
    """The same ballot without concurrency."""
    slow = [Draw(d.answer, 1.0, d.score, d.weight) for d in script]
    ballot = Ballot[int](len(script), weighted=weighted)
    for index, draw in enumerate(slow):
        if rule.fired(ballot.tally()) is not None:
            break
        ballot.add(
            Sample(index=index, answer=draw.answer),
            weight=draw.weight if weighted else 1.0,
            score=draw.score,
            passed=draw.score == 1.0,
        )
    return ballot.tally()


@settings(max_examples=400)
@given(script=st.lists(draws, min_size=1, max_size=N), rule=rules, weighted=st.booleans())
def test_cost_is_the_ballot_in_launch_order(script: list[Draw], rule: Stop, weighted: bool):
    """Launched = counted, and the same draws are counted as one by one, for every rule."""
    rule = with_certain(rule)
    tally, launched = launch_all(script, rule, 1.0, weighted=weighted)
    alone = one_by_one(script, rule, weighted=weighted)
    assert launched == tally.finished == alone.finished
    assert tally.counts == alone.counts
    assert (tally.best_score, tally.passed) == (alone.best_score, alone.passed)
    assert (rule.fired(tally) is None) == (rule.fired(alone) is None)


@given(
    script=st.lists(draws, min_size=1, max_size=N),
    rule=rules,
    tau=st.floats(0, 1),
)
def test_every_mode_ends_and_keeps_to_the_cap(script: list[Draw], rule: Stop, tau: float):
    """A run always reaches the end of its ballot, with at most n launches."""
    rule = with_certain(rule)
    tally, launched = launch_all(script, rule, tau, weighted=False)
    assert tally.finished <= launched <= len(script)
    assert rule.fired(tally) is not None or not tally.remaining


@settings(max_examples=300)
@given(script=st.lists(draws, max_size=N - 1), rule=rules, next_draws=st.lists(draws, max_size=N))
def test_no_continuation_ends_sooner_than_soonest(
    script: list[Draw], rule: Stop, next_draws: list[Draw]
):
    """`soonest` is a lower bound for whatever comes, which is why nothing is wasted at tau 1."""
    ballot = Ballot[int](N)
    for index, draw in enumerate(script):
        ballot.add(Sample(index=index, answer=draw.answer), score=draw.score)
    soonest = rule.soonest(ballot.tally())
    for step, draw in enumerate([None, *next_draws[: N - len(script)]]):
        if draw is not None:
            ballot.add(Sample(index=len(script) + step, answer=draw.answer), score=draw.score)
        if rule.fired(ballot.tally()) is not None:
            assert step >= soonest
            break


@given(
    rule=rules, votes=st.lists(st.integers(0, 6), min_size=2, max_size=2), lost=st.integers(0, 3)
)
def test_a_tally_may_be_launched_for_twice(rule: Stop, votes: list[int], lost: int):
    """The answer depends on the tally alone: asking is free of side effects."""
    counts = tuple(float(v) for v in sorted(votes, reverse=True) if v)
    at = Tally(16, counts, sum(votes) + lost)
    first = [in_flight(at, rule, tau=tau) for tau in (1.0, 0.5)]
    assert first == [in_flight(at, rule, tau=tau) for tau in (1.0, 0.5)]
