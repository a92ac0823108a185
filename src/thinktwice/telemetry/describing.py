"""What is written of runs, samples and verdicts: no content, and no text of an error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode

from thinktwice.errors import status_of
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
    FAILED,
    GROUP,
    LAUNCHED,
    MODEL,
    OUTCOME,
    QUEUED,
    REQUESTED,
    RUN_ID,
    SCORE,
    SELECTED,
    STATUS,
    STEP,
    STOPPED_BY,
    STRATEGY,
    UNPRICED,
    USAGE,
    USAGE_SOURCE,
    USED,
)

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


def fail(on: Span, error: BaseException) -> None:
    """Mark a span as failed, with the type of the error and its status only."""
    # What was recalled because the run had decided did not fail.
    if on.is_recording() and not isinstance(error, asyncio.CancelledError):
        on.set_attribute(ERROR_TYPE, type(error).__qualname__)
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
        USAGE[name]: count for name, count in known_counts(usage).items()
    }
    return {**counts, USAGE_SOURCE: usage.source}


def total_attributes(total: Total) -> Attributes:
    """A sum of calls, for the span of a run, a sample or a verdict."""
    attributes = {**usage_attributes(total.usage), CALLS: total.calls, QUEUED: total.queued}
    if total.unpriced:
        attributes[UNPRICED] = total.unpriced
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
    attributes: dict[str, AttributeValue] = {
        **total_attributes(total),
        GROUP: group,
        ARRIVAL: arrival,
        STATUS: "error" if sample.error else "ok",
    }
    if sample.model:
        attributes[MODEL] = sample.model
    if sample.cached:
        attributes[CACHED] = True
    on.set_attributes(attributes)
    if sample.error is not None:
        fail(on, sample.error)


def describe_recalled(on: Span, status: str, total: Total) -> None:
    """Write what a sample had cost when it was recalled."""
    if on.is_recording():
        on.set_attributes({STATUS: status, **total_attributes(total)})


def describe_run(
    on: Span,
    ledger: Ledger,
    samples: Sequence[Sample[object]],
    launched: int,
    *,
    exhaustive: bool | None = None,
) -> None:
    """Write what a run spent, however it ended."""
    if not on.is_recording():
        return
    failed = sum(sample.error is not None for sample in samples)
    on.set_attributes(total_attributes(ledger.total))
    on.set_attributes({LAUNCHED: launched, FAILED: failed, CANCELLED: launched - len(samples)})
    if exhaustive is not None:
        on.set_attribute(EXHAUSTIVE, exhaustive)
    describe_budget(on, ledger)


def describe_budget(on: Span, ledger: Ledger) -> None:
    """Write the caps of a run, how they were kept, and what is left."""
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
