"""LlamaIndex's types as answers: which of them are the same, and the text in them."""

from __future__ import annotations

import json
from collections.abc import Hashable  # noqa: TC003 - singledispatch reads the annotations
from dataclasses import replace
from typing import Any, Final, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    TextBlock,
)
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.schema import QueryBundle

from thinktwice.answers import canonical_json, default_key, fold, text_in, with_text
from thinktwice.answers.documents import Document, opened
from thinktwice.answers.shapes import tool_call

# Streaming responses are none of these: they are read to their end before they are compared.


_NOTHING: Final = "Empty Response"
"""What synthesizers of LlamaIndex make of an empty reply, and of one that cannot be read."""


@default_key.register
def _(value: Response) -> Hashable | None:
    """By its text; nothing where there were sources and the synthesizer made nothing of them."""
    if value.response is None or (value.response == _NOTHING and value.source_nodes):
        return None
    return fold(value.response)


@default_key.register(AgentChatResponse)
@default_key.register(CompletionResponse)
@default_key.register(QueryBundle)
def _(value: AgentChatResponse | CompletionResponse | QueryBundle) -> Hashable | None:
    """By their text."""
    text = text_in(value)
    return None if text is None else fold(text)


@default_key.register
def _(value: PydanticResponse) -> Hashable | None:
    """By its object."""
    return None if value.response is None else canonical_json(value.response)


@opened.register
def _(value: PydanticResponse) -> Document | None:
    """Its object: what a vote on fields puts together goes back into a response."""
    inner = opened(value.response)
    if inner is None:
        return None
    return Document(
        inner.content, lambda content: replace(value, response=cast("Any", inner.holding(content)))
    )


@default_key.register
def _(value: ChatMessage) -> Hashable | None:
    """Tool calls by name and arguments in any order, else the text; never an id."""
    calls = [_plain_call(each) for each in tool_calls(value)]
    if any(call is None for call in calls):
        return None
    if calls:
        return ("tool_calls", tuple(sorted(canonical_json(call) for call in calls)))
    return fold(value.content or "")


@default_key.register
def _(value: ChatResponse) -> Hashable | None:
    return default_key(value.message)


def tool_calls(message: ChatMessage) -> list[object]:
    """The tool calls of a message: blocks of it, or as some providers' packages keep them."""
    blocks = [each for each in message.blocks if getattr(each, "block_type", "") == "tool_call"]
    return [*blocks] or list(message.additional_kwargs.get("tool_calls") or ())


def _plain_call(call: object) -> tuple[str, object] | None:
    """Name and arguments; None where the arguments are no JSON."""
    name: object = getattr(call, "tool_name", None)
    if name is None:
        name, arguments = tool_call(call)
    else:
        arguments = cast("Any", call).tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return None
    return str(name), arguments


# ---- the text ---------------------------------------------------------------------------------


@text_in.register(Response)
@text_in.register(AgentChatResponse)
def _(value: Response | AgentChatResponse) -> str | None:
    return value.response


@text_in.register
def _(value: PydanticResponse) -> str | None:
    return None if value.response is None else value.response.model_dump_json()


@text_in.register
def _(value: CompletionResponse) -> str:
    return value.text


@text_in.register
def _(value: ChatMessage) -> str:
    return value.content or ""


@text_in.register
def _(value: ChatResponse) -> str:
    return value.message.content or ""


@text_in.register
def _(value: QueryBundle) -> str:
    return value.query_str


@with_text.register
def _(value: Response, text: str) -> Response:
    return replace(value, response=text)


@with_text.register
def _(value: AgentChatResponse, text: str) -> AgentChatResponse:
    return replace(value, response=text)


@with_text.register
def _(value: CompletionResponse, text: str) -> CompletionResponse:
    return value.model_copy(update={"text": text})


@with_text.register
def _(value: ChatMessage, text: str) -> ChatMessage | None:
    """A copy; none where nobody can tell which part of the content changed."""
    found = [at for at, each in enumerate(value.blocks) if isinstance(each, TextBlock)]
    if len(found) != 1:
        return None
    blocks = list(value.blocks)
    blocks[found[0]] = TextBlock(text=text)
    return value.model_copy(update={"blocks": blocks})


@with_text.register
def _(value: ChatResponse, text: str) -> ChatResponse | None:
    message = with_text(value.message, text)
    return None if message is None else value.model_copy(update={"message": message})


@with_text.register
def _(value: QueryBundle, text: str) -> QueryBundle:
    """A new one: a copy would keep the embedding of the old text."""
    return QueryBundle(text, image_path=value.image_path)
