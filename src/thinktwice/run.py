"""One run of a strategy: the only place that calls, waits, cancels, spends and opens spans."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from thinktwice.account import now
from thinktwice.drawing import Drawing, Request
from thinktwice.draws import Draws, Plan
from thinktwice.errors import BudgetExceeded
from thinktwice.nursery import Nursery
from thinktwice.prompting import prompting_for
from thinktwice.sampling import as_source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence

    from thinktwice.draws import Draw
    from thinktwice.entry import Role
    from thinktwice.history import History, Latencies
    from thinktwice.limiter import Limiter
    from thinktwice.protocols import Options, Prompting, Sampler, Verifier
    from thinktwice.result import Outcome
    from thinktwice.sample import Completion, Sample, Verdict
    from thinktwice.vary import Vary

P = TypeVar("P")
T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")


class Run(Drawing[P, T]):
    """What a strategy works with: it draws, judges, waits and recalls.

    See `Drawing` for what it knows: `prompt`, `samples`, `verdicts`, `launched`, `exhausted`,
    `warnings`, `ledger`.
    """

    @property
    def prompting(self) -> Prompting[P]:
        """How the input is edited.

        Raises:
            UsageError: Nothing fits the input, and none was given.
        """
        return self._setting.prompting or prompting_for(self.prompt)

    @property
    def recallable(self) -> bool:
        """Calls in flight can be cancelled; those of a sync sampler cannot."""
        return all(source.recallable for source in self._sources.values())

    @property
    def history(self) -> History:
        """What past runs tell about the sampler; about the first of several."""
        return self._source(None).history

    @property
    def options(self) -> Options:
        """Settings of the next call, without those of a draw of its own."""
        return self._options(None, self._next)

    @property
    def out_of_time(self) -> bool:
        """Its time ended the drawing: whatever came in after that changes nothing about it."""
        return self.exhausted is not None and self.exhausted.kind == "seconds"

    def offer(self, outcome: Outcome[T]) -> None:
        """Leave the best answer so far, for the case that a budget cuts this run short."""
        self.offered = outcome

    def sampler(self, name: str | None = None) -> Sampler[P, T]:
        """What is sampled, for a strategy that asks the same model something else by `ask`."""
        return cast("Sampler[P, T]", self._source(name).function)

    async def sample(
        self,
        prompt: P | None = None,
        *,
        sampler: str | None = None,
        options: Options | None = None,
        role: Literal["sample", "repair"] = "sample",
    ) -> Sample[T]:
        """Draw one sample and wait for it. A failed draw is a sample with an error.

        Args:
            prompt: Another input than the run's.
            sampler: Name of the sampler, in a run with several; the first by default.
            options: Settings of this draw, over those of the run.
            role: What it is for, in the ledger and the spans.

        Raises:
            BudgetExceeded: The budget does not afford it, or its time ran out.
        """
        asked = self.prompt if prompt is None else prompt
        source = self._source(sampler)
        request = Request(source=source, prompt=asked, options=options, role=role)
        drawn = self._draw(request)
        return (await self._in_time(drawn))[0]

    async def ask(
        self, sampler: Sampler[X, Y], prompt: X, *, role: Role, options: Options | None = None
    ) -> Completion[Y]:
        """Call a model for the strategy itself, such as for a reflection: it is no sample.

        Args:
            sampler: What to call.
            prompt: Its input.
            role: What the call is for.
            options: Settings of the call.

        Raises:
            BudgetExceeded: The budget does not afford it, or its time ran out.
            Exception: What the sampler raises.
        """
        return await self._in_time(self._ask(as_source(sampler), prompt, role, options or {}))

    async def verify(
        self, sample: Sample[T], verifier: Verifier[P], *, prompt: P | None = None
    ) -> Verdict:
        """Judge a sample. A check that breaks is a verdict with the outcome "error".

        Raises:
            BudgetExceeded: The budget does not afford it, or its time ran out.
            UsageError: The verifier returned what is no verdict.
        """
        asked = self.prompt if prompt is None else prompt
        return await self._in_time(self._verify(sample, verifier, asked, ()))

    @asynccontextmanager
    async def draws(
        self,
        n: int | None = None,
        *,
        prompts: Sequence[P] | None = None,
        sampler: str | None = None,
        options: Options | None = None,
        verifier: Verifier[P] | None = None,
        partial: bool = False,
        in_flight: Callable[[], int] | None = None,
        until: Callable[[], bool] | None = None,
        wakes: Iterable[float] = (),
        needed: Callable[[], int] | None = None,
        vary: Vary | None = None,
    ) -> AsyncGenerator[Draws[tuple[Sample[T], Verdict | None]]]:
        """Draw several samples at once; iterate for `(sample, verdict)` in order of arrival.

        The iteration ends when all have arrived, when `until` says so, or when a budget is used up
        (`exhausted` says which). What is in flight when the block ends is recalled: cancelled once,
        awaited and booked.

        Args:
            n: How many; the length of `prompts` by default.
            prompts: An input for each draw; the run's by default.
            sampler: Name of the sampler, in a run with several; the first by default.
            options: Settings of these draws, over those of the run.
            verifier: Judges each usable sample as it arrives; without one the verdict is None.
            partial: The draws are steps: one that max tokens cut short has an answer all the same.
            in_flight: How many draws may be under way as things stand; asked after each arrival.
            until: Whether to end; asked after each arrival and at `wakes`.
            wakes: Seconds since the run began at which to ask `until` again.
            needed: Fewest further draws that could end it, as things stand. With it, stragglers are
                hedged: another draw takes the slot of one that takes far longer than the median,
                if the others under way are too few to end it.
            vary: Draws differ by prompt, temperature or sampler, in seeded random order.
        """
        alike = Request(
            source=self._source(sampler),
            prompt=self.prompt,
            options=options,
            verifier=verifier,
            partial=partial,
        )
        requests = [alike] * (n or 0)
        if prompts is not None:
            requests = [replace(alike, prompt=each) for each in prompts]
        if vary is not None:
            requests = self._varied(requests, vary)

        def room() -> int:
            if self.exhausted is not None:
                return 0
            wanted = len(requests) if in_flight is None else in_flight()
            return min(wanted, self.max_concurrency)

        async def work(draw: Draw) -> tuple[Sample[T], Verdict | None]:
            sample, verdict = await self._draw(replace(requests[draw.position], draw=draw))
            positions[sample.index] = draw.position
            return sample, verdict

        times = tuple(_clock_time(self.ledger.started, each) for each in wakes)
        plan = Plan(
            total=len(requests),
            room=room,
            until=until,
            wakes=times,
            hedging=self._hedging(needed),
            spares=not any(request.source.refusable for request in requests),
        )
        async with Nursery() as nursery:
            draws = Draws(work, plan, nursery, self.ledger)
            positions = draws.positions  # so that what it calls does not lead back to it
            try:
                yield draws
            finally:
                draws.close()
                self.hedges += draws.hedges
                self.exhausted = self.exhausted or draws.exhausted

    def _varied(self, requests: Sequence[Request[P, T]], vary: Vary) -> list[Request[P, T]]:
        """Each request as its variant has it."""
        vary.check(self._sources)
        return [
            replace(
                request,
                source=request.source if each.sampler is None else self._source(each.sampler),
                prompt=each.edited(request.prompt),
                options={**(request.options or {}), **each.options},
                variant=each.name,
            )
            for request, each in zip(requests, vary.variants(len(requests)), strict=True)
        ]

    def _hedging(self, needed: Callable[[], int] | None) -> _Hedging | None:
        """Stragglers can be told where all calls are of one sampler, and hedged where recalled."""
        sources = list(self._sources.values())
        if needed is None or len(sources) > 1 or not self.recallable or sources[0].draws > 1:
            return None
        return _Hedging(sources[0].history.latencies, self._limiters, needed)

    async def _in_time(self, work: Coroutine[object, object, X]) -> X:
        """Await one draw or check, cut off where the time of the budget ends."""
        timer = asyncio.timeout_at(self.ledger.deadline)
        try:
            async with timer:
                return await work
        except TimeoutError:
            if not timer.expired():
                raise
            self.exhausted = limit = self.ledger.expiring
            raise BudgetExceeded(limit) from None
        except BudgetExceeded as error:
            if self.ledger.bound_by(error.limit):  # not the budget of a run inside
                self.exhausted = self.exhausted or error.limit
            raise


class _Hedging:
    """Hedges while stragglers are few, the provider is not overloaded, and nothing else helps."""

    def __init__(
        self, latencies: Latencies, limiters: Sequence[Limiter], needed: Callable[[], int]
    ) -> None:
        self._latencies = latencies
        self._limiters = limiters
        self._needed = needed

    @property
    def patience(self) -> float | None:
        return self._latencies.patience

    def take(self, fresh: int, *, long: bool) -> bool:
        if fresh >= self._needed() or any(limiter.congested for limiter in self._limiters):
            return False
        return self._latencies.take_hedge(now(), long=long)


def _clock_time(started: float, seconds: float) -> float:
    """The first time on the clock from which so many seconds have passed, rounding included."""
    time = started + seconds
    while time - started < seconds:
        time = math.nextafter(time, math.inf)
    return time
