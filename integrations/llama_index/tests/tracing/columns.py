"""The parties that trace: each set up for a block, and taken away without a trace."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.sdk.trace import ReadableSpan

NAMES = ("none", "openinference", "openllmetry", "observability", "both")

LOSES = {
    # OpenLLMetry never ends its spans around a stream, and has no tokens of `complete`.
    (row, "openllmetry")
    for row in (
        *("streaming_aquery", "streaming_query", "streaming_query_in_loop"),
        *("streaming_per_sample_aquery", "agent_tool_streaming", "sampled_agent_streaming"),
        *("llm_complete", "llm_astream_chat", "llm_stream_complete"),
        *("llm_in_streaming_engine_aquery", "llm_in_streaming_engine_query"),
    )
}
"""What cannot hold, by the fault of a party that is there without us as well."""


@dataclass
class Column:
    """Who traces.

    Attributes:
        name: One of `NAMES`.
        exporter: Gets all spans.
    """

    name: str
    exporter: InMemorySpanExporter

    @property
    def ours(self) -> bool:
        """Nobody but us opens spans with tokens."""
        return self.name in ("none", "observability")

    def spans(self) -> tuple[ReadableSpan, ...]:
        """All that ended; OpenInference ends those of streams a moment after the stream."""
        for _ in range(100):
            spans = self.exporter.get_finished_spans()
            ended = {span.context.span_id for span in spans}
            if all(span.parent is None or span.parent.span_id in ended for span in spans):
                break
            time.sleep(0.005)
        return spans


# What sets a party up, where it is a package of its own.
_PACKAGES = {
    "openinference": ("openinference.instrumentation.llama_index",),
    "openllmetry": ("opentelemetry.instrumentation.llamaindex",),
    "observability": ("llama_index.observability.otel",),
}
_PACKAGES["both"] = _PACKAGES["openinference"] + _PACKAGES["observability"]


@contextmanager
def column(name: str, provider: TracerProvider | None = None) -> Generator[Column]:
    """Set a party up; what asks for one that is not installed is skipped.

    Args:
        name: One of `NAMES`.
        provider: What it writes to; None makes one.
    """
    for package in _PACKAGES.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    provider, made = provider or TracerProvider(), Column(name, InMemorySpanExporter())
    with ExitStack() as stack:
        stack.enter_context(patch.object(trace, "_TRACER_PROVIDER", provider))
        stack.enter_context(patch.object(trace, "_TRACER_PROVIDER_SET_ONCE", Once()))
        stack.enter_context(_handlers_kept())
        if name in ("observability", "both"):
            from llama_index.observability.otel import LlamaIndexOpenTelemetry

            LlamaIndexOpenTelemetry(
                tracer_provider=provider, span_exporter=made.exporter, span_processor="simple"
            ).start_registering()
        else:
            provider.add_span_processor(SimpleSpanProcessor(made.exporter))
        if name in ("openinference", "both"):
            from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

            LlamaIndexInstrumentor().instrument(tracer_provider=provider)
            stack.callback(LlamaIndexInstrumentor().uninstrument)
        if name == "openllmetry":
            from opentelemetry.instrumentation.llamaindex import LlamaIndexInstrumentor

            LlamaIndexInstrumentor().instrument(tracer_provider=provider)
            stack.callback(LlamaIndexInstrumentor().uninstrument)
        yield made


@contextmanager
def _handlers_kept() -> Generator[None]:
    """The root dispatcher's handlers as they were: one of the parties has no way to remove its."""
    root = get_dispatcher()
    spans, events = list(root.span_handlers), list(root.event_handlers)
    try:
        yield
    finally:
        root.span_handlers[:], root.event_handlers[:] = spans, events
