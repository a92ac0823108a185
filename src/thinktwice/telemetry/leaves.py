"""The span of one model call."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from thinktwice.sample import known_counts
from thinktwice.telemetry.attributes import (
    CACHED,
    CHOICES,
    COST,
    CURRENCY,
    FINISH_REASONS,
    GEN_AI_USAGE,
    KIND,
    OPERATION,
    PROVIDER,
    REQUEST_MODEL,
    RESPONSE_ID,
    RESPONSE_MODEL,
    ROLE,
    STATUS,
)
from thinktwice.telemetry.content import NOTHING, Capture, exchange
from thinktwice.telemetry.current import Current
from thinktwice.telemetry.describing import fail, usage_attributes
from thinktwice.telemetry.harmless import end, harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry
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

    def __init__(
        self,
        start: Callable[[], Span] | None,
        manner: Manner | None = None,
        *,
        named: bool = True,
    ) -> None:
        """Made by `Recorder.leaf`.

        Args:
            start: Starts its span; None where somebody else emits it.
            manner: How it is written.
            named: The model asked for is known; else it is taken to be the one that answers, as
                backends price by it.
        """
        self.span: Span | None = None
        self.around: Context | None = None
        self._context: Context | None = None
        self._start = start
        self._manner = manner or Manner()
        self._named = named
        self._told: dict[str, AttributeValue] = {}
        self._prompt: object = None
        self._replies: Sequence[object] = ()
        self._finish_reasons: Sequence[str | None] = ()
        self._inside = False
        self._discarded: Span | None = None

    def begin(self) -> None:
        """Start its span: the call is being sent, and waits for no limiter any more."""
        if self._start is not None:
            self.span, self._start = self._start(), None

    def current(self) -> AbstractContextManager[object, bool | None]:
        """Begin it, and make it the current span for a block, without ending it."""
        self.begin()
        if self.span is None:
            return NO_SPAN
        self._inside = True
        current = _Block(self.span, self)
        self.around, self._context = current.around, current.context
        return current

    @property
    def context(self) -> Context | None:
        """Where its span is current, for metrics; None where there is none."""
        if self._context is None and self.span is not None:
            self._context = trace.set_span_in_context(self.span)
        return self._context

    @property
    def captures(self) -> bool:
        """Its content is wanted."""
        emits = self.span is not None or self._start is not None
        return emits and self._manner.capture.wanted

    def ask(self, prompt: object) -> None:
        """Keep what is asked, until its end: a text, or messages. Only where that is captured."""
        if self.captures:
            self._prompt = prompt

    def hear(self, replies: Sequence[object], finish_reasons: Sequence[str | None] = ()) -> None:
        """Keep what was answered, likewise; what was heard first stands.

        Args:
            replies: Texts or messages, one for each choice.
            finish_reasons: Why each of them ended.
        """
        if self.captures and not self._replies:
            self._replies, self._finish_reasons = replies, finish_reasons

    def tell(
        self,
        finish_reasons: Sequence[str | None] = (),
        *,
        response_id: str | None = None,
        choices: int = 1,
    ) -> None:
        """Keep what the provider said of its response; what was said first stands.

        Args:
            finish_reasons: Why each of its choices ended.
            response_id: Its name for the response.
            choices: How many were asked for.
        """
        if self.span is None:
            return
        if reasons := [reason for reason in finish_reasons if reason]:
            self._told.setdefault(FINISH_REASONS, reasons)
        if response_id is not None:
            self._told.setdefault(RESPONSE_ID, response_id)
        if choices > 1:
            self._told[CHOICES] = choices

    @harmless
    def discard(self) -> None:
        """It is no model call: leave no usage on it, and no span if it has none yet.

        In its block a run begins below it: then it ends with that block.
        """
        self._start = None
        on, self.span = self.span, None
        if on is None:
            return
        on.update_name("thinktwice.sampler")
        on.set_attributes({KIND: "CHAIN", OPERATION: "sample"})
        if self._inside:
            self._discarded = on
        else:
            end(on)

    def left(self, error: BaseException | None) -> None:
        """Its block has ended, and so has a span that was around a run inside."""
        self._inside = False
        on, self._discarded = self._discarded, None
        if on is not None:
            if error is not None:
                fail(on, error)
            end(on)

    def end(self, entry: Entry, *, error: BaseException | None = None) -> None:
        """Write usage and cost of the call, and close the span."""
        self.begin()
        on = self.span
        if on is None:
            return
        self.span = None
        self._describe(on, entry, error)
        self._say(on)
        end(on)

    @harmless
    def _describe(self, on: Span, entry: Entry, error: BaseException | None) -> None:
        if on.is_recording():
            attributes = _attributes(entry, self._manner.dialects)
            attributes |= self._told
            if entry.model and not self._named:
                attributes[REQUEST_MODEL] = entry.model
            on.set_attributes(attributes)
            if error is not None:
                fail(on, error)

    @harmless
    def _say(self, on: Span) -> None:
        if self._prompt is not None:
            content = exchange(self._prompt, self._replies, self._finish_reasons)
            self._manner.capture.write(on, content, self._manner.events)


class _Block(Current):
    """In which a call is under way."""

    __slots__ = ("_leaf",)

    def __init__(self, on: Span, leaf: Leaf) -> None:
        """Of a leaf that has begun."""
        super().__init__(on)
        self._leaf = leaf

    def left(self, error: BaseException | None) -> None:
        """Tell the leaf."""
        self._leaf.left(error)


NO_LEAF: Final = Leaf(None)
"""Of a call whose span somebody else emits, or nobody."""


def _attributes(entry: Entry, dialects: tuple[Dialect, ...]) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {ROLE: entry.role, STATUS: entry.status}
    if entry.model:
        attributes[RESPONSE_MODEL] = entry.model
    if entry.provider:
        attributes[PROVIDER] = entry.provider
    if entry.cached:
        attributes[CACHED] = True
    cost = None if entry.cost is None else float(entry.cost)
    if cost is not None:
        attributes[COST] = cost
        attributes[CURRENCY] = "USD"
    if entry.usage.source != "provider":
        # An estimate must not pass for the provider's count in a backend.
        return {**attributes, **usage_attributes(entry.usage)}
    counts = known_counts(entry.usage)
    for name, count in counts.items():
        attributes[GEN_AI_USAGE[name]] = count
    for dialect in dialects:
        attributes |= dialect(counts, cost)
    return attributes
