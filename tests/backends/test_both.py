"""LangChain and LlamaIndex in one request."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote
from llama_index_thinktwice import StrategyQueryEngine
from opentelemetry import trace

from integrations.langchain.tests.tracing.columns import column as under_langchain
from integrations.llama_index.tests.conftest import ScriptedLLM, WordsEmbedding, make_index
from integrations.llama_index.tests.tracing.columns import column as under_llama_index
from tests.backends.test_every_way import Chat
from thinktwice import AtMost, Vote
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # what the parties warn of themselves
]


@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry"])
async def test_a_vote_of_langchain_over_a_vote_of_llama_index(project, party, price_file):
    """Each sample asks a voting engine, and then a chat model: 3 times 2 + 1 calls."""
    index = make_index(WordsEmbedding())
    with (
        under_langchain(party),
        project.sent(trace.get_tracer_provider()),
        under_llama_index(party, trace.get_tracer_provider()) as column,
    ):
        asked = request(index, price_file)
        project.results += await asyncio.create_task(asked, context=Context())
        column.spans()
    (result,) = project.results
    assert result.ledger.total.calls == 3 * (2 + 1)
    if party == "none" or (project.backend.name, party) == ("phoenix", "openinference"):
        project.agrees()
        return
    # OpenLLMetry names no model of LlamaIndex: Phoenix prices what LangChain asked, 5 + 5 tokens.
    cost = 3 * (5 + 5 * 10) / 1e6 if project.backend.name == "phoenix" else None
    bill = project.bill(cost=cost)
    assert (bill.tokens, bill.traces) == (project.tokens, 1)
    assert bill.cost == pytest.approx(cost)


async def request(index, price_file):
    """Ask."""
    chat = Chat(replies=["Paris"], model_name="fake-1")
    inner = index.as_query_engine(llm=ScriptedLLM(replies=["Paris"]))
    settings = {"prices": price_file}
    engine = StrategyQueryEngine(inner, Vote(2, key=str, stop=AtMost(2)), **settings)

    async def step(question):
        found = str(await engine.aquery(question))
        return (await chat.ainvoke(found)).text

    asking = vote(RunnableLambda(step), n=3, stop=AtMost(3), key=str, **settings)
    with collect() as results:
        await asking.ainvoke("Which river flows through Paris?")
    return results
