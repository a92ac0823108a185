from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from arithmetic_lm.asking import REFUSAL
from arithmetic_lm.assistant import Assistant, Reply
from arithmetic_lm.options import Options, options_from
from arithmetic_lm.problems import final_answer

pytestmark = pytest.mark.anyio


@pytest.fixture
def assistant(engine) -> Assistant:
    return Assistant(engine)


async def test_every_way_of_asking_gives_the_same_reply(assistant):
    options = Options(seed=5)
    replies = [
        await assistant.reply(text, options)
        for text in ("37*8+56", "What is 37*8+56?", "Q: 37*8+56=")
    ]
    assert len({reply.text for reply in replies}) == 1
    assert final_answer(replies[0].text) is not None


async def test_all_doors_of_the_assistant_agree(assistant):
    options = Options(seed=5, top_logprobs=3)
    reply = await assistant.reply("37*8+56", options)
    sync = await asyncio.to_thread(assistant.reply_sync, "37*8+56", options)
    streamed = [item async for item in assistant.stream("37*8+56", options)]
    blocking = list(assistant.stream_sync("37*8+56", options))
    several = assistant.replies_sync("37*8+56", options, 3)
    for other in (sync, several[0], streamed[-1], blocking[-1]):
        assert isinstance(other, Reply)
        assert other.text == reply.text
        assert other.finish_reason == reply.finish_reason
        # The sums of a step depend in their last bits on the size of the batch.
        np.testing.assert_allclose(other.logprobs, reply.logprobs, atol=1e-3)
        np.testing.assert_allclose(other.top_logprobs, reply.top_logprobs, atol=1e-3)
    for items in (streamed, blocking):
        assert isinstance(items[-1], Reply)
        assert items[-1].tokens == tuple(items[:-1])


async def test_usage_counts_tokens(assistant):
    reply = await assistant.reply("37*8+56", Options(seed=5))
    assert reply.input_tokens == len("37*8+56=\n") + 1
    assert reply.output_tokens == len(reply.text) == len(reply.logprobs)


async def test_the_most_probable_tokens_have_their_texts(assistant):
    reply = await assistant.reply("37*8+56", Options(temperature=0, top_logprobs=20))
    for token in reply.tokens:
        assert token.top[0] == (token.text, pytest.approx(token.logprob))
        assert "<end>" in {text for text, _ in token.top}
    assert (await assistant.reply("37*8+56")).top_logprobs is None
    assert (await assistant.reply("Who are you?", Options(top_logprobs=5))).top_logprobs is None


async def test_choices_of_one_seed_differ_but_repeat(assistant):
    options = Options(seed=5, temperature=2.0)
    choices = [await assistant.reply("37*8+56", options, index=i) for i in range(8)]
    assert len({choice.text for choice in choices}) > 2
    assert choices[3] == await assistant.reply("37*8+56", options, index=3)


async def test_refusals(assistant):
    reply = await assistant.reply("Who are you?")
    assert (reply.text, reply.finish_reason) == (REFUSAL, "stop")
    assert (reply.input_tokens, reply.output_tokens) == (len("Who are you?"), len(REFUSAL))
    short = assistant.reply_sync("Who are you?", Options(max_tokens=5))
    assert (short.text, short.finish_reason) == (REFUSAL[:5], "length")
    assert assistant.replies_sync("Hm", Options(), 2) == [assistant.reply_sync("Hm")] * 2
    streamed = [item async for item in assistant.stream("Hm")]
    assert streamed == list(assistant.stream_sync("Hm"))
    assert isinstance(streamed[-1], Reply)


async def test_an_abandoned_stream_leaves_the_batch(assistant):
    async with aclosing(assistant.stream("37*8+56", Options(seed=1))) as stream:
        async for _ in stream:
            break
    for _ in range(200):
        if assistant.engine.running == 0:
            break
        await asyncio.sleep(0.005)
    assert assistant.engine.running == 0


def test_options_from():
    assert options_from({"temperature": 1, "stop": "x"}) == Options(1.0, stop=("x",))
    assert options_from({"stop": ["a", "b"], "seed": 3}) == Options(stop=("a", "b"), seed=3)


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": "hot"},
        {"temperature": True},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"seed": "x"},
        {"stop": [1]},
        {"top_k": 4},
    ],
)
def test_bad_options(given):
    with pytest.raises(ValueError):
        options_from(given)
