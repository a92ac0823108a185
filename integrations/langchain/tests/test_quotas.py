"""Quotas around chains and agents of LangChain."""

from __future__ import annotations

import itertools

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_thinktwice import BudgetMiddleware, StrategyMiddleware, vote

from thinktwice import Budget, BudgetExceeded, Vote
from thinktwice.quota import Quota, SqliteStore
from thinktwice.stop import AtMost


class Model(GenericFakeChatModel):
    """Says one thing, and counts tokens."""

    def bind_tools(self, tools, **_):
        """There are none."""
        return self


def model():
    counts = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    return Model(messages=itertools.cycle([AIMessage("a", usage_metadata=counts)]))


@pytest.fixture
def chain():
    prompt = ChatPromptTemplate.from_template("{x}")
    return vote(prompt | model() | StrOutputParser(), n=3, stop=AtMost(3))


@pytest.fixture
def quota():
    return Quota("tenant", Budget(calls=6), per="day", store=SqliteStore())


def test_holds_for_all_calls_of_a_chain(chain, quota):
    """In sync code, and from batch to batch."""
    with quota.scope():
        assert chain.invoke({"x": "1"}) == "a"
    assert (quota.spent.calls, quota.spent.tokens) == (3, 21)
    with quota.scope():
        assert chain.batch([{"x": "1"}]) == ["a"]
    assert quota.spent.calls == 6
    with quota.scope(), pytest.raises(BudgetExceeded, match="quota 'tenant' of 6 calls"):
        chain.invoke({"x": "1"})


async def test_holds_for_async_calls_and_streams(chain, quota):
    """As long as the stream is read inside."""
    with quota.scope():
        assert await chain.ainvoke({"x": "1"}) == "a"
        assert [each async for each in chain.astream({"x": "1"})] == ["a"]
    assert quota.spent.calls == 6


async def test_a_stream_that_is_read_outside_does_not_count(chain, quota):
    """It begins to run there: the documentation says so."""
    with quota.scope():
        stream = chain.astream({"x": "1"})
    assert [each async for each in stream] == ["a"]
    assert quota.spent.calls == 0


@pytest.mark.parametrize(
    ("middleware", "calls"),
    [
        ([StrategyMiddleware(Vote(3, stop=AtMost(3)))], 3),
        ([BudgetMiddleware(Budget(calls=9))], 1),
        ([BudgetMiddleware(Budget(calls=9)), StrategyMiddleware(Vote(3, stop=AtMost(3)))], 3),
        ([], 0),
    ],
    ids=["strategy", "budget", "both", "neither"],
)
def test_holds_for_agents_with_a_middleware_of_ours(quota, middleware, calls):
    """Plain calls of models are seen by nobody."""
    agents = pytest.importorskip("langchain.agents")
    agent = agents.create_agent(model(), [], middleware=middleware)
    with quota.scope():
        agent.invoke({"messages": [("user", "hi")]})
    assert quota.spent.calls == calls
