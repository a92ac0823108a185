"""What an OpenTelemetry provider tells of its spans."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanProcessor

from thinktwice.store.seen import is_model_call, is_ours
from thinktwice.store.tree import Node

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from thinktwice.store.writer import Writer

_MOST_OPEN: Final = 1 << 17  # somebody's spans may never end


class Processor(SpanProcessor):
    """Takes spans of ours, and model calls below them, whoever writes those; all else goes by.

    It also takes spans that the provider's sampler keeps from the exporters, where it records them.
    """

    def __init__(self, writer: Writer) -> None:
        """Write by a writer, which lives longer than the provider."""
        self._writer = writer
        self._open: dict[int, Node] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note what is around a span."""
        del parent_context  # the span knows its parent
        if self._writer.closed:  # a provider never lets a processor go
            return
        around = self._open.get(span.parent.span_id) if span.parent else None
        if is_ours(span):
            around = Node(span, around)
        if around is None or span.context is None:
            return
        self._open[span.context.span_id] = around
        if len(self._open) > _MOST_OPEN:
            with suppress(LookupError, RuntimeError, StopIteration):  # another thread did the same
                self._open.pop(next(iter(self._open)))

    def on_end(self, span: ReadableSpan) -> None:
        """Take it in, if it is for us."""
        node = self._open.pop(span.context.span_id, None) if span.context else None
        if node is not None and (is_ours(span) or is_model_call(span)):
            self._writer.put(span, node)

    def shutdown(self) -> None:
        """Write what waits; spans of other providers may still come."""
        self._writer.flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what waits."""
        del timeout_millis  # the file waits five seconds for other processes
        return self._writer.flush()
