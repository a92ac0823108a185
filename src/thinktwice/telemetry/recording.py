"""What a run writes its spans and metrics by."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from thinktwice.errors import UsageError
from thinktwice.instrumentation import instrumented, suppressed
from thinktwice.telemetry.attributes import (
    CHOICES,
    ERROR_TYPE,
    EVALUATION,
    GEN_AI_REQUEST,
    GEN_AI_TOOL,
    KIND,
    OPERATION,
    OUTCOME,
    PROVIDER,
    REQUEST_MODEL,
    ROLE,
    STREAM,
    TOOL_ARGUMENTS,
    TOOL_RESULT,
    VERIFIER,
)
from thinktwice.telemetry.content import (
    NOTHING,
    content_capture,
    input_attributes,
    output_attributes,
    tool_arguments,
    tool_result,
)
from thinktwice.telemetry.current import Ending
from thinktwice.telemetry.describing import broke
from thinktwice.telemetry.dialects import chosen_dialects
from thinktwice.telemetry.events import evaluation, events
from thinktwice.telemetry.harmless import attempted, harmless
from thinktwice.telemetry.instruments import Counts, instruments_of
from thinktwice.telemetry.leaves import NO_LEAF, NO_SPAN, Leaf, Manner
from thinktwice.telemetry.providers import is_sdk, meter_provider, tracer_of, tracer_provider

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry
    from thinktwice.ledger import Ledger
    from thinktwice.sample import Verdict
    from thinktwice.telemetry.describing import Attributes


_LARGEST: Final = 1 << 63  # an int that is larger cannot be sent
_LLM_SPANS_VARIABLE: Final = "THINKTWICE_LLM_SPANS"


def llm_spans() -> str:
    """Whether spans of model calls are written: the environment's "auto", "always" or "never".

    Raises:
        UsageError: It says something else.
    """
    word = os.environ.get(_LLM_SPANS_VARIABLE) or "auto"
    if word not in {"auto", "always", "never"}:
        raise UsageError(_LLM_SPANS_VARIABLE, word, "give auto, always or never")
    return word


class Recorder:
    """Writes the spans and metrics of one run, to the providers that are set when it begins.

    Where no SDK is set up it does nothing, at nearly no cost; and no spans where the caller has
    suppressed instrumentation.
    """

    def __init__(self) -> None:
        """Look the providers up: applications set theirs after importing us."""
        provider, self._alone = tracer_provider()
        meters = meter_provider()
        self.tracer = tracer_of(provider) if is_sdk(provider) and not suppressed() else None
        self.instruments = (
            attempted(partial(instruments_of, meters), None) if is_sdk(meters) else None
        )
        self._counts = Counts(together=False)
        self._manner = Manner()
        self._llm_spans = "auto"
        if self.tracer is not None:
            self._llm_spans = llm_spans()
            capture = NOTHING if self._alone else content_capture()
            self._manner = Manner(chosen_dialects(), capture, attempted(events, None))

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
        return Ending(started)

    def tool(self, name: str) -> AbstractContextManager[Span, bool | None]:
        """Open the span of a run of a tool, and make it current.

        Args:
            name: Of the verifier that runs it.
        """
        attributes = {
            OPERATION: "execute_tool",
            GEN_AI_TOOL: name,
            ROLE: "tool",
            VERIFIER: name,
        }
        return self.span(f"execute_tool {name}", "TOOL", attributes)

    def leaf(
        self,
        model: str | None,
        provider: str | None,
        options: Mapping[str, object],
        *,
        emitted: bool | None = None,
        around: Context | None = None,
    ) -> Leaf:
        """Open the span of a model call, unless somebody else opens one too.

        Args:
            model: The model asked for.
            provider: Who serves it.
            options: Settings of the call; the common ones are written.
            emitted: Whether somebody else does, where the caller knows; else known instrumentations
                are looked for.
            around: What it is below; None for what is current when it begins.
        """
        if self.tracer is None or not self.wanted(emitted=emitted):
            return NO_LEAF
        attributes: dict[str, AttributeValue] = {OPERATION: "chat", KIND: "LLM"}
        if model:
            attributes[REQUEST_MODEL] = model
        if provider:
            attributes[PROVIDER] = provider
        if options:
            attributes |= _settings(options)
        name = f"chat {model}" if model else "chat"
        opened = self.tracer.start_span
        start = partial(opened, name, around, kind=SpanKind.CLIENT, attributes=attributes)
        return Leaf(start, self._manner, named=bool(model))

    def wanted(self, *, emitted: bool | None) -> bool:
        """Whether to write the spans of model calls; see `leaf`."""
        if self._llm_spans == "auto":
            return self._alone or not (instrumented() if emitted is None else emitted)
        return self._llm_spans == "always"

    @harmless
    def count_sample(self, strategy: str, status: str) -> None:
        """Count a draw by how it ended."""
        if self.instruments is not None:
            self._counts.add((self.instruments.drawn(strategy, status),), None)

    @contextmanager
    def counting(self, strategy: str, ledger: Ledger) -> Generator[None]:
        """Record how long a run took, what it cost and what it raised, when its block ends.

        What is counted inside is added up till then; see `Counts`.

        Args:
            strategy: Its name.
            ledger: Its own, closed by then.
        """
        error = None
        self._counts = Counts(together=True)
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._counts.end()
            if self.instruments is not None:
                self.instruments.add_run(strategy, ledger, error)

    def count_call(self, strategy: str, entry: Entry, leaf: Leaf) -> None:
        """Count tokens and cost of one call, with its span as the exemplar."""
        if self.instruments is not None:
            self._counts.add(self.instruments.counted(strategy, entry), leaf.context)

    @harmless
    def say_prompt(self, on: Span, prompt: object) -> None:
        """Write the input of a run on its span, where content is captured."""
        if self._manner.capture.spans and on.is_recording():
            on.set_attributes(input_attributes(prompt))

    @harmless
    def say_answer(self, on: Span, value: object) -> None:
        """Write the output of a run on its span, where content is captured and there is one."""
        if self._manner.capture.spans and on.is_recording() and value is not None:
            on.set_attributes(output_attributes(value))

    @harmless
    def say_tried(self, on: Span, value: object) -> None:
        """Write what a tool was given on its span, where content is captured."""
        if self._manner.capture.spans and on.is_recording():
            on.set_attribute(TOOL_ARGUMENTS, tool_arguments(value))

    @harmless
    def say_found(self, on: Span, verdict: Verdict) -> None:
        """Write how the run of a tool ended; what it found, where content is captured."""
        if not on.is_recording():
            return
        on.set_attribute(OUTCOME, verdict.outcome)
        if verdict.outcome == "error":
            broke(on)
        if self._manner.capture.spans:
            on.set_attribute(TOOL_RESULT, tool_result(verdict))

    @harmless
    def tell_verdict(self, verdict: Verdict, error: BaseException | None = None) -> None:
        """Write a verdict as a log event, for those who collect them.

        Args:
            verdict: What a verifier said.
            error: What it raised.
        """
        manner = self._manner
        if manner.events is not None:
            said = dict(evaluation(verdict, explained=manner.capture.events))
            if error is not None:
                said[ERROR_TYPE] = type(error).__qualname__
            manner.events.emit(EVALUATION, said)


def _settings(options: Mapping[str, object]) -> Attributes:
    """The common ones of a call's."""
    attributes: dict[str, AttributeValue] = {}
    for name, attribute in GEN_AI_REQUEST.items():
        value = options.get(name)
        if isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST):
            attributes[attribute] = value
    if isinstance(choices := options.get("n"), int) and choices > 1:
        attributes[CHOICES] = choices
    if options.get("stream") is True:
        attributes[STREAM] = True
    return attributes
