"""An agent at an order desk, alone and with a strategy over each of its steps.

    python examples/langchain/agent.py

An order takes five tools, one after another: find the article, its price, its stock and the
customer's discount, then place the order. The tools are real functions; the model is a scripted
clerk that slips in 12 of 100 draws. Slips are independent from draw to draw, which flatters a vote:
of a real model's mistakes some come back in every sample, and no vote mends these. Each turn has a
budget. No key and no network are needed.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from clerk import MODEL, Clerk
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_thinktwice import ActionCheck, BudgetMiddleware, StrategyMiddleware
from order_desk import Desk, Task, within_rules
from rich.console import Console
from rich.table import Table

from thinktwice import Budget, Price, ToolCheck, Vote
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PRICES = {MODEL: Price(input="0.40", output="1.60")}  # USD per million tokens


def within(calls: int, *middleware: Any) -> Sequence[Any]:
    """Middleware, and around it a budget of so many calls a turn, and of a cent."""
    return [BudgetMiddleware(Budget(calls=calls, cost="0.01"), prices=PRICES), *middleware]


CHECKED: dict[str, Any] = {"checks": [within_rules]}
AGENTS = {
    "the agent alone": within(100),
    "Vote(3)": within(100, StrategyMiddleware(Vote(3))),
    "Vote(5)": within(100, StrategyMiddleware(Vote(5))),
    "Vote(5), checks": within(100, StrategyMiddleware(Vote(5), **CHECKED)),
    "repair, checks": within(100, StrategyMiddleware(ToolCheck(ActionCheck()), **CHECKED)),
}
"""What is compared: by name the middleware, shared by all agents of a kind."""


class Trial(NamedTuple):
    """One task, and what it took."""

    right: bool
    steps: int
    calls: int
    tokens: int
    cost: float
    seconds: float


async def tried(task: Task, clerk: Clerk, middleware: Sequence[Any]) -> Trial:
    """Have an agent do a task; it is right if it places the one right order, and says so."""
    desk, started = Desk(), time.perf_counter()
    agent = create_agent(clerk, desk.tools, middleware=middleware)
    given: Any = {"messages": [HumanMessage(task.text)]}
    state = await agent.ainvoke(given)
    spent = state["thinktwice_spent"]
    return Trial(
        right=desk.orders == [task.order] and state["messages"][-1].text == "Order 1 is placed.",
        steps=sum(isinstance(each, AIMessage) for each in state["messages"]),
        calls=spent["calls"],
        tokens=spent["tokens"],
        cost=spent["cost"],
        seconds=time.perf_counter() - started,
    )


async def compared(
    seeds: Iterable[int], agents: Iterable[str] = AGENTS, **settings: Any
) -> dict[str, list[Trial]]:
    """Agents on the same tasks and with the same draws, one task after another."""
    warnings.simplefilter("ignore", ThinktwiceWarning)  # of steps where all samples were refused
    return {
        name: [
            await tried(Task.drawn(seed), Clerk(seed=seed, **settings), AGENTS[name])
            for seed in seeds
        ]
        for name in agents
    }


def table(trials: Mapping[str, Sequence[Trial]]) -> Table:
    """Success, and the means of a task."""
    shown = Table(title="The order desk")
    for head in ("", "right", "steps", "model calls", "tokens", "cost, USD", "seconds"):
        shown.add_column(head, justify="right" if head else "left", no_wrap=True)
    for name, ones in trials.items():
        means = [sum(column) / len(ones) for column in zip(*ones, strict=True)]
        _, steps, calls, tokens, cost, seconds = means
        right = f"{sum(one.right for one in ones)} of {len(ones)}"
        numbers = (f"{steps:.1f}", f"{calls:.1f}", f"{tokens:,.0f}", f"{cost:.5f}")
        shown.add_row(name, right, *numbers, f"{seconds:.2f}")
    return shown


if __name__ == "__main__":
    Console(width=90).print(table(asyncio.run(compared(range(20), seconds=0.02))))
