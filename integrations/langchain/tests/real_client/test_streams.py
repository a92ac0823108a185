"""A client that streams its replies: cut in the middle, broken events, no usage at the end."""

from __future__ import annotations

import json

import httpx
import pytest
from langchain_core.output_parsers import StrOutputParser
from openai import APIConnectionError, RateLimitError

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

LONG = "the sum is 4"
FAULTS = {
    "cut": (APIConnectionError, httpx.RemoteProtocolError),  # older clients let it through
    "garbage": json.JSONDecodeError,
    "reset": APIConnectionError,
    "429": RateLimitError,
}


@pytest.fixture
def streaming(chat):
    """Makes a client that streams, and asks for usage."""
    return lambda server, **settings: chat(server, streaming=True, stream_usage=True, **settings)


async def test_a_vote(served, streaming, drawing, call):
    """As without a stream: usage comes in the last chunk."""
    with served(LONG) as server:
        result = (await call(drawing(streaming(server), 3), "2 + 2"))["result"]
        assert all(record.stream for record in server.log)
    assert result.value.text == LONG
    assert result.value.usage_metadata["output_tokens"] == len(LONG)
    assert result.ledger.total.usage.output_tokens == 3 * len(LONG)
    assert result.samples[0].finish_reason == "stop"


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_fault_among_many(served, streaming, drawing, call, fault):
    """Half a reply has no vote."""
    with served(LONG, schedule={2: fault}, retry_after=None) as server:
        result = (await call(drawing(streaming(server), 4), "2 + 2"))["result"]
    assert result.value.text == LONG
    [failed] = [sample for sample in result.samples if sample.error is not None]
    assert isinstance(failed.error, FAULTS[fault])
    assert failed.answer is None
    assert result.agreement == 1.0


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_throughout(served, streaming, drawing, call, fault):
    """The client's own exception arrives."""
    with served(LONG, schedule={1: fault}, sticky=True, retry_after=None) as server:
        with pytest.raises(FAULTS[fault]):
            await call(drawing(streaming(server), 2), "2 + 2")
        assert len(server.log) == 2


async def test_a_stream_in_drops(served, streaming, drawing, call):
    """Slow is not wrong."""
    with served("4", schedule={2: "trickle"}) as server:
        result = (await call(drawing(streaming(server), 3), "2 + 2"))["result"]
    assert result.agreement == 1.0
    assert all(sample.error is None for sample in result.samples)


@pytest.mark.parametrize("asked", [True, False])
async def test_a_stream_without_usage(served, chat, drawing, call, asked):
    """Because nobody asked for it, or because the server leaves it out: it is missing, not 0."""
    faults = {"schedule": {1: "no usage"}, "sticky": True} if asked else {}
    with served(LONG, **faults) as server:
        model = chat(server, streaming=True, stream_usage=asked)
        result = (await call(drawing(model | StrOutputParser(), 2), "2 + 2"))["result"]
    assert {entry.usage.source for entry in result.ledger.entries} == {"missing"}
    assert result.ledger.total.usage.total_tokens is None


async def test_the_answer_is_one_chunk(served, streaming, drawing):
    """However the samples came in."""
    with served(LONG) as server:
        chain = drawing(streaming(server), 3, include_result=False)
        chunks = [chunk async for chunk in chain.astream("2 + 2")]
    assert [chunk.text for chunk in chunks] == [LONG]
