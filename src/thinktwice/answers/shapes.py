"""Finding the answer in what frameworks wrap round it, by its shape: no framework is imported."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from thinktwice.errors import UsageError
from thinktwice.sample import Completion
from thinktwice.texts import content_text

RAW_SHAPE: set[object] = {"raw", "parsed", "parsing_error"}
_PLAIN = frozenset({str, int, float, bool, type(None), dict, list})
_AI_ROLES = {"assistant", "ai", "model", "AIMessageChunk"}


def unwrap(value: object) -> object:
    """The answer inside a wrapping, one level down; the value itself if it is not wrapped.

    A `Completion` gives its value; `{"raw", "parsed", "parsing_error"}` what was parsed; a state
    with `messages` its last message from the model. None when parsing failed or the model said
    nothing.
    """
    if isinstance(value, Completion):
        return cast("Completion[object]", value).value
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[object, object]", value)
    if set(fields) == RAW_SHAPE:
        return None if fields["parsing_error"] is not None else fields["parsed"]
    messages = fields.get("messages")
    if isinstance(messages, Sequence) and not isinstance(messages, str):
        spoken = (m for m in reversed(cast("Sequence[object]", messages)) if from_model(m))
        return next(spoken, None)
    return fields


def from_model(message: object) -> bool:
    """Whether this is a chat message, a dict or an object, that the model wrote."""
    if attribute(message, "content") is None and attribute(message, "tool_calls") is None:
        return False
    role = attribute(message, "role") or attribute(message, "type")
    return str(role) in _AI_ROLES or str(attribute(role, "value")) in _AI_ROLES


def tool_calls(message: object) -> list[tuple[str, object]]:
    """Name and arguments of each tool call of a message, without ids."""
    calls = attribute(message, "tool_calls")
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        return []
    return [tool_call(call) for call in cast("Sequence[object]", calls)]


def tool_call(call: object) -> tuple[str, object]:
    """Name and arguments of a tool call, in the shape of any of the interfaces."""
    inner = attribute(call, "function") or call
    given = (attribute(inner, name) for name in ("args", "arguments", "input"))
    arguments = next((each for each in given if each is not None), None)
    if isinstance(arguments, str):  # some interfaces hand the arguments on as JSON
        with contextlib.suppress(ValueError):
            arguments = json.loads(arguments)
    return str(attribute(inner, "name")), arguments


def plain_of(value: object) -> object:
    """The plain data of a pydantic model (by its `model_dump`) or a dataclass, else the value.

    Dataclass fields that are left out of comparison are left out here as well.
    """
    if type(value) in _PLAIN or isinstance(value, type):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return cast("Callable[[], object]", dump)()
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
    return value


@functools.singledispatch
def text_in(value: object) -> str | None:
    """The text of a value, for the keys that read texts; None where there is none to read.

    Adapters register their framework's types here.

    Raises:
        UsageError: Values of this type hold no text.
    """
    inner = unwrap(value)
    if inner is not value:
        return None if inner is None else text_in(inner)
    content = attribute(value, "content")
    if isinstance(content, str | Sequence):
        return content_text(cast("object", content))
    text = attribute(value, "text")
    if callable(text) and not isinstance(text, str):
        text = text()
    if isinstance(text, str):
        return text
    name = type(value).__name__
    remedy = f"it reads texts and {name} has none: pass 'json:field' or a callable"
    raise UsageError("key", None, remedy)


@text_in.register
def _(value: None) -> None:
    return value


@text_in.register
def _(value: str) -> str:
    return value


@text_in.register(Completion)
def _(value: Completion[object]) -> str | None:
    return value.value if isinstance(value.value, str) else value.text or text_in(value.value)


@functools.singledispatch
def with_text(value: object, text: str) -> object | None:
    """The value with another text in the place of its own; None where that cannot be.

    Adapters register their framework's types here.
    """
    if not isinstance(value, Mapping):
        return None
    message = cast("Mapping[str, object]", value)
    return {**message, "content": text} if isinstance(message.get("content"), str) else None


@with_text.register
def _(value: str, text: str) -> str:
    del value
    return text


def attribute(thing: object, name: str) -> object:
    """An entry of a mapping or an attribute of anything else; None where there is none."""
    if isinstance(thing, Mapping):
        return cast("Mapping[str, object]", thing).get(name)
    return getattr(thing, name, None)
