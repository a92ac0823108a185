"""Spans and metrics. Every attribute name that thinktwice writes stands in this file.

`gen_ai.usage.*` and vendor cost attributes go on leaf spans of model calls only, so that no
backend counts a token twice; what belongs to a run, a sample or a verdict is under `thinktwice.*`.
No prompt, completion or answer is written, and no text of an error.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel
from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from thinktwice.errors import UsageError, status_of
from thinktwice.instrumentation import instrumented, suppressed
from thinktwice.sample import known_counts

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Span, SpanContext, Tracer
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry, Total
    from thinktwice.ledger import Ledger
    from thinktwice.result import Result
    from thinktwice.sample import Sample, Usage, Verdict

    Attributes = Mapping[str, AttributeValue]

# Ours.
RUN_ID: Final = "thinktwice.run.id"
STRATEGY: Final = "thinktwice.strategy"
REQUESTED: Final = "thinktwice.samples.requested"
LAUNCHED: Final = "thinktwice.samples.launched"
USED: Final = "thinktwice.samples.used"
FAILED: Final = "thinktwice.samples.failed"
CANCELLED: Final = "thinktwice.samples.cancelled"
STOPPED_BY: Final = "thinktwice.stopped_by"
AGREEMENT: Final = "thinktwice.agreement"
SELECTED: Final = "thinktwice.selected.index"
INDEX: Final = "thinktwice.sample.index"
ARRIVAL: Final = "thinktwice.sample.arrival"
GROUP: Final = "thinktwice.sample.group"
SAMPLER: Final = "thinktwice.sampler"
VARIANT: Final = "thinktwice.sample.variant"
HEDGE: Final = "thinktwice.sample.hedge"
ROLE: Final = "thinktwice.role"
STATUS: Final = "thinktwice.status"
OUTCOME: Final = "thinktwice.outcome"
SCORE: Final = "thinktwice.score"
VERIFIER: Final = "thinktwice.verifier"
MODEL: Final = "thinktwice.model"
CACHED: Final = "thinktwice.cached"
CALLS: Final = "thinktwice.calls"
QUEUED: Final = "thinktwice.queue_seconds"
COST: Final = "thinktwice.cost"
CURRENCY: Final = "thinktwice.cost.currency"
COST_COMPLETE: Final = "thinktwice.cost.complete"
USAGE_SOURCE: Final = "thinktwice.usage.source"
BUDGET: Final = "thinktwice.budget."
STEP: Final = "thinktwice.step"
TOKEN_TYPE: Final = "thinktwice.token.type"
SHADOW: Final = "thinktwice.shadow"
CHANGED: Final = "thinktwice.shadow.changed"
_USAGE: Final[Mapping[str, str]] = {
    "input_tokens": "thinktwice.usage.input_tokens",
    "output_tokens": "thinktwice.usage.output_tokens",
    "cache_read_tokens": "thinktwice.usage.cache_read.input_tokens",
    "cache_write_tokens": "thinktwice.usage.cache_creation.input_tokens",
    "reasoning_tokens": "thinktwice.usage.reasoning.output_tokens",
}
# The conventions', on leaf spans of model calls alone.
_GEN_AI_USAGE: Final[Mapping[str, str]] = {
    name: ours.replace("thinktwice", "gen_ai") for name, ours in _USAGE.items()
}
_GEN_AI_REQUEST: Final = ("temperature", "top_p", "max_tokens", "seed")
_OPENINFERENCE_KIND: Final = "openinference.span.kind"
_ERROR_TYPE: Final = "error.type"

_SECONDS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_DOLLARS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10)
_LLM_SPANS_VARIABLE: Final = "THINKTWICE_LLM_SPANS"


def _version() -> str:
    try:
        return version("thinktwice")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


_VERSION: Final = _version()


class Recorder:
    """Writes the spans and metrics of one run, to the providers that are set when it begins.

    Where no SDK is set up it does nothing, at nearly no cost; and no spans where the caller has
    suppressed instrumentation.
    """

    def __init__(self) -> None:
        """Look the providers up: applications set theirs after importing us."""
        provider, meters = trace.get_tracer_provider(), metrics.get_meter_provider()
        self.tracer = _tracer(provider) if _is_sdk(provider) and not suppressed() else None
        self.instruments = _instruments(meters) if _is_sdk(meters) else None

    def span(
        self, name: str, kind: str, attributes: Attributes, *, link: SpanContext | None = None
    ) -> AbstractContextManager[Span, bool | None]:
        """Open a span and make it current; an exception leaves its type behind, never its text.

        Args:
            name: Low-cardinality name.
            kind: "CHAIN", "TOOL" or "EVALUATOR", as OpenInference backends group by it.
            attributes: Set at the start, where samplers see them.
            link: A span of another trace that it goes back to.
        """
        if self.tracer is None:
            return _NO_SPAN
        links = [trace.Link(link)] if link is not None and link.is_valid else None
        attributes = {_OPENINFERENCE_KIND: kind, **attributes}
        started = self.tracer.start_span(name, attributes=attributes, links=links)
        return _open(started)

    def leaf(
        self,
        model: str | None,
        provider: str | None,
        options: Mapping[str, object],
        *,
        emitted: bool | None = None,
    ) -> Leaf:
        """Open the span of a model call, unless somebody else opens one too.

        Args:
            model: The model asked for.
            provider: Who serves it.
            options: Settings of the call; the common ones are written.
            emitted: Whether somebody else does, where the caller knows; else known instrumentations
                are looked for.
        """
        if self.tracer is None or not _wanted(emitted=emitted):
            return NO_LEAF
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            _OPENINFERENCE_KIND: "LLM",
        }
        if model:
            attributes["gen_ai.request.model"] = model
        if provider:
            attributes["gen_ai.provider.name"] = provider
        for name in _GEN_AI_REQUEST:
            if isinstance(value := options.get(name), int | float):
                attributes[f"gen_ai.request.{name}"] = value
        name = f"chat {model}" if model else "chat"
        return Leaf(self.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes))

    def count_sample(self, strategy: str, status: str) -> None:
        """Count a draw by how it ended."""
        if self.instruments is not None:
            self.instruments.samples.add(1, {STRATEGY: strategy, STATUS: status})

    def count_run(self, strategy: str, ledger: Ledger) -> None:
        """Record how long a run took and what it cost."""
        if self.instruments is None:
            return
        self.instruments.duration.record(ledger.seconds, {STRATEGY: strategy})
        cost = ledger.total.cost
        if cost is not None:
            self.instruments.strategy_cost.record(float(cost), {STRATEGY: strategy})

    def count_call(self, strategy: str, entry: Entry) -> None:
        """Count tokens and cost of one call: exact totals even where traces are sampled."""
        if self.instruments is None:
            return
        attributes: dict[str, AttributeValue] = {STRATEGY: strategy, ROLE: entry.role}
        if entry.model:
            attributes[MODEL] = entry.model
        counts = {"input": entry.usage.input_tokens, "output": entry.usage.output_tokens}
        source = {USAGE_SOURCE: entry.usage.source}
        for kind, count in counts.items():
            if count:
                self.instruments.tokens.add(count, {**attributes, TOKEN_TYPE: kind, **source})
        if entry.cost is None:
            self.instruments.unpriced.add(1, attributes)
        else:
            self.instruments.cost.add(float(entry.cost), {**attributes, CURRENCY: "USD"})


@contextmanager
def _open(started: Span) -> Generator[Span]:
    """Make a span current and end it, with the type of what was raised."""
    with trace.use_span(
        started, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield started
        except BaseException as error:
            fail(started, error)
            raise


_NO_SPAN: Final = nullcontext(trace.INVALID_SPAN)


class _Instruments:
    """The metrics."""

    def __init__(self, meters: metrics.MeterProvider) -> None:
        meter = metrics.get_meter("thinktwice", _VERSION, meters)
        self.duration: Histogram = meter.create_histogram(
            "thinktwice.strategy.duration",
            "s",
            "Wall-clock time of a strategy run.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.strategy_cost: Histogram = meter.create_histogram(
            "thinktwice.strategy.cost",
            "{USD}",
            "Cost of a strategy run.",
            explicit_bucket_boundaries_advisory=_DOLLARS,
        )
        self.tokens: Counter = meter.create_counter("thinktwice.tokens", "{token}", "Tokens.")
        self.cost: Counter = meter.create_counter("thinktwice.cost", "{USD}", "Cost of calls.")
        self.samples: Counter = meter.create_counter("thinktwice.samples", "{sample}", "Samples.")
        self.unpriced: Counter = meter.create_counter(
            "thinktwice.calls.unpriced", "{call}", "Calls whose cost is not known."
        )


@lru_cache(maxsize=4)
def _tracer(provider: trace.TracerProvider) -> Tracer:
    return trace.get_tracer("thinktwice", _VERSION, provider)


@lru_cache(maxsize=4)
def _instruments(meters: metrics.MeterProvider) -> _Instruments:
    return _Instruments(meters)


def _is_sdk(provider: object) -> bool:
    """Whether somebody set a provider up: the API's own ones only stand in for it."""
    return not type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics")
    )


def fail(on: Span, error: BaseException) -> None:
    """Mark a span as failed, with the type of the error and its status only."""
    # What was recalled because the run had decided did not fail.
    if on.is_recording() and not isinstance(error, asyncio.CancelledError):
        on.set_attribute(_ERROR_TYPE, type(error).__qualname__)
        on.set_status(Status(StatusCode.ERROR, status_of(error)))


def strategy_attributes(name: str, run_id: str, requested: int | None) -> Attributes:
    """What is known when a run starts."""
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": name,
        RUN_ID: run_id,
        STRATEGY: name,
    }
    if requested is not None:
        attributes[REQUESTED] = requested
    return attributes


def usage_attributes(usage: Usage) -> Attributes:
    """Token counts under our own names, for spans that are no model call."""
    counts: dict[str, AttributeValue] = {
        _USAGE[name]: count for name, count in known_counts(usage).items()
    }
    return {**counts, USAGE_SOURCE: usage.source}


def total_attributes(total: Total) -> Attributes:
    """A sum of calls, for the span of a run, a sample or a verdict."""
    attributes = {**usage_attributes(total.usage), CALLS: total.calls, QUEUED: total.queued}
    if total.cost is not None:
        attributes |= {
            COST: float(total.cost),
            CURRENCY: "USD",
            COST_COMPLETE: total.unpriced == 0,
        }
    return attributes


def describe_sample(
    on: Span, sample: Sample[object], total: Total, *, group: int, arrival: int
) -> None:
    """Write what a finished sample was: no content, but enough to replay a stop rule.

    Args:
        on: The sample's span.
        sample: The sample.
        total: The calls below it.
        group: Ordinal of its answer among the answers of the run; -1 abstained or failed.
        arrival: Position in order of arrival.
    """
    if not on.is_recording():
        return
    on.set_attributes(total_attributes(total))
    on.set_attributes({GROUP: group, ARRIVAL: arrival, STATUS: "error" if sample.error else "ok"})
    if sample.model:
        on.set_attribute(MODEL, sample.model)
    if sample.cached:
        on.set_attribute(CACHED, value=True)
    if sample.error is not None:
        fail(on, sample.error)


def describe_recalled(on: Span, status: str, total: Total) -> None:
    """Write what a sample had cost when it was recalled."""
    if on.is_recording():
        on.set_attributes({STATUS: status, **total_attributes(total)})


def describe_run(
    on: Span, ledger: Ledger, samples: Sequence[Sample[object]], launched: int
) -> None:
    """Write what a run spent, however it ended."""
    if not on.is_recording():
        return
    failed = sum(sample.error is not None for sample in samples)
    on.set_attributes(total_attributes(ledger.total))
    on.set_attributes({LAUNCHED: launched, FAILED: failed, CANCELLED: launched - len(samples)})
    _describe_budget(on, ledger)


def _describe_budget(on: Span, ledger: Ledger) -> None:
    for kind, level in ledger.enforcement.items():
        on.set_attribute(f"{BUDGET}{kind}", float(getattr(ledger.budget, kind)))
        on.set_attribute(f"{BUDGET}{kind}.enforcement", level)
    for kind, left in ledger.remaining.items():
        on.set_attribute(f"{BUDGET}{kind}.remaining", float(left))
    if (step := ledger.step_around) is not None:
        on.set_attribute(STEP, step)


def describe_result(on: Span, result: Result[object]) -> None:
    """Write what a run decided."""
    if not on.is_recording():
        return
    on.set_attributes({STOPPED_BY: repr(result.stopped_by), USED: result.used})
    if result.agreement is not None:
        on.set_attribute(AGREEMENT, result.agreement)
    if result.winner is not None:
        on.set_attribute(SELECTED, result.winner.index)


def describe_verdict(on: Span, verdict: Verdict, total: Total) -> None:
    """Write what a verifier said."""
    if not on.is_recording():
        return
    on.set_attributes({OUTCOME: verdict.outcome, **total_attributes(total)})
    if verdict.score is not None:
        on.set_attribute(SCORE, verdict.score)


class Leaf:
    """The span of one model call; does nothing where somebody else emits it."""

    def __init__(self, on: Span | None) -> None:
        """Made by `Recorder.leaf`."""
        self.span = on

    def current(self) -> AbstractContextManager[object, bool | None]:
        """Make it the current span for a block, without ending it."""
        if self.span is None:
            return _NO_SPAN
        return trace.use_span(
            self.span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def discard(self) -> None:
        """It is no model call: leave no usage on it."""
        if self.span is not None:
            self.span.set_attribute(_OPENINFERENCE_KIND, "CHAIN")
            self.span.end()
            self.span = None

    def end(self, entry: Entry, *, error: BaseException | None = None) -> None:
        """Write usage and cost of the call, and close the span."""
        on = self.span
        if on is None:
            return
        self.span = None
        if on.is_recording():
            on.set_attributes(_leaf_attributes(entry))
            if error is not None:
                fail(on, error)
        on.end()


class Lasting:
    """The span of what is entered block by block, such as an agent; each time it may be the last.

    It is opened for the first block, and ended when a block fails or all is over. A block after
    that opens another one below it. Where somebody else traces model calls it does nothing.
    """

    def __init__(self, recorder: Recorder, name: str, run_id: str, *, emitted: bool | None) -> None:
        """Open nothing yet, but remember what is around.

        Args:
            recorder: Opens it.
            name: Low-cardinality name.
            run_id: Of the session.
            emitted: As for `Recorder.leaf`.
        """
        wanted = recorder.tracer is not None and _wanted(emitted=emitted)
        self._tracer = recorder.tracer if wanted else None
        self._name, self._run_id = name, run_id
        self._around = otel.get_current()
        self._on: Span | None = None

    def current(self) -> AbstractContextManager[object, bool | None]:
        """Make it the current span for a block, without ending it."""
        if self._tracer is None:
            return _NO_SPAN
        if self._on is None:
            attributes = {
                "gen_ai.operation.name": "invoke_agent",
                _OPENINFERENCE_KIND: "AGENT",
                RUN_ID: self._run_id,
            }
            self._on = self._tracer.start_span(self._name, self._around, attributes=attributes)
            self._around = trace.set_span_in_context(self._on, self._around)
        return trace.use_span(
            self._on, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def end(self, ledger: Ledger, error: BaseException | None) -> None:
        """Write what was spent, and close the span."""
        on, self._on = self._on, None
        if on is None:
            return
        if on.is_recording():
            on.set_attributes(total_attributes(ledger.total))
            _describe_budget(on, ledger)
            if error is not None:
                fail(on, error)
        on.end()


NO_LEAF: Final = Leaf(None)
"""Of a call whose span somebody else emits, or nobody."""


def _leaf_attributes(entry: Entry) -> Attributes:
    attributes: dict[str, AttributeValue] = {ROLE: entry.role, STATUS: entry.status}
    if entry.model:
        attributes["gen_ai.response.model"] = entry.model
    if entry.provider:
        attributes["gen_ai.provider.name"] = entry.provider
    if entry.usage.source == "provider":
        counts = known_counts(entry.usage)
        attributes |= {_GEN_AI_USAGE[name]: count for name, count in counts.items()}
    else:  # an estimate must not pass for the provider's count in a backend
        attributes |= usage_attributes(entry.usage)
    if entry.cached:
        attributes[CACHED] = True
    if entry.cost is not None:
        cost = float(entry.cost)
        attributes |= {COST: cost, CURRENCY: "USD"}
        if entry.usage.source == "provider":
            attributes |= {
                "gen_ai.usage.cost": cost,
                "operation.cost": cost,
                "mlflow.llm.cost": json.dumps({"total_cost": cost}),
            }
    return attributes


def _wanted(*, emitted: bool | None) -> bool:
    choice = os.environ.get(_LLM_SPANS_VARIABLE, "auto")
    if choice == "auto":
        return not (instrumented() if emitted is None else emitted)
    if choice not in {"always", "never"}:
        raise UsageError(_LLM_SPANS_VARIABLE, choice, "give auto, always or never")
    return choice == "always"
