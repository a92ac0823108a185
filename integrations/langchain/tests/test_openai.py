"""A real client over real sockets: faults, deadlines, disconnects."""

from __future__ import annotations

import asyncio
import json

import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer
from langchain_core.output_parsers import StrOutputParser
from langchain_thinktwice import vote
from openai import APIConnectionError, InternalServerError, RateLimitError
from pydantic import BaseModel

from thinktwice import AllSamplesFailed, AtMost, Budget, BudgetExceeded

langchain_openai = pytest.importorskip("langchain_openai")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Answer(BaseModel):
    value: int


def served(reply="4", **faults):
    """A server on a thread."""
    make = reply if callable(reply) else lambda prompt, number: reply
    return ArithmeticServer.in_thread(reply=make, faults=Faults(**faults))


def chat(server, **settings):
    """A client that does not retry."""
    given = {"model": "arithmetic-lm", "api_key": "none", "max_retries": 0, **settings}
    return langchain_openai.ChatOpenAI(base_url=server.url, **given)


@pytest.fixture(autouse=True, scope="module")
def _warm_client():
    """Older clients build their models at the first reply, and not safely for two threads."""
    with served() as server:
        chat(server).invoke("2 + 2")


def drawing(runnable, n, **settings):
    """A vote that launches all n at once, with its result."""
    return vote(runnable, n=n, stop=AtMost(n), prefer="latency", include_result=True, **settings)


async def test_a_vote(call):
    """Usage, finish reason, model name and log-probabilities come from the wire."""
    with served() as server:
        model = chat(server, logprobs=True)
        result = (await call(drawing(model, 3), "2 + 2"))["result"]
        assert len(server.log) == 3
    assert result.value.text == "4"
    assert result.ledger.total.usage.source == "provider"
    assert result.ledger.total.usage.output_tokens == 3
    [sample, *_] = result.samples
    assert sample.model == "arithmetic-lm"
    assert sample.finish_reason == "stop"
    assert sample.logprobs == (0.0,)


async def test_options_on_the_wire(call):
    """Temperature and seed are in the request."""
    with served() as server:
        chain = chat(server) | StrOutputParser()
        options = {"temperature": 0.7, "n": 2}
        result = (await call(drawing(chain, 2, options=options), "2 + 2"))["result"]
        assert [record.n for record in server.log] == [2, 2]
    assert result.ledger.total.calls == 2


async def test_structured_output(call):
    """As the client parses it."""
    with served(json.dumps({"value": 4})) as server:
        model = chat(server).with_structured_output(Answer, method="json_mode", include_raw=True)
        answer = await call(drawing(model, 2), "2 + 2 in JSON")
    assert answer["value"]["parsed"] == Answer(value=4)


async def test_one_fault_among_many(call):
    """Each kind is one failed sample."""
    for fault in ("500", "429", "reset", "garbage"):
        with served(schedule={2: fault}, retry_after=None) as server:
            result = (await call(drawing(chat(server), 4), "2 + 2"))["result"]
        assert result.value.text == "4"
        assert sum(sample.error is not None for sample in result.samples) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("500", InternalServerError), ("429", RateLimitError), ("reset", APIConnectionError)],
)
async def test_faults_throughout(call, fault, kind):
    """The client's own exception arrives."""
    with served(schedule={1: fault}, sticky=True, retry_after=None) as server:
        with pytest.raises(kind):
            await call(drawing(chat(server), 2), "2 + 2")
        assert len(server.log) == 2


async def test_mixed_faults(call):
    """Types and statuses, and no text of the provider's."""
    faults = {1: "500", 2: "429"}
    with (
        served(schedule=faults, retry_after=None) as server,
        pytest.raises(AllSamplesFailed) as raised,
    ):
        await call(drawing(chat(server), 2), "2 + 2")
    assert "RateLimitError(429)" in str(raised.value)
    assert "Rate limit reached" not in str(raised.value)


async def test_a_hang_within_the_deadline(call):
    """The others' answer comes out when the time is up."""
    with served(schedule={2: "hang"}) as server:
        chain = drawing(chat(server), 3, budget=Budget(seconds=1))
        result = (await call(chain, "2 + 2"))["result"]
        assert result.value.text == "4"
        assert result.cut.kind == "seconds"


async def test_a_hang_throughout():
    """No answer in time is an exceeded budget; the connections are closed."""
    with served(schedule={1: "hang"}, sticky=True) as server:
        with pytest.raises(BudgetExceeded):
            await drawing(chat(server), 2, budget=Budget(seconds=0.5)).ainvoke("2 + 2")
        await _until(lambda: all(record.disconnected for record in server.log))


async def test_a_cancelled_caller_closes_the_connections():
    """The server sees all of them go."""
    with served(schedule={1: "hang"}, sticky=True) as server:
        task = asyncio.create_task(drawing(chat(server), 3).ainvoke("2 + 2"))
        await _until(lambda: len(server.log) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(lambda: all(record.disconnected for record in server.log))


async def test_losers_close_their_connections():
    """A decided vote recalls what is still under way."""
    with served(schedule={3: "hang"}) as server:
        answer = await vote(chat(server), n=3, prefer="latency").ainvoke("2 + 2")
        assert answer.text == "4"
        await _until(lambda: any(record.disconnected for record in server.log))


async def test_calls_refused_on_the_wire(call):
    """What the budget does not afford is never sent."""
    with served() as server:
        chain = chat(server, max_tokens=20) | StrOutputParser() | chat(server, max_tokens=20)
        result = (
            await call(drawing(chain, 3, budget=Budget(calls=3), max_concurrency=1), "2 + 2")
        )["result"]
        assert len(server.log) == 3
    assert result.cut is not None


async def _until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - it is on the server's loop
            await asyncio.sleep(0.01)
