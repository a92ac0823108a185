"""Whatever happens to requests and behind them, each is counted once and users get their answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import Budget, Vote, solve
from thinktwice.shadow import Shadow
from thinktwice.shadow.background import in_background
from thinktwice.shadow.comparison import Comparison, Comparisons, Proportion, Spend
from thinktwice.stop import AtMost
from thinktwice.testing import run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
TWO = Vote(2, key="number", stop=AtMost(2))

spends = st.builds(
    Spend,
    calls=st.integers(0, 9),
    tokens=st.none() | st.integers(0, 99),
    cost=st.none() | st.integers(0, 9).map(Decimal),
    seconds=st.integers(0, 9),
)
scores = st.none() | st.tuples(*[st.integers(0, 4).map(lambda n: n / 4)] * 2)
comparisons = st.builds(
    Comparison, changed=st.none() | st.booleans(), single=spends, strategy=spends, scores=scores
)


def added(many):
    seen = Comparisons()
    for each in many:
        seen.add(each)
    return seen


@settings(max_examples=50)
@given(st.lists(comparisons, max_size=8), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_the_order(many, rng):
    """Runs end when they end."""
    other = list(many)
    rng.shuffle(other)
    here, there = added(many), added(other)
    assert (here.compared, here.changed, here.unanswered) == (
        there.compared,
        there.changed,
        there.unanswered,
    )
    assert (here.spends, here.judged) == (there.spends, there.judged)


@settings(max_examples=50)
@given(st.lists(comparisons, max_size=8))
def test_every_request_is_one_of_them(many):
    """Compared or not; judged or not; won, lost or tied."""
    seen = added(many)
    assert seen.compared + seen.unanswered == len(many)
    assert 0 <= seen.changed <= seen.compared
    judged = [each for each in many if each.changed is not None and each.scores is not None]
    said = seen.judged
    assert (said is None) == (not judged)
    if said is not None:
        assert said.wins + said.losses + said.ties == len(judged)
        assert -1 <= said.interval.low <= said.interval.high <= 1


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_share(count, more):
    """And stays within what a share can be."""
    proportion = Proportion(count, count + more)
    low, high = proportion.interval
    assert 0 <= low <= high <= 1
    if proportion.share is not None:
        assert low <= proportion.share <= high


class Traffic:
    """Answers users and the shadow by a script each."""

    def __init__(self, users, behind):
        self.scripts = {False: list(users), True: list(behind)}
        self.calls = {False: 0, True: 0}

    async def __call__(self, prompt):
        here = in_background.get()
        script = self.scripts[here]
        does = script[self.calls[here] % len(script)]
        self.calls[here] += 1
        await asyncio.sleep(does.get("seconds", 0))
        if "error" in does:
            raise does["error"]
        return does["value"]


steps = st.lists(
    st.sampled_from(
        [
            {"value": "1"},
            {"value": "2", "seconds": 2},
            {"value": "?"},
            {"error": TimeoutError()},
            {"error": KeyError("x"), "seconds": 1},
        ]
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30)
@given(
    users=steps,
    behind=steps,
    share=st.sampled_from([0.0, 0.5, 1.0]),
    most=st.integers(1, 4),
    calls=st.none() | st.integers(1, 9),
    closes=st.none() | st.integers(0, 5),
)
def test_each_chosen_request_is_counted_once(*, users, behind, share, most, calls, closes):
    """Compared, unanswered, cut, cancelled, dropped, an error, or never answered to the user."""
    traffic = Traffic(users, behind)
    budget = None if calls is None else Budget(calls=calls)
    shadow = Shadow(share, budget=budget, seed=1, max_pending=most, verifier=lambda value: True)

    async def answer():
        with suppress(TimeoutError, KeyError):
            result = await solve("q", sampler=traffic, strategy=TWO, shadow=shadow)
            assert result.ledger.total.calls == 1
            return result.value
        return None

    async def main():
        answers = []
        for number in range(5):
            if number == closes:
                shadow.close()
            answers.append(await answer())
        await shadow.drain()
        return answers

    answers = run_virtual(main())
    assert answers == [users[number % len(users)].get("value") for number in range(5)]
    report, failed = shadow.report, answers.count(None)
    accounted = report.compared + report.unanswered + report.cut + report.cancelled
    accounted += report.dropped + sum(report.errors.values())
    assert (report.requests, report.pending) == (5, 0)
    assert report.chosen - failed <= accounted <= report.chosen
    if share == 1 and closes is None and calls is None:
        assert accounted == report.chosen - failed
    assert report.spent.calls == traffic.calls[True]
    if calls is not None:
        assert traffic.calls[True] <= calls
    judged = report.judged
    done = 0 if judged is None else judged.wins + judged.losses + judged.ties
    assert done + sum(report.unjudged.values()) == report.compared
