"""Whatever a workflow does with its steps, no cap is passed, and nothing is lost or left behind."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import (
    AtMost,
    Budget,
    BudgetExceeded,
    Completion,
    Price,
    Result,
    Usage,
    UsageError,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.budget import Need, Share
from thinktwice.entry import Entry
from thinktwice.testing import run_virtual
from thinktwice.workflow import BudgetScope, budget_scope

pytestmark = pytest.mark.usefixtures("silent_remarks")
NAMES = ("a", "b", "c", "d")
PRICES = {"m": Price("1000000", "1000000")}  # a dollar a token
run = partial(solve, prices=PRICES)  # given, so that no price list is loaded beside virtual time
OUTPUT = 20
_NEED, _ENTRY = Need(), Entry(role="sample", status="ok")
weights = st.integers(1, 9) | st.floats(0.01, 9)


@given(
    calls=st.integers(1, 60),
    money=st.decimals(Decimal("0.0001"), 1000, places=4),
    each=st.lists(weights, min_size=1, max_size=8),
)
def test_shares_add_up(calls: int, money: Decimal, each: list[float]):
    """Steps that spend all they get leave nothing, and each has a call while there are enough."""
    left: dict[str, Decimal | float] = {"calls": calls, "tokens": calls * 100, "cost": money}
    got: list[Share] = []
    for number, weight in enumerate(each):
        rest = sum(map(Fraction, each[number:]))
        got.append(Share.of(left, Fraction(weight) / rest, later=len(each) - number - 1))
        left["calls"] -= got[-1].calls
        left["tokens"] -= got[-1].tokens
        left["cost"] -= got[-1].money
    assert left == {"calls": 0, "tokens": 0, "cost": 0}
    assert all(share.calls >= (calls >= len(each)) for share in got)
    assert all(share.money > 0 for share in got)


@given(calls=st.integers(20, 60), each=st.dictionaries(st.sampled_from(NAMES), weights, min_size=1))
def test_a_share_is_within_half_a_call_a_step_of_its_weight(calls: int, each: dict[str, float]):
    """Where nobody is lifted to the least of one call, nor pays for that."""
    whole = sum(map(Fraction, each.values()))
    exact = {name: calls * Fraction(weight) / whole for name, weight in each.items()}
    got: dict[str, int] = {}
    with budget_scope(Budget(calls=calls), steps=each) as budget:
        for name in each:
            with budget.step(name) as step:
                got[name] = int(step.remaining["calls"])
                for lease in step.reserve(*[_NEED] * got[name]):  # type: ignore[union-attr]
                    lease.settle(_ENTRY)
    assert sum(got.values()) == calls
    if min(exact.values()) >= 1:
        assert all(abs(got[name] - exact[name]) <= len(each) / 2 for name in each)


@dataclass
class Model:
    """Counts what is started; some calls fail, and clean-up takes time."""

    latencies: list[float]
    failing: frozenset[int]
    max_tokens: int | None
    started: int = 0
    ended: int = 0
    model: str = "m"

    async def __call__(self, prompt: object) -> Completion[str]:
        number, self.started = self.started, self.started + 1
        try:
            await asyncio.sleep(self.latencies[number % len(self.latencies)])
        except asyncio.CancelledError:
            await asyncio.sleep(0.25)
            raise
        finally:
            self.ended += 1
        if number in self.failing:
            raise ConnectionError
        usage = Usage(input_tokens=2, output_tokens=number % OUTPUT, source="provider")
        return Completion(value="yes", usage=usage, model="m")


@dataclass(frozen=True)
class Ask:
    """A run of a strategy."""

    n: int
    nested: bool
    prefer: str


@dataclass(frozen=True)
class Part:
    """A step, or a scope with a share or with caps; some work, one after the other or at once."""

    name: str | None
    share: float | None
    work: tuple[object, ...]
    at_once: bool
    pause: float


asks = st.builds(
    Ask,
    n=st.integers(1, 5),
    nested=st.booleans(),
    prefer=st.sampled_from(["cost", "latency"]),
)


def parts(work: st.SearchStrategy[object]) -> st.SearchStrategy[Part]:
    return st.builds(
        Part,
        name=st.none() | st.sampled_from(NAMES),
        share=st.none() | st.sampled_from([0.2, 0.5, 1]),
        work=st.lists(work, min_size=1, max_size=3).map(tuple),
        at_once=st.booleans(),
        pause=st.sampled_from([0, 0, 1.5]),
    )


programs = st.lists(st.recursive(asks, parts, max_leaves=6), min_size=1, max_size=5)
budgets = st.one_of(
    st.builds(Budget, calls=st.integers(1, 30)),
    st.builds(Budget, calls=st.integers(1, 30), tokens=st.integers(30, 600)),
    st.builds(Budget, cost=st.integers(30, 600), seconds=st.floats(2, 20)),
)


@dataclass
class World:
    """What a program runs in."""

    model: Model
    budget: BudgetScope

    async def run(self, work: object) -> None:
        """Do one piece of the program; what is refused is part of it."""
        if isinstance(work, Ask):
            await self.ask(work)
            return
        assert isinstance(work, Part)
        await asyncio.sleep(work.pause)
        if work.name is not None:
            with suppress(UsageError), self.budget.step(work.name):  # inside another one it is none
                await self.all(work)
        else:
            with budget_scope(None if work.share else Budget(calls=9), share=work.share):
                await self.all(work)

    async def all(self, part: Part) -> None:
        if part.at_once:
            async with asyncio.TaskGroup() as group:
                for work in part.work:
                    group.create_task(self.run(work))
        else:
            for work in part.work:
                await self.run(work)

    async def ask(self, ask: Ask) -> None:
        strategy = Vote(ask.n, stop=AtMost(ask.n), prefer=ask.prefer)
        if ask.nested:
            strategy = Vote(2, of=strategy)
        asked = run("q", sampler=self.model, strategy=strategy)
        (result,) = await asyncio.gather(asked, return_exceptions=True)
        if isinstance(result, BudgetExceeded):
            assert result.result is not None
            assert all(sample.error for sample in result.result.samples)
        elif not isinstance(result, ConnectionError):
            assert isinstance(result, Result), result
            assert result.value == "yes"

    def check(self) -> None:
        """What holds at every moment: spent, held and set apart are within the caps."""
        account, steps = self.budget._account, self.budget.steps.values()
        apart = account.apart(())
        for kind, cap, spent, held in account.caps():
            if kind == "calls" or self.model.max_tokens is not None:  # else it is an estimate
                assert spent + held + getattr(apart, kind) <= cap
                assert all(getattr(step._account.spent, kind) <= _cap(step, kind) for step in steps)
        for kind in ("calls", "tokens", "cost"):
            parts = sum(getattr(step._account.spent, kind) for step in steps)
            assert parts <= getattr(account.spent, kind)


def _cap(step: BudgetScope, kind: str) -> Decimal:
    return Decimal(getattr(step.budget, kind))


@given(
    program=programs,
    each=st.lists(weights, min_size=len(NAMES), max_size=len(NAMES)),
    budget=budgets,
    latencies=st.lists(st.floats(0.1, 3), min_size=1, max_size=5),
    failing=st.frozensets(st.integers(0, 12), max_size=4),
    max_tokens=st.sampled_from([None, OUTPUT]),
    at_once=st.booleans(),
    cancel_at=st.none() | st.floats(0, 6),
)
@settings(max_examples=120)
def test_no_cap_is_passed_and_nothing_is_left(
    *, program, each, budget, latencies, failing, max_tokens, at_once, cancel_at
):
    """Random workflows with steps, shares, scopes, nested runs, failures and cancellations."""
    model = Model(latencies, failing, max_tokens)
    whole = Part(None, 1, tuple(program), at_once, 0)

    async def watch(world: World) -> None:
        while True:
            world.check()
            await asyncio.sleep(0.05)

    async def main() -> None:
        with budget_scope(budget, steps=dict(zip(NAMES, each, strict=True))) as scope:
            world = World(model, scope)
            watching = asyncio.ensure_future(watch(world))
            task = asyncio.ensure_future(world.all(whole))
            if cancel_at is not None:
                await asyncio.sleep(cancel_at)
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            world.check()
            account = scope._account
            assert (account.held.calls, account.held.tokens, account.held.cost) == (0, 0, 0)
            assert account.live == 0
            assert account.shares == []
            assert len(asyncio.all_tasks()) == 1
            assert scope.total.calls == model.started == model.ended
            if budget.calls is not None:
                assert scope.remaining["calls"] == budget.calls - model.started
            _rolls_over(scope)

    run_virtual(main())


def _rolls_over(scope: BudgetScope) -> None:
    """What nobody has spent is all there for whoever comes next."""
    left = scope.remaining
    with budget_scope(share=1) as rest:
        assert {kind: rest.remaining[kind] for kind in left} == left


@given(
    cap=st.integers(1, 40),
    each=st.lists(weights, min_size=1, max_size=4),
    asked=st.lists(st.integers(1, 12), min_size=4, max_size=4),
    failing=st.frozensets(st.integers(0, 12), max_size=3),
)
@settings(max_examples=60)
def test_a_result_exists_where_a_call_was_affordable(cap, each, asked, failing):
    """Steps one after the other: only an empty share, or failures alone, give no answer."""
    model = Model([1], failing, None)
    steps = dict(zip(NAMES, each))  # noqa: B905 - fewer weights than names

    async def main() -> None:
        with budget_scope(Budget(calls=cap), steps=steps) as budget:
            for name, n in zip(steps, asked):  # noqa: B905 - as above
                with budget.step(name) as step:
                    share, before = int(step.remaining["calls"]), model.started
                    try:
                        strategy = Vote(n, stop=AtMost(n))
                        result = await run("q", sampler=model, strategy=strategy)
                    except BudgetExceeded:
                        assert share == 0 or set(range(before, model.started)) <= failing
                    except ConnectionError:
                        assert set(range(before, model.started)) <= failing
                    else:
                        assert len(result.samples) == min(n, share)
            assert sum(step.total.calls for step in budget.steps.values()) == budget.total.calls

    run_virtual(main())


@given(
    cap=st.integers(4, 60),
    each=st.lists(weights, min_size=4, max_size=4),
    asked=st.lists(st.integers(1, 20), min_size=4, max_size=4),
)
@settings(max_examples=15)
def test_threads_with_a_step_each(cap: int, each: list[float], asked: list[int]):
    """Each keeps to the share that it had from its beginning."""
    begun = threading.Barrier(4)
    sent = itertools.count()

    def ask(prompt: str) -> str:
        next(sent)
        return "yes"

    def work(name: str, n: int) -> tuple[int, int]:
        with budget.step(name) as step:
            share = int(step.remaining["calls"])
            begun.wait(10)
            with suppress(BudgetExceeded):
                solve_sync("q", sampler=ask, strategy=Vote(n, stop=AtMost(n)))
            return min(share, n), step.total.calls

    steps = dict(zip(NAMES, each, strict=True))
    with budget_scope(Budget(calls=cap), steps=steps) as budget, ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(copy_context().run, work, name, n)
            for name, n in zip(NAMES, asked, strict=True)
        ]
        assert all(expected == calls for expected, calls in (each.result() for each in done))
        assert budget.total.calls == next(sent) <= cap
        assert budget.remaining["calls"] == cap - budget.total.calls
