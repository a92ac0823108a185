"""Part of `agent.py`: a clerk as a chat model, who knows the right next action, and slips at times.

It is scripted. A slip is a wrong tool, a wrong argument, an order of the wrong sum, or an answer
before there is an order. Slips are independent from draw to draw, unless some of them are `shared`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from order_desk import ARTICLES, DISCOUNTS, NUMBERS, Task, charge
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable

SLIP = 0.12  # of the clerk's draws
MODEL = "clerk-1"
CHARACTERS = 4  # of a token, about

Proposal: TypeAlias = "tuple[str, dict[str, Any]] | str"
"""A tool and its arguments, or an answer."""


class Clerk(BaseChatModel):
    """Proposes the next action at the desk, and slips now and then.

    What it draws follows from the seed, the conversation and how often that was drawn from. It
    believes what it once found: who looked for the wrong article orders the wrong article.
    """

    seed: int = 0
    slip: float = SLIP
    shared: float = 0.0  # of the slips, those that come back in all draws of a step
    seconds: float = 0.0  # a call, on average
    _drawn: Counter[str] = PrivateAttr(default_factory=Counter)

    @property
    def _llm_type(self) -> str:
        return "clerk"

    @property
    def calls(self) -> int:
        """Calls so far, those included that were cut off."""
        return self._drawn.total()

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Take tools, as other models do."""
        return self.bind(tools=[convert_to_openai_tool(each) for each in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: object = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        reply, seconds = self._reply(messages)
        time.sleep(seconds)
        return reply

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: object = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        reply, seconds = self._reply(messages)
        await asyncio.sleep(seconds)
        return reply

    def _reply(self, messages: list[BaseMessage]) -> tuple[ChatResult, float]:
        read = "\n".join(f"{each.text}{getattr(each, 'tool_calls', '')}" for each in messages)
        heard = re.sub(r"'id': '[^']*'", "", read)
        self._drawn[heard] += 1
        own = random.Random(f"{self.seed} {heard} {self._drawn[heard]}")
        common = random.Random(f"{self.seed} {heard}")
        rate = self.slip * self.shared
        if common.random() < rate:
            made = slipped(messages, common)
        elif own.random() < (self.slip - rate) / (1 - rate):
            made = slipped(messages, own)
        else:
            made = intended(messages)
        message = proposing(made, f"call-{self.calls}", len(read) // CHARACTERS)
        reply = ChatResult(generations=[ChatGeneration(message=message)])
        return reply, self.seconds * own.uniform(0.5, 1.5)


def proposing(made: Proposal, number: str, read: int) -> AIMessage:
    """A proposal as a message that reports its usage."""
    written = len(str(made)) // CHARACTERS
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    calls: list[Any] = []
    if not isinstance(made, str):
        calls = [{"name": made[0], "args": made[1], "id": number}]
    return AIMessage(
        made if isinstance(made, str) else "",
        tool_calls=calls,
        usage_metadata=usage,  # type: ignore[arg-type] - a TypedDict
        response_metadata={"model_name": MODEL},
    )


def known(messages: Iterable[BaseMessage]) -> dict[str, Any]:
    """What the tools have said so far, by name; the last counts."""
    found: dict[str, Any] = {}
    for each in messages:
        if isinstance(each, ToolMessage) and each.status != "error":
            data = json.loads(each.text)
            about = f" {data['number']}" if each.name in {"get_price", "check_stock"} else ""
            found[f"{each.name}{about}"] = data
    return found


def asked(messages: Iterable[BaseMessage]) -> Task:
    """What the customer wants."""
    text = next(each.text for each in messages if isinstance(each, HumanMessage))
    found = re.fullmatch(r"(\w+) wants (\d+) x (.+), or as many as there are\.", text)
    if found is None:
        raise ValueError("the clerk understands nothing but orders")
    return Task(found[1], found[3], int(found[2]))


def intended(messages: list[BaseMessage]) -> Proposal:
    """The right next action, given what is known."""
    task, facts = asked(messages), known(messages)
    number = facts.get("find_article", {}).get("number")
    if number is None:
        return "find_article", {"name": task.name}
    for name in ("get_price", "check_stock"):
        if f"{name} {number}" not in facts:
            return name, {"number": number}
    if "get_discount" not in facts:
        return "get_discount", {"customer": task.customer}
    if "place_order" in facts:
        return f"Order {facts['place_order']['order']} is placed."
    count = min(task.wanted, facts[f"check_stock {number}"]["count"])
    each, percent = facts[f"get_price {number}"]["cents"], facts["get_discount"]["percent"]
    cents = charge(each, count, percent)
    return "place_order", {"number": number, "count": count, "cents": cents}


def slipped(messages: list[BaseMessage], rng: random.Random) -> Proposal:
    """A mistake that somebody might make in the place of the right action."""
    right = intended(messages)
    if isinstance(right, str):  # orders once more
        number, count, cents = asked(messages).order
        return "place_order", {"number": number, "count": count, "cents": cents}
    name, args = right
    wrong: list[Proposal] = [("check_stock", {"number": rng.choice(list(NUMBERS))})]
    if name == "place_order":
        wrong += [(name, changed) for changed in misordered(args)]
        return rng.choice(wrong)
    wrong += ["The order is placed.", ("get_discount", {"customer": rng.choice(list(DISCOUNTS))})]
    if name == "find_article":
        wrong += [(name, {"name": rng.choice(list(ARTICLES))})] * 2
    return rng.choice(wrong)


def misordered(args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The order with a wrong number in it."""
    full = NUMBERS[args["number"]].cents * args["count"]
    return [
        {**args, "cents": full - args["cents"]},
        {**args, "cents": args["cents"] // 10},
        {**args, "count": args["count"] + 1},
        {**args, "count": str(args["count"])},
    ]
