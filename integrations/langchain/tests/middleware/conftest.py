"""An agent that pays people, and what its model proposes."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, tool


@pytest.fixture
def paid() -> list[tuple[str, int]]:
    """What the tool `pay` was called with."""
    return []


@pytest.fixture
def pay(paid) -> BaseTool:
    """Pays: whoever calls it does something."""

    @tool
    def pay(to: str, euros: int) -> str:
        """Pay somebody."""
        paid.append((to, euros))
        return f"paid {euros}"

    return pay


@pytest.fixture
def propose():
    """Makes a message that calls `pay`, or several times; each has ids of its own."""
    made = iter(range(1000))

    def make(*payments: tuple[Any, Any], name: str = "pay", text: str = "") -> AIMessage:
        calls = [
            {"name": name, "args": {"to": to, "euros": euros}, "id": f"call-{next(made)}"}
            for to, euros in payments
        ]
        return AIMessage(text, tool_calls=calls)

    return make


@pytest.fixture
def acting(model_class):
    """Makes a model that draws from its proposals, and once something is paid from its answers."""

    def make(*proposals: Any, then: tuple[Any, ...] = ("Paid.",), **settings: Any) -> Any:
        first, last = cycle(proposals), cycle(then)

        def reply(request: dict[str, Any]) -> Any:
            return next(last if request["text"].startswith("paid") else first)

        return model_class(replies=[reply], **settings)

    return make


@pytest.fixture
def agent_of(pay):
    """Makes an agent with the tool `pay` out of a model and middleware."""

    def make(model: Any, *middleware: Any, **settings: Any) -> Any:
        agent = create_agent(model, [pay], middleware=list(middleware), **settings)
        return agent.with_config(recursion_limit=20)

    return make
