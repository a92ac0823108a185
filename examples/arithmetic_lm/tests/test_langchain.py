from __future__ import annotations

import asyncio
import time

import pytest

pytest.importorskip("langchain_core")

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from arithmetic_lm.asking import REFUSAL
from arithmetic_lm.engine import shared_engine
from arithmetic_lm.langchain import ArithmeticChatModel
from arithmetic_lm.problems import final_answer

pytestmark = pytest.mark.anyio


async def test_a_chain_answers():
    prompt = ChatPromptTemplate.from_messages([("system", "1+1"), ("human", "What is {q}?")])
    chain = prompt | ArithmeticChatModel(seed=1) | StrOutputParser() | final_answer
    answer = await chain.ainvoke({"q": "37*8+56"})
    assert answer is not None
    assert await asyncio.to_thread(chain.invoke, {"q": "37*8+56"}) == answer


async def test_messages_carry_usage_and_logprobs():
    message = await ArithmeticChatModel(seed=1).ainvoke("37*8+56")
    assert message.usage_metadata["input_tokens"] == 10
    assert message.usage_metadata["output_tokens"] == len(message.text)
    info = message.response_metadata
    assert (info["model_name"], info["model_provider"]) == ("arithmetic-lm", "local")
    assert info["finish_reason"] == "stop"
    assert "".join(item["token"] for item in info["logprobs"]["content"]) == message.text
    assert all(item["logprob"] <= 0 for item in info["logprobs"]["content"])


async def test_the_most_probable_tokens():
    model = ArithmeticChatModel(temperature=0)
    bound = await model.bind(top_logprobs=2).ainvoke("37*8+56")
    own = await ArithmeticChatModel(temperature=0, top_logprobs=2).ainvoke("37*8+56")
    streamed = [c async for c in model.bind(top_logprobs=2).astream("37*8+56")]
    total = streamed[0]
    for chunk in streamed[1:]:
        total += chunk
    for message in (bound, own, total):
        for item in message.response_metadata["logprobs"]["content"]:
            assert len(item["top_logprobs"]) == 2
            assert item["top_logprobs"][0]["token"] == item["token"]
    plain = (await model.ainvoke("37*8+56")).response_metadata["logprobs"]["content"]
    assert all(item["top_logprobs"] == [] for item in plain)


async def test_bind_is_honoured():
    model = ArithmeticChatModel()
    seeded = model.bind(seed=3, temperature=2.0)
    assert (await seeded.ainvoke("37*8+56")).text == (await seeded.ainvoke("37*8+56")).text
    short = await model.bind(max_tokens=4).ainvoke("37*8+56")
    assert (len(short.text), short.response_metadata["finish_reason"]) == (4, "length")
    assert "\n" not in (await model.bind(stop=["\n"]).ainvoke("37*8+56")).text
    assert "\n" not in (await model.ainvoke("37*8+56", stop=["\n"])).text


@pytest.mark.parametrize("door", ["sync", "async"])
async def test_n_generations(door):
    model = ArithmeticChatModel(seed=1, temperature=2.0)
    messages = [[HumanMessage("37*8+56")]]
    if door == "async":
        result = await model.agenerate(messages, n=5)
    else:
        result = await asyncio.to_thread(model.generate, messages, n=5)
    texts = [generation.text for generation in result.generations[0]]
    assert len(texts) == 5
    assert len(set(texts)) > 1
    usage = result.llm_output["token_usage"]
    assert usage["completion_tokens"] == sum(map(len, texts))
    assert usage["prompt_tokens"] == 10


async def test_streams_end_with_usage():
    model = ArithmeticChatModel(seed=1)
    whole = await model.ainvoke("37*8+56")
    chunks = [chunk async for chunk in model.astream("37*8+56")]
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert len(chunks) > 5
    assert total.text == whole.text
    assert total.usage_metadata == whole.usage_metadata
    info = total.response_metadata
    assert info["finish_reason"] == "stop"
    assert info["model_name"] == "arithmetic-lm"
    assert info["logprobs"] == whole.response_metadata["logprobs"]
    assert "".join(c.text for c in await asyncio.to_thread(list, model.stream("37*8+56")))


async def test_callbacks_see_usage():
    handler = UsageMetadataCallbackHandler()
    await ArithmeticChatModel().ainvoke("37*8+56", config={"callbacks": [handler]})
    assert handler.usage_metadata["arithmetic-lm"]["input_tokens"] == 10


async def test_events_name_the_model():
    starts = [
        event["metadata"]
        async for event in ArithmeticChatModel(temperature=0.5).astream_events("1+2", version="v2")
        if event["event"] == "on_chat_model_start"
    ]
    assert starts[0]["ls_model_name"] == "arithmetic-lm"
    assert starts[0]["ls_temperature"] == 0.5
    assert starts[0]["ls_provider"] == "local"


async def test_a_batch_runs_together():
    model = ArithmeticChatModel(temperature=0)
    replies = await model.abatch([f"{a}*7+{a}" for a in range(12, 42)])
    assert all(final_answer(reply.text) for reply in replies)


async def test_cancelling_takes_the_call_out_of_the_batch(monkeypatch):
    engine = shared_engine()
    step = engine.model.step

    def slowly(self, *arguments):
        time.sleep(0.02)
        return step(*arguments)

    monkeypatch.setattr(type(engine.model), "step", slowly)
    task = asyncio.create_task(ArithmeticChatModel().ainvoke("37*8+56"))
    while not engine.running:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(40):
        if not engine.running:
            break
        await asyncio.sleep(0.005)
    assert engine.running == 0


async def test_the_last_human_message_is_the_question():
    messages = [SystemMessage("You add."), HumanMessage("1+1"), HumanMessage("Hello")]
    assert (await ArithmeticChatModel().ainvoke(messages)).text == REFUSAL


async def test_the_model_and_its_effort_are_chosen():
    model = ArithmeticChatModel(model="skilled", seed=1)
    low = await model.bind(reasoning_effort="low").ainvoke("37*8+56")
    also = await model.bind(effort="low").ainvoke("37*8+56")
    high = await ArithmeticChatModel(model="skilled", effort="high").ainvoke("37*8+56")
    assert low.text == also.text
    assert low.usage_metadata["output_tokens"] < 8 < high.usage_metadata["output_tokens"]
    assert low.response_metadata["model_name"] == "arithmetic-lm-skilled"
    with pytest.raises(ValueError, match="knows no effort"):
        await ArithmeticChatModel(effort="low").ainvoke("37*8+56")


async def test_feedback_on_a_draft_makes_a_new_one():
    draft = "37*8=297\n297+56=353\nA:353"
    messages = [HumanMessage("37*8+56"), AIMessage(draft), HumanMessage("37*8 is not 297")]
    reply = await ArithmeticChatModel(model="skilled", seed=1).ainvoke(messages)
    assert reply.usage_metadata["input_tokens"] == len(f"37*8+56=\n{draft}\n!1\n") + 1
