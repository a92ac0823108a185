"""One layer retries, and it is the client's: the server counts the requests."""

from __future__ import annotations

import time

import pytest
from langchain_thinktwice import vote
from openai import InternalServerError, RateLimitError

from thinktwice import AtMost, Limiter

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_the_clients_own_retries_are_the_only_ones(served, chat, drawing, call, retries):
    """Each sample is as many requests as the client makes of it, and one call in the ledger."""
    with served(schedule={1: "429"}, sticky=True, retry_after=0.01) as server:
        with pytest.raises(RateLimitError) as raised:
            await call(drawing(chat(server, max_retries=retries), 2), "2 + 2")
        assert len(server.log) == 2 * (1 + retries)
    assert raised.value.thinktwice_result.ledger.total.calls == 2


async def test_a_retry_that_succeeds_is_one_good_sample(served, chat, drawing, call):
    """The client waits as long as the server asks, and nobody else hears of it."""
    with served(schedule={1: "429"}, retry_after=0.2) as server:
        started = time.monotonic()
        result = (await call(drawing(chat(server, max_retries=2), 1), "2 + 2"))["result"]
        assert [record.status for record in server.log] == [429, 200]
    assert time.monotonic() - started > 0.2
    assert result.ledger.total.calls == 1
    assert all(sample.error is None for sample in result.samples)


async def test_retries_inside_are_calls_of_their_own(served, chat, drawing, call):
    """LangChain's `with_retry` calls the model anew, and each call is booked."""
    with served(schedule={1: "500"}) as server:
        retried = chat(server).with_retry(
            retry_if_exception_type=(InternalServerError,),
            stop_after_attempt=2,
            wait_exponential_jitter=False,
        )
        result = (await call(drawing(retried, 1), "2 + 2"))["result"]
        assert [record.status for record in server.log] == [500, 200]
    assert [entry.status for entry in result.ledger.entries] == ["error", "ok"]
    assert len(result.samples) == 1
    assert result.samples[0].error is None


async def test_retries_around_run_the_strategy_again(served, chat, call):
    """They see the client's own exception, if all samples failed with it."""
    with served(schedule={1: "500", 3: "500"}) as server:  # of two samples, both: then none
        both = vote(chat(server), n=2, stop=AtMost(2), prefer="latency")
        chain = both.with_retry(
            retry_if_exception_type=(InternalServerError,),
            stop_after_attempt=3,
            wait_exponential_jitter=False,
        )
        assert (await call(chain, "2 + 2")).text == "4"
        assert len(server.log) == 2
        server.log.clear()
        server.faults = type(server.faults)(schedule={1: "500", 2: "500"})
        assert (await call(chain, "2 + 2")).text == "4"
        assert [record.status for record in server.log] == [500, 500, 200, 200]


async def test_fallbacks_around(served, chat, drawing, call):
    """Another server answers where the first one refuses everything."""
    with served(schedule={1: "500"}, sticky=True) as broken, served("5") as sound:
        chain = vote(chat(broken), n=2).with_fallbacks([vote(chat(sound), n=3)])
        assert (await call(chain, "2 + 2")).text == "5"
        assert len(broken.log) == 2
        assert len(sound.log) >= 2


async def test_a_limiter_heeds_retry_after(served, chat, drawing, call):
    """Of a 429 that the client does not retry: no request goes out for as long as it says."""
    limiter = Limiter(4)
    with served(schedule={1: "429"}, retry_after=0.3) as server:
        chain = drawing(chat(server), 4, limiter=limiter, max_concurrency=1)
        result = (await call(chain, "2 + 2"))["result"]
        times = [record.arrived for record in server.log]
    assert len(times) == 4
    assert times[1] - times[0] > 0.29
    assert limiter.congested
    assert sum(sample.error is not None for sample in result.samples) == 1
