"""Messages of any framework, in the shape of the conventions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from thinktwice.answers.shapes import attribute, tool_call
from thinktwice.texts import content_text, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.util.types import AnyValue

LONGEST: Final = 1 << 15
"""Characters of a message that are written: a batch that is too large is lost as a whole."""
MOST: Final = 1 << 6
"""Messages of a prompt that are written, the last ones, likewise."""

_ROLES: Final = {"AIMessageChunk": "assistant", "ai": "assistant", "human": "user"}


def cut(text: str) -> str:
    """A text as it can be sent: no longer than `LONGEST`, and without half of an emoji."""
    more = len(text) - LONGEST
    kept = text if more <= 0 else f"{text[:LONGEST]}... [{more} more characters]"
    # Models that were cut short leave one.
    return kept.encode("utf-8", "replace").decode()


def messages_of(prompt: object) -> Sequence[AnyValue]:
    """The messages of a prompt; of many the last ones."""
    inner = attribute(prompt, "messages")  # of a state, or of LangChain's prompts
    prompt = cast("object", inner) if isinstance(inner, list | tuple) else prompt
    several = isinstance(prompt, list | tuple) and _pair(cast("object", prompt)) is None
    given = cast("Sequence[object]", prompt) if several else [cast("object", prompt)]
    left = len(given) - MOST
    read = [_asked(message) for message in given[max(left, 0) :]]
    return read if left <= 0 else [_message("user", f"[{left} earlier messages]"), *read]


def _asked(message: object) -> Mapping[str, AnyValue]:
    return _message(*pair) if (pair := _pair(message)) else read_message(message, "user")


def read_message(message: object, by: str) -> Mapping[str, AnyValue]:
    """A message of a framework, or a text.

    Args:
        message: The message.
        by: The role of one that names none.
    """
    if isinstance(message, str):
        return _message(by, message)
    content, beside = attribute(message, "content"), attribute(message, "additional_kwargs")
    holders = (message, beside) if beside else (message,)
    calls = [_called(call) for call in _calls(holders)]
    if content is None and not calls:
        return _message(by, text_of(message))
    role = attribute(message, "role") or attribute(message, "type")
    role = getattr(role, "value", role)  # an enumeration of LlamaIndex's
    answers = _first_text(holders, ("tool_call_id",)) if role == "tool" else None
    return _message(role if isinstance(role, str) else by, content_text(content), calls, answers)


def _calls(holders: Sequence[object]) -> Sequence[object]:
    """The tool calls of a message, wherever its framework keeps them."""
    for holder in holders:
        calls = attribute(holder, "tool_calls")
        if isinstance(calls, list | tuple) and calls:
            return cast("Sequence[object]", calls)
    blocks = attribute(holders[0], "blocks")
    if not isinstance(blocks, list):
        return ()
    return [each for each in cast("list[object]", blocks) if attribute(each, "tool_name")]


def _called(call: object) -> Mapping[str, AnyValue]:
    name, arguments = tool_call(call)
    if block := _first_text((call,), ("tool_name",)):  # of LlamaIndex
        name, arguments = block, attribute(call, "tool_kwargs")
    given = arguments if isinstance(arguments, str) else _json(arguments)
    named = _first_text((call,), ("id", "tool_call_id"))
    return {"type": "tool_call", "id": named, "name": cut(name), "arguments": cut(given)}


def _json(arguments: object) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):  # keys that are no strings, or a cycle
        return str(arguments)


def _first_text(holders: Sequence[object], names: Sequence[str]) -> str | None:
    found = (attribute(holder, name) for holder in holders for name in names)
    return next((cut(each) for each in found if isinstance(each, str)), None)


def _pair(message: object) -> tuple[str, str] | None:
    """A role and a text, as LangChain takes messages."""
    match message:
        case (str(role), str(text)) if isinstance(message, tuple):
            return role, text
        case _:
            return None


def _message(
    role: str,
    text: str,
    calls: Sequence[Mapping[str, AnyValue]] = (),
    answers: str | None = None,
) -> Mapping[str, AnyValue]:
    """A message in the shape of the conventions.

    Args:
        role: Whose.
        text: What it says.
        calls: The tools that it calls.
        answers: Id of the tool call that it is the result of.
    """
    part: Mapping[str, AnyValue] = {"type": "text", "content": cut(text)}
    if answers is not None:
        part = {"type": "tool_call_response", "id": answers, "response": cut(text)}
    parts = [part, *calls] if text or not calls else [*calls]
    return {"role": cut(_ROLES.get(role, role)), "parts": parts}
