"""The span of one model call."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from thinktwice.sample import known_counts
from thinktwice.telemetry.attributes import (
    CACHED,
    COST,
    CURRENCY,
    GEN_AI_USAGE,
    KIND,
    ROLE,
    STATUS,
)
from thinktwice.telemetry.content import NOTHING, Capture, exchange
from thinktwice.telemetry.describing import fail, usage_attributes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry
    from thinktwice.telemetry.describing import Attributes
    from thinktwice.telemetry.dialects import Dialect
    from thinktwice.telemetry.events import Events


NO_SPAN: Final = nullcontext(trace.INVALID_SPAN)


@dataclass(frozen=True)
class Manner:
    """How leaves of a run are written.

    Attributes:
        dialects: Vendors whose attributes they carry.
        capture: Where prompts and completions go.
        events: Where log events go; None if nobody takes them.
    """

    dialects: tuple[Dialect, ...] = ()
    capture: Capture = NOTHING
    events: Events | None = None


class Leaf:
    """The span of one model call; does nothing where somebody else emits it."""

    def __init__(self, on: Span | None, manner: Manner | None = None) -> None:
        """Made by `Recorder.leaf`.

        Args:
            on: Its span; None where somebody else emits it.
            manner: How it is written.
        """
        self.span = on
        self._manner = manner or Manner()
        self._prompt: object = None
        self._reply: str | None = None
        self._finish_reason: str | None = None

    def current(self) -> AbstractContextManager[object, bool | None]:
        """Make it the current span for a block, without ending it."""
        if self.span is None:
            return NO_SPAN
        return trace.use_span(
            self.span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    @property
    def context(self) -> Context | None:
        """Where its span is current, for metrics; None where there is none."""
        return None if self.span is None else trace.set_span_in_context(self.span)

    @property
    def captures(self) -> bool:
        """Its content is wanted."""
        return self.span is not None and self._manner.capture.wanted

    def ask(self, prompt: object) -> None:
        """Keep what is asked, until its end: a text, or messages. Only where that is captured."""
        if self.captures:
            self._prompt = prompt

    def hear(self, reply: str | None, finish_reason: str | None = None) -> None:
        """Keep what was answered, likewise."""
        if self.captures:
            self._reply, self._finish_reason = reply, finish_reason

    def discard(self) -> None:
        """It is no model call: leave no usage on it."""
        if self.span is not None:
            self.span.set_attribute(KIND, "CHAIN")
            self.span.end()
            self.span = None

    def end(self, entry: Entry, *, error: BaseException | None = None) -> None:
        """Write usage and cost of the call, and close the span."""
        on = self.span
        if on is None:
            return
        self.span = None
        if on.is_recording():
            on.set_attributes(_attributes(entry, self._manner.dialects))
            if error is not None:
                fail(on, error)
        if self._prompt is not None:
            content = exchange(self._prompt, self._reply, self._finish_reason)
            self._manner.capture.write(on, content, self._manner.events)
        on.end()


NO_LEAF: Final = Leaf(None)
"""Of a call whose span somebody else emits, or nobody."""


def _attributes(entry: Entry, dialects: tuple[Dialect, ...]) -> Attributes:
    attributes: dict[str, AttributeValue] = {ROLE: entry.role, STATUS: entry.status}
    if entry.model:
        attributes["gen_ai.response.model"] = entry.model
    if entry.provider:
        attributes["gen_ai.provider.name"] = entry.provider
    if entry.cached:
        attributes[CACHED] = True
    cost = None if entry.cost is None else float(entry.cost)
    if cost is not None:
        attributes |= {COST: cost, CURRENCY: "USD"}
    if entry.usage.source != "provider":
        # An estimate must not pass for the provider's count in a backend.
        return {**attributes, **usage_attributes(entry.usage)}
    counts = known_counts(entry.usage)
    attributes |= {GEN_AI_USAGE[name]: count for name, count in counts.items()}
    for dialect in dialects:
        attributes |= dialect(counts, cost)
    return attributes
