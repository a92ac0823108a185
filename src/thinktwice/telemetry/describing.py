"""What is written of runs, samples and verdicts: no content, and no text of an error."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode

from thinktwice.errors import RunError, is_number, status_of
from thinktwice.sample import known_counts
from thinktwice.telemetry.attributes import (
    AGREEMENT,
    ARRIVAL,
    BUDGET,
    CACHED,
    CALLS,
    CANCELLED,
    COST,
    COST_COMPLETE,
    CURRENCY,
    ERROR_TYPE,
    EXHAUSTIVE,
    EXPLORED,
    FAILED,
    GROUP,
    LAUNCHED,
    LENGTH,
    MODEL,
    OPERATION,
    OUTCOME,
    QUEUED,
    REQUESTED,
    RUN_ID,
    SCORE,
    SELECTED,
    SELECTION,
    STATUS,
    STEP,
    STOPPED_BY,
    STRATEGY,
    UNPRICED,
    USAGE,
    USAGE_SOURCE,
    USED,
    WEIGHT,
    WORKFLOW,
)
from thinktwice.telemetry.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Total
    from thinktwice.ledger import Ledger
    from thinktwice.result import Result
    from thinktwice.sample import Sample, Usage, Verdict

    Attributes: TypeAlias = Mapping[str, AttributeValue]


@harmless
def fail(on: Span, error: BaseException) -> None:
    """Mark a span as failed, with the type of the error and its status only."""
    # What was recalled because the run had decided did not fail.
    if on.is_recording() and not isinstance(error, asyncio.CancelledError):
        on.set_attribute(ERROR_TYPE, type(error).__qualname__)
        on.set_status(Status(StatusCode.ERROR, status_of(error)))


@harmless
def broke(on: Span) -> None:
    """Mark a span of what says itself that it broke: by what, it alone knows."""
    on.set_attribute(ERROR_TYPE, "_OTHER")
    on.set_status(Status(StatusCode.ERROR))


def strategy_attributes(name: str, run_id: str, requested: int | None) -> Attributes:
    """What is known when a run starts."""
    attributes: dict[str, AttributeValue] = {
        OPERATION: "invoke_workflow",
        WORKFLOW: name,
        RUN_ID: run_id,
        STRATEGY: name,
    }
    if requested is not None:
        attributes[REQUESTED] = requested
    return attributes


def usage_attributes(usage: Usage) -> dict[str, AttributeValue]:
    """Token counts under our own names, for spans that are no model call."""
    attributes: dict[str, AttributeValue] = {
        USAGE[name]: count for name, count in known_counts(usage).items()
    }
    attributes[USAGE_SOURCE] = usage.source
    return attributes


def total_attributes(total: Total) -> dict[str, AttributeValue]:
    """A sum of calls, for the span of a run, a sample or a verdict."""
    attributes = usage_attributes(total.usage)
    attributes[CALLS] = total.calls
    attributes[QUEUED] = total.queued
    if total.unpriced:
        attributes[UNPRICED] = total.unpriced
    if total.cost is not None:
        attributes[COST] = float(total.cost)
        attributes[CURRENCY] = "USD"
        attributes[COST_COMPLETE] = total.unpriced == 0
    return attributes


@harmless
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
    attributes = total_attributes(total)
    attributes[GROUP] = group
    attributes[ARRIVAL] = arrival
    attributes[STATUS] = "error" if sample.error else "ok"
    if sample.text is not None:
        attributes[LENGTH] = len(sample.text)
    if sample.model:
        attributes[MODEL] = sample.model
    if sample.cached:
        attributes[CACHED] = True
    on.set_attributes(attributes)
    if sample.error is not None:
        fail(on, sample.error)


@harmless
def describe_weight(on: Span, weight: float | None) -> None:
    """Write what a sample's vote weighs; nothing where nobody knows, nor of what is no weight."""
    if is_number(weight):
        on.set_attribute(WEIGHT, float(weight))


@harmless
def describe_recalled(on: Span, status: str, total: Total) -> None:
    """Write what a sample had cost when it was recalled."""
    if on.is_recording():
        on.set_attributes({STATUS: status, **total_attributes(total)})


@harmless
def describe_run(
    on: Span,
    ledger: Ledger,
    samples: Sequence[Sample[object]],
    launched: int,
) -> None:
    """Write what a run spent, however it ended."""
    if not on.is_recording():
        return
    failed = sum(sample.error is not None for sample in samples)
    attributes = ledger_attributes(ledger)
    attributes |= {LAUNCHED: launched, FAILED: failed, CANCELLED: launched - len(samples)}
    on.set_attributes(attributes)


@harmless
def describe_drawing(
    on: Span, *, exhaustive: bool | None, explored: bool | None, selection: str | None
) -> None:
    """Write whether the samples of a run can be replayed under another rule, and how."""
    if exhaustive is not None:
        on.set_attribute(EXHAUSTIVE, exhaustive)
    if explored is not None:
        on.set_attribute(EXPLORED, explored)
    if selection is not None:
        on.set_attribute(SELECTION, selection)


def ledger_attributes(ledger: Ledger) -> dict[str, AttributeValue]:
    """What a ledger says: the sum, its caps, how they were kept, and what is left of them."""
    attributes = total_attributes(ledger.total)
    for kind, level in ledger.enforcement.items():
        attributes[f"{BUDGET}{kind}"] = float(getattr(ledger.budget, kind))
        attributes[f"{BUDGET}{kind}.enforcement"] = level
    with suppress(RunError):  # the store of a quota fails, which the run itself has said
        for kind, left in ledger.remaining.items():
            attributes[f"{BUDGET}{kind}.remaining"] = float(left)
    if (step := ledger.step_around) is not None:
        attributes[STEP] = step
    return attributes


@harmless
def describe_result(on: Span, result: Result[object]) -> None:
    """Write what a run decided."""
    if not on.is_recording():
        return
    attributes: dict[str, AttributeValue] = {USED: result.used}
    if result.stopped_by is not None:
        attributes[STOPPED_BY] = _rule(result.stopped_by)
    if result.agreement is not None:
        attributes[AGREEMENT] = result.agreement
    if result.winner is not None:
        attributes[SELECTED] = result.winner.index
    on.set_attributes(attributes)


def _rule(by: object) -> str:
    """A rule as it is written; of one of the user's own the type, since it may hold content."""
    parts: Sequence[object] = getattr(by, "parts", ())
    named = list(map(_rule, parts))
    ours = type(by).__module__.startswith("thinktwice.")
    if ours and named == list(map(repr, parts)):
        return repr(by)
    name = type(by).__name__
    return f"{name}({', '.join(named)})" if named else name


@harmless
def describe_verdict(
    on: Span, verdict: Verdict, total: Total | None = None, error: BaseException | None = None
) -> None:
    """Write what a verifier said.

    Args:
        on: The verdict's span.
        verdict: What it said.
        total: The calls below it, where they are known.
        error: What it raised.
    """
    if not on.is_recording():
        return
    attributes: dict[str, AttributeValue] = {OUTCOME: verdict.outcome}
    if total is not None:
        attributes |= total_attributes(total)
    if verdict.score is not None:
        attributes[SCORE] = verdict.score
    on.set_attributes(attributes)
    if error is not None:
        fail(on, error)
    elif verdict.outcome == "error":
        broke(on)
