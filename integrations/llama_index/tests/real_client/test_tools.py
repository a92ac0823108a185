"""Agents over a real client: tool calls go over the wire, and the one that most propose is made."""

from __future__ import annotations

import pytest
from arithmetic_lm.scripted import ToolCall
from llama_index.core.agent.workflow import FunctionAgent
from llama_index_thinktwice.llm import StrategyLLM

from thinktwice import Budget, BudgetExceeded, budget_scope

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@pytest.fixture
def added():
    """What a tool was called with."""
    return []


@pytest.fixture
def agent_of(all_of, added):
    """Makes an agent with one tool whose LLM draws three samples of a client."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        added.append((a, b))
        return a + b

    def make(llm, *, streaming):
        voting = StrategyLLM(llm=llm, strategy=all_of(3))
        return FunctionAgent(tools=[add], llm=voting, streaming=streaming)

    return make


def clerk(prompt, number):
    """Calls the tool, once with wrong numbers; then answers."""
    if number > 3:
        return "The sum is 5."
    return ToolCall("add", {"a": 2, "b": 9 if number == 2 else 3})


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_majority_call_is_made_once(served, chat, agent_of, added, streaming):
    """Three proposals, one call of the tool, three answers."""
    with served(clerk) as server:
        response = await agent_of(chat(server), streaming=streaming).run("What is 2 + 3?")
        assert len(server.log) == 6
    assert added == [(2, 3)]
    assert str(response) == "The sum is 5."


async def test_a_budget_around_the_agent(served, chat, agent_of, added):
    """Refuses before the request: the server sees as many as were allowed."""
    with served(clerk) as server:
        with pytest.raises(BudgetExceeded), budget_scope(Budget(calls=3)):
            await agent_of(chat(server), streaming=False).run("What is 2 + 3?")
        assert len(server.log) == 3
    assert added == [(2, 3)]
