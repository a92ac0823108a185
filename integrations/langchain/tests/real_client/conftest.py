"""`ChatOpenAI` against a server on this machine, which fails to order and logs what it sees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer
from langchain_thinktwice import vote

from thinktwice import AtMost

if TYPE_CHECKING:
    from collections.abc import Callable

langchain_openai = pytest.importorskip("langchain_openai")


@pytest.fixture
def served():
    """Makes a server on a thread, of a reply and faults."""

    def make(reply: Any = "4", **faults: Any) -> Any:
        text = reply if callable(reply) else lambda prompt, number: reply
        return ArithmeticServer.in_thread(reply=text, faults=Faults(**faults))

    return make


@pytest.fixture
def chat():
    """Makes a client of a server; it does not retry unless asked to."""

    def make(server: ArithmeticServer, **settings: Any) -> Any:
        given = {"model": "arithmetic-lm", "api_key": "none", "max_retries": 0, **settings}
        return langchain_openai.ChatOpenAI(base_url=server.url, **given)

    return make


@pytest.fixture
def drawing():
    """Makes a vote that launches exactly n, all at once, and returns its result as well."""

    def make(runnable: Any, n: int, **settings: Any) -> Any:
        given = {"stop": AtMost(n), "prefer": "latency", "hedge": False, "include_result": True}
        return vote(runnable, n=n, **{**given, **settings})

    return make


@pytest.fixture
def until():
    """Waits until something is so, on another thread."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it is on the server's loop
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture(autouse=True, scope="package")
def _warm_client():
    """Older clients build their models at the first reply, and not safely for two threads."""
    with ArithmeticServer.in_thread(reply=lambda prompt, number: "4") as server:
        langchain_openai.ChatOpenAI(
            model="arithmetic-lm", api_key="none", base_url=server.url
        ).invoke("2 + 2")
