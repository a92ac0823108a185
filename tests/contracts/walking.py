"""The contract: what must hold of the spans of any request, walked span by span."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from thinktwice.telemetry import attributes as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thinktwice.entry import Total
    from thinktwice.ledger import Ledger

_WRITTEN: Final = [each for name, each in vars(names).items() if name.isupper()]
TABLE: Final = frozenset(
    attribute
    for each in _WRITTEN
    for attribute in (each.values() if isinstance(each, dict) else [each])
)
"""Every name that stands in the table."""

OF_CALLS: Final = (
    *("gen_ai.usage.", "gen_ai.request.", "gen_ai.response.", "gen_ai.provider."),
    *("operation.cost", "mlflow.", "langfuse.observation.", "llm."),
)
"""How the names begin that a backend takes a span for a model call by."""

KINDS: Final = {
    "run": "CHAIN",
    "agent": "AGENT",
    "sample": "CHAIN",
    "verify": "EVALUATOR",
    "tool": "TOOL",
    "call": "LLM",
    "ask": "CHAIN",
    "sampler": "CHAIN",
    "shadow": "CHAIN",
}
_INSIDE: Final = {"sample", "verify", "tool", "ask", "sampler", "agent"}
_ABOVE: Final[Mapping[str, set[str | None]]] = {
    "run": {None, "shadow", *_INSIDE},
    "agent": {None, "shadow", *_INSIDE},
    "sample": {"run"},
    "verify": {"run"},
    "ask": {"run"},
    "tool": {"verify"},
    "call": {*_INSIDE},
    "sampler": {*_INSIDE},
    "shadow": {None},
}


class Started(SpanProcessor):
    """Knows which spans have started and not ended."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}

    def on_start(self, span, parent_context=None) -> None:
        del parent_context
        self.open[span.context.span_id] = span.name

    def on_end(self, span) -> None:
        self.open.pop(span.context.span_id, None)


@cache
def started() -> Started:
    """Of the provider of the process."""
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    watch = Started()
    provider.add_span_processor(watch)
    return watch


def kind_of(span: ReadableSpan) -> str:
    """What one of our spans is of."""
    first, _, rest = span.name.partition(" ")
    found = {
        "invoke_workflow": "run",
        "invoke_agent": "agent",
        "execute_tool": "tool",
        "chat": "call",
        "thinktwice.sample": "sample",
        "thinktwice.sampler": "sampler",
        "thinktwice.shadow": "shadow",
        "thinktwice.verify": "verify" if rest else "ask",
    }
    return found.get(first, "ask")


class Walk:
    """Spans that ended, ours and those of others."""

    def __init__(self, spans: Iterable[ReadableSpan]) -> None:
        self.by_id = {span.context.span_id: span for span in spans}
        self.ours = [s for s in self.by_id.values() if s.instrumentation_scope.name == "thinktwice"]
        self.below: dict[int, list[ReadableSpan]] = {}
        for span in self.ours:
            for above in self.above(span):
                self.below.setdefault(above.context.span_id, []).append(span)

    def of(self, kind: str) -> list[ReadableSpan]:
        """Ours of a kind."""
        return [span for span in self.ours if kind_of(span) == kind]

    def above(self, span: ReadableSpan) -> list[ReadableSpan]:
        """From its parent to the outermost one; ours and others'."""
        found = []
        while span.parent is not None and span.parent.span_id in self.by_id:
            span = self.by_id[span.parent.span_id]
            found.append(span)
        return found

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        """The next one of ours above it."""
        return next((each for each in self.above(span) if each in self.ours), None)

    def hold(self) -> None:
        """Check all that a walk can see."""
        for span in self.ours:
            self._names(span)
            self._place(span)
            self._values(span)
            self._sums(span)

    def _names(self, span: ReadableSpan) -> None:
        """All are in the table; what makes a backend count a call stands on calls alone."""
        others = (names.BUDGET, "langfuse.trace.")  # Langfuse's processor writes on every span
        unknown = {name for name in span.attributes if not name.startswith(others)} - TABLE
        assert not unknown, (span.name, unknown)
        kind = kind_of(span)
        assert span.attributes[names.KIND] == KINDS[kind], span.name
        assert (span.kind is SpanKind.CLIENT) == (kind in {"call", "sampler"}), span.name
        if kind != "call":
            billed = {name for name in span.attributes if name.startswith(OF_CALLS)}
            asked = {names.REQUEST_MODEL, names.PROVIDER, *names.GEN_AI_REQUEST.values()}
            assert not billed - (asked if kind == "sampler" else set()), (span.name, billed)
        assert not span.events, span.name

    def _place(self, span: ReadableSpan) -> None:
        """Below what it belongs to, in its time."""
        parent, kind = self.parent(span), kind_of(span)
        above = None if parent is None else kind_of(parent)
        alone = kind == "verify" and names.INDEX not in span.attributes  # of no run
        assert alone or above in _ABOVE[kind], (span.name, above)
        if parent is not None:
            assert span.context.trace_id == parent.context.trace_id
            assert parent.start_time <= span.start_time <= span.end_time <= parent.end_time
            if names.RUN_ID in span.attributes and kind == "sample":
                assert span.attributes[names.RUN_ID] == parent.attributes[names.RUN_ID]

    def _values(self, span: ReadableSpan) -> None:
        """Costs are all there, or none; what failed says by what."""
        told = span.attributes
        failed = not (span.status.is_ok or span.status.is_unset)
        assert failed == (names.ERROR_TYPE in told), span.name
        if kind_of(span) != "call":
            return
        assert {names.ROLE, names.STATUS} <= told.keys()
        assert (told[names.STATUS] == "error") == failed, span.name
        vendors = {names.GEN_AI_COST, names.OPERATION_COST, names.MLFLOW_COST} & told.keys()
        priced = names.COST in told
        provider = names.USAGE_SOURCE not in told  # else it is estimated, or missing
        assert len(vendors) == (3 if priced and provider else 0), span.name
        assert all(told[names.COST] == told[each] for each in vendors - {names.MLFLOW_COST})
        usage = {name for name in told if name.startswith("gen_ai.usage.")} - {names.GEN_AI_COST}
        assert provider or not usage, span.name

    def _sums(self, span: ReadableSpan) -> None:
        """Of all calls below."""
        if names.CALLS not in span.attributes or names.SHADOW in span.attributes:
            return
        called = [s for s in self.below.get(span.context.span_id, []) if kind_of(s) == "call"]
        if not called:  # nothing, or somebody else wrote them
            return
        assert money([span], names.COST) == money(called, names.COST), span.name
        counts = Counter(tokens(called, names.GEN_AI_USAGE)) + Counter(tokens(called, names.USAGE))
        assert counts == +Counter(tokens([span], names.USAGE)), span.name

    def equals(self, *ledgers: Ledger) -> None:
        """The calls add up to what ledgers say, to the last digit and source by source."""
        called = self.of("call")
        for total, table, cost in (
            (_sum(each.reported for each in ledgers), names.GEN_AI_USAGE, names.GEN_AI_COST),
            (_sum(each.estimated for each in ledgers), names.USAGE, None),
        ):
            chosen = called if cost else [s for s in called if _source(s) == "estimated"]
            assert tokens(chosen, table) == counted(total)
            if cost is not None:
                assert money(chosen, cost) == (total.cost or 0)
        whole = _sum(each.total for each in ledgers)
        assert money(called, names.COST) == (whole.cost or 0)


def _source(span: ReadableSpan) -> object:
    return span.attributes.get(names.USAGE_SOURCE)


def _sum(totals: Iterable[Total]) -> Total:
    first, *others = totals
    for each in others:
        first += each
    return first


def money(spans: Sequence[ReadableSpan], name: str) -> Decimal:
    """A float that came of a price is written with its digits: so sums are exact."""
    written = [span.attributes[name] for span in spans if name in span.attributes]
    return sum((Decimal(repr(each)) for each in written), Decimal(0))


def tokens(spans: Sequence[ReadableSpan], table: Mapping[str, str]) -> dict[str, int]:
    """Counts by name."""
    return {
        name: sum(span.attributes.get(attribute, 0) for span in spans)
        for name, attribute in table.items()
    }


def counted(total: Total) -> dict[str, int]:
    """The same of a ledger."""
    return {name: getattr(total.usage, name) or 0 for name in names.USAGE}
