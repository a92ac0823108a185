"""Prompts and completions, which are written only where the user has asked for it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from thinktwice.answers.shapes import attribute
from thinktwice.remarks import tell_once
from thinktwice.telemetry.attributes import (
    EXCHANGE,
    INPUT_MESSAGES,
    INPUT_VALUE,
    OPERATION,
    OUTPUT_MESSAGES,
    OUTPUT_VALUE,
)
from thinktwice.telemetry.messages import cut, messages_of, read_message
from thinktwice.texts import content_text, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AnyValue, AttributeValue

    from thinktwice.sample import Verdict
    from thinktwice.telemetry.events import Events

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_PLACES: Final = {
    "": (False, False),
    "NO_CONTENT": (False, False),
    "FALSE": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}


@dataclass(frozen=True)
class Capture:
    """Where content is written.

    Attributes:
        spans: In attributes of spans.
        events: In log events.
    """

    spans: bool = False
    events: bool = False

    @property
    def wanted(self) -> bool:
        """It is written somewhere."""
        return self.spans or self.events

    def write(self, on: Span, content: Mapping[str, AnyValue], events: Events | None) -> None:
        """Write what was said in a model call.

        Args:
            on: Its span.
            content: Messages, by the attributes that hold them.
            events: Where log events go; None if nobody takes them.
        """
        if self.spans and on.is_recording():
            on.set_attributes({name: as_json(each) for name, each in content.items()})
        if self.events and events is not None:
            operation = {OPERATION: "chat"}
            events.emit(EXCHANGE, {**operation, **content}, trace.set_span_in_context(on))


NOTHING: Final = Capture()
"""What is written unless the user asks for more."""


def content_capture() -> Capture:
    """What the environment says; a word that it does not know captures nothing."""
    return _capture(os.environ.get(CAPTURE_VARIABLE, ""))


@lru_cache(maxsize=4)
def _capture(word: str) -> Capture:
    places = _PLACES.get(word.strip().upper())
    if places is None:
        tell_once(f"{CAPTURE_VARIABLE} is none of {', '.join(_PLACES)[2:]}: no content is captured")
        return NOTHING
    return Capture(*places)


def exchange(
    prompt: object, replies: Sequence[object] = (), finish_reasons: Sequence[str | None] = ()
) -> Mapping[str, AnyValue]:
    """Messages of a model call, in the shape of the conventions.

    Args:
        prompt: What was asked.
        replies: What was answered, by each choice; none if nothing was.
        finish_reasons: Why each of them ended.
    """
    content: dict[str, AnyValue] = {INPUT_MESSAGES: messages_of(prompt)}
    if replies:
        read = [read_message(reply, "assistant") for reply in replies]
        content[OUTPUT_MESSAGES] = [
            message if reason is None else {**message, "finish_reason": reason}
            for message, reason in zip_longest(read, finish_reasons[: len(read)])
        ]
    return content


def input_attributes(prompt: object) -> Mapping[str, AttributeValue]:
    """The input of a run, under the names of the conventions and of OpenInference."""
    return {INPUT_MESSAGES: as_json(messages_of(prompt)), INPUT_VALUE: cut(text_of(prompt))}


def output_attributes(value: object) -> Mapping[str, AttributeValue]:
    """The output of a run, likewise; of a message the text alone, if it has one."""
    inner = attribute(value, "message")  # of a chat response of LlamaIndex's
    value = value if attribute(inner, "role") is None else inner
    text = content_text(attribute(value, "content")) or text_of(value)
    message = read_message(value, "assistant")
    return {OUTPUT_MESSAGES: as_json([message]), OUTPUT_VALUE: cut(text)}


def tool_arguments(value: object) -> str:
    """What a tool that checks an answer is given."""
    return as_json({"value": cut(text_of(value))})


def tool_result(verdict: Verdict) -> str:
    """What it found."""
    found = {"outcome": verdict.outcome, "score": verdict.score, "feedback": verdict.feedback}
    return as_json(
        {
            name: cut(each) if isinstance(each, str) else each
            for name, each in found.items()
            if each is not None
        }
    )


def as_json(content: object) -> str:
    """For the attribute of a span, which holds no structure."""
    return json.dumps(content, ensure_ascii=False)
