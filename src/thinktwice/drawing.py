"""How one sample is drawn and judged: its books, its spans, and what becomes of an error."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice import telemetry
from thinktwice.account import now
from thinktwice.answers import key_function
from thinktwice.calls import complete, reserve
from thinktwice.errors import BudgetExceeded, UsageError, status_of
from thinktwice.ledger import Ledger
from thinktwice.nursery import Nursery
from thinktwice.sample import Completion, Sample, Verdict, finish_meaning
from thinktwice.scope import Scope, current_scope, entered, ledger_around

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Sequence

    from thinktwice.account import Lease
    from thinktwice.budget import Budget, Limit
    from thinktwice.entry import Role, Status, Total
    from thinktwice.limiter import Limiter
    from thinktwice.protocols import Options, PriceSource, Prompting, Verifier
    from thinktwice.result import Outcome, Result
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")

_REFUSED = frozenset({"content_filter", "refusal"})
_CUT_SHORT = _REFUSED | {"incomplete", "length"}
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
        exhausted: The budget that ended the drawing, once one has.
        warnings: What the caller should know.
        aloud: Those of them that become Python warnings.
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
        self._next = 0
        self.exhausted: Limit | None = None
        self.warnings: list[str] = []
        self.aloud: list[str] = []
        self.nested: list[Result[object]] = []
        self.offered: Outcome[T] | None = None
        inherited = outer.limiters if outer else ()
        self._limiters = tuple(dict.fromkeys([*inherited, *setting.limiters]))
        self.max_concurrency = min(each.max_concurrency for each in self._limiters)
        self._sources = sources
        self._setting = setting
        self._key = key_function(setting.key)
        self._ordinals: dict[Hashable, int] = {}

    async def _draw(
        self,
        source: Source[P, T],
        prompt: P,
        options: Options | None,
        verifier: Verifier[P] | None,
        *,
        partial: bool = False,
    ) -> tuple[Sample[T], Verdict | None]:
        expected = self._next
        merged = self._options(options, expected)
        scope = self._scope("sample", None)
        share = await reserve(scope, source, prompt, merged, verifier)
        scope.index, self._next = self._next, self._next + 1
        self.launched += 1
        if scope.index != expected:  # others were launched while it waited for money
            merged = self._options(options, scope.index)
        verdict = None
        try:
            sample = await self._sampled(scope, source, prompt, merged, partial=partial)
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
        self,
        scope: Scope,
        source: Source[P, T],
        prompt: P,
        options: Options,
        *,
        partial: bool,
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
                scope,
                source,
                completion,
                error=error,
                total=total,
                seconds=now() - started,
                abstains=_REFUSED if partial else _CUT_SHORT,
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
            verdict = replace(verdict, verifier=verifier.name, sample=sample.index)
            self.verdicts[sample.index] = verdict
            telemetry.describe_verdict(on, verdict, total)
        return verdict

    def _made(
        self,
        scope: Scope,
        source: Source[P, T],
        completion: Completion[T] | None,
        *,
        error: Exception | None,
        total: Total,
        seconds: float,
        abstains: frozenset[str],
    ) -> Sample[T]:
        """The sample, kept whatever its key does: it is paid for."""
        model, cached = _seen(scope) if not source.leaf or error else (source.model, False)
        known = completion if completion is not None else _NOTHING
        value, text = known.value, known.text
        answer, mistake = None, None
        ended = (finish_meaning(known.finish_reason) or "").lower()
        if completion is not None and ended not in abstains:
            try:
                answer = self._key(completion.value)
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
            refused = isinstance(error, BudgetExceeded) and not total.calls
            # It queued and was recalled, or was refused, before anything was sent.
            self.launched -= refused or not scope.begun
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
