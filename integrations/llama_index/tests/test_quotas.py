"""Quotas around engines and LLMs of LlamaIndex."""

from __future__ import annotations

import pytest
from llama_index.core import Document, MockEmbedding, SummaryIndex
from llama_index.core.llms import MockLLM
from llama_index_thinktwice import StrategyLLM, StrategyQueryEngine

from thinktwice import Budget, BudgetExceeded, Vote
from thinktwice.quota import Quota, SqliteStore
from thinktwice.stop import AtMost

pytestmark = pytest.mark.usefixtures("silent_remarks")
THREE = Vote(3, stop=AtMost(3))


@pytest.fixture
def engine():
    index = SummaryIndex.from_documents([Document(text="hello")], embed_model=MockEmbedding(4))
    return StrategyQueryEngine(
        query_engine=index.as_query_engine(llm=MockLLM(max_tokens=5)), strategy=THREE
    )


@pytest.fixture
def quota():
    return Quota("tenant", Budget(calls=5), per="day", store=SqliteStore())


async def test_holds_for_all_queries(engine, quota):
    """Sync and async together."""
    with quota.scope():
        assert await engine.aquery("q")
    assert quota.spent.calls == 3
    with quota.scope():
        assert engine.query("q")
    assert quota.spent.calls == 5
    with quota.scope(), pytest.raises(BudgetExceeded, match="quota 'tenant' of 5 calls"):
        engine.query("q")


def test_holds_for_an_llm(quota):
    """Each of its completions."""
    llm = StrategyLLM(llm=MockLLM(max_tokens=5), strategy=THREE)
    with quota.scope():
        llm.complete("q")
    assert quota.spent.calls == 3
