"""Whatever is nested in whatever, and cut or cancelled whenever: it ends, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Limiter,
    Strategy,
    Usage,
    Vote,
    budget_scope,
    solve,
)
from thinktwice.calls import call
from thinktwice.pool import Pool
from thinktwice.stop import AtMost, Lead, Settled
from thinktwice.testing import run_virtual
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
CAP = 10_000
Sampler = Callable[[object], Awaitable[object]]


class StatusError(Exception):
    """The server refused."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__()
        self.status_code = status
        self.headers = headers


_ERRORS = (
    ConnectionError(),
    StatusError(429),
    StatusError(503),
    StatusError(429, **{"retry-after": "2"}),
    TimeoutError(),
)


@dataclass
class Model:
    """Counts what is started and what has ended, clean-up included."""

    latencies: list[float]
    failing: frozenset[int]
    max_tokens: int | None = None
    started: int = 0
    ended: int = 0
    cancels: list[int] = field(default_factory=list)
    model: str = "m"

    async def __call__(self, prompt: object) -> Completion[str]:
        number, self.started = self.started, self.started + 1
        self.cancels.append(0)
        try:
            await self._wait(number, self.latencies[number % len(self.latencies)])
        except asyncio.CancelledError:
            await self._wait(number, 0.25)
            raise
        finally:
            self.ended += 1
        if number in self.failing:
            raise _ERRORS[number % len(_ERRORS)]
        usage = Usage(input_tokens=4, output_tokens=number % 7, source="provider")
        value = '{"reason": "", "score": 5}' if number % 3 else "yes"
        return Completion(value=value, usage=usage)

    async def _wait(self, number: int, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancels[number] += 1
            raise


@dataclass(frozen=True)
class World:
    model: Model
    limiters: tuple[Limiter, Limiter]


Build = Callable[[World], Sampler]
budgets = st.none() | st.one_of(
    st.builds(Budget, calls=st.integers(1, 12)),
    st.builds(Budget, tokens=st.integers(20, 400)),
    st.builds(Budget, seconds=st.floats(0.5, 9)),
    st.builds(Budget, calls=st.integers(1, 12), tokens=st.integers(20, 400)),
)


@st.composite
def strategies(draw: st.DrawFn) -> Callable[[World], Strategy]:
    n = draw(st.integers(1, 3))
    prefer = draw(st.sampled_from(["cost", "balanced", "latency"]))
    if draw(st.booleans()):
        stop = draw(st.sampled_from([Settled(), AtMost(n), Lead(1)]))
        return lambda world: Vote(n, stop=stop, prefer=prefer)
    if draw(st.booleans()):
        return lambda world: BestOfN(n, verifier=Judge(world.model, rubric="right"), prefer=prefer)

    async def check(value: object) -> float:
        await asyncio.sleep(0.5)
        return 0.5

    return lambda world: BestOfN(n, verifier=check, prefer=prefer)


def plain(world: World) -> Sampler:
    """The model itself."""
    return world.model


@st.composite
def over(draw: st.DrawFn, inside: st.SearchStrategy[Build]) -> Build:
    """A strategy over a sampler."""
    strategy, sampler = draw(strategies()), draw(inside)
    return lambda world: strategy(world).over(sampler(world))


@st.composite
def solving(draw: st.DrawFn, inside: st.SearchStrategy[Build]) -> Build:
    """A function that runs a strategy, and is taken for a model call until it does."""
    strategy, sampler, budget = draw(strategies()), draw(inside), draw(budgets)
    which, width = draw(st.integers(0, 1)), draw(st.integers(1, 3))

    def build(world: World) -> Sampler:
        async def function(prompt: object) -> object:
            result = await solve(
                prompt,
                sampler=sampler(world),
                strategy=strategy(world),
                budget=budget,
                limiter=world.limiters[which],
                max_concurrency=width,
            )
            return result.value

        return function

    return build


@st.composite
def chains(draw: st.DrawFn, inside: st.SearchStrategy[Build]) -> Build:
    """Calls one after the other, or at once, that report themselves."""
    sampler, calls, at_once = draw(inside), draw(st.integers(1, 3)), draw(st.booleans())

    def build(world: World) -> Sampler:
        async def chain(prompt: object) -> object:
            def one() -> Coroutine[object, object, Completion[object]]:
                return call(sampler(world), prompt, role="sample")

            if at_once:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one()) for _ in range(calls)]
                return tasks[0].result().value
            values = [(await one()).value for _ in range(calls)]
            return values[0]

        chain.leaf = False  # type: ignore[attr-defined]
        return chain

    return build


@st.composite
def pools(draw: st.DrawFn) -> Build:
    """Replicas, whose limiters may be those of runs."""
    which, failures = draw(st.permutations([0, 1])), draw(st.integers(1, 3))
    limited = draw(st.booleans())

    def build(world: World) -> Sampler:
        limiters = [world.limiters[number] for number in which] if limited else None
        return Pool([world.model] * 2, limiters=limiters, failures=failures, back_off=1)

    return build


samplers: st.SearchStrategy[Build] = st.recursive(
    st.just(plain) | pools(),
    lambda inside: st.one_of(over(inside), solving(inside), chains(inside)),
    max_leaves=3,
)
rates = st.fixed_dictionaries(
    {},
    optional={
        "requests_per_minute": st.sampled_from([30, 120]),
        "tokens_per_minute": st.sampled_from([100, 1000]),
    },
)


@given(
    runs=st.lists(
        st.tuples(samplers, strategies(), budgets, st.integers(0, 1)), min_size=1, max_size=3
    ),
    latencies=st.lists(st.floats(0.1, 3), min_size=1, max_size=5),
    failing=st.frozensets(st.integers(0, 12), max_size=4),
    max_tokens=st.sampled_from([None, 10]),
    outer=st.builds(Budget, calls=st.integers(1, 40) | st.just(CAP)),
    cancel_at=st.none() | st.floats(0, 6),
    paces=st.tuples(rates, rates),
)
@settings(max_examples=100)
def test_it_ends_and_nothing_is_left(
    *, runs, latencies, failing, max_tokens, outer, cancel_at, paces
):
    """Each call that was sent has ended, is in the ledger once, and was cancelled once at most."""
    limiters = Limiter(1, **paces[0]), Limiter(2, **paces[1])
    world = World(Model(latencies, failing, max_tokens), limiters)

    async def one(build: Build, strategy, budget, which) -> None:
        with suppress(Exception):
            await solve(
                "q",
                sampler=build(world),
                strategy=strategy(world),
                budget=budget,
                limiter=world.limiters[which],
            )

    async def main() -> None:
        with budget_scope(outer) as ledger:
            tasks = [asyncio.ensure_future(one(*each)) for each in runs]
            if cancel_at is not None:
                await asyncio.sleep(cancel_at)
                tasks[0].cancel()
            await asyncio.wait(tasks)
            assert len(asyncio.all_tasks()) == 1
            assert ledger.total.calls == world.model.started
            assert ledger.remaining["calls"] == (outer.calls or 0) - world.model.started

    run_virtual(main())
    assert world.model.ended == world.model.started
    assert max(world.model.cancels, default=0) <= 1
    assert [limiter.in_use for limiter in world.limiters] == [0, 0]
    assert [limiter.waiting for limiter in world.limiters] == [0, 0]
