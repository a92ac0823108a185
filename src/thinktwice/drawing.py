"""How one sample is drawn: its books, its spans, and what becomes of an error."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice import telemetry
from thinktwice.account import now
from thinktwice.calls import call_in, refuse_overrun, reserve
from thinktwice.choices import Choices
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.instrumentation import noded
from thinktwice.judging import Judging
from thinktwice.limiter.failures import is_congestion
from thinktwice.nursery import recalled
from thinktwice.sample import Completion, Sample, finish_meaning
from thinktwice.workflow import entered

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable

    from thinktwice.account import Lease
    from thinktwice.draws import Draw
    from thinktwice.entry import Role, Status, Total
    from thinktwice.protocols import Options, Verifier
    from thinktwice.sample import Verdict
    from thinktwice.sampling import Source
    from thinktwice.scope import Scope

P = TypeVar("P")
T = TypeVar("T")

_REFUSED = frozenset({"content_filter", "refusal"})
_CUT_SHORT = _REFUSED | {"incomplete", "length"}
_NOTHING: Completion[None] = Completion(value=None)


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


class Drawing(Judging[P, T]):
    """The steps of a draw, which `Run` puts together."""

    @cached_property
    def _choices(self) -> Choices[P, T]:
        return Choices(partial(self.warn, aloud=True))

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
                    refuse_overrun(scope, request.source)
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
        if not source.refusable:
            self.ledger.hear()  # also where no call is heard of in the end
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
        span = self.recorder.span("thinktwice.sample", "CHAIN", attributes)
        with entered(scope), span as on, noded(scope):
            completion, error, started = None, None, now()
            try:
                completion = await self._completed(scope, request, options)
            except asyncio.CancelledError as cancelled:
                if recalled():
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
            if self.weigh is not None and sample.answer is not None:
                telemetry.describe_weight(on, self.weighed(sample))
        return sample

    async def _completed(
        self, scope: Scope, request: Request[P, T], options: Options
    ) -> Completion[T]:
        """Call the sampler, alone or for other draws as well, or wait for one that does."""
        source, prompt = request.source, request.prompt
        joins = source.many is not None and request.role == "sample" and not request.hedge
        while True:
            seat = self._choices.seat(source, prompt, options) if joins else None
            if seat is None or seat.sends:
                break
            scope.begin()  # without a place in the limiters: its sender has one
            with scope.resting():
                choice = await seat.choice()
            if choice is not None:
                scope.join(counted=seat.counted)
                return choice
        try:
            sender = source if seat is None else seat.source
            return await call_in(scope, sender, prompt, options)
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
            if recalled():
                raise
            return None  # the key cancelled itself
        except UsageError:
            if completion.value is None and not request.source.leaf:
                return None  # what is inside has no answer, and a key need not know of that
            raise

    def _attributes(self, request: Request[P, T], index: int) -> dict[str, str | int]:
        """Of the span of a sample."""
        attributes: dict[str, str | int] = {
            telemetry.WORKFLOW: self._setting.strategy,
            telemetry.RUN_ID: self.id,
            telemetry.INDEX: index,
        }
        if len(self._sources) > 1:
            attributes[telemetry.SAMPLER] = request.source.name
        if request.variant is not None:
            attributes[telemetry.VARIANT] = request.variant
        if request.hedge:
            attributes[telemetry.HEDGE] = True
        if request.role != "sample":
            attributes[telemetry.ROLE] = request.role
        return attributes

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
        self.unheard += scope.silent and not source.refusable and error is None
        self.replayed += sample.cached and scope.distinct
        _remember(source, sample)
        return sample


def _remember(source: Source[P, T], sample: Sample[T]) -> None:
    """For the stragglers of later runs."""
    if sample.error is None and not sample.cached:
        source.history.latencies.add(sample.seconds)
    elif sample.error is not None and is_congestion(sample.error):
        source.history.latencies.pause(now())


def _seen(scope: Scope) -> tuple[str | None, bool]:
    """The one model that was called, if it was one, and whether all came from a cache."""
    entries = scope.ledger.entries
    called = {entry.model for entry in entries}
    model = called.pop() if len(called) == 1 else None
    return model, bool(entries) and all(entry.cached for entry in entries)
