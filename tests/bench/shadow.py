"""What users of a chain with a shadow wait longer: on their own way, and for what runs behind them.

    make bench-shadow

The first table is the processor time from call to answer over a model that answers at once: of the
chain alone, of one with a shadow that does not choose the request, and of one that does (what runs
behind it begins when the answer is out). The second is the latency of users that call the chain at
the same time, over a model that takes 400 ms, with a vote of 8 behind 5 % of the requests. Bare and
shadowed calls take turns, so that a change in the machine's speed meets both.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_thinktwice import vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import Runnable

TURNS = 12  # messages of a conversation


class Fake(BaseChatModel):
    """Answers after a while."""

    seconds: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _result(self) -> ChatResult:
        usage = {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}
        message = AIMessage("x", usage_metadata=usage, response_metadata={"model_name": "fake"})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages: list[BaseMessage], *args: object, **kwargs: object) -> ChatResult:
        time.sleep(self.seconds)
        return self._result()

    async def _agenerate(
        self, messages: list[BaseMessage], *args: object, **kwargs: object
    ) -> ChatResult:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return self._result()


def chain_of(seconds: float) -> Runnable[Any, str]:
    """Prompt, model, parser; the prompt takes a conversation."""
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("placeholder", "{turns}")])
    return prompt | Fake(seconds=seconds) | StrOutputParser()


def conversation() -> dict[str, object]:
    """The input of a request."""
    return {"turns": [AIMessage("a question or an answer " * 20) for _ in range(TURNS)]}


async def own_way(rounds: int) -> None:
    """Print the first table."""
    plain = chain_of(0)
    ways = {
        "chain": plain,
        "not chosen": vote(plain, shadow=0.0),
        "chosen": vote(plain, shadow=1.0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(ways), len(ways)):
            given = conversation()
            started = time.process_time()
            await ways[name].ainvoke(given)
            seconds[name].append(time.process_time() - started)
            await ways["chosen"].shadow.drain()
    alone = median(seconds["chain"])
    print(f"{'one request, us':22}{'median':>10}{'more':>10}")
    for name, each in seconds.items():
        print(f"{name:22}{median(each) * 1e6:10.0f}{(median(each) - alone) * 1e6:+10.0f}")


async def latencies(way: Runnable[Any, str], users: int, requests: int) -> Sequence[float]:
    """Of each request of some users that call at the same time."""
    seen: list[float] = []

    async def user(number: int) -> None:
        await asyncio.sleep(0.4 * number / users)
        for _ in range(requests):
            started = time.perf_counter()
            await way.ainvoke(conversation())
            seen.append(time.perf_counter() - started)

    await asyncio.gather(*map(user, range(users)))
    return seen


async def under_load(users: int, requests: int, rounds: int) -> None:
    """Print the second table."""
    plain = chain_of(0.4)
    ways = {"chain": plain, "shadow=.05, vote of 8": vote(plain, n=8, shadow=0.05)}
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seen[name] += await latencies(way, users, requests)
    print(f"\n{f'{users} users, ms':22}{'p50':>10}{'p95':>10}{'p99':>10}")
    for name, each in seen.items():
        cuts = quantiles(each, n=100)
        print(f"{name:22}{cuts[49] * 1e3:10.1f}{cuts[94] * 1e3:10.1f}{cuts[98] * 1e3:10.1f}")
    await ways["shadow=.05, vote of 8"].shadow.drain()
    print(f"\n{ways['shadow=.05, vote of 8'].shadow.report!r}")


async def main(rounds: int) -> None:
    """Print both."""
    await own_way(40 * rounds)
    await under_load(users=16, requests=5, rounds=rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    asyncio.run(main(parser.parse_args().rounds))
