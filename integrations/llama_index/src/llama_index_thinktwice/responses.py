"""Responses: read to their end, and marked with what they took."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import AgentChatResponse

from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from thinktwice import Result

T = TypeVar("T")

METADATA: Final = "thinktwice"
"""Where the summary stands in `metadata`, and in the `additional_kwargs` of an LLM's response."""


def summary(result: Result[Any]) -> dict[str, Any]:
    """A run in a few numbers, fit for JSON, with how its caps were kept.

    `enforcement` is of its own caps; those of a `budget_scope` around it are told of by the ledger
    of that.
    """
    return {**result.summary(), "enforcement": dict(result.ledger.enforcement)}


def annotated(value: T, result: Result[Any]) -> T:
    """A copy of a response that carries the summary; any other value as it is."""
    told = {METADATA: summary(result)}
    if isinstance(value, Response | PydanticResponse | AgentChatResponse):
        return cast("T", replace(value, metadata={**(value.metadata or {}), **told}))
    if isinstance(value, ChatResponse | CompletionResponse):
        extra = {**value.additional_kwargs, **told}
        return cast("T", value.model_copy(update={"additional_kwargs": extra}))
    return value


def settled(response: T) -> T | Response:
    """A streaming response read to its end; any other as it is."""
    return response.get_response() if isinstance(response, StreamingResponse) else response


async def asettled(response: T) -> T | Response:
    """A streaming response read to its end, a sync one on a thread; any other as it is."""
    if isinstance(response, AsyncStreamingResponse):
        return await response.get_response()
    if isinstance(response, StreamingResponse):
        return await in_thread(response.get_response)
    return response
