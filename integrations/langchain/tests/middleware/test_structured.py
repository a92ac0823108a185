"""Agents with a response format: responses are compared as values, and invalid ones abstain."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_thinktwice.middleware import StrategyMiddleware
from pydantic import BaseModel

from thinktwice import AtMost, BestOfN, Vote

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED = {"messages": [("user", "What do we owe, and to whom?")]}


class Debt(BaseModel):
    """What we owe."""

    to: str
    euros: int


def three(**settings: Any) -> Vote:
    """A vote of three, all of which are drawn."""
    return Vote(3, stop=AtMost(3), **settings)


@pytest.fixture
def debt(propose):
    """Makes a message that answers by the tool of the format."""

    def make(to: str, euros: Any) -> AIMessage:
        return propose((to, euros), name="Debt")

    return make


async def test_responses_are_compared_by_value(scripted, agent_of, debt, call):
    """5 and "5" are written differently, and are the same number of euros."""
    model = scripted(debt("Ada", 6), debt("Ada", 5), debt("Ada", "5"))
    agent = agent_of(model, StrategyMiddleware(three()), response_format=ToolStrategy(Debt))
    state = await call(agent, ASKED)
    assert state["structured_response"] == Debt(to="Ada", euros=5)
    assert isinstance(state["messages"][-1], ToolMessage)
    agreement = state["messages"][-2].response_metadata["thinktwice"]["agreement"]
    assert agreement == pytest.approx(2 / 3)


async def test_an_invalid_response_abstains(scripted, agent_of, debt, call):
    """Two alike that cannot be read lose against one that can."""
    model = scripted(debt("Ada", "some"), debt("Ada", "some"), debt("Ada", 5))
    agent = agent_of(model, StrategyMiddleware(three()), response_format=ToolStrategy(Debt))
    state = await call(agent, ASKED)
    assert state["structured_response"] == Debt(to="Ada", euros=5)
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool"]


async def test_an_invalid_response_abstains_under_a_key_of_the_user(scripted, agent_of, debt):
    """Which would find something in it to count."""

    def whom(message: AIMessage) -> str:
        return message.tool_calls[0]["args"]["to"]

    model = scripted(debt("Bo", "some"), debt("Bo", "some"), debt("Ada", 5))
    middleware = StrategyMiddleware(three(key=whom))
    state = await agent_of(model, middleware, response_format=ToolStrategy(Debt)).ainvoke(ASKED)
    assert state["structured_response"].to == "Ada"


async def test_if_all_are_invalid_the_loop_of_the_agent_repairs(scripted, agent_of, debt, call):
    """The first goes out as it came, with what LangChain says of it."""
    bad, good = cycle([debt("Ada", "some"), debt("Ada", "few")]), cycle([debt("Ada", 5)])
    model = scripted(lambda request: next(good if "Error" in request["text"] else bad))
    agent = agent_of(model, StrategyMiddleware(three()), response_format=ToolStrategy(Debt))
    state = await call(agent, ASKED)
    assert state["structured_response"] == Debt(to="Ada", euros=5)
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai", "tool"]
    assert "parse" in state["messages"][2].text


async def test_the_format_of_the_provider(scripted, agent_of, call):
    """There an invalid response raises: it is a failed sample."""
    model = scripted("no JSON", '{"to": "Ada", "euros": 5}', '{"euros": 5, "to": "Ada"}')
    agent = agent_of(model, StrategyMiddleware(three()), response_format=ProviderStrategy(Debt))
    state = await call(agent, ASKED)
    assert state["structured_response"] == Debt(to="Ada", euros=5)


async def test_if_all_of_the_providers_are_invalid_it_raises_as_ever(scripted, agent_of, call):
    """LangChain's own exception, for `ModelRetryMiddleware` and the like."""
    agent = agent_of(
        scripted("no JSON"), StrategyMiddleware(three()), response_format=ProviderStrategy(Debt)
    )
    with pytest.raises(StructuredOutputValidationError):
        await call(agent, ASKED)


async def test_a_verifier_finds_the_response_on_the_message(scripted, agent_of, debt):
    """As the type that was asked for."""

    def small(message: Any) -> bool:
        return message.structured_response.euros < 6

    small.exact = True  # type: ignore[attr-defined]
    model = scripted(debt("Ada", 9), debt("Ada", 5))
    middleware = StrategyMiddleware(BestOfN(2, verifier=small))
    state = await agent_of(model, middleware, response_format=ToolStrategy(Debt)).ainvoke(ASKED)
    assert state["structured_response"].euros == 5


async def test_actions_come_before_the_response(scripted, agent_of, debt, propose, paid):
    """Tool calls of the agent vote as ever beside the tool of the format."""

    def reply(request: dict[str, Any]) -> AIMessage:
        if request["text"].startswith("paid"):
            return debt("Ada", 0)
        return propose(("Ada", 5)) if request["index"] % 3 else debt("Ada", 5)

    model = scripted(reply)
    middleware = StrategyMiddleware(three())
    state = await agent_of(model, middleware, response_format=ToolStrategy(Debt)).ainvoke(ASKED)
    assert paid == [("Ada", 5)]
    assert state["structured_response"].euros == 0
