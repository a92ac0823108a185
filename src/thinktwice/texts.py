"""The text of prompts and messages, whatever shape they have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_BINARY = {"image", "image_url", "input_image", "audio", "input_audio", "video", "file", "document"}
"""Types of content blocks whose bytes are no text."""


def text_of(prompt: object) -> str:
    """Flatten a prompt: a text, chat messages (dicts, pairs or objects), or anything else by `str`.

    Each message is a line of its role and its text, so that a bound over the bytes covers the frame
    that the chat template puts round it. Images, audio and files are left out.
    """
    return prompt if isinstance(prompt, str) else "\n".join(messages_in(prompt))


def messages_in(prompt: object) -> Iterator[str]:
    """The text of each message of a prompt, as in `text_of`; a prompt without messages is one."""
    inner = _attribute(prompt, "messages")
    if isinstance(inner, Sequence) and not isinstance(inner, str):
        prompt = cast("Sequence[object]", inner)
    if isinstance(prompt, Sequence) and not isinstance(prompt, str | bytes):
        yield from map(_message_text, cast("Sequence[object]", prompt))
    else:
        yield _message_text(prompt)


def has_media(prompt: object) -> bool:
    """Whether a prompt holds images, sound or files, whose tokens its text does not bound."""
    if isinstance(prompt, Mapping):
        block = cast("Mapping[str, object]", prompt)
        return block.get("type") in _BINARY or has_media(block.get("content"))
    if isinstance(prompt, list | tuple):
        return any(has_media(each) for each in cast("Sequence[object]", prompt))
    content = getattr(prompt, "content", None)
    return isinstance(content, list) and has_media(cast("list[object]", content))


def content_text(content: object) -> str:
    """The text of a message's content: a string, or the blocks of a list that are text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(map(_block_text, cast("Sequence[object]", content)))
    return str(content)


def _block_text(block: object) -> str:
    text = block if isinstance(block, str) else _attribute(block, "text")
    return text if isinstance(text, str) else ""


def _other_blocks(content: object) -> str:
    """Blocks that are neither text nor binary, such as tool calls and their results, as JSON."""
    if isinstance(content, str) or not isinstance(content, Sequence):
        return ""
    return "".join(map(_other_block, cast("Sequence[object]", content)))


def _other_block(block: object) -> str:
    if not isinstance(block, Mapping):
        return ""
    fields = cast("Mapping[str, object]", block)
    known = isinstance(fields.get("text"), str) or fields.get("type") in _BINARY
    return "" if known else json.dumps(fields, default=str)


def _message_text(message: object) -> str:
    if isinstance(message, str):
        return message
    if isinstance(message, tuple):  # the pair (role, content)
        role, *rest = cast("tuple[object, ...]", message) or ("",)
        return f"{role}: {''.join(map(content_text, rest))}"
    return _framed(message)


def _framed(message: object) -> str:
    """The text of a dict or object, behind its role; by `str` if it holds no text."""
    content = _attribute(message, "content")
    text = _attribute(message, "text")
    if content is None and not isinstance(text, str):
        return json.dumps(message, default=str) if isinstance(message, Mapping) else str(message)
    role = _attribute(message, "role") or _attribute(message, "type")
    role = getattr(role, "value", role)  # an enumeration of LlamaIndex's
    calls = _attribute(message, "tool_calls")
    called = json.dumps(calls, default=str) if calls else ""
    said = str(text) if content is None else content_text(content) + _other_blocks(content)
    return f"{role}: {said}{called}" if role else f"{said}{called}"


def _attribute(thing: object, name: str) -> object:
    if isinstance(thing, Mapping):
        return cast("Mapping[str, object]", thing).get(name)
    return getattr(thing, name, None)
