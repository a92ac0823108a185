"""An engine that streams its answers: cut in the middle, broken events, no usage at the end."""

from __future__ import annotations

import json

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index_thinktwice.llm import StrategyLLM
from openai import APIConnectionError, RateLimitError

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

LONG = "the sum is 4"
FAULTS = {
    "cut": (APIConnectionError, httpx.RemoteProtocolError),
    "garbage": json.JSONDecodeError,
    "reset": APIConnectionError,
    "429": RateLimitError,
}
COUNTED = {"additional_kwargs": {"stream_options": {"include_usage": True}}}


async def text_of(response):
    """What a streaming response says."""
    if isinstance(response, AsyncStreamingResponse):
        return str(await response.get_response())
    assert isinstance(response, StreamingResponse)
    return str(response.get_response())


async def test_a_vote(served, chat, all_of, as_engine):
    """As without a stream: usage comes in the last chunk, and a stream comes out."""
    with served(LONG) as server:
        asked = as_engine(chat(server, **COUNTED), all_of(3), streaming=True)
        response, result = await asked("2 + 2")
        assert [record.stream for record in server.log] == [True] * 3
    assert await text_of(response) == LONG
    assert result.ledger.total.usage.output_tokens == 3 * len(LONG)
    assert {entry.usage.source for entry in result.ledger.entries} == {"provider"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_fault_among_many(served, chat, all_of, as_engine, fault):
    """Half a reply has no vote."""
    with served(LONG, schedule={2: fault}, retry_after=None) as server:
        asked = as_engine(chat(server, **COUNTED), all_of(4), streaming=True)
        response, result = await asked("2 + 2")
    assert await text_of(response) == LONG
    [failed] = [sample for sample in result.samples if sample.error is not None]
    assert isinstance(failed.error, FAULTS[fault])
    assert failed.answer is None
    assert result.agreement == 1.0
    assert sorted(entry.status for entry in result.ledger.entries) == ["error", *["ok"] * 3]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_throughout(served, chat, all_of, as_engine, fault):
    """The client's own exception arrives."""
    with served(LONG, schedule={1: fault}, sticky=True, retry_after=None) as server:
        with pytest.raises(FAULTS[fault]):
            await as_engine(chat(server, **COUNTED), all_of(2), streaming=True)("2 + 2")
        assert len(server.log) == 2


async def test_a_stream_in_drops(served, chat, all_of, as_engine):
    """Slow is not wrong."""
    with served("4", schedule={2: "trickle"}) as server:
        asked = as_engine(chat(server, **COUNTED), all_of(3), streaming=True)
        _, result = await asked("2 + 2")
    assert result.agreement == 1.0
    assert all(sample.error is None for sample in result.samples)


@pytest.mark.parametrize("asked_for", [True, False])
async def test_a_stream_without_usage(served, chat, all_of, as_engine, asked_for):
    """Because nobody asked for it, or because the server leaves it out: it is missing, not 0."""
    faults = {"schedule": {1: "no usage"}, "sticky": True} if asked_for else {}
    with served(LONG, **faults) as server:
        llm = chat(server, **(COUNTED if asked_for else {}))
        _, result = await as_engine(llm, all_of(2), streaming=True)("2 + 2")
    assert {entry.usage.source for entry in result.ledger.entries} == {"missing"}
    assert result.ledger.total.usage.total_tokens is None


@pytest.mark.parametrize("method", ["stream_chat", "stream_complete"])
async def test_the_answer_of_an_llm_is_one_chunk(served, chat, all_of, method):
    """However the samples came in."""
    given = [ChatMessage("2 + 2")] if method == "stream_chat" else "2 + 2"
    with served(LONG) as server:
        llm = StrategyLLM(llm=chat(server), strategy=all_of(3))
        chunks = [chunk async for chunk in await getattr(llm, f"a{method}")(given)]
        blocking = list(getattr(llm, method)(given))
        assert len(server.log) == 6
    assert [chunk.delta for chunk in chunks] == [chunk.delta for chunk in blocking] == [LONG]
