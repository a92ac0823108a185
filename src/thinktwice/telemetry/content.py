"""Prompts and completions, which are written only where the user has asked for it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from opentelemetry import trace

from thinktwice.remarks import tell_once
from thinktwice.telemetry.attributes import (
    EXCHANGE,
    INPUT_MESSAGES,
    INPUT_VALUE,
    OPERATION,
    OUTPUT_MESSAGES,
    OUTPUT_VALUE,
)
from thinktwice.tokens import content_text, text_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AnyValue, AttributeValue

    from thinktwice.sample import Verdict
    from thinktwice.telemetry.events import Events

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LONGEST: Final = 1 << 15
"""Characters of a message that are written: a batch that is too large is lost as a whole."""
MOST: Final = 1 << 6
"""Messages of a prompt that are written, the last ones, likewise."""

_ROLES: Final = {"ai": "assistant", "human": "user"}
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
    prompt: object, reply: str | None, finish_reason: str | None = None
) -> Mapping[str, AnyValue]:
    """Messages of a model call, in the shape of the conventions."""
    content: dict[str, AnyValue] = {INPUT_MESSAGES: _messages(prompt)}
    if reply is not None:
        message = _message("assistant", reply)
        if finish_reason is not None:
            message = {**message, "finish_reason": finish_reason}
        content[OUTPUT_MESSAGES] = [message]
    return content


def input_attributes(prompt: object) -> Mapping[str, AttributeValue]:
    """The input of a run, under the names of the conventions and of OpenInference."""
    return {INPUT_MESSAGES: as_json(_messages(prompt)), INPUT_VALUE: _cut(text_of(prompt))}


def output_attributes(value: object) -> Mapping[str, AttributeValue]:
    """The output of a run, likewise."""
    text = text_of(value)
    return {OUTPUT_MESSAGES: as_json([_message("assistant", text)]), OUTPUT_VALUE: _cut(text)}


def tool_arguments(value: object) -> str:
    """What a tool that checks an answer is given."""
    return as_json({"value": _cut(text_of(value))})


def tool_result(verdict: Verdict) -> str:
    """What it found."""
    found = {"outcome": verdict.outcome, "score": verdict.score, "feedback": verdict.feedback}
    return as_json(
        {
            name: _cut(each) if isinstance(each, str) else each
            for name, each in found.items()
            if each is not None
        }
    )


def as_json(content: object) -> str:
    """For the attribute of a span, which holds no structure."""
    return json.dumps(content, ensure_ascii=False)


def _messages(prompt: object) -> list[AnyValue]:
    several = isinstance(prompt, list | tuple) and _pair(cast("object", prompt)) is None
    given = cast("Sequence[object]", prompt) if several else [cast("object", prompt)]
    left = len(given) - MOST
    if left <= 0:
        return [_read(message) for message in given]
    return [_message("user", f"[{left} earlier messages]"), *map(_read, given[left:])]


def _read(message: object) -> Mapping[str, AnyValue]:
    if isinstance(message, str):
        return _message("user", message)
    if (pair := _pair(message)) is not None:
        return _message(*pair)
    role = _field(message, "role") or _field(message, "type")
    role = getattr(role, "value", role)  # an enumeration of LlamaIndex's
    content = _field(message, "content")
    text = text_of(message) if content is None else content_text(content)
    return _message(role if isinstance(role, str) else "user", text)


def _pair(message: object) -> tuple[str, str] | None:
    """A role and a text, as LangChain takes messages."""
    match message:
        case (str(role), str(text)) if isinstance(message, tuple):
            return role, text
        case _:
            return None


def _message(role: str, text: str) -> Mapping[str, AnyValue]:
    part: Mapping[str, AnyValue] = {"type": "text", "content": _cut(text)}
    return {"role": _ROLES.get(role, role), "parts": [part]}


def _field(message: object, name: str) -> object:
    if isinstance(message, Mapping):
        return cast("Mapping[str, object]", message).get(name)
    return getattr(message, name, None)


def _cut(text: str) -> str:
    more = len(text) - LONGEST
    kept = text if more <= 0 else f"{text[:LONGEST]}... [{more} more characters]"
    # Half of an emoji, as models that were cut short leave it, cannot be sent.
    return kept.encode("utf-8", "replace").decode()
