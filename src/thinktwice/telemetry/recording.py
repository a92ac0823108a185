"""What a run writes its spans and metrics by."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind

from thinktwice.errors import UsageError
from thinktwice.instrumentation import instrumented, suppressed
from thinktwice.telemetry.attributes import (
    EVALUATION,
    GEN_AI_REQUEST,
    KIND,
    STATUS,
    STRATEGY,
)
from thinktwice.telemetry.content import (
    NOTHING,
    content_capture,
    input_attributes,
    output_attributes,
)
from thinktwice.telemetry.describing import fail
from thinktwice.telemetry.dialects import chosen_dialects
from thinktwice.telemetry.events import evaluation, events
from thinktwice.telemetry.instruments import instruments_of
from thinktwice.telemetry.leaves import NO_LEAF, NO_SPAN, Leaf, Manner
from thinktwice.telemetry.providers import is_sdk, tracer_of, tracer_provider

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry
    from thinktwice.ledger import Ledger
    from thinktwice.sample import Verdict
    from thinktwice.telemetry.describing import Attributes


_LLM_SPANS_VARIABLE: Final = "THINKTWICE_LLM_SPANS"


class Recorder:
    """Writes the spans and metrics of one run, to the providers that are set when it begins.

    Where no SDK is set up it does nothing, at nearly no cost; and no spans where the caller has
    suppressed instrumentation.
    """

    def __init__(self) -> None:
        """Look the providers up: applications set theirs after importing us."""
        provider, self._alone = tracer_provider()
        meters = metrics.get_meter_provider()
        self.tracer = tracer_of(provider) if is_sdk(provider) and not suppressed() else None
        self.instruments = instruments_of(meters) if is_sdk(meters) else None
        self._manner = Manner()
        if self.tracer is not None:
            capture = NOTHING if self._alone else content_capture()
            self._manner = Manner(chosen_dialects(), capture, events())

    def span(
        self, name: str, kind: str, attributes: Attributes, *, link: SpanContext | None = None
    ) -> AbstractContextManager[Span, bool | None]:
        """Open a span and make it current; an exception leaves its type behind, never its text.

        Args:
            name: Low-cardinality name.
            kind: "CHAIN", "TOOL" or "EVALUATOR", as OpenInference backends group by it.
            attributes: Set at the start, where samplers see them.
            link: A span of another trace that it goes back to.
        """
        if self.tracer is None:
            return NO_SPAN
        links = [trace.Link(link)] if link is not None and link.is_valid else None
        attributes = {KIND: kind, **attributes}
        started = self.tracer.start_span(name, attributes=attributes, links=links)
        return _open(started)

    def leaf(
        self,
        model: str | None,
        provider: str | None,
        options: Mapping[str, object],
        *,
        emitted: bool | None = None,
    ) -> Leaf:
        """Open the span of a model call, unless somebody else opens one too.

        Args:
            model: The model asked for.
            provider: Who serves it.
            options: Settings of the call; the common ones are written.
            emitted: Whether somebody else does, where the caller knows; else known instrumentations
                are looked for.
        """
        if self.tracer is None or not self.wanted(emitted=emitted):
            return NO_LEAF
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            KIND: "LLM",
        }
        if model:
            attributes["gen_ai.request.model"] = model
        if provider:
            attributes["gen_ai.provider.name"] = provider
        for name in GEN_AI_REQUEST:
            if isinstance(value := options.get(name), int | float):
                attributes[f"gen_ai.request.{name}"] = value
        name = f"chat {model}" if model else "chat"
        started = self.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        return Leaf(started, self._manner)

    def wanted(self, *, emitted: bool | None) -> bool:
        """Whether to write the spans of model calls; see `leaf`."""
        return _wanted(emitted=False if self._alone else emitted)

    def count_sample(self, strategy: str, status: str) -> None:
        """Count a draw by how it ended."""
        if self.instruments is not None:
            self.instruments.samples.add(1, {STRATEGY: strategy, STATUS: status})

    def count_run(self, strategy: str, ledger: Ledger) -> None:
        """Record how long a run took and what it cost."""
        if self.instruments is not None:
            self.instruments.add_run(strategy, ledger)

    def count_call(self, strategy: str, entry: Entry, leaf: Leaf) -> None:
        """Count tokens and cost of one call, with its span as the exemplar."""
        if self.instruments is not None:
            self.instruments.add_call(strategy, entry, leaf.context)

    def say_prompt(self, on: Span, prompt: object) -> None:
        """Write the input of a run on its span, where content is captured."""
        if self._manner.capture.spans and on.is_recording():
            on.set_attributes(input_attributes(prompt))

    def say_answer(self, on: Span, value: object) -> None:
        """Write the output of a run on its span, where content is captured."""
        if self._manner.capture.spans and on.is_recording():
            on.set_attributes(output_attributes(value))

    def tell_verdict(self, verdict: Verdict) -> None:
        """Write a verdict as a log event, for those who collect them."""
        manner = self._manner
        if manner.events is not None:
            explained = manner.capture.events
            manner.events.emit(EVALUATION, evaluation(verdict, explained=explained))


@contextmanager
def _open(started: Span) -> Generator[Span]:
    """Make a span current and end it, with the type of what was raised."""
    with trace.use_span(
        started, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield started
        except BaseException as error:
            fail(started, error)
            raise


def _wanted(*, emitted: bool | None) -> bool:
    choice = os.environ.get(_LLM_SPANS_VARIABLE, "auto")
    if choice == "auto":
        return not (instrumented() if emitted is None else emitted)
    if choice not in {"always", "never"}:
        raise UsageError(_LLM_SPANS_VARIABLE, choice, "give auto, always or never")
    return choice == "always"
