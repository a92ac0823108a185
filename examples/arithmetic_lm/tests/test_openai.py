"""The server as langchain-openai's client sees it."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langchain_openai")

import openai
from langchain_openai import ChatOpenAI

from arithmetic_lm.faults import Faults
from arithmetic_lm.problems import final_answer
from arithmetic_lm.server import ArithmeticServer

pytestmark = pytest.mark.anyio


def _model(server, **kwargs):
    options = {"temperature": 0.2, "seed": 1, "max_retries": 0, **kwargs}
    return ChatOpenAI(model="arithmetic-lm", base_url=server.url, api_key="none", **options)


async def test_a_message(engine):
    async with ArithmeticServer(engine=engine) as server:
        message = await _model(server, logprobs=True).ainvoke("What is 37*8+56?")
    assert final_answer(message.text) is not None
    assert message.usage_metadata["output_tokens"] == len(message.text)
    tokens = message.response_metadata["logprobs"]["content"]
    assert "".join(item["token"] for item in tokens) == message.text


async def test_n_and_concurrent_calls(engine):
    async with ArithmeticServer(engine=engine) as server:
        model = _model(server)
        result = await model.agenerate([_messages()], n=3)
        replies = await model.abatch([f"{a}*7+{a}" for a in range(12, 28)])
    assert len(result.generations[0]) == 3
    assert all(final_answer(reply.text) for reply in replies)


async def test_a_stream_with_usage(engine):
    async with ArithmeticServer(engine=engine) as server:
        chunks = [c async for c in _model(server, stream_usage=True).astream("37*8+56")]
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert final_answer(total.text) is not None
    assert total.usage_metadata["output_tokens"] == len(total.text)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
        ("hang", openai.APITimeoutError),
    ],
)
async def test_faults_raise_the_errors_of_the_client(engine, fault, error):
    async with ArithmeticServer(engine=engine, faults=Faults(schedule={1: fault})) as server:
        model = _model(server, timeout=0.5)
        with pytest.raises(error):
            await model.ainvoke("37*8+56")
        assert final_answer((await model.ainvoke("37*8+56")).text) is not None


async def test_the_client_retries_after_the_time_it_is_told(engine):
    faults = Faults(schedule={1: "429", 2: "500"}, retry_after=0.2)
    async with ArithmeticServer(engine=engine, faults=faults) as server:
        message = await _model(server, max_retries=3).ainvoke("37*8+56")
    assert final_answer(message.text) is not None
    assert [record.status for record in server.log] == [429, 500, 200]
    assert server.log[1].arrived - server.log[0].finished >= 0.2


async def test_an_unknown_model(engine):
    async with ArithmeticServer(engine=engine) as server:
        model = ChatOpenAI(model="gpt-x", base_url=server.url, api_key="none", max_retries=0)
        with pytest.raises(openai.NotFoundError):
            await model.ainvoke("37*8+56")


async def test_a_cancelled_call_is_seen_as_a_disconnect(engine):
    async with ArithmeticServer(engine=engine, faults=Faults(latency=30.0)) as server:
        task = asyncio.create_task(_model(server).ainvoke("37*8+56"))
        while not server.log:
            await asyncio.sleep(0.01)
        task.cancel()
        async with asyncio.timeout(3):
            while not server.log[0].disconnected:
                await asyncio.sleep(0.01)


def test_without_an_event_loop(engine):
    with ArithmeticServer.in_thread(engine=engine) as server:
        assert final_answer(_model(server).invoke("37*8+56").text) is not None


def _messages():
    from langchain_core.messages import HumanMessage

    return [HumanMessage("37*8+56")]
