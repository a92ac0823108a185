"""An agent that looks prices up by an engine and places an order, with strategies at both places.

    python examples/llama_index/agent.py

A customer names items and a shop. The agent asks its tool, a query engine over the price lists of
the shops, what they cost, then places the order by another tool, and says so. Two things go wrong.
The engine's model, which is embedded, reads a wrong row or slips in a sum: a strategy over the
engine mends that, with a check of each answer against the list that was retrieved. And the agent's
model slips in 12 of 100 draws: it asks for another number of something, orders at another price, or
says that it has ordered when it has not. A vote on its next step mends that. The second model is a
script, whose slips are independent from draw to draw, which flatters a vote; it has no tokens, so
that those in the table are the engine's. No key and no network are needed.

Last comes the agent that may make four calls in all, and says so where they end.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, MessageRole
from llama_index.core.llms import MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import QueryEngineTool
from llama_index_thinktwice import (
    SourceGrounding,
    StrategyQueryEngine,
    run_strategy,
    strategy_agent,
)
from rag import Complete, interval, quoted, total_of  # which knows where comparing.py is
from shops import SHOPS, asked_for, engine_over, index_of, lists, order

from comparing import CONSOLE, Outcome, ask_all, table_of  # isort: skip
from thinktwice import BestOfN, Budget, Vote, budget_scope
from thinktwice.verifiers import AllOf, Calculator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from shops import Order

SLIP = 0.12
NO_COST = (
    "Calls are those of both models; tokens are the engine's, since the agent's is a script that "
    "has none. It has no price either, so that no cost is known.\n"
)


class Clerk(FunctionCallingLLM, MockLLM):
    """The model of the agent: what it says next, and now and then something else."""

    _rng: random.Random

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(seed)

    @property
    def metadata(self) -> LLMMetadata:
        """It calls functions."""
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **_: Any) -> ChatResponse:
        """Look the price up, place the order, say so."""
        return ChatResponse(message=self._next(messages))

    def _next(self, messages: Sequence[ChatMessage]) -> ChatMessage:
        asked = next(each.content or "" for each in messages if each.role == MessageRole.USER)
        found = [each.content or "" for each in messages if each.role == MessageRole.TOOL]
        slips = self._rng.random() < SLIP
        if not found:
            return calls("price_list", input=self._misread(asked) if slips else asked)
        if len(found) > 1 or (slips and self._rng.choice((True, False))):
            return ChatMessage("It is ordered.", role=MessageRole.ASSISTANT)
        total = int(total_of(found[0]) or 0) + (10 if slips else 0)
        shop = asked.partition(" at the ")[2].rstrip("?")
        return calls("place_order", shop=shop, total=total)

    def _misread(self, question: str) -> str:
        count = self._rng.choice(re.findall(r"\b\d\b", question))
        return question.replace(f"{count} ", f"{int(count) + 1} ", 1)

    def _prepare_chat_with_tools(self, *_: Any, **given: Any) -> dict[str, Any]:
        return {"messages": given["chat_history"]}  # all that an agent gives

    def get_tool_calls_from_response(
        self, response: ChatResponse, *_: Any, **__: Any
    ) -> list[ToolSelection]:
        """Those that `calls` made."""
        return response.message.additional_kwargs.get("tool_calls", [])


def calls(tool: str, **arguments: Any) -> ChatMessage:
    """A message that calls a tool."""
    call = ToolSelection(tool_id=uuid4().hex, tool_name=tool, tool_kwargs=arguments)
    return ChatMessage(role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": [call]})


def agent_over(engine: BaseQueryEngine, orders: list[tuple[str, int]], seed: int) -> FunctionAgent:
    """The agent with its two tools; what it orders is written to `orders`."""

    def place_order(shop: str, total: int) -> str:
        """Order what was asked for at a shop, at this price."""
        orders.append((shop, total))
        return f"ordered for {total}"

    tool = QueryEngineTool.from_defaults(
        engine, name="price_list", description="What items cost at a shop."
    )
    return FunctionAgent(tools=[tool, place_order], llm=Clerk(seed), streaming=False)


def ways(plain: BaseQueryEngine) -> dict[str, tuple[BaseQueryEngine, Callable[[Any], Any]]]:
    """What is compared: the engine in the tool, and what is put over the agent."""
    sound = AllOf(SourceGrounding(answer=quoted), Calculator(), Complete())
    grounded = StrategyQueryEngine(plain, BestOfN(8, verifier=sound, key=total_of))

    def voting(agent: FunctionAgent) -> FunctionAgent:
        return strategy_agent(agent, Vote(5))

    return {
        "agent alone": (plain, lambda agent: agent),
        "BestOfN(8), grounded, in its tool": (grounded, lambda agent: agent),
        "  and Vote(5) on its steps": (grounded, voting),
    }


async def main(count: int) -> None:
    """Compare the agents on the same orders, then let one run out of its budget."""
    found = lists(count)
    asked = [(at, order(*each)) for at, each in enumerate(found.items())]
    plain, runs = engine_over(index_of(found)), []
    placed: dict[int, list[tuple[str, int]]] = {}
    shops = list(found)
    await plain.aquery(asked[0][1].question)  # loads the model

    def score(at: int, _: object) -> float:
        return float(placed[at] == [(shops[at], int(asked[at][1].answer))])

    for name, (engine, over) in ways(plain).items():

        async def serve(
            customer: tuple[int, Order],
            engine: BaseQueryEngine = engine,
            over: Callable[[Any], Any] = over,
        ) -> Outcome:
            at, wanted = customer
            placed[at] = []
            agent = over(agent_over(engine, placed[at], seed=at))
            # A strategy of one sample: a plain run, all of whose calls are counted.
            return Outcome.of(await run_strategy(agent, wanted.question, strategy=Vote(1)))

        runs.append(await ask_all(name, serve, asked, score, at_once=16))
    title = f"{count} orders in {count} shops"
    CONSOLE.print(table_of(title, runs, {}, of_right={"95 %": interval}))
    CONSOLE.print(NO_COST)
    agent = strategy_agent(agent_over(plain, [], seed=0), Vote(3))
    with budget_scope(Budget(calls=4)):
        last = await agent.run(asked[0][1].question)
    CONSOLE.print(f"The last message of an agent that may make 4 calls in all:\n  {last}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    asyncio.run(main(asked_for(parser, "orders", 40, least=2, most=len(SHOPS))))
