"""From spans to rows: numbers and short names, and no content."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from thinktwice import telemetry
from thinktwice.store.seen import (
    Seen,
    duration_of,
    microseconds,
    model_of,
    name_of,
    real,
    short,
    start_of,
    status_of,
    tokens_of,
    trillionths,
    whole,
)
from thinktwice.store.tree import NOTHING, Node, Spend, span_id

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


class SpanRow(NamedTuple):
    """One span, as the table `spans` has it; see `schema.py`."""

    id: int
    parent: int | None
    request: int
    kind: str
    name: str | None
    model: str | None
    status: str | None
    started: int
    took: int
    position: int | None
    arrival: int | None
    answer: int | None
    score: float | None
    calls: int | None
    input: int | None
    output: int | None
    cost: int | None
    queued: int | None = None
    weight: float | None = None
    length: int | None = None


class RequestRow(NamedTuple):
    """One request, as the table `requests` has it; what is not known before its end is None."""

    id: int
    run: str
    trace: str
    strategy: str
    started: int
    took: int | None = None
    requested: int | None = None
    launched: int | None = None
    used: int | None = None
    failed: int | None = None
    stopped_by: str | None = None
    cut: int | None = None
    exhaustive: int | None = None
    agreement: float | None = None
    calls: int | None = None
    input: int | None = None
    output: int | None = None
    cost: int | None = None
    unpriced: int | None = None
    sampled: int | None = None
    wasted: int | None = None
    error: str | None = None
    explored: int | None = None
    selection: str | None = None


class SpendRow(NamedTuple):
    """What of a request went to one model in one role."""

    request: int
    model: str | None
    role: str
    spend: Spend
    estimated: int


def spend_on(seen: Seen) -> Spend:
    """What stands on a span of ours, what is below it included."""
    attributes = seen.attributes
    cost = attributes.get(telemetry.COST)
    calls = whole(attributes, telemetry.CALLS)
    if calls is None:
        calls = int(seen.kind == "call")
    unpriced = whole(attributes, telemetry.UNPRICED)
    if unpriced is None:
        unpriced = calls if cost is None and not attributes.get(telemetry.CACHED) else 0
    return Spend(
        calls,
        tokens_of(attributes, "input_tokens") or 0,
        tokens_of(attributes, "output_tokens") or 0,
        trillionths(cost) or 0,
        unpriced,
    )


def span_row(seen: Seen, node: Node) -> SpanRow:
    """Of an ended span.

    Args:
        seen: It.
        node: Of it, or, of somebody else's, of the span of ours around it.
    """
    span, attributes, ours = seen.span, seen.attributes, seen.ours
    around = node.parent if ours else node
    cost = trillionths(attributes.get(telemetry.COST)) if ours else None
    return SpanRow(
        id=span_id(span),
        parent=None if around is None else around.id,
        request=node.root.id,
        kind=seen.kind,
        name=name_of(seen),
        model=model_of(attributes),
        status=status_of(attributes),
        started=start_of(span),
        took=duration_of(span),
        position=whole(attributes, telemetry.INDEX),
        arrival=whole(attributes, telemetry.ARRIVAL),
        answer=whole(attributes, telemetry.GROUP),
        score=real(attributes.get(telemetry.SCORE)),
        calls=whole(attributes, telemetry.CALLS),
        input=tokens_of(attributes, "input_tokens"),
        output=tokens_of(attributes, "output_tokens"),
        cost=cost,
        queued=microseconds(attributes.get(telemetry.QUEUED)) or None,
        weight=real(attributes.get(telemetry.WEIGHT)),
        length=whole(attributes, telemetry.LENGTH),
    )


def spend_row(seen: Seen, node: Node, before: Spend = NOTHING) -> SpendRow:
    """What an ended span of ours spent itself; it ends in its node by that.

    Args:
        seen: It.
        node: Of it.
        before: The part of its sum that an earlier span has told of.
    """
    attributes = seen.attributes
    own = node.own(spend_on(seen).minus(before))
    if not own.calls and own.cost <= node.total.calls:  # what rounding the parts has left
        own = own._replace(cost=0)
    guessed = attributes.get(telemetry.USAGE_SOURCE) == "estimated"
    return SpendRow(
        request=node.root.id,
        model=model_of(attributes),
        role=_role(seen, node),
        spend=own,
        estimated=own.cost if guessed else 0,
    )


def begun(root: Node) -> RequestRow:
    """What is known of a request before it ends."""
    return _begun(Seen(root.span), root)


def _begun(seen: Seen, root: Node) -> RequestRow:
    span, attributes, context = seen.span, seen.attributes, seen.span.context
    return RequestRow(
        id=root.id,
        run=short(attributes.get(telemetry.RUN_ID))
        or (f"{context.span_id:016x}" if context else ""),
        trace=f"{context.trace_id:032x}" if context else "",
        strategy=_strategy(seen),
        started=start_of(span),
        requested=whole(attributes, telemetry.REQUESTED),
    )


def ended(seen: Seen, root: Node) -> RequestRow:
    """All of a request.

    Args:
        seen: The outermost span of ours, ended.
        root: Its node.
    """
    attributes = seen.attributes
    total = root.total
    used = whole(attributes, telemetry.USED)
    stopped_by, cut = _stopped_by(attributes.get(telemetry.STOPPED_BY))
    return _begun(seen, root)._replace(
        took=duration_of(seen.span),
        # Of strategies inside each other it is the product, and the run draws its own part alone.
        requested=None if root.nests else whole(attributes, telemetry.REQUESTED),
        launched=whole(attributes, telemetry.LAUNCHED),
        used=used,
        failed=whole(attributes, telemetry.FAILED),
        stopped_by=stopped_by,
        cut=int(cut),
        exhaustive=whole(attributes, telemetry.EXHAUSTIVE),
        agreement=real(attributes.get(telemetry.AGREEMENT)),
        calls=total.calls,
        input=total.input,
        output=total.output,
        cost=total.cost,
        unpriced=total.unpriced,
        sampled=sum(cost for _, cost in root.samples),
        wasted=sum(
            cost
            for arrival, cost in root.samples
            if arrival is None or used is None or arrival >= used
        ),
        error=short(attributes.get("error.type")),
        explored=whole(attributes, telemetry.EXPLORED),
        selection=short(attributes.get(telemetry.SELECTION)),
    )


def note(seen: Seen, node: Node) -> None:
    """Remember what an ended span of ours tells of the request around it."""
    attributes = seen.attributes
    if node.parent is not None and seen.kind == "run":
        node.root.nests = True
    if node.parent is node.root and seen.kind == "sample":
        cost = trillionths(attributes.get(telemetry.COST)) or 0
        node.root.samples.append((whole(attributes, telemetry.ARRIVAL), cost))


def _stopped_by(text: AttributeValue | None) -> tuple[str | None, bool]:
    """What ended a run, without amounts, and whether it was a budget."""
    said = short(text)
    if said is not None and said.startswith("Limit("):
        parts = said.split("'")
        return f"budget of {parts[1]}" if len(parts) > 1 else "budget", True
    return said, False


def _strategy(seen: Seen) -> str:
    """What a request runs: a strategy, one in the shadow, or an agent."""
    attributes = seen.attributes
    name = short(attributes.get(telemetry.STRATEGY)) or short(seen.span.name) or ""
    return f"{name} (shadow)" if attributes.get(telemetry.SHADOW) else name


def _role(seen: Seen, node: Node) -> str:
    """What the calls of a span are for: its own word, or that of the span around it."""
    while True:
        if role := short(seen.attributes.get(telemetry.ROLE)):
            return role
        if seen.kind not in {"call", "run", "agent"}:
            return seen.kind
        if node.parent is None:
            return "other"
        node = node.parent
        seen = Seen(node.span)
