"""How one sample is drawn and judged: its books, its spans, and what becomes of an error."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice import telemetry
from thinktwice.account import now
from thinktwice.answers import awaited_key
from thinktwice.calls import complete, reserve
from thinktwice.choices import Choices
from thinktwice.entry import ZERO, Entry
from thinktwice.errors import BudgetExceeded, UsageError, status_of
from thinktwice.ledger import Ledger
from thinktwice.limiter.failures import is_congestion
from thinktwice.nursery import Nursery
from thinktwice.progress import Report
from thinktwice.sample import NO_USAGE, Completion, Sample, Verdict, finish_meaning
from thinktwice.scope import Scope, current_scope, entered
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Sequence

    from thinktwice.account import Lease
    from thinktwice.budget import Budget, Limit
    from thinktwice.draws import Draw
    from thinktwice.entry import Role, Status, Total
    from thinktwice.limiter import Limiter
    from thinktwice.progress import Watcher
    from thinktwice.protocols import Options, PriceSource, Prompting, Verifier
    from thinktwice.result import Outcome, Result
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")

_REFUSED = frozenset({"content_filter", "refusal"})
_CUT_SHORT = _REFUSED | {"incomplete", "length"}
_DRAWN = frozenset({"sample", "repair"})
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
        progress: Told what happens.
    """

    strategy: str
    key: str | Callable[..., Hashable | None] | None
    options: Options | Callable[[int], Options] | None
    limiters: Sequence[Limiter]
    prices: PriceSource
    prompting: Prompting[P] | None = None
    progress: Watcher | None = None


@dataclass(frozen=True, kw_only=True)
class Request(Generic[P, T]):
    """What one draw asks for.

    Attributes:
        source: What is sampled.
        prompt: The input.
        options: Settings of this draw, over those of the run.
        verifier: Judges the sample.
        partial: It is a step: one that max tokens cut short has an answer all the same.
        role: What its calls are for: "sample", or "repair" of an earlier one.
        variant: Name of the variant that it is drawn from.
        draw: Its place among several.
    """

    source: Source[P, T]
    prompt: P
    options: Options | None = None
    verifier: Verifier[P] | None = None
    partial: bool = False
    role: Role = "sample"
    variant: str | None = None
    draw: Draw | None = None

    @property
    def hedge(self) -> bool:
        """It is one more than were asked for, as another straggles."""
        return self.draw is not None and self.draw.hedge


class Drawing(Generic[P, T]):
    """The state of a run, and the steps that `Run` puts together.

    Attributes:
        prompt: The input.
        id: Random name of this run, in its spans.
        recorder: Writes its spans and metrics.
        ledger: Caps and costs of this run, inside those around it.
        samples: Finished draws so far, in order of arrival.
        verdicts: What verifiers said last, by index of the sample.
        launched: Draws started.
        hedges: Those of them that were started in the slots of stragglers.
        replayed: Samples from a cache that keeps one for each draw.
        exhausted: The budget that ended the drawing, once one has.
        cut_inside: The budget, of this run or around it, that cut a run inside a sample short.
        warnings: What the caller should know.
        aloud: Those of them that become Python warnings.
        nested: Results of the runs inside this one's samples and verdicts.
        offered: The best answer so far, if the strategy left one.
        tally: Samples so far by answer, in order of first appearance.
        report: Tells whoever watches.
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
        self.hedges: int = 0
        self.replayed = 0
        self._next = 0
        self.exhausted: Limit | None = None
        self.cut_inside: Limit | None = None
        self.warnings: list[str] = []
        self.aloud: list[str] = []
        self.nested: list[Result[object]] = []
        self.offered: Outcome[T] | None = None
        inherited = outer.limiters if outer else ()
        self._limiters = tuple(dict.fromkeys([*inherited, *setting.limiters]))
        self.max_concurrency = min(each.max_concurrency for each in self._limiters)
        self._sources = sources
        self._setting = setting
        self._key = awaited_key(setting.key)
        self._ordinals: dict[Hashable, int] = {}
        self.tally: list[int] = []
        self._checks: Counter[tuple[Role, int | None]] = Counter()
        self._choices: Choices[P, T] = Choices(partial(self.warn, aloud=True))
        self.report = Report(setting.progress, setting.strategy)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self.ledger.seconds

    def warn(self, message: str, *, aloud: bool = False) -> None:
        """Tell the caller something, once; it must hold no content.

        Args:
            message: For `result.warnings`.
            aloud: Also as a Python warning, once a process, when the run is over.
        """
        if message not in self.warnings:
            self.warnings.append(message)
            if aloud:
                self.aloud.append(message)

    async def tell_decided(self, result: Result[T]) -> None:
        """Tell whoever watches that the run is over."""
        winner = result.winner
        group = None if winner is None else self._group(winner)
        await self.report.of_decision(self, result, group)  # type: ignore[arg-type] - of anything

    async def _draw(self, request: Request[P, T]) -> tuple[Sample[T], Verdict | None]:
        expected, verifier = self._next, request.verifier
        options = self._options(request.options, expected)
        draw = request.draw
        scope = self._scope(request.role, None, on_begun=None if draw is None else draw.begun)
        share = await self._reserved(scope, request, options)
        scope.index, self._next = self._next, self._next + 1
        self.launched += 1
        if scope.index != expected:  # others were launched while it waited for money
            options = self._options(request.options, scope.index)
        verdict = None
        try:
            sample = await self._sampled(scope, request, options)
            if draw is not None:
                draw.ended()
            told = await self.report.of_sample(self, sample, self._group(sample))
            if not told:
                return sample, None
            if verifier is not None and sample.error is None and sample.answer is not None:
                with self._stopping():  # the sample is paid for: it stands without a verdict
                    verdict = await self._verify(sample, verifier, request.prompt, share)
        finally:
            for each in share:
                each.release()
        return sample, verdict

    async def _reserved(
        self, scope: Scope, request: Request[P, T], options: Options
    ) -> list[Lease]:
        """Hold what the draw may cost; a hedge takes what is free, and waits for nothing."""
        source, prompt, verifier = request.source, request.prompt, request.verifier
        if not request.hedge:
            return await reserve(scope, source, prompt, options, verifier)
        self.ledger.make_room(1 + getattr(verifier, "calls", 0))
        try:
            return await reserve(scope, source, prompt, options, verifier, wait=False)
        except BudgetExceeded:
            source.history.latencies.return_hedge()
            raise

    @contextmanager
    def _stopping(self) -> Generator[None]:
        """End the drawing, and nothing else, where a budget refuses a call."""
        try:
            yield
        except BudgetExceeded as error:
            self.exhausted = self.exhausted or error.limit

    async def _sampled(self, scope: Scope, request: Request[P, T], options: Options) -> Sample[T]:
        source = request.source
        attributes = self._attributes(request, scope.index or 0)
        with entered(scope), self.recorder.span("thinktwice.sample", "CHAIN", attributes) as on:
            completion, error, started = None, None, now()
            try:
                completion = await self._completed(scope, request, options)
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
            seconds = now() - (scope.since or started)
            total = self._end(scope, "error" if error else "ok", error)
            answer = None
            try:
                answer = await self._answer(request, completion)
            finally:  # it is kept whatever its key does: it is paid for
                sample = self._made(
                    scope,
                    request,
                    completion or _NOTHING,
                    answer=answer,
                    error=error,
                    total=total,
                    seconds=seconds,
                )
                telemetry.describe_sample(
                    on, sample, total, group=self._count(sample), arrival=len(self.samples) - 1
                )
        return sample

    async def _completed(
        self, scope: Scope, request: Request[P, T], options: Options
    ) -> Completion[T]:
        """Call the sampler, alone or for other draws as well, or wait for one that does."""
        source, prompt = request.source, request.prompt
        joins = request.role == "sample" and not request.hedge
        while True:
            seat = self._choices.seat(source, prompt, options) if joins else None
            if seat is None or seat.sends:
                break
            scope.begin()  # without a place in the limiters: its sender has one
            with scope.resting():
                choice = await seat.choice()
            if choice is not None:
                scope.join()
                return choice
        try:
            sender = source if seat is None else seat.source
            if source.leaf:
                return await complete(scope, sender, prompt, options)
            async with scope.working():
                scope.since = now()
                return await sender.complete(prompt, options)
        finally:
            if seat is not None:
                seat.give_up()

    async def _answer(
        self, request: Request[P, T], completion: Completion[T] | None
    ) -> Hashable | None:
        """The key of what was drawn; None abstains."""
        if completion is None:
            return None
        ended = (finish_meaning(completion.finish_reason) or "").lower()
        if ended in (_REFUSED if request.partial else _CUT_SHORT):
            return None
        try:
            return await self._key(completion.value)
        except asyncio.CancelledError:
            if _recalled():
                raise
            return None  # the key cancelled itself
        except UsageError:
            if completion.value is None and not request.source.leaf:
                return None  # what is inside has no answer, and a key need not know of that
            raise

    def _attributes(self, request: Request[P, T], index: int) -> dict[str, str | int]:
        """Of the span of a sample."""
        attributes: dict[str, str | int] = {telemetry.RUN_ID: self.id, telemetry.INDEX: index}
        if len(self._sources) > 1:
            attributes[telemetry.SAMPLER] = request.source.name
        if request.variant is not None:
            attributes[telemetry.VARIANT] = request.variant
        if request.hedge:
            attributes[telemetry.HEDGE] = True
        if request.role != "sample":
            attributes[telemetry.ROLE] = request.role
        return attributes

    async def _ask(
        self, source: Source[X, Y], prompt: X, role: Role, options: Options
    ) -> Completion[Y]:
        scope = self._scope(role, None)
        with entered(scope), self.recorder.span(f"thinktwice.{role}", "CHAIN", {}) as on:
            status: Status = "error"
            try:
                if source.leaf:
                    completion = await complete(scope, source, prompt, options)
                else:
                    async with scope.working():
                        completion = await source.complete(prompt, options)
                status = "ok"
            except asyncio.CancelledError:
                status = "cancelled"
                raise
            finally:
                telemetry.describe_recalled(on, status, self._end(scope, status, None))
        return completion

    async def _verify(
        self, sample: Sample[T], verifier: Verifier[P], prompt: P, share: Sequence[Lease]
    ) -> Verdict:
        scope = self._scope(getattr(verifier, "role", "verify"), sample.index, share)
        started = now()
        attributes = {telemetry.VERIFIER: verifier.name, telemetry.INDEX: sample.index}
        name = f"thinktwice.verify {verifier.name}"
        with entered(scope), self.recorder.span(name, "EVALUATOR", attributes) as on:
            error = None
            try:
                verdict = _checked(await verifier(sample, prompt=prompt))
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
            if not total.calls:
                self._note_tool(verdict, sample.index, error, now() - started)
            verdict = replace(verdict, verifier=verifier.name, sample=sample.index)
            self.verdicts[sample.index] = verdict
            telemetry.describe_verdict(on, verdict, total)
        await self.report.of_verdict(self, verdict)
        return verdict

    def _note_tool(
        self, verdict: Verdict, index: int, error: Exception | None, seconds: float
    ) -> None:
        """In the ledger, so that a check that broke can be told from one that never ran."""
        self.ledger.note(
            Entry(
                role="tool",
                status="error" if verdict.outcome == "error" else "ok",
                usage=NO_USAGE,
                cost=ZERO,
                seconds=seconds,
                sample=index,
                called=False,
                error=None if error is None else status_of(error),
            )
        )

    def _made(
        self,
        scope: Scope,
        request: Request[P, T],
        completion: Completion[T] | Completion[None],
        *,
        answer: Hashable | None,
        error: Exception | None,
        total: Total,
        seconds: float,
    ) -> Sample[T]:
        source, value, text = request.source, completion.value, completion.text
        model, cached = _seen(scope) if not source.leaf or error else (source.model, False)
        sample = Sample(
            index=scope.index or 0,
            value=value,
            answer=answer,
            text=value if text is None and isinstance(value, str) else text,
            logprobs=completion.logprobs,
            top_logprobs=completion.top_logprobs,
            finish_reason=completion.finish_reason,
            cached=completion.cached or cached,
            usage=total.usage,
            cost=total.cost,
            seconds=total.seconds if source.leaf else seconds,
            model=completion.model or model,
            error=error,
            sampler=source.name,
            variant=request.variant,
        )
        self.samples.append(sample)
        self.replayed += sample.cached and scope.distinct
        _remember(source, sample)
        return sample

    def _group(self, sample: Sample[T]) -> int:
        """Ordinal of the answer among those seen; -1 abstains."""
        if sample.answer is None:
            return -1
        return self._ordinals.setdefault(sample.answer, len(self._ordinals))

    def _count(self, sample: Sample[T]) -> int:
        """Take a sample into the tally."""
        group = self._group(sample)
        if group == len(self.tally):
            self.tally.append(0)
        if group >= 0:
            self.tally[group] += 1
        return group

    def _leaves(self, error: Exception, source: Source[P, T] | None) -> bool:
        """Whether an exception ends the run, and not the sample or the check alone."""
        if isinstance(error, BudgetExceeded):
            return self.ledger.bound_by(error.limit)
        return isinstance(error, (UsageError, *(source.passthrough if source else ())))

    def _end(self, scope: Scope, status: Status, error: BaseException | None) -> Total:
        self.nested.extend(scope.nested)
        cuts = [each.cut for each in scope.nested if each.cut is not None]
        self.cut_inside = next(filter(self.ledger.bound_by, cuts), self.cut_inside)
        for remark in scope.remarks:
            self.warn(remark, aloud=True)
        total = scope.end(status, error)
        if scope.draws:
            refused = isinstance(error, BudgetExceeded | asyncio.CancelledError) and not total.calls
            # It queued and was recalled, or was refused, before anything was sent.
            self.launched -= refused or not scope.begun
            self.recorder.count_sample(self._setting.strategy, status)
        return total

    def _scope(
        self,
        role: Role,
        index: int | None,
        leases: Sequence[Lease] = (),
        on_begun: Callable[[], None] | None = None,
    ) -> Scope:
        ordinal = 0
        if role not in _DRAWN:
            ordinal = self._checks[role, index]
            self._checks[role, index] += 1
        return Scope(
            strategy=self._setting.strategy,
            role=role,
            index=index,
            ledger=self.ledger,
            limiters=self._limiters,
            prices=self._setting.prices,
            recorder=self.recorder,
            leases=leases,
            on_begun=on_begun,
            ordinal=ordinal,
            run=self.id,
        )

    def _options(self, options: Options | None, index: int) -> Options:
        common = self._setting.options
        base = common(index) if callable(common) else common
        if not isinstance(base, Mapping | None):
            raise UsageError("options", base, "give a mapping of settings, or a function of one")
        return {**(base or {}), **(options or {})}

    def _source(self, sampler: str | None) -> Source[P, T]:
        if sampler is None:
            return next(iter(self._sources.values()))
        try:
            return self._sources[sampler]
        except KeyError:
            remedy = f"this run has the samplers {', '.join(self._sources)}"
            raise UsageError("sampler", sampler, remedy) from None


def _remember(source: Source[P, T], sample: Sample[T]) -> None:
    """For the stragglers of later runs."""
    if sample.error is None and not sample.cached:
        source.history.latencies.add(sample.seconds)
    elif sample.error is not None and is_congestion(sample.error):
        source.history.latencies.pause(now())


def _checked(verdict: object) -> Verdict:
    """What a verifier must return."""
    if not isinstance(verdict, Verdict):
        raise UsageError("verifier", type(verdict), "return a Verdict, or wrap it by as_verifier")
    return verdict


def _seen(scope: Scope) -> tuple[str | None, bool]:
    """The one model that was called, if it was one, and whether all came from a cache."""
    entries = scope.ledger.entries
    called = {entry.model for entry in entries}
    model = called.pop() if len(called) == 1 else None
    return model, bool(entries) and all(entry.cached for entry in entries)


def _recalled() -> bool:
    """Whether this task was cancelled, and not something inside that it waited for."""
    task = asyncio.current_task()
    if task is None or (task.cancelling() and Nursery.recalled(task)):
        return True
    while task.uncancel():  # it cancelled itself: go on without
        pass
    return False
