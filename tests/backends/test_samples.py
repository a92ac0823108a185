"""What becomes of single calls, through the adapters and under those who instrument them."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_thinktwice import vote
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index_thinktwice import StrategyLLM
from opentelemetry import trace

from integrations.langchain.tests.tracing.columns import column as under_langchain
from integrations.llama_index.tests.conftest import ScriptedLLM
from integrations.llama_index.tests.tracing.columns import column as under_llama_index
from tests.backends.test_every_way import Chat
from thinktwice import AtMost, Quorum, Vote
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # what the parties warn of themselves
]
PARTIES = pytest.mark.parametrize("party", ["none", "openinference", "openllmetry"])
N = 5
# Dollars: 300 read as ever, 600 and 100 from and to the provider's cache; 500 written, 300 hidden.
WHOLE = (300 * 1 + 600 * 0.1 + 100 * 1.25 + 500 * 10) / 1e6
UNWRITTEN = (400 * 1 + 600 * 0.1 + 500 * 10) / 1e6

PARTS = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 600},
    "completion_tokens_details": {"reasoning_tokens": 300},
}


def message():
    """With all parts of usage."""
    return AIMessage(
        "391",
        usage_metadata={
            "input_tokens": 1000,
            "output_tokens": 500,
            "total_tokens": 1500,
            "input_token_details": {"cache_read": 600, "cache_creation": 100},
            "output_token_details": {"reasoning": 300},
        },
    )


def replies(whole, without):
    """In order of the calls: a failure, two with all parts of usage, one without, one too slow."""

    def reply(request):
        if request["index"] == 0:
            raise ConnectionResetError("gone")
        return without if request["index"] == 3 else whole

    return reply


class Slow(Chat):
    """The fifth call takes for ever."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        if self.calls == N - 1:
            self._begin(messages, kwargs)
            await asyncio.sleep(600)
        return await super()._agenerate(messages, stop, run_manager, **kwargs)


class SlowLLM(ScriptedLLM):
    """Likewise."""

    async def _awaited(self, method, given, kwargs):
        if len(self.log) == N - 1:
            self._begin(method, given, kwargs)
            await asyncio.sleep(600)
        return await super()._awaited(method, given, kwargs)


@PARTIES
async def test_langchain(project, price_file, party):
    """Parts of the usage at their rates; what failed or was cut off has none."""
    script = replies(message(), AIMessage("391"))
    model = Slow(replies=[script], model_name="fake-1", reports=False)
    drawn = {"n": N, "stop": Quorum(3), "prefer": "latency", "key": lambda reply: reply.text}
    with under_langchain(party), project.sent(trace.get_tracer_provider()), collect() as results:
        await vote(model, prices=price_file, **drawn).ainvoke("17 * 23")
    project.results += results
    check(project, WHOLE, ours=party == "none")


@PARTIES
async def test_llama_index(project, price_file, party):
    """The same."""
    whole = ChatResponse(message=ChatMessage("391"), raw={"model": "fake-1", "usage": PARTS})
    without = ChatResponse(message=ChatMessage("391"), raw={"model": "fake-1"})
    inner = SlowLLM(replies=[replies(whole, without)], reports=False)
    strategy = Vote(N, stop=Quorum(3), prefer="latency", key=str)
    llm = StrategyLLM(llm=inner, strategy=strategy, prices=price_file)
    with (
        under_llama_index(party) as column,
        project.sent(trace.get_tracer_provider()),
        collect() as results,
    ):
        await llm.achat([ChatMessage("17 * 23")])
        column.spans()
    project.results += results
    check(project, UNWRITTEN, ours=party == "none", named=party != "openllmetry")


@PARTIES
async def test_the_cache_of_langchain(project, price_file, party):
    """What it answers costs nothing in the ledger; others write it as a call like the first."""
    model = Chat(replies=[message()], model_name="fake-1", cache=InMemoryCache())
    voting = vote(model, n=1, stop=AtMost(1), prices=price_file)
    with under_langchain(party), project.sent(trace.get_tracer_provider()), collect() as results:
        for _ in range(2):
            await voting.ainvoke("17 * 23")
    project.results += results
    assert [each.samples[0].cached for each in results] == [False, True]
    assert project.tokens == 1500
    if party == "none":
        project.agrees(traces=2)
        return
    cost = 2 * WHOLE if project.backend.name == "phoenix" else None
    assert project.bill(tokens=3000, cost=cost, traces=2).tokens == 3000


def check(project, each, *, ours, named=True):
    """Two of the five have a count."""
    (result,) = project.results
    statuses = [entry.status for entry in result.ledger.entries]
    assert sorted(statuses) == ["cancelled", "error", "ok", "ok", "ok"]
    assert project.tokens == 2 * 1500
    assert project.cost == pytest.approx(2 * each)
    if not ours and (project.backend.name == "mlflow" or not named):
        bill = project.bill(cost=None)
        assert (bill.tokens, bill.cost) == (project.tokens, None)
    else:
        project.agrees()
