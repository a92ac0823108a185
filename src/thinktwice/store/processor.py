"""What OpenTelemetry providers tell of their spans."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanProcessor

from thinktwice.store.seen import is_model_call, is_ours
from thinktwice.store.tree import Node
from thinktwice.telemetry.providers import Known

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import TracerProvider

    from thinktwice.store.writer import Writer

_MOST_OPEN: Final = 1 << 17  # somebody's spans may never end


class Processor(SpanProcessor):
    """Takes spans of ours, and model calls below them, whoever writes those; all else goes by.

    It also takes spans that the provider's sampler keeps from the exporters, where it records them.
    A provider never lets a processor go: so a process has one, which observers take over.
    """

    def __init__(self) -> None:
        """Write nothing yet."""
        self._writer: Writer | None = None
        self._providers = Known()
        self._clear()

    def _clear(self) -> None:
        self._open: dict[int, Node] = {}
        self._ended: dict[int, Node] = {}

    def write_by(self, writer: Writer | None) -> None:
        """Write by a writer from now on; None to let all go by."""
        self._clear()
        self._writer = writer

    def watches(self, provider: TracerProvider) -> bool:
        """Whether it is a provider's already; if not, it is to be made so now."""
        return self._providers.already(provider)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note what is around a span."""
        del parent_context  # the span knows its parent
        if self._writer is None:
            return
        around = self._around(span)
        if is_ours(span):
            around = Node(span, around)
        if around is None or span.context is None:
            return
        self._open[span.context.span_id] = around
        _bound(self._open)

    def _around(self, span: Span) -> Node | None:
        """The span of ours around one, or the next one above that which has not ended."""
        if span.parent is None:
            return None
        node = self._open.get(span.parent.span_id) or self._ended.get(span.parent.span_id)
        while node is not None and node.number not in self._open:
            node = node.parent
        return node

    def on_end(self, span: ReadableSpan) -> None:
        """Take it in, if it is for us."""
        node = self._open.pop(span.context.span_id, None) if span.context else None
        if node is None or self._writer is None:
            return
        ours = is_ours(span)
        if ours:
            self._passed(node)
        if ours or is_model_call(span):
            self._writer.put(span, node)

    def _passed(self, node: Node) -> None:
        """What begins below a span that has ended belongs to its request until that ends, too."""
        root, above = node.root, node.parent
        if above is not None:
            self._ended[node.number] = above
            root.passed.append(node.number)
            _bound(self._ended)
            return
        for number in root.passed:
            self._ended.pop(number, None)
        root.passed.clear()

    def shutdown(self) -> None:
        """Write what waits; spans of other providers may still come."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what waits."""
        del timeout_millis  # the file waits five seconds for other processes
        return self._writer is None or self._writer.flush()


PROCESSOR: Final = Processor()


def _bound(nodes: dict[int, Node]) -> None:
    if len(nodes) > _MOST_OPEN:
        with suppress(LookupError, RuntimeError, StopIteration):  # another thread did the same
            nodes.pop(next(iter(nodes)))
