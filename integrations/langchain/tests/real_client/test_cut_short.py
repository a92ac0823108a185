"""Deadlines, losers and callers that leave: the server sees the connections close."""

from __future__ import annotations

import asyncio

import pytest
from langchain_thinktwice import vote
from openai import APITimeoutError

from thinktwice import Budget, BudgetExceeded

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@pytest.mark.parametrize(
    ("fault", "streaming"), [("hang", False), ("trickle", False), ("trickle", True)]
)
async def test_one_call_outlasts_the_deadline(  # noqa: PLR0917 - fixtures
    served, chat, drawing, call, fault, streaming
):
    """The others' answer comes out when the time is up; a client's own timeout sees no trickle."""
    long = "4" * (160 if streaming else 1600)  # seconds, in drops

    def reply(prompt, number):
        return long if number == 2 else "4"

    with served(reply, schedule={2: fault}) as server:
        model = chat(server, streaming=streaming, timeout=30)
        chain = drawing(model, 3, budget=Budget(seconds=2.5))
        result = (await call(chain, "2 + 2"))["result"]
    assert result.value.text == "4"
    assert result.cut.kind == "seconds"
    assert result.ledger.total.calls == 3


async def test_a_recalled_call_is_seen_to_leave(served, chat, drawing, until):
    """When the deadline cuts it off, and it is booked as cancelled."""
    with served(schedule={2: "hang"}) as server:
        chain = drawing(chat(server), 3, budget=Budget(seconds=2.5))
        result = (await chain.ainvoke("2 + 2"))["result"]
        await until(lambda: server.log[1].disconnected)
        assert [record.disconnected for record in server.log] == [False, True, False]
    assert [e.status for e in result.ledger.entries if e.status != "ok"] == ["cancelled"]


async def test_a_hang_throughout(served, chat, drawing, until):
    """No answer in time is an exceeded budget; the connections are closed."""
    with served(schedule={1: "hang"}, sticky=True) as server:
        with pytest.raises(BudgetExceeded):
            await drawing(chat(server), 2, budget=Budget(seconds=0.5)).ainvoke("2 + 2")
        await until(lambda: all(record.disconnected for record in server.log))


async def test_a_cancelled_caller_closes_the_connections(served, chat, drawing, until):
    """The server sees all of them go, and no request comes after."""
    with served(schedule={1: "hang"}, sticky=True) as server:
        task = asyncio.create_task(drawing(chat(server), 3).ainvoke("2 + 2"))
        await until(lambda: len(server.log) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: all(record.disconnected for record in server.log))
        assert len(server.log) == 3


async def test_losers_close_their_connections(served, chat, until):
    """A decided vote recalls what is still under way."""
    with served(schedule={3: "hang"}) as server:
        answer = await vote(chat(server), n=3, prefer="latency").ainvoke("2 + 2")
        assert answer.text == "4"
        await until(lambda: any(record.disconnected for record in server.log))


async def test_losers_that_stream_close_their_connections(served, chat, until):
    """In the middle of a reply."""

    def reply(prompt, number):
        return "4" if number != 3 else "5" * 200

    with served(reply, schedule={3: "trickle"}) as server:
        chain = vote(chat(server, streaming=True), n=3, prefer="latency")
        assert (await chain.ainvoke("2 + 2")).text == "4"
        await until(lambda: server.log[2].disconnected)
        assert server.log[2].output_tokens < 200


async def test_the_clients_own_timeout_is_a_failed_sample(served, chat, drawing, call):
    """It is not retried by anybody."""
    with served(schedule={2: "hang"}) as server:
        result = (await call(drawing(chat(server, timeout=1.0), 3), "2 + 2"))["result"]
        assert len(server.log) == 3
    [failed] = [sample.error for sample in result.samples if sample.error is not None]
    assert isinstance(failed, APITimeoutError)
    assert result.value.text == "4"


async def test_connections_are_kept_where_nothing_was_recalled(served, chat, drawing):
    """A recalled call takes its own connection with it, and no other."""
    with served() as server:
        chain = drawing(chat(server), 4)
        for _ in range(5):
            await chain.ainvoke("2 + 2")
        assert len(server.log) == 20
        assert not any(record.disconnected for record in server.log)
