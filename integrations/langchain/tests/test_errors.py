"""Failures, retries, fallbacks and cancellation behave as they do without the wrapper."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote

from thinktwice import AllSamplesFailed, AtMost, Result


class Refused(Exception):  # noqa: N818 - as clients name theirs
    """An error of a provider's client."""

    status_code = 429


async def test_one_of_eight_fails(scripted, call):
    """It is a sample with an error, and the others vote."""
    model = scripted(ValueError("no"), *["a"] * 7)
    answer = await call(vote(model, n=8, stop=AtMost(8), include_result=True), "?")
    assert answer["value"].text == "a"
    assert sum(sample.error is not None for sample in answer["result"].samples) == 1


async def test_all_fail_alike(scripted, call):
    """The original exception arrives, with the result attached."""
    with pytest.raises(Refused) as raised:
        await call(vote(scripted(Refused("no")), n=3), "?")
    assert isinstance(raised.value.thinktwice_result, Result)


async def test_all_fail_differently(scripted, call):
    """A group of them, without a text of the provider's."""
    model = scripted(ValueError("secret"), Refused("secret"), KeyError("secret"))
    with pytest.raises(AllSamplesFailed, match=r"Refused\(429\)") as raised:
        await call(vote(model, n=3, stop=AtMost(3)), "?")
    assert "secret" not in str(raised.value)


async def test_with_fallbacks_around(scripted, call):
    """The other model answers."""
    chain = vote(scripted(Refused("no")), n=3).with_fallbacks(
        [scripted("a")], exceptions_to_handle=(Refused,)
    )
    assert (await call(chain, "?")).text == "a"


async def test_with_retry_around(scripted, call):
    """The second vote succeeds."""
    model = scripted(Refused("no"), Refused("no"), "a", "a")
    chain = vote(model, n=2).with_retry(
        retry_if_exception_type=(Refused,), stop_after_attempt=2, wait_exponential_jitter=False
    )
    assert (await call(chain, "?")).text == "a"


async def test_with_retry_inside(scripted, call):
    """Both attempts of a sample are in its books."""
    model = scripted(Refused("no"), "a")
    tried = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    answer = await call(vote(tried, n=1, include_result=True), "?")
    assert [entry.status for entry in answer["result"].ledger.entries] == ["error", "ok"]


async def test_with_fallbacks_inside(scripted, call):
    """Likewise."""
    chain = scripted(Refused("no")).with_fallbacks([scripted("a")])
    answer = await call(vote(chain, n=1, include_result=True), "?")
    assert answer["value"].text == "a"
    assert answer["result"].ledger.total.calls == 2


async def test_cancelling_the_caller(scripted):
    """What the chain does in its `finally` runs to its end in each sample; no task is left."""
    before = asyncio.all_tasks()
    cleaned: list[int] = []
    under_way = asyncio.Semaphore(0)

    async def step(text: str) -> str:
        try:
            under_way.release()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)
            cleaned.append(1)
        return text

    chain = vote(RunnableLambda(step) | scripted("a"), n=3, prefer="latency")
    task = asyncio.create_task(chain.ainvoke("?"))
    for _ in range(3):
        await under_way.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(cleaned) == 3
    assert asyncio.all_tasks() == before


async def test_losers_are_cancelled_and_awaited(scripted):
    """A decided vote leaves nothing running."""
    before, cleaned = asyncio.all_tasks(), []

    async def step(message) -> str:
        try:
            await asyncio.sleep(60 if message.text == "slow" else 0)
        finally:
            cleaned.append(message.text)
        return message.text

    model = scripted("a", "a", "slow")
    assert await vote(model | step, n=3, prefer="latency").ainvoke("?") == "a"
    assert sorted(cleaned) == ["a", "a", "slow"]
    assert asyncio.all_tasks() == before


async def test_steering_exceptions_of_langgraph_pass(monkeypatch, scripted, call):
    """An interrupt is no failed sample; it is known where LangGraph is in use."""

    class GraphBubbleUp(Exception):  # noqa: N818 - its name
        pass

    errors = ModuleType("langgraph.errors")
    errors.GraphBubbleUp = GraphBubbleUp
    monkeypatch.setitem(sys.modules, "langgraph.errors", errors)
    with pytest.raises(GraphBubbleUp):
        await call(vote(scripted("a", GraphBubbleUp(), "a"), n=3, stop=AtMost(3)), "?")


async def test_a_parser_that_fails(scripted, call):
    """A sample that does not parse is a failed one."""

    def strict(text: str) -> str:
        if text != "a":
            raise ValueError(text)
        return text

    chain = vote(scripted("b", "a", "a") | StrOutputParser() | strict, n=3)
    assert await call(chain, "?") == "a"
