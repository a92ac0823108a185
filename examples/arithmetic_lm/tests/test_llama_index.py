from __future__ import annotations

import asyncio
import copy
import time
from itertools import pairwise

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.prompts import PromptTemplate

from arithmetic_lm.asking import REFUSAL
from arithmetic_lm.engine import shared_engine
from arithmetic_lm.llama_index import ArithmeticLLM
from arithmetic_lm.problems import final_answer

pytestmark = pytest.mark.anyio

QUESTION = "What is 37*8+56?"
MESSAGES = [ChatMessage(QUESTION)]


def _text(response):
    return response.message.content if isinstance(response, ChatResponse) else response.text


async def _all(llm, **kwargs):
    """The last response of each of the eight methods."""
    sync = [
        await asyncio.to_thread(llm.chat, MESSAGES, **kwargs),
        await asyncio.to_thread(llm.complete, QUESTION, **kwargs),
        (await asyncio.to_thread(lambda: list(llm.stream_chat(MESSAGES, **kwargs))))[-1],
        (await asyncio.to_thread(lambda: list(llm.stream_complete(QUESTION, **kwargs))))[-1],
    ]
    asynchronous = [
        await llm.achat(MESSAGES, **kwargs),
        await llm.acomplete(QUESTION, **kwargs),
        [chunk async for chunk in await llm.astream_chat(MESSAGES, **kwargs)][-1],
        [chunk async for chunk in await llm.astream_complete(QUESTION, **kwargs)][-1],
    ]
    return sync + asynchronous


async def test_the_eight_methods_answer_alike():
    responses = await _all(ArithmeticLLM(seed=1))
    assert len(set(map(_text, responses))) == 1
    assert final_answer(_text(responses[0])) is not None
    assert len({str(r.raw) for r in responses}) == 1


async def test_responses_carry_usage_and_logprobs():
    for response in await _all(ArithmeticLLM(seed=1)):
        text = _text(response)
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": len(text),
            "total_tokens": 10 + len(text),
        }
        assert response.raw["usage"] == response.additional_kwargs == usage
        assert (response.raw["model"], response.raw["finish_reason"]) == ("arithmetic-lm", "stop")
        assert "".join(position[0].token for position in response.logprobs) == text
        assert all(
            len(position) == 1 and position[0].logprob <= 0 for position in response.logprobs
        )


async def test_the_most_probable_tokens():
    for response in await _all(ArithmeticLLM(temperature=0), top_logprobs=2):
        for first, second in response.logprobs:
            assert first.logprob >= second.logprob
            assert first.token != second.token


async def test_call_kwargs_are_honoured():
    llm = ArithmeticLLM()
    assert len({_text(r) for r in await _all(llm, seed=3, temperature=2.0)}) == 1
    for short in await _all(llm, max_tokens=4):
        assert (len(_text(short)), short.raw["finish_reason"]) == (4, "length")
    assert all("\n" not in _text(r) for r in await _all(llm, stop=["\n"]))


@pytest.mark.parametrize("door", ["stream_chat", "stream_complete"])
async def test_a_stream_is_written_token_by_token(door):
    given = MESSAGES if door == "stream_chat" else QUESTION
    chunks = await asyncio.to_thread(lambda: list(getattr(ArithmeticLLM(seed=1), door)(given)))
    assert len(chunks) > 5
    assert "".join(chunk.delta for chunk in chunks) == _text(chunks[-1])
    written = [_text(chunk) for chunk in chunks]
    assert all(b.startswith(a) for a, b in pairwise(written))
    assert all("usage" not in chunk.raw for chunk in chunks[:-1])


async def test_prompts_are_predicted_from():
    llm = ArithmeticLLM(seed=1)
    prompt = PromptTemplate("What is {sum}?")
    text = await llm.apredict(prompt, sum="37*8+56")
    assert final_answer(text) is not None
    assert await asyncio.to_thread(llm.predict, prompt, sum="37*8+56") == text


async def test_a_batch_runs_together():
    llm = ArithmeticLLM(temperature=0)
    asked = [llm.acomplete(f"{a}*7+{a}") for a in range(12, 42)]
    assert all(final_answer(reply.text) for reply in await asyncio.gather(*asked))


@pytest.mark.parametrize("streaming", [False, True])
async def test_cancelling_takes_the_call_out_of_the_batch(monkeypatch, streaming):
    engine = shared_engine()
    step = engine.model.step

    def slowly(self, *arguments):
        time.sleep(0.02)
        return step(*arguments)

    async def ask():
        if not streaming:
            return await ArithmeticLLM().achat(MESSAGES)
        return [chunk async for chunk in await ArithmeticLLM().astream_chat(MESSAGES)]

    monkeypatch.setattr(type(engine.model), "step", slowly)
    task = asyncio.create_task(ask())
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


async def test_the_last_user_message_is_the_question():
    messages = [ChatMessage("1+1", role=MessageRole.SYSTEM), *MESSAGES, ChatMessage("Hello")]
    assert (await ArithmeticLLM().achat(messages)).message.content == REFUSAL


async def test_the_model_and_its_effort_are_chosen():
    llm = ArithmeticLLM(model="skilled", seed=1)
    low = await llm.acomplete(QUESTION, reasoning_effort="low")
    assert low.text == (await llm.acomplete(QUESTION, effort="low")).text
    high = await ArithmeticLLM(model="skilled", effort="high").acomplete(QUESTION)
    assert len(low.text) < 8 < len(high.text)
    assert low.raw["model"] == llm.metadata.model_name == "arithmetic-lm-skilled"
    with pytest.raises(ValueError, match="knows no effort"):
        await ArithmeticLLM(effort="low").acomplete(QUESTION)


async def test_feedback_on_a_draft_makes_a_new_one():
    draft = "37*8=297\n297+56=353\nA:353"
    answer = ChatMessage(draft, role=MessageRole.ASSISTANT)
    messages = [*MESSAGES, answer, ChatMessage("37*8 is not 297")]
    reply = await ArithmeticLLM(model="skilled", seed=1).achat(messages)
    assert reply.raw["usage"]["prompt_tokens"] == len(f"37*8+56=\n{draft}\n!1\n") + 1


def test_a_copy_shares_the_engine():
    llm = copy.deepcopy(ArithmeticLLM(seed=1))
    assert final_answer(llm.complete(QUESTION).text) is not None
    assert llm.metadata.num_output == shared_engine().model.shape.context
    assert ArithmeticLLM(max_tokens=40).metadata.num_output == 40


def test_an_unknown_model():
    with pytest.raises(ValueError, match="large"):
        ArithmeticLLM(model="large").complete(QUESTION)
