"""One cap on concurrency holds for all that a request does."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote

from thinktwice import AtMost, Limiter, UsageError


def drawing(runnable, n, **settings):
    """A vote that launches all n at once, and no more however late they are."""
    return vote(runnable, n=n, stop=AtMost(n), prefer="latency", hedge=False, **settings)


@pytest.fixture
def model(scripted):
    return scripted("a", seconds=0.02)


async def test_samples_in_flight(model, call):
    """By the wrapper's own cap, and by the request's if it is lower."""
    await call(drawing(model, 6, max_concurrency=3), "?")
    assert model.most_in_flight == 3
    model._most[0] = 0
    await call(drawing(model, 6, max_concurrency=3), "?", {"max_concurrency": 2})
    assert model.most_in_flight == 2


async def test_over_a_batch(model):
    """LangChain would allow two inputs at once, and so four calls."""
    chain = drawing(model, 4)
    await chain.abatch(["?"] * 4, {"max_concurrency": 2})
    assert model.most_in_flight == 2
    model._most[0] = 0
    await asyncio.to_thread(chain.batch, ["?"] * 4, {"max_concurrency": 2})
    assert model.most_in_flight == 2


async def test_over_a_batch_of_a_chain(model):
    """A sequence hands its batch on to its steps."""
    chain = RunnableLambda(str) | drawing(model, 4) | StrOutputParser()
    await chain.abatch(["?"] * 4, [{"max_concurrency": 2}] * 4)
    assert model.most_in_flight == 2
    model._most[0] = 0
    done = [
        each
        async for each in drawing(model, 4).abatch_as_completed(["?"] * 3, {"max_concurrency": 2})
    ]
    assert len(done) == 3
    assert model.most_in_flight == 2


async def test_over_nested_wrappers(model, call):
    """Inner samples take the outer samples' places."""
    inner = drawing(model, 3)
    await call(drawing(inner | StrOutputParser(), 3), "?", {"max_concurrency": 2})
    assert model.most_in_flight <= 2
    assert model.calls == 9


async def test_over_nested_wrappers_in_a_batch(model):
    """All of it together."""
    outer = drawing(drawing(model, 2) | StrOutputParser(), 2)
    await outer.abatch(["?"] * 3, {"max_concurrency": 2})
    assert model.most_in_flight <= 2
    assert model.calls == 12


async def test_a_limiter_shared_by_wrappers_binds_beside_the_requests_cap(model):
    """Whichever is lower, over all of them."""
    limiter = Limiter(1)
    chain = drawing(model, 2, limiter=limiter)
    await asyncio.gather(*(chain.abatch(["?"] * 2, {"max_concurrency": 2}) for _ in range(2)))
    assert model.most_in_flight == 1
    assert model.calls == 8


class TooManyRequestsError(Exception):
    """As a client raises it."""

    status_code = 429

    def __init__(self, retry_after: str) -> None:
        super().__init__("sk-secret")
        self.headers = {"retry-after": retry_after}


async def test_a_429_inside_a_chain_reaches_the_limiter(scripted, call):
    """It lets less through, and nothing at all for as long as the server asks."""
    limiter = Limiter(8)
    model = scripted(TooManyRequestsError("0.2"), "a")
    chain = vote(model | StrOutputParser(), n=2, max_concurrency=1, limiter=limiter)
    started = time.monotonic()
    assert await call(chain, "?") == "a"
    assert time.monotonic() - started > 0.19
    assert limiter.congested
    assert limiter.in_use == limiter.waiting == 0


async def test_each_call_of_a_chain_is_a_request(model, call):
    """A rate counts the calls of models, and not the samples."""
    limiter = Limiter(8, requests_per_minute=60 * 5, tokens_per_minute=10**9)
    started = time.monotonic()
    chain = drawing(model | StrOutputParser() | model, 2, limiter=limiter, include_result=True)
    result = (await call(chain, "?"))["result"]
    assert time.monotonic() - started > 2 / 5  # of four calls one or two go at once
    assert result.ledger.total.calls == 4
    assert result.ledger.total.queued > 0.1
    assert limiter.charge("fake-1", 0) == 6
    assert limiter.in_use == limiter.waiting == 0


@pytest.mark.parametrize("cap", [0, -1, "2", 1.5])
async def test_a_cap_that_is_none(model, cap):
    """Is a mistake of the request's."""
    with pytest.raises(UsageError, match="max_concurrency"):
        await vote(model, n=2).ainvoke("?", {"max_concurrency": cap})


async def test_a_decided_blocking_run_returns_at_once(scripted):
    """The straggler runs on unseen."""
    returned, ended = threading.Event(), threading.Event()

    def reply(request):
        if request["index"] == 1:
            returned.wait(60)
            ended.set()
        return "a"

    chain = vote(scripted(reply), n=3, prefer="latency")
    await asyncio.to_thread(chain.invoke, "?")
    assert not ended.is_set()
    returned.set()
    assert await asyncio.to_thread(ended.wait, 60)
