"""A replay under a rule is what a run under that rule does with the same samples."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.properties.test_launch_equivalence import rules
from thinktwice import BestOfN, Completion, UsageError, Vote, solve
from thinktwice.launch import tau_of
from thinktwice.policy.replaying import Replayed, replay, winner_of
from thinktwice.stop import After, AtMost, Lead
from thinktwice.store.ballots import Ballot, Draw
from thinktwice.testing import run_virtual

if TYPE_CHECKING:
    from thinktwice.result import Result
    from thinktwice.stop import Stop
    from thinktwice.strategy import Strategy

pytestmark = pytest.mark.usefixtures("silent_remarks")
timed = st.sampled_from([None, None, 0.705, 3.005]).map(lambda s: s and After(seconds=s))


@dataclass(frozen=True)
class Text:
    """A value whose score and weight the script says."""

    draw: Draw

    @property
    def answer(self) -> str | None:
        return None if self.draw.answer < 0 else "abcd"[self.draw.answer]


draws = st.builds(
    Draw,
    answer=st.sampled_from([0, 0, 0, 1, 1, 2, 3, -1]),
    seconds=st.integers(1, 400).map(lambda hundredths: hundredths / 100),
    cost=st.just(1.0),
    weight=st.sampled_from([0.0, 0.25, 1.0, None]),
    length=st.sampled_from([None, 3, 3, 40]),
    score=st.sampled_from([0.1, 0.5, 1.0]),
)


def apart(script: list[Draw]) -> list[Draw]:
    """No sum of latencies is that of others: which of two comes first at one time is nobody's."""
    return [each._replace(seconds=each.seconds + 2.0**-at / 1e3) for at, each in enumerate(script)]


scripts = st.lists(draws, min_size=1, max_size=8).map(apart)
modes = st.sampled_from(["cost", "balanced", "latency", 0.8])


class Scripted:
    """Returns what the script says, each after its own latency."""

    def __init__(self, script: list[Draw]) -> None:
        self.script = script
        self.calls = 0

    async def __call__(self, prompt: object, /) -> Completion[Text]:
        draw = self.script[self.calls]
        self.calls += 1
        await asyncio.sleep(draw.seconds)
        text = None if draw.length is None else "x" * draw.length
        return Completion(value=Text(draw), text=text)


def ran(script: list[Draw], strategy: Strategy, room: int) -> tuple[Result[Text], float]:
    async def timed() -> tuple[Result[Text], float]:
        clock = asyncio.get_running_loop()
        began = clock.time()
        result = await solve("", sampler=Scripted(script), strategy=strategy, max_concurrency=room)
        return result, clock.time() - began

    return run_virtual(timed())


def voted(script: list[Draw], stop: Stop, prefer: float, *, weighted: bool) -> Vote:
    return Vote(
        len(script),
        stop=stop,
        prefer=prefer,
        hedge=False,
        key=lambda value: value.answer,
        weight=(lambda sample: sample.value.draw.weight) if weighted else None,
    )


def check(found: Replayed, result: Result[Text], seconds: float) -> None:
    assert (found.used, found.launched) == (result.used, result.launched)
    assert found.seconds == pytest.approx(seconds)
    assert found.cost == result.launched
    answer = result.value.answer if result.value else None
    assert (None if found.winner is None else "abcd"[found.winner]) == answer


def recorded(script: list[Draw], *, weighted: bool) -> Ballot:
    """As a vote writes it: no scores, weights if it has any, and none of what abstains."""
    kept = [
        each._replace(score=None, weight=each.weight if weighted and each.answer >= 0 else None)
        for each in script
    ]
    return Ballot(tuple(kept))


@settings(max_examples=60, deadline=None)
@given(scripts, rules, timed, st.tuples(modes, st.integers(1, 12)), st.booleans())
def test_votes(script, rule, time, launching, weighted):
    """For every rule, mode and cap on concurrency, to the sample, the second and the tie."""
    stop, (prefer, room) = rule if time is None else rule | time, launching
    try:
        strategy = voted(script, stop, prefer, weighted=weighted)
    except UsageError:  # it can never fire, or needs scores
        assume(False)
    result, seconds = ran(script, strategy, room)
    ballot = recorded(script, weighted=weighted)
    found = replay(ballot, stop, n=len(script), tau=tau_of(prefer), room=room)
    check(found, result, seconds)


@settings(max_examples=40, deadline=None)
@given(scripts, rules, modes, st.sampled_from(["score", "rank", "exact"]))
def test_best_of_n(script, rule, prefer, by):
    """Rules about scores, and answers by scores, too."""

    def judge(value: Text) -> float | bool:
        return value.draw.score == 1.0 if by == "exact" else value.draw.score

    judge.exact = by == "exact"
    try:
        strategy = BestOfN(
            len(script),
            verifier=judge,
            stop=rule,
            prefer=prefer,
            hedge=False,
            weights="score" if by == "exact" else by,
            key=lambda value: value.answer,
        )
    except UsageError:
        assume(False)
    result, seconds = ran(script, strategy, 8)
    kept = [each._replace(weight=None, passed=False) for each in script]
    if by == "exact":
        kept = [
            each._replace(score=float(each.score == 1), passed=each.score == 1) for each in kept
        ]
    kept = [each if each.answer >= 0 else each._replace(score=None, passed=False) for each in kept]
    ballot = Ballot(tuple(kept), by)
    found = replay(ballot, rule, n=len(script), tau=tau_of(prefer), room=8)
    check(found, result, seconds)


@settings(max_examples=40, deadline=None)
@given(scripts, rules, st.booleans())
def test_what_ran_one_by_one_is_enough_to_replay_it(script, rule, weighted):
    """Under its own rule a vote needs no sample that it did not draw."""
    try:
        strategy = voted(script, rule, "cost", weighted=weighted)
    except UsageError:
        assume(False)
    result, _ = ran(script, strategy, 8)
    ballot = recorded(script[: result.launched], weighted=weighted)
    assume(not weighted or any(each.weight is not None for each in ballot.draws))
    found = replay(ballot, rule, n=len(script), tau=1.0, room=8)
    assert (found.used, found.launched) == (result.used, result.launched)


@settings(max_examples=40)
@given(scripts, st.booleans())
def test_the_answer_of_all(script, weighted):
    """Is that of a replay that draws all; unknown weights are the mean of those before them."""
    known = [each._replace(weight=each.weight or 0.0) for each in script]
    ballot = recorded(known, weighted=weighted)
    found = replay(ballot, AtMost(len(script)), n=len(script), tau=0.0, room=99)
    assert found.winner == winner_of(ballot)
    assert found.used == len(script)


@settings(max_examples=40)
@given(scripts)
def test_latencies_do_not_matter_one_by_one(script):
    """With `prefer="cost"` a replay is that in launch order, whatever the latencies."""
    ballot = recorded(script, weighted=False)
    slow = replace(ballot, draws=tuple(each._replace(seconds=1.0) for each in ballot.draws))
    one, other = (replay(each, Lead(2), n=len(script), tau=1.0, room=8) for each in (ballot, slow))
    assert one[:3] == other[:3]
    assert one.winner == other.winner
