"""Plain Python against a real server on this machine: what fails costs one vote and no more."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from thinktwice import Budget, Completion, Usage, Vote, budget_scope, solve
from thinktwice.stop import AtMost, Quorum
from thinktwice.testing import captured_spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.usefixtures("silent_remarks")
REPLY = {"text": "The answer is 4.", "usage": {"input": 9, "output": 6}}
SECRET = "sk-canary"
EIGHT = Vote(8, key="number", stop=AtMost(8), prefer="latency")


class StatusError(Exception):
    """The server refused."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status_code = status


@dataclass
class Server:
    """Answers, but for the requests that it treats otherwise."""

    odd: dict[int, str] = field(default_factory=dict)
    slow: bool = False
    requests: int = 0
    disconnected: int = 0
    url: str = ""

    async def reply(self, request: web.Request) -> web.StreamResponse:
        number, self.requests = self.requests, self.requests + 1
        kind = self.odd.get(number, "slow" if self.slow else "ok")
        if kind in {"500", "429"}:
            return web.Response(status=int(kind), text=SECRET)
        if kind == "reset":
            assert request.transport is not None
            request.transport.abort()
        if kind == "garbage":
            return web.Response(text=f"<html>{SECRET}")
        if kind in {"hang", "slow"}:
            await self.hang()
        return web.json_response(REPLY)

    async def hang(self) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:  # the client has gone
            self.disconnected += 1
            raise


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """The server, up and running, and a client."""
    app = web.Application()
    app.router.add_post("/", server.reply)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/"
    try:
        async with aiohttp.ClientSession() as client:
            yield client
    finally:
        await runner.cleanup()


def sampler(client: aiohttp.ClientSession, server: Server):
    """A model behind HTTP, as one would write it."""

    async def ask(prompt: str) -> Completion[str]:
        async with client.post(server.url, json={"prompt": prompt}) as response:
            if response.status != 200:
                raise StatusError(response.status, await response.text())
            reply = json.loads(await response.text())
        counts = reply["usage"]
        usage = Usage(
            input_tokens=counts["input"], output_tokens=counts["output"], source="provider"
        )
        return Completion(value=reply["text"], usage=usage, model="local")

    ask.model = "local"  # type: ignore[attr-defined]
    return ask


ODD = {
    "500": ("error", "StatusError(500)"),
    "429": ("error", "StatusError(429)"),
    "reset": ("error", "ServerDisconnectedError"),
    "garbage": ("error", "JSONDecodeError"),
    "hang": ("cancelled", "CancelledError"),
}


@pytest.mark.parametrize("odd", ODD)
async def test_one_of_eight(odd: str):
    """The vote goes on within its deadline; the failure is in the ledger and on its span."""
    server = Server(odd={2: odd})
    budget = Budget(seconds=1 if odd == "hang" else 20)
    async with served(server) as client:
        with captured_spans() as spans:
            result = await solve(
                "2 + 2?", sampler=sampler(client, server), strategy=EIGHT, budget=budget
            )
    assert (result.value, result.answer, result.agreement) == (REPLY["text"], 4, 1.0)
    assert (result.launched, server.requests) == (8, 8)
    assert result.ledger.seconds < (3 if odd == "hang" else 20)
    status, error = ODD[odd]
    failed = [entry for entry in result.ledger.entries if entry.status != "ok"]
    assert [(entry.status, entry.error) for entry in failed] == [(status, error)]
    assert result.ledger.reported.usage.total_tokens == 7 * 15
    assert (result.cut is not None) == (odd == "hang")
    leaves = [span for span in spans if span.name == "chat local"]
    statuses = [span.attributes["thinktwice.status"] for span in leaves]
    assert sorted(statuses) == sorted(["ok"] * 7 + [status])
    assert not [span for span in spans if SECRET in span.to_json()]


async def test_all_refused():
    """The error of the client is raised as it is, for whatever retries around it."""
    server = Server(odd=dict.fromkeys(range(8), "429"))
    async with served(server) as client:
        with pytest.raises(StatusError) as caught:
            await solve("2 + 2?", sampler=sampler(client, server), strategy=EIGHT)
    assert caught.value.status_code == 429
    assert caught.value.thinktwice_result.ledger.total.calls == 8


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the server is about to see."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it depends on sockets
            await asyncio.sleep(0.005)


async def test_a_cancelled_caller_disconnects_from_all():
    """The server sees every request go away, and the client can be used again."""
    server = Server(slow=True)
    async with served(server) as client:
        with budget_scope(Budget(calls=100)) as ledger:
            task = asyncio.ensure_future(
                solve("2 + 2?", sampler=sampler(client, server), strategy=EIGHT)
            )
            await until(lambda: server.requests == 8)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [entry.status for entry in ledger.entries] == ["cancelled"] * 8
            assert ledger.remaining == {"calls": 92}
        await until(lambda: server.disconnected == 8)
        server.slow = False
        again = await solve("2 + 2?", sampler=sampler(client, server), strategy=Vote(2))
        assert again.value == REPLY["text"]


async def test_losers_disconnect():
    """Two answers are enough; the others are recalled while the server works on them."""
    server = Server(odd={0: "ok", 1: "ok"}, slow=True)
    strategy = Vote(8, key="number", stop=Quorum(2), prefer="latency")
    async with served(server) as client:
        result = await solve("2 + 2?", sampler=sampler(client, server), strategy=strategy)
        assert (result.answer, result.launched) == (4, 8)
        await until(lambda: server.disconnected >= server.requests - 2)
    assert result.ledger.seconds < 10
