"""Reading what tracers were told: spans by parent, model calls below samples, runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.tracers import BaseTracer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SAMPLE = "thinktwice.sample"


@dataclass
class Trace:
    """The spans of a block."""

    spans: list[ReadableSpan]
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
        """Spans of model calls, whoever opened them."""
        return [span for span in self.spans if is_call(span)]

    def own(self) -> list[ReadableSpan]:
        """Those of them that are ours."""
        return [span for span in self.calls if span.instrumentation_scope.name == "thinktwice"]

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def below(self, span: ReadableSpan) -> list[ReadableSpan]:
        """Model calls anywhere below a span."""
        return [call for call in self.calls if span in self.above(call)]


def is_call(span: ReadableSpan) -> bool:
    """Whether it stands for one model call."""
    told = span.attributes
    if (told.get("langfuse.observation.type") or "").upper() == "GENERATION":
        return True
    if (kind := told.get("openinference.span.kind")) is not None:
        return kind == "LLM"
    return told.get("gen_ai.operation.name") in {"chat", "text_completion"}


def tokens(span: ReadableSpan) -> int:
    """What a span of a model call says that it took."""
    told = span.attributes
    if "langfuse.observation.usage_details" in told:
        counts = json.loads(told["langfuse.observation.usage_details"])
        return counts.get("input", 0) + counts.get("output", 0)
    read, written = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
    if read not in told:
        read, written = "llm.token_count.prompt", "llm.token_count.completion"
    return told.get(read, 0) + told.get(written, 0)


def noted(span: ReadableSpan) -> tuple[str, int] | None:
    """Run and sample that a foreign span of a model call names: its run's metadata."""
    told = span.attributes
    if "metadata" in told:
        metadata = json.loads(told["metadata"])
        return metadata.get("thinktwice_run_id"), metadata.get("thinktwice_sample_index")
    for prefix in ("traceloop.association.properties.", "langfuse.observation.metadata."):
        if f"{prefix}thinktwice_run_id" in told:
            index = told.get(f"{prefix}thinktwice_sample_index")
            return told[f"{prefix}thinktwice_run_id"], None if index is None else int(index)
    return None


class Tree(BaseTracer):
    """What a callback tracer sees."""

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[Any, Any] = {}

    def _persist_run(self, run: Any) -> None:
        """Nowhere."""

    def _on_run_create(self, run: Any) -> None:
        self.runs[run.id] = run

    def above(self, run: Any) -> list[Any]:
        """From its parent to the root."""
        parent = self.runs.get(run.parent_run_id)
        return [] if parent is None else [parent, *self.above(parent)]

    @property
    def roots(self) -> list[Any]:
        """Runs without a parent."""
        return [run for run in self.runs.values() if run.parent_run_id is None]

    @property
    def open(self) -> list[str]:
        """Runs that have not ended."""
        return [run.name for run in self.runs.values() if run.end_time is None]

    def of(self, kind: str) -> list[Any]:
        """The runs of a type."""
        return [run for run in self.runs.values() if run.run_type in (kind, "chat_model")]

    def path(self, run: Any) -> list[str]:
        """Names from the root to a run."""
        return [each.name for each in reversed([run, *self.above(run)])]
