"""LlamaIndex's `OpenAI` against a server on this machine, which fails to order and logs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer
from llama_index.core.base.llms.types import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.query_engine import StrategyQueryEngine

from thinktwice import AtMost, Vote, collect

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice import Result

openai = pytest.importorskip("llama_index.llms.openai")

NAME = "gpt-4o-mini"  # the client takes no names that it does not know


@pytest.fixture
def served():
    """Makes a server on a thread, of a reply and faults."""

    def make(reply: Any = "4", **faults: Any) -> Any:
        text = reply if callable(reply) else lambda prompt, number: reply
        return ArithmeticServer.in_thread(reply=text, faults=Faults(**faults), names=[NAME])

    return make


@pytest.fixture
def chat():
    """Makes a client of a server, cached as it is by default; it does not retry."""

    def make(server: ArithmeticServer, **settings: Any) -> Any:
        given = {"model": NAME, "api_key": "none", "max_retries": 0, "temperature": 0.8}
        return openai.OpenAI(api_base=server.url, **{**given, **settings})

    return make


@pytest.fixture
def all_of():
    """A vote that launches exactly n, all at once."""
    return lambda n: Vote(n, stop=AtMost(n), prefer="latency", hedge=False)


class Door:
    """A strategy over a client: what a user asks, and what came of it."""

    def __init__(self, asked: Any, call: Any, method: str) -> None:
        self.asked = asked
        self._call = call
        self._method = method

    async def __call__(self, question: str) -> tuple[Any, Result[Any]]:
        """The response, and the result of the run."""
        given = question if self._method == "query" else [ChatMessage(question)]
        with collect() as results:
            response = await self._call(self.asked, self._method, given)
        [result] = results
        return response, result


@pytest.fixture
def as_llm(call):
    """Makes a `StrategyLLM` over a client."""

    def make(llm: Any, strategy: Any, **settings: Any) -> Door:
        return Door(StrategyLLM(llm=llm, strategy=strategy, **settings), call, "chat")

    return make


@pytest.fixture
def as_engine(call, index):
    """Makes a `StrategyQueryEngine` over an engine of a client."""

    def make(llm: Any, strategy: Any, *, streaming: bool = False, **settings: Any) -> Door:
        engine = index.as_query_engine(llm=llm, similarity_top_k=1, streaming=streaming)
        asked = StrategyQueryEngine(query_engine=engine, strategy=strategy, **settings)
        return Door(asked, call, "query")

    return make


@pytest.fixture(params=["llm", "engine"])
def door(request, as_llm, as_engine):
    """Makes the one, or the other."""
    return {"llm": as_llm, "engine": as_engine}[request.param]


@pytest.fixture
def until():
    """Waits until something is so, on another thread."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it is on the server's loop
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def faults() -> dict[str, type[Exception]]:
    """What the client raises of each fault."""
    from openai import APIConnectionError, InternalServerError, RateLimitError

    return {
        "429": RateLimitError,
        "500": InternalServerError,
        "reset": APIConnectionError,
        "cut": APIConnectionError,
        "garbage": json.JSONDecodeError,
        "no choices": IndexError,
    }


@pytest.fixture(autouse=True, scope="package")
def _warm_client():
    """Its first reply takes a second of imports, which no deadline of a test is for."""
    with ArithmeticServer.in_thread(reply=lambda prompt, number: "4", names=[NAME]) as server:
        llm = openai.OpenAI(model=NAME, api_base=server.url, api_key="none", max_retries=0)
        llm.complete("2 + 2")
        llm._client.close()
