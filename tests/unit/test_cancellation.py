"""A caller that is cancelled, at whichever step of the event loop, leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Limiter,
    Usage,
    Vote,
    budget_scope,
    solve,
)
from thinktwice.stop import AtMost
from thinktwice.testing import VirtualClock, captured_spans
from thinktwice.verifiers import Judge

if TYPE_CHECKING:
    from thinktwice.ledger import Ledger

pytestmark = pytest.mark.usefixtures("silent_remarks")
CALLS = 1_000
GRADE = '{"reason": "fine", "score": 7}'


@dataclass
class Watched:
    """A model whose clean-up takes time, and which is counted at every turn."""

    reply: str = "yes"
    seconds: tuple[float, ...] = (1.0, 2.5, 0.5)
    max_tokens: int = 50
    started: int = 0
    finished: int = 0
    cleaned: int = 0
    cancels: list[int] = field(default_factory=list)
    model: str = "watched"

    async def __call__(self, prompt: object) -> Completion[str]:
        number, self.started = self.started, self.started + 1
        self.cancels.append(0)
        try:
            await asyncio.sleep(self.seconds[number % len(self.seconds)])
        except asyncio.CancelledError:
            self.cancels[number] += 1
            try:
                await asyncio.sleep(0.2)  # as closing a connection does
            except asyncio.CancelledError:
                self.cancels[number] += 1
                raise
            self.cleaned += 1
            raise
        self.finished += 1
        usage = Usage(input_tokens=5, output_tokens=5, source="provider")
        return Completion(value=self.reply, usage=usage)


@dataclass
class World:
    """What a scenario works with."""

    model: Watched = field(default_factory=Watched)
    judge: Watched = field(default_factory=lambda: Watched(reply=GRADE, model="judge"))
    limiter: Limiter = field(default_factory=lambda: Limiter(1))


async def vote(world: World) -> None:
    await solve("q", sampler=world.model, strategy=Vote(4))


async def best_of_n_with_a_judge(world: World) -> None:
    strategy = BestOfN(3, verifier=Judge(world.judge, rubric="right"))
    await solve("q", sampler=world.model, strategy=strategy)


async def vote_of_votes(world: World) -> None:
    strategy = Vote(2, of=Vote(2, stop=AtMost(2)), stop=AtMost(2))
    await solve("q", sampler=world.model, strategy=strategy, max_concurrency=2)


async def waiting_for_money(world: World) -> None:
    budget = Budget(tokens=150)  # one call at a time fits
    strategy = BestOfN(3, verifier=Judge(world.judge, rubric="right"))
    with suppress(Exception):
        await solve("q", sampler=world.model, strategy=strategy, budget=budget)


async def waiting_for_a_place(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            run = solve("q", sampler=world.model, strategy=Vote(2), limiter=world.limiter)
            group.create_task(run)


async def cut_by_a_deadline(world: World) -> None:
    with suppress(Exception):
        await solve("q", sampler=world.model, strategy=Vote(4), budget=Budget(seconds=0.8))


Scenario = Callable[[World], Awaitable[None]]
SCENARIOS: list[Scenario] = [
    vote,
    best_of_n_with_a_judge,
    vote_of_votes,
    waiting_for_money,
    waiting_for_a_place,
    cut_by_a_deadline,
]


class Stepping(VirtualClock):
    """Cancels a task after so many steps."""

    def __init__(self, at: tuple[int, ...]) -> None:
        super().__init__()
        self.at = at
        self.steps = 0
        self.victim: asyncio.Task[None] | None = None

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc] - one step of the loop
        if self.victim is None:
            return
        self.steps += 1
        if self.steps in self.at and not self.victim.done():
            self.victim.cancel()


class OpenSpans(SpanProcessor):
    """Spans that were started and not ended."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}

    def on_start(self, span: ReadableSpan, parent_context: object = None) -> None:
        self.names[span.get_span_context().span_id] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        self.names.pop(span.get_span_context().span_id, None)


@pytest.fixture(scope="module")
def open_spans() -> Iterator[OpenSpans]:
    with captured_spans():
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        processor = OpenSpans()
        provider.add_span_processor(processor)
        yield processor


def run(scenario: Scenario, at: tuple[int, ...]) -> tuple[World, Ledger, int, set[str]]:
    """Run a scenario, cancelled after each of these steps of the loop."""
    world, clock = World(), Stepping(at)

    async def main() -> tuple[Ledger, set[str]]:
        with budget_scope(Budget(calls=CALLS, tokens=10**6)) as ledger:
            clock.victim = asyncio.get_running_loop().create_task(scenario(world))  # type: ignore[arg-type]
            with suppress(asyncio.CancelledError):
                await asyncio.wait([clock.victim])
        left = asyncio.all_tasks() - {asyncio.current_task()}
        return ledger, {repr(task) for task in left}

    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        ledger, left = runner.run(main())
    return world, ledger, clock.steps, left


def check(world: World, ledger: Ledger, left: set[str], open_spans: OpenSpans) -> None:
    """Nothing is left, and everything that was started is accounted for."""
    assert not left
    assert not open_spans.names
    assert world.limiter.in_use == 0
    started = world.model.started + world.judge.started
    assert len(ledger.entries) == started
    assert ledger.remaining["calls"] == CALLS - started  # nothing is held
    for model in (world.model, world.judge):
        assert model.cleaned == sum(model.cancels)
        assert model.finished + model.cleaned == model.started


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_cancelled_at_every_step(scenario: Scenario, open_spans: OpenSpans):
    """Each started call is cancelled at most once, cleans up to the end and is in the ledger."""
    *_, steps, _ = run(scenario, ())
    assert steps > 10
    for step in range(1, steps + 1):
        world, ledger, _, left = run(scenario, (step,))
        check(world, ledger, left, open_spans)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_cancelled_twice(scenario: Scenario, open_spans: OpenSpans):
    """A second cancel of the caller does not break the clean-up that the first one began."""
    *_, steps, _ = run(scenario, ())
    for step in range(1, steps + 1, 3):
        for later in (1, 2, 4):
            world, ledger, _, left = run(scenario, (step, step + later))
            check(world, ledger, left, open_spans)


def test_what_was_queued_was_not_launched():
    """Whoever reads `launched` reads what was paid for."""
    world = World()

    async def main() -> None:
        ask = {"sampler": world.model, "strategy": Vote(2), "limiter": world.limiter}
        first = asyncio.ensure_future(solve("q", **ask))
        await asyncio.sleep(0.5)
        with pytest.raises(BudgetExceeded) as caught:
            await solve("q", **ask, budget=Budget(seconds=0.1))
        assert caught.value.result.launched == 0
        assert caught.value.ledger.entries == ()
        await first

    with asyncio.Runner(loop_factory=VirtualClock) as runner:
        runner.run(main())


def test_what_was_queued_costs_nothing():
    """A call that was recalled before it was sent is in no ledger."""
    world = World()

    async def main() -> Ledger:
        with budget_scope(Budget(tokens=1000)) as ledger:
            ask = (
                solve("q", sampler=world.model, strategy=Vote(1), limiter=world.limiter)
                for _ in range(2)
            )
            first, second = (asyncio.ensure_future(each) for each in ask)
            await asyncio.sleep(0.5)
            second.cancel()
            await asyncio.wait([first, second])
            return ledger

    with asyncio.Runner(loop_factory=VirtualClock) as runner:
        ledger = runner.run(main())
    assert world.model.started == 1
    assert [entry.status for entry in ledger.entries] == ["ok"]
    assert ledger.remaining == {"tokens": 990}
