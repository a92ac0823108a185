"""What comes out of a run: a response like those of the engine inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)

from llama_index_thinktwice.responses import annotated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from llama_index.core.base.response.schema import RESPONSE_TYPE

    from thinktwice import Result


def returned(result: Result[Any], kinds: set[type]) -> RESPONSE_TYPE:
    """The answer with a summary of the run.

    Where all samples abstained it is a response whose `response` is None, with the sources of the
    first sample.

    Args:
        result: The run.
        kinds: Of streams that the samples were: then it is a stream too, of one chunk, or none.
    """
    value = _nothing(result) if result.value is None else result.value
    response = annotated(cast("Response | PydanticResponse", value), result)
    if not kinds or not isinstance(response, Response):
        return response
    around = response.source_nodes, response.metadata
    if AsyncStreamingResponse in kinds:
        return AsyncStreamingResponse(_achunk(response.response), *around)
    return StreamingResponse(_chunk(response.response), *around)


def _nothing(result: Result[Any]) -> Response | PydanticResponse:
    drawn = (each.value for each in result.samples)
    kept = (each for each in drawn if isinstance(each, Response | PydanticResponse))
    return replace(next(kept, Response(None)), response=None)


def _chunk(text: str | None) -> Generator[str]:
    if text:
        yield text


async def _achunk(text: str | None) -> AsyncGenerator[str]:
    if text:
        yield text
