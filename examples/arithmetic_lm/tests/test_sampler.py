from __future__ import annotations

import asyncio

import pytest

from arithmetic_lm.problems import final_answer
from arithmetic_lm.sampler import ArithmeticSampler

thinktwice = pytest.importorskip("thinktwice")
if not hasattr(thinktwice, "Completion"):
    pytest.skip("thinktwice has no Completion yet", allow_module_level=True)

pytestmark = pytest.mark.anyio


async def test_a_completion_carries_everything(engine):
    sampler = ArithmeticSampler(engine=engine)
    completion = await sampler("37*8+56", options={"seed": 5, "temperature": 0.5})
    assert completion.value == completion.text
    assert final_answer(completion.text) is not None
    assert (completion.model, completion.provider) == ("arithmetic-lm", "local")
    assert completion.finish_reason == "stop"
    assert completion.usage.input_tokens == 10
    assert completion.usage.output_tokens == len(completion.text) == len(completion.logprobs)
    assert completion.usage.source == "provider"


async def test_the_most_probable_tokens(engine):
    assert (await ArithmeticSampler(engine=engine)("37*8+56")).top_logprobs is None
    sampler = ArithmeticSampler(engine=engine, top_logprobs=5)
    completion = await sampler("37*8+56")
    assert [len(top) for top in completion.top_logprobs] == [5] * len(completion.logprobs)
    completion = await sampler("37*8+56", options={"top_logprobs": 2})
    assert {len(top) for top in completion.top_logprobs} == {2}


async def test_options_win_over_the_fields(engine):
    sampler = ArithmeticSampler(max_tokens=4, engine=engine)
    assert (await sampler("37*8+56")).usage.output_tokens == 4
    assert (await sampler("37*8+56", options={"max_tokens": 2})).finish_reason == "length"
    assert len((await sampler("37*8+56", options={"max_tokens": 2})).text) == 2


async def test_the_sync_door_agrees(engine):
    sampler = ArithmeticSampler(engine=engine)
    options = {"seed": 5}
    sync = await asyncio.to_thread(sampler.sample, "37*8+56", options=options)
    assert sync == await sampler("37*8+56", options=options)


async def test_unknown_options(engine):
    with pytest.raises(ValueError, match="top_k"):
        await ArithmeticSampler(engine=engine)("1+1", options={"top_k": 3})
