"""Reading what tracers were told: spans by parent, LLM calls below samples, nodes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.span_handlers import SimpleSpanHandler

if TYPE_CHECKING:
    from collections.abc import Generator

    from llama_index_instrumentation.span import SimpleSpan
    from opentelemetry.sdk.trace import ReadableSpan

SAMPLE = "thinktwice.sample"


@dataclass
class Trace:
    """The spans of a block."""

    spans: tuple[ReadableSpan, ...]
    _by_id: dict[int, ReadableSpan] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._by_id = {span.context.span_id: span for span in self.spans}

    @property
    def ids(self) -> set[int]:
        """One for each trace."""
        return {span.context.trace_id for span in self.spans}

    @property
    def orphans(self) -> list[str]:
        """Spans whose parent never ended, or was never there."""
        return [s.name for s in self.spans if s.parent and s.parent.span_id not in self._by_id]

    def above(self, span: ReadableSpan) -> list[ReadableSpan]:
        """From its parent to the root."""
        parent = self._by_id.get(span.parent.span_id) if span.parent else None
        return [] if parent is None else [parent, *self.above(parent)]

    def path(self, span: ReadableSpan) -> list[str]:
        """Names from the root to a span."""
        return [each.name for each in reversed([span, *self.above(span)])]

    @property
    def calls(self) -> list[ReadableSpan]:
        """Spans with tokens that have none below: LLM calls, whoever opened them."""
        counted = [span for span in self.spans if tokens(span)]
        around = {id(each) for span in counted for each in self.above(span)}
        return [span for span in counted if id(span) not in around]

    def own(self) -> list[ReadableSpan]:
        """Our own spans for LLM calls."""
        return [
            span
            for span in self.spans
            if span.instrumentation_scope.name == "thinktwice"
            and span.attributes.get("openinference.span.kind") == "LLM"
        ]

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def below(self, span: ReadableSpan) -> list[ReadableSpan]:
        """LLM calls anywhere below a span."""
        return [call for call in self.calls if span in self.above(call)]


def tokens(span: ReadableSpan) -> int:
    """What a span of an LLM call says that it took."""
    told = span.attributes
    read, written = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
    if read not in told:
        read, written = "llm.token_count.prompt", "llm.token_count.completion"
    return told.get(read, 0) + told.get(written, 0)


class Tree(SimpleSpanHandler):
    """LlamaIndex's own tree of nodes."""

    @property
    def ended(self) -> list[SimpleSpan]:
        """All nodes that have."""
        return [*self.completed_spans, *self.dropped_spans]

    @property
    def roots(self) -> list[SimpleSpan]:
        """Nodes without a parent that is known."""
        known = {each.id_ for each in self.ended}
        return [each for each in self.ended if each.parent_id not in known]

    def named(self, *names: str) -> list[SimpleSpan]:
        """Nodes of names."""
        return [each for each in self.ended if each.id_.partition("-")[0] in names]


@contextmanager
def tree() -> Generator[Tree]:
    """What the root dispatcher tells of in a block."""
    root, made = get_dispatcher(), Tree()
    root.add_span_handler(made)
    try:
        yield made
    finally:
        root.span_handlers[:] = [each for each in root.span_handlers if each is not made]
