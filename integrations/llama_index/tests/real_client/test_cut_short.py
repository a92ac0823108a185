"""Deadlines, losers and callers that leave: the server sees the connections close."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from openai import APITimeoutError

from thinktwice import Budget, BudgetExceeded, Vote

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@pytest.fixture(params=["llm", "engine"])
def awaiting(request, index, chat):
    """Makes what asks a strategy over a client of a server by its async method."""

    def make(server, strategy, *, client=None, **settings):
        llm = chat(server, **(client or {}))
        if request.param == "llm":
            strategic = StrategyLLM(llm=llm, strategy=strategy, **settings)
            return lambda: strategic.achat([ChatMessage("2 + 2")])
        engine = index.as_query_engine(llm=llm, similarity_top_k=1)
        strategic = StrategyQueryEngine(query_engine=engine, strategy=strategy, **settings)
        return lambda: strategic.aquery("2 + 2")

    return make


@pytest.mark.parametrize("fault", ["hang", "trickle"])
async def test_one_call_outlasts_the_deadline(served, chat, all_of, door, fault):
    """The others' answer comes out when the time is up; a client's own timeout sees no trickle."""

    def reply(prompt, number):
        return "4" * 1600 if number == 2 else "4"

    with served(reply, schedule={2: fault}) as server:
        asked = door(chat(server, timeout=30), all_of(3), budget=Budget(seconds=3.0))
        response, result = await asked("2 + 2")
    assert "4" in str(response)
    assert result.cut.kind == "seconds"
    assert result.ledger.total.calls == 3


async def test_a_recalled_call_is_seen_to_leave(served, all_of, awaiting, until):
    """When the deadline cuts it off."""
    with served(schedule={2: "hang"}) as server:
        assert "4" in str(await awaiting(server, all_of(3), budget=Budget(seconds=3.0))())
        await until(lambda: server.log[1].disconnected)
        assert [record.disconnected for record in server.log] == [False, True, False]


async def test_a_hang_throughout(served, all_of, awaiting, until):
    """No answer in time is an exceeded budget; the connections are closed."""
    with served(schedule={1: "hang"}, sticky=True) as server:
        with pytest.raises(BudgetExceeded):
            await awaiting(server, all_of(2), budget=Budget(seconds=0.5))()
        await until(lambda: all(record.disconnected for record in server.log))


async def test_a_cancelled_caller_closes_the_connections(served, all_of, awaiting, until):
    """The server sees all of them go, and no request comes after."""
    with served(schedule={1: "hang"}, sticky=True) as server:
        task = asyncio.create_task(awaiting(server, all_of(3))())
        await until(lambda: len(server.log) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: all(record.disconnected for record in server.log))
        assert len(server.log) == 3


async def test_losers_close_their_connections(served, awaiting, until):
    """A decided vote recalls what is still under way."""
    with served(schedule={3: "hang"}) as server:
        assert "4" in str(await awaiting(server, Vote(3, prefer="latency"))())
        await until(lambda: any(record.disconnected for record in server.log))


async def test_the_clients_own_timeout_is_a_failed_sample(served, chat, all_of, door):
    """It is not retried by anybody."""
    with served(schedule={2: "hang"}) as server:
        response, result = await door(chat(server, timeout=1.0), all_of(3))("2 + 2")
        assert len(server.log) == 3
    [failed] = [sample.error for sample in result.samples if sample.error is not None]
    assert isinstance(failed, APITimeoutError)
    assert "4" in str(response)


async def test_connections_are_kept_where_nothing_was_recalled(served, all_of, awaiting):
    """A recalled call takes its own connection with it, and no other."""
    with served() as server:
        ask = awaiting(server, all_of(4))
        for _ in range(5):
            await ask()
        assert len(server.log) == 20
        assert not any(record.disconnected for record in server.log)
