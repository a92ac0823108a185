"""Replicas and limits over real sockets, by the client that applications use."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import openai
import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import MODEL, ArithmeticServer

from thinktwice import Budget, Completion, Limiter, Usage, Vote, solve
from thinktwice.errors import CircuitOpen
from thinktwice.pool import Pool
from thinktwice.stop import AtMost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from thinktwice import Result

    Ask = Callable[[str], Awaitable[Completion[str]]]

pytestmark = pytest.mark.usefixtures("silent_remarks")
EIGHT = Vote(8, key="number", stop=AtMost(8), prefer="latency")


@asynccontextmanager
async def served(**faults: object) -> AsyncIterator[ArithmeticServer]:
    """A server that answers 4, but for its faults."""
    faults_ = Faults(**{"latency": 0.02, "retry_after": None, **faults})
    async with ArithmeticServer(reply=lambda prompt, number: "4", faults=faults_) as server:
        yield server


def unused_url() -> str:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


class Clients(AsyncExitStack):
    """Samplers, and the clients behind them, closed at the end."""

    async def openai(self, url: str, *, seconds: float = 10) -> Ask:
        """As the README of openai has it, without retries."""
        client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=seconds)
        await self.enter_async_context(client)

        async def ask(prompt: str) -> Completion[str]:
            messages = [{"role": "user", "content": prompt}]
            reply = await client.chat.completions.create(model=MODEL, messages=messages)
            assert reply.usage is not None
            usage = Usage(
                input_tokens=reply.usage.prompt_tokens,
                output_tokens=reply.usage.completion_tokens,
                source="provider",
            )
            return Completion(value=reply.choices[0].message.content, usage=usage, model=MODEL)

        ask.model = MODEL  # type: ignore[attr-defined]
        return ask

    async def httpx(self, url: str) -> Ask:
        """A few lines over a plain client."""
        client = await self.enter_async_context(httpx.AsyncClient(base_url=url))

        async def ask(prompt: str) -> Completion[str]:
            body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
            reply = (await client.post("/chat/completions", json=body)).raise_for_status().json()
            return Completion(value=reply["choices"][0]["message"]["content"])

        return ask


async def vote(ask: object, **settings: object) -> Result[str]:
    return await solve("2 + 2", sampler=ask, strategy=EIGHT, **settings)


def errors_in(*results: Result[str]) -> list[str]:
    return [type(s.error).__name__ for result in results for s in result.samples if s.error]


@pytest.mark.parametrize("kind", ["openai", "httpx"])
async def test_eight_requests_over_three_replicas_with_one_dead(kind: str):
    """No sample fails, with either client; each call is in the ledger once."""
    async with Clients() as clients, served() as first, served() as second:
        urls = (first.url, unused_url(), second.url)
        pool = Pool([await getattr(clients, kind)(url) for url in urls])
        results = await asyncio.gather(*(vote(pool) for _ in range(8)))
        assert not errors_in(*results)
        assert [result.answer for result in results] == [4] * 8
        assert [result.ledger.total.calls for result in results] == [8] * 8
        assert len(first.log) + len(second.log) == 64
        assert pool.available == 2


async def test_one_slow_and_one_failing():
    """The slow one gets less, and the failing one nothing more once it is known to fail."""
    async with (
        Clients() as clients,
        served() as good,
        served(latency=0.4) as slow,
        served(schedule={1: "500"}, sticky=True) as failing,
    ):
        asks = [await clients.openai(each.url) for each in (good, slow, failing)]
        pool = Pool(asks, failures=2)
        first = await vote(pool)
        assert first.answer == 4
        assert set(errors_in(first)) == {"InternalServerError"}
        assert pool.available == 2
        results = await asyncio.gather(*(vote(pool) for _ in range(4)))
        assert not errors_in(*results)
        assert len(failing.log) == len(errors_in(first))
        assert len(good.log) > 2 * len(slow.log)


async def test_a_gateway_without_a_server():
    """Its 503 is sent to another replica, and both are in the ledger."""

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(gateway, "127.0.0.1", 0)
    async with Clients() as clients, served() as server, listener:
        port = listener.sockets[0].getsockname()[1]
        urls = (f"http://127.0.0.1:{port}/v1", server.url)
        pool = Pool([await clients.openai(url) for url in urls])
        result = await vote(pool)
        assert not errors_in(result)
        refused = [entry for entry in result.ledger.entries if entry.status == "error"]
        assert {entry.error for entry in refused} == {"InternalServerError(503)"}
        assert len(server.log) == 8
        assert result.ledger.total.calls == 8 + len(refused)


async def test_all_replicas_down():
    """The error of the client at first, and then one that says so at once."""
    async with Clients() as clients:
        pool = Pool([await clients.openai(unused_url()) for _ in range(2)])
        for error in (openai.APIConnectionError, CircuitOpen):
            with pytest.raises(error) as caught:
                await vote(pool)
        assert "2 x APIConnectionError" in str(caught.value)
        assert caught.value.ledger.total.calls == 0


async def test_a_replica_that_hangs_is_out_after_timeouts():
    """A client's timeout is a failure of the server."""
    async with Clients() as clients, served() as good, served(latency=30) as hanging:
        asks = [await clients.openai(each.url, seconds=0.2) for each in (good, hanging)]
        pool = Pool(asks, failures=2)
        result = await vote(pool)
        assert set(errors_in(result)) == {"APITimeoutError"}
        assert pool.available == 1
        assert not errors_in(await vote(pool))


async def test_retry_after_is_kept():
    """No call leaves for as long as the server asks, and then all go through."""
    async with Clients() as clients, served(schedule={1: "429"}, retry_after=0.3) as server:
        limiter = Limiter(1)
        result = await vote(await clients.openai(server.url), limiter=limiter)
        assert errors_in(result) == ["RateLimitError"]
        assert server.log[1].arrived - server.log[0].arrived > 0.29
        assert result.answer == 4
        assert result.ledger.total.queued > 0.29
        again = await vote(await clients.openai(server.url), limiter=limiter)
        assert not errors_in(again)
        assert not limiter.congested


async def test_a_deadline_before_the_pause_ends():
    """The run returns what it has, in time."""
    async with Clients() as clients, served(schedule={2: "429"}, retry_after=30) as server:
        ask = await clients.openai(server.url)
        await ask("warm up")
        server.log.clear()
        result = await vote(ask, max_concurrency=1, budget=Budget(seconds=0.5))
        assert (result.answer, result.cut.kind) == (4, "seconds")
        assert result.ledger.seconds < 1
        assert len(server.log) == 2


async def test_a_rate_is_kept_at_the_server():
    """As it counts them: in any half second, with some room for a busy machine."""
    async with Clients() as clients, served() as server:
        limiter = Limiter(32, requests_per_minute=60 * 40)
        ask = await clients.httpx(server.url)
        results = await asyncio.gather(*(vote(ask, limiter=limiter) for _ in range(4)))
        assert not errors_in(*results)
        arrived = sorted(record.arrived for record in server.log)
    assert len(arrived) == 32
    assert arrived[-1] - arrived[0] > 0.6  # 32 at 38 a second
    window = 20 + 8
    assert all(b - a > 0.5 for a, b in zip(arrived, arrived[window:], strict=False))
