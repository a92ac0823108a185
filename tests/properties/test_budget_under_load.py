"""Many runs that share one budget never spend more than it allows."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Price,
    Usage,
    Vote,
    budget_scope,
    solve,
    solve_sync,
)
from thinktwice.sample import Usage as Tokens
from thinktwice.stop import AtMost
from thinktwice.testing import run_virtual
from thinktwice.tokens import upper_bound_tokens

if TYPE_CHECKING:
    from thinktwice.ledger import Ledger
    from thinktwice.strategy import Strategy

RUNS = 8
OUTPUT = 40
WORST = upper_bound_tokens("q") + OUTPUT
PRICES = {"m": Price("1000000", "1000000")}  # a dollar a token, so that both caps read alike

pytestmark = pytest.mark.usefixtures("silent_remarks")
latencies = st.lists(st.floats(0.01, 3), min_size=1, max_size=9)
outputs = st.lists(st.integers(0, OUTPUT), min_size=1, max_size=7)


class Model:
    """Answers after scripted latencies, with scripted usage, and now and then fails."""

    model = "m"

    def __init__(
        self,
        seconds: list[float],
        used: list[int],
        *,
        max_tokens: int | None,
        failing: frozenset[int] = frozenset(),
    ) -> None:
        self.max_tokens = max_tokens
        self.sent = 0
        self._seconds = itertools.cycle(seconds)
        self._used = itertools.cycle(used)
        self._failing = failing

    def _usage(self) -> Usage:
        return Tokens(input_tokens=1, output_tokens=next(self._used), source="provider")

    async def __call__(self, prompt: object) -> Completion[str]:
        number, self.sent = self.sent, self.sent + 1
        usage = self._usage()
        await asyncio.sleep(next(self._seconds))
        if number in self._failing:
            raise ConnectionError
        return Completion(value="yes", usage=usage, model="m")


async def together(model: Model, strategy: Strategy, budget: Budget) -> Ledger:
    """Run a strategy several times at once, under one budget."""

    async def one() -> None:
        with suppress(BudgetExceeded, ConnectionError):
            await solve("q", sampler=model, strategy=strategy, prices=PRICES)

    with budget_scope(budget) as ledger:
        async with asyncio.TaskGroup() as group:
            for _ in range(RUNS):
                group.create_task(one())
    return ledger


def spent(ledger: Ledger) -> int:
    return ledger.total.usage.total_tokens or 0


@given(seconds=latencies, used=outputs, failing=st.frozensets(st.integers(0, 20), max_size=5))
@settings(max_examples=40)
def test_tokens_with_a_known_worst_case(
    seconds: list[float], used: list[int], failing: frozenset[int]
):
    """Reserved: neither latencies, nor failures, nor cancelled losers lead past the cap."""
    model = Model(seconds, used, max_tokens=OUTPUT, failing=failing)
    ledger = run_virtual(together(model, Vote(8), Budget(tokens=1000)))
    assert spent(ledger) <= 1000
    assert ledger.remaining["tokens"] == 1000 - spent(ledger)  # nothing is held
    assert len(ledger.entries) == model.sent
    assert ledger.exhausted is None


@given(seconds=latencies)
@settings(max_examples=25)
def test_tokens_with_an_unknown_worst_case(seconds: list[float]):
    """Estimated: a probe first, then as many as fit; equal calls never pass the cap."""
    model = Model(seconds, [19], max_tokens=None)
    ledger = run_virtual(together(model, Vote(8, stop=AtMost(8)), Budget(tokens=1000)))
    assert spent(ledger) <= 1000
    assert spent(ledger) > 1000 - 20  # and the money is used
    assert ledger.enforcement == {"tokens": "estimated"}


@given(seconds=latencies, used=outputs)
@settings(max_examples=25)
def test_cost(seconds: list[float], used: list[int]):
    """A cap on money binds as one on tokens does."""
    model = Model(seconds, used, max_tokens=OUTPUT)
    ledger = run_virtual(together(model, Vote(8), Budget(cost=1000)))
    assert ledger.total.cost is not None
    assert ledger.total.cost <= 1000
    assert ledger.remaining["cost"] == 1000 - ledger.total.cost


@given(seconds=latencies, cap=st.integers(1, 40))
@settings(max_examples=25)
def test_calls(seconds: list[float], cap: int):
    """Exact: not one call more is sent; all are where the runs want them."""
    model = Model(seconds, [1], max_tokens=None)
    ledger = run_virtual(together(model, Vote(8, stop=AtMost(8)), Budget(calls=cap)))
    assert model.sent == len(ledger.entries) == cap
    assert ledger.enforcement == {"calls": "exact"}


@given(seconds=latencies, used=outputs, cap=st.integers(WORST, 1000))
@settings(max_examples=25)
def test_nested_runs(seconds: list[float], used: list[int], cap: int):
    """The outer budget binds the runs inside the runs; nobody waits for ever."""
    model = Model(seconds, used, max_tokens=OUTPUT)
    strategy = Vote(3, of=Vote(3, of=Vote(2)))
    ledger = run_virtual(together(model, strategy, Budget(tokens=cap)))
    assert 0 < spent(ledger) <= cap
    assert ledger.remaining["tokens"] == cap - spent(ledger)


@given(seconds=latencies, cap=st.integers(2, 30))
@settings(max_examples=25)
def test_each_sample_is_judged_that_calls_were_kept_for(seconds: list[float], cap: int):
    """Two calls a sample are held before it is drawn, so none goes unjudged."""
    model, judge = Model(seconds, [1], max_tokens=None), Model(seconds, [1], max_tokens=None)

    async def main() -> None:
        strategy = BestOfN(8, verifier=_Judging(judge))
        result = await solve("q", sampler=model, strategy=strategy, budget=Budget(calls=cap))
        assert len(result.verdicts) == len(result.samples) == min(8, cap // 2)
        assert all(verdict.outcome == "scored" for verdict in result.verdicts)

    run_virtual(main())


@given(
    seconds=latencies,
    used=outputs,
    cap=st.integers(200, 3000),
    wrote=st.lists(st.integers(0, OUTPUT), min_size=1, max_size=5),
)
@settings(max_examples=40)
def test_each_sample_is_judged_that_tokens_were_kept_for(
    seconds: list[float], used: list[int], cap: int, wrote: list[int]
):
    """Where a judge tells what it reads, its worst case is held before the sample is drawn."""
    model, judge = Model(seconds, used, max_tokens=OUTPUT), Model(seconds, wrote, max_tokens=OUTPUT)

    async def main() -> None:
        strategy = BestOfN(8, verifier=_Judging(judge))
        budget = Budget(tokens=cap)
        with suppress(BudgetExceeded):
            result = await solve("q", sampler=model, strategy=strategy, budget=budget)
            assert len(result.verdicts) == len(result.samples)
            assert (result.ledger.total.usage.total_tokens or 0) <= cap

    run_virtual(main())


class _Judging:
    """A judge that reads prompt and sample between 100 bytes of its own."""

    name, exact, calls = "judging", False, 1

    def __init__(self, sampler: Model) -> None:
        self.sampler = sampler

    def request(self, sample: object, *, prompt: object) -> str:
        return f"{'-' * 100}{prompt}{getattr(sample, 'value', '')}"

    async def __call__(self, sample: object, /, *, prompt: object) -> object:
        from thinktwice import Verdict
        from thinktwice.calls import call

        await call(self.sampler, self.request(sample, prompt=prompt), role="verify")
        return Verdict(outcome="scored", score=0.5)


@pytest.mark.parametrize("max_tokens", [OUTPUT, None], ids=["known", "unknown"])
def test_threads_share_a_budget(max_tokens: int | None):
    """The same over threads with a loop each, and sync samplers."""
    sent = itertools.count()
    together_at_start = threading.Barrier(RUNS)

    def ask(prompt: str) -> Completion[str]:
        next(sent)
        usage = Usage(input_tokens=1, output_tokens=19, source="provider")
        return Completion(value="yes", usage=usage)

    if max_tokens is not None:
        ask.max_tokens = max_tokens  # type: ignore[attr-defined]
    ask.model = "m"  # type: ignore[attr-defined]

    def one() -> None:
        together_at_start.wait()
        with suppress(BudgetExceeded):
            solve_sync("q", sampler=ask, strategy=Vote(12, stop=AtMost(12)), prices=PRICES)

    with budget_scope(Budget(tokens=1000, cost=Decimal(990))) as ledger:
        with ThreadPoolExecutor(RUNS) as pool:
            for done in [pool.submit(copy_context().run, one) for _ in range(RUNS)]:
                done.result()
        assert spent(ledger) <= 990
        assert spent(ledger) > 990 - WORST
        assert len(ledger.entries) == next(sent)
        assert ledger.remaining["cost"] == 990 - spent(ledger)
