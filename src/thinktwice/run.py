"""One run of a strategy: the only place that calls, waits, cancels, spends and opens spans."""

from __future__ import annotations

import asyncio
import math
import secrets
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice import telemetry
from thinktwice.account import now
from thinktwice.answers import key_function
from thinktwice.calls import complete, reserve
from thinktwice.draws import Draws, Plan
from thinktwice.errors import BudgetExceeded, UsageError, status_of
from thinktwice.ledger import Ledger
from thinktwice.nursery import Nursery
from thinktwice.prompting import prompting_for
from thinktwice.sample import Completion, Sample, Verdict
from thinktwice.scope import Scope, current_scope, entered, ledger_around

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Coroutine,
        Generator,
        Hashable,
        Iterable,
        Mapping,
        Sequence,
    )

    from thinktwice.account import Lease
    from thinktwice.budget import Budget, Limit
    from thinktwice.entry import Role, Status, Total
    from thinktwice.limiter import Limiter
    from thinktwice.protocols import Options, PriceSource, Prompting, Verifier
    from thinktwice.result import Outcome, Result
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")
X = TypeVar("X")

_ABSTAINS = frozenset({"length", "max_tokens", "content_filter", "refusal"})
_NOTHING: Completion[None] = Completion(value=None)


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[P]):
    """What is the same for all calls of a run.

    Attributes:
        strategy: Name of the strategy, for spans.
        key: What votes are counted by.
        options: Settings of every call, or of the call of an index.
        limiters: Caps on concurrency.
        prices: What calls cost.
        prompting: How the input is edited; by its type if None.
    """

    strategy: str
    key: str | Callable[..., Hashable | None] | None
    options: Options | Callable[[int], Options] | None
    limiters: Sequence[Limiter]
    prices: PriceSource
    prompting: Prompting[P] | None = None


class Run(Generic[P, T]):
    """What a strategy works with.

    Attributes:
        prompt: The input.
        id: Random name of this run, in its spans.
        recorder: Writes its spans and metrics.
        ledger: Caps and costs of this run, inside those around it.
        samples: Finished draws so far, in order of arrival.
        verdicts: What verifiers said last, by index of the sample.
        launched: Draws started.
        exhausted: The budget that ended the drawing, once one has.
        warnings: What the caller should know.
        nested: Results of the runs inside this one's samples and verdicts.
        offered: The best answer so far, if the strategy left one.
        max_concurrency: Calls in flight at most.
    """

    def __init__(
        self,
        prompt: P,
        *,
        sources: Mapping[str, Source[P, T]],
        setting: Setting[P],
        budget: Budget | None,
        implied: bool = False,
    ) -> None:
        """Made by `solve`."""
        outer = current_scope()
        self.prompt = prompt
        self.id = secrets.token_hex(8)
        self.recorder = telemetry.Recorder()
        self.ledger = Ledger(budget, parent=ledger_around(), implied=implied)
        self.samples: list[Sample[T]] = []
        self.verdicts: dict[int, Verdict] = {}
        self.launched = 0
        self.exhausted: Limit | None = None
        self.warnings: list[str] = []
        self.nested: list[Result[object]] = []
        self.offered: Outcome[T] | None = None
        inherited = outer.limiters if outer else ()
        self._limiters = tuple(dict.fromkeys([*inherited, *setting.limiters]))
        self.max_concurrency = min(each.max_concurrency for each in self._limiters)
        self._sources = sources
        self._setting = setting
        self._key = key_function(setting.key)
        self._ordinals: dict[Hashable, int] = {}

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
    def keyed(self) -> bool:
        """The caller says what answers are told apart by."""
        return self._setting.key is not None

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self.ledger.seconds

    def warn(self, message: str) -> None:
        """Tell the caller something, once; it must hold no content."""
        if message not in self.warnings:
            self.warnings.append(message)

    def offer(self, outcome: Outcome[T]) -> None:
        """Leave the best answer so far, for the case that a budget cuts this run short."""
        self.offered = outcome

    async def sample(
        self, prompt: P | None = None, *, sampler: str | None = None, options: Options | None = None
    ) -> Sample[T]:
        """Draw one sample and wait for it. A failed draw is a sample with an error.

        Args:
            prompt: Another input than the run's.
            sampler: Name of the sampler, in a run with several; the first by default.
            options: Settings of this draw, over those of the run.

        Raises:
            BudgetExceeded: The budget does not afford it, or its time ran out.
        """
        asked = self.prompt if prompt is None else prompt
        drawn = self._draw(self._source(sampler), asked, options, None)
        return (await self._in_time(drawn))[0]

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
        in_flight: Callable[[], int] | None = None,
        until: Callable[[], bool] | None = None,
        wakes: Iterable[float] = (),
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
            in_flight: How many draws may be under way as things stand; asked after each arrival.
            until: Whether to end; asked after each arrival and at `wakes`.
            wakes: Seconds since the run began at which to ask `until` again.
        """
        inputs = [self.prompt] * (n or 0) if prompts is None else list(prompts)
        source = self._source(sampler)

        def room() -> int:
            if self.exhausted is not None:
                return 0
            wanted = len(inputs) if in_flight is None else in_flight()
            return min(wanted, self.max_concurrency)

        async def work(position: int) -> tuple[Sample[T], Verdict | None]:
            sample, verdict = await self._draw(source, inputs[position], options, verifier)
            draws.positions[sample.index] = position
            return sample, verdict

        times = tuple(_clock_time(self.ledger.started, each) for each in wakes)
        plan = Plan(total=len(inputs), room=room, until=until, wakes=times)
        async with Nursery() as nursery:
            draws = Draws(work, plan, nursery, self.ledger)
            try:
                yield draws
            finally:
                draws.close()
                self.exhausted = self.exhausted or draws.exhausted

    async def _draw(
        self,
        source: Source[P, T],
        prompt: P,
        options: Options | None,
        verifier: Verifier[P] | None,
    ) -> tuple[Sample[T], Verdict | None]:
        expected = self.launched
        merged = self._options(options, expected)
        scope = self._scope("sample", None)
        share = await reserve(scope, source, prompt, merged, verifier)
        scope.index, self.launched = self.launched, self.launched + 1
        if scope.index != expected:  # others were launched while it waited for money
            merged = self._options(options, scope.index)
        verdict = None
        try:
            sample = await self._sampled(scope, source, prompt, merged)
            if verifier is not None and sample.error is None and sample.answer is not None:
                with self._stopping():  # the sample is paid for: it stands without a verdict
                    verdict = await self._verify(sample, verifier, prompt, share)
        finally:
            for each in share:
                each.release()
        return sample, verdict

    @contextmanager
    def _stopping(self) -> Generator[None]:
        """End the drawing, and nothing else, where a budget refuses a call."""
        try:
            yield
        except BudgetExceeded as error:
            self.exhausted = self.exhausted or error.limit

    async def _sampled(
        self, scope: Scope, source: Source[P, T], prompt: P, options: Options
    ) -> Sample[T]:
        attributes = {telemetry.RUN_ID: self.id, telemetry.INDEX: scope.index or 0}
        if len(self._sources) > 1:
            attributes[telemetry.SAMPLER] = source.name
        with entered(scope), self.recorder.span("thinktwice.sample", "CHAIN", attributes) as on:
            completion, error, started = None, None, now()
            try:
                if source.leaf:
                    completion = await complete(scope, source, prompt, options)
                else:
                    async with scope.working():
                        started = now()
                        completion = await source.complete(prompt, options)
            except asyncio.CancelledError as cancelled:
                if _recalled():
                    status: Status = "cancelled" if source.recallable else "abandoned"
                    telemetry.describe_recalled(on, status, self._end(scope, status, cancelled))
                    raise
                error = RuntimeError("the sampler cancelled itself")
            except BaseException as raised:
                if not isinstance(raised, Exception) or self._leaves(raised, source):
                    telemetry.describe_recalled(on, "error", self._end(scope, "error", raised))
                    raise
                error = raised
            total = self._end(scope, "error" if error else "ok", error)
            sample = self._made(
                scope, source, completion, error=error, total=total, seconds=now() - started
            )
            telemetry.describe_sample(
                on, sample, total, group=self._group(sample), arrival=len(self.samples) - 1
            )
        return sample

    async def _verify(
        self, sample: Sample[T], verifier: Verifier[P], prompt: P, share: Sequence[Lease]
    ) -> Verdict:
        scope = self._scope("verify", sample.index, share)
        attributes = {telemetry.VERIFIER: verifier.name, telemetry.INDEX: sample.index}
        name = f"thinktwice.verify {verifier.name}"
        with entered(scope), self.recorder.span(name, "EVALUATOR", attributes) as on:
            error = None
            try:
                verdict = await verifier(sample, prompt=prompt)
            except asyncio.CancelledError as cancelled:
                if _recalled():
                    total = self._end(scope, "cancelled", cancelled)
                    telemetry.describe_recalled(on, "cancelled", total)
                    raise
                error = RuntimeError("the verifier cancelled itself")
                verdict = Verdict(outcome="error", evidence=(status_of(error),))
            except BaseException as raised:
                if not isinstance(raised, Exception) or self._leaves(raised, None):
                    telemetry.describe_recalled(on, "error", self._end(scope, "error", raised))
                    raise
                error = raised
                verdict = Verdict(outcome="error", evidence=(status_of(raised),))
            total = self._end(scope, "error" if error else "ok", error)
            verdict = replace(verdict, verifier=verifier.name, sample=sample.index)
            self.verdicts[sample.index] = verdict
            telemetry.describe_verdict(on, verdict, total)
        return verdict

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
            self.exhausted = self.exhausted or error.limit
            raise

    def _made(
        self,
        scope: Scope,
        source: Source[P, T],
        completion: Completion[T] | None,
        *,
        error: Exception | None,
        total: Total,
        seconds: float,
    ) -> Sample[T]:
        """The sample, kept whatever its key does: it is paid for."""
        entries = scope.ledger.entries
        called = {entry.model for entry in entries}
        model = called.pop() if len(called) == 1 else None
        cached = bool(entries) and all(entry.cached for entry in entries)
        known = completion if completion is not None else _NOTHING
        value, text = known.value, known.text
        answer, mistake = None, None
        if completion is not None:
            try:
                answer = self._answer(completion)
            except UsageError as raised:
                mistake = raised
        sample = Sample(
            index=scope.index or 0,
            value=value,
            answer=answer,
            text=value if text is None and isinstance(value, str) else text,
            logprobs=known.logprobs,
            finish_reason=known.finish_reason,
            cached=known.cached or cached,
            usage=total.usage,
            cost=total.cost,
            seconds=total.seconds if source.leaf else seconds,
            model=known.model or model,
            error=error,
            sampler=source.name,
        )
        self.samples.append(sample)
        if mistake is not None:
            raise mistake
        return sample

    def _answer(self, completion: Completion[T]) -> Hashable | None:
        """What the sample is counted by; one that was cut short abstains."""
        if completion.finish_reason in _ABSTAINS:
            return None
        return self._key(completion.value)

    def _group(self, sample: Sample[T]) -> int:
        """Ordinal of the answer among those seen, for spans; -1 abstains."""
        if sample.answer is None:
            return -1
        return self._ordinals.setdefault(sample.answer, len(self._ordinals))

    def _leaves(self, error: Exception, source: Source[P, T] | None) -> bool:
        """Whether an exception ends the run, and not the sample or the check alone."""
        if isinstance(error, BudgetExceeded):
            return self.ledger.bound_by(error.limit)
        return isinstance(error, (UsageError, *(source.passthrough if source else ())))

    def _end(self, scope: Scope, status: Status, error: BaseException | None) -> Total:
        self.nested.extend(scope.nested)
        total = scope.end(status, error)
        if scope.role == "sample":
            self.recorder.count_sample(self._setting.strategy, status)
        return total

    def _scope(self, role: Role, index: int | None, leases: Sequence[Lease] = ()) -> Scope:
        return Scope(
            strategy=self._setting.strategy,
            role=role,
            index=index,
            ledger=self.ledger,
            limiters=self._limiters,
            prices=self._setting.prices,
            recorder=self.recorder,
            leases=leases,
        )

    def _options(self, options: Options | None, index: int) -> Options:
        common = self._setting.options
        base = common(index) if callable(common) else common
        return {**(base or {}), **(options or {})}

    def _source(self, sampler: str | None) -> Source[P, T]:
        if sampler is None:
            return next(iter(self._sources.values()))
        try:
            return self._sources[sampler]
        except KeyError:
            remedy = f"this run has the samplers {', '.join(self._sources)}"
            raise UsageError("sampler", sampler, remedy) from None


def _recalled() -> bool:
    """Whether this task was cancelled, and not something inside that it waited for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _clock_time(started: float, seconds: float) -> float:
    """The first time on the clock from which so many seconds have passed, rounding included."""
    time = started + seconds
    while time - started < seconds:
        time = math.nextafter(time, math.inf)
    return time
