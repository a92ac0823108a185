"""thinktwice: its public API over two clients, and over ChatOpenAI."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clients import MODEL, over_aiohttp, over_openai
from runner import N, answer_of, run

from thinktwice import (
    AdaptiveConsistency,
    AtMost,
    BestOfN,
    Budget,
    Completion,
    Usage,
    Verdict,
    Vote,
    solve,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients import Send
    from runner import Ask, Task

    from thinktwice import Sample, Strategy


class Recorded:
    """The recorded score of a reply: an inexact verifier."""

    name = "recorded"
    exact = False

    def __init__(self, task: Task) -> None:
        self._task = task

    async def __call__(self, sample: Sample[str], /, *, prompt: str) -> Verdict:
        return Verdict(outcome="scored", score=self._task.score(prompt, sample.value))


def core(
    task: Task,
    *,
    strategy: Strategy,
    over: Callable[[Task], Send] = over_openai,
    max_concurrency: int = 8,
    budget: Budget | None = None,
) -> Ask:
    """`solve`, with its defaults but for these."""
    send = over(task)

    async def sample(prompt: str) -> Completion[str]:
        reply = await send(prompt)
        usage = Usage(input_tokens=reply.read, output_tokens=reply.written, source="provider")
        return Completion(value=reply.text, usage=usage, model=MODEL)

    async def ask(prompt: str) -> str | None:
        result = await solve(
            prompt,
            sampler=sample,
            strategy=strategy,
            max_concurrency=max_concurrency,
            budget=budget,
        )
        return result.value

    return ask


def voting(
    *,
    over: Callable[[Task], Send] = over_openai,
    max_concurrency: int = 8,
    budget: Budget | None = None,
    **settings: object,
) -> partial[Ask]:
    """A vote of at most 16 by the answer that a reply names."""
    strategy = Vote(N, key=answer_of, **settings)
    return partial(
        core, strategy=strategy, over=over, max_concurrency=max_concurrency, budget=budget
    )


def best_of(task: Task) -> Ask:
    """Sums of the recorded scores over equal answers."""
    strategy = BestOfN(N, verifier=Recorded(task), key=answer_of)
    return core(task, strategy=strategy, max_concurrency=N)


def langchain(task: Task) -> Ask:
    """`vote` around a chat model, with its defaults."""
    from langchain_openai import ChatOpenAI
    from langchain_thinktwice import vote

    chat = ChatOpenAI(model=MODEL, base_url=task.url, api_key="none", timeout=task.timeout)
    chain = vote(chat, n=N, key=lambda message: answer_of(message.content))

    async def ask(prompt: str) -> str:
        return (await chain.ainvoke(prompt)).content

    return ask


ALL = AtMost(N)
SECOND = Budget(seconds=1)

if __name__ == "__main__":
    run(
        {
            "Vote(16)": voting(),
            "Vote(16) (aiohttp)": voting(over=over_aiohttp),
            "Vote(16), cost": voting(prefer="cost"),
            "Vote(16), latency": voting(prefer="latency", max_concurrency=N),
            "Vote(16), all": voting(stop=ALL, max_concurrency=N),
            "Vote(16), all (aiohttp)": voting(stop=ALL, max_concurrency=N, over=over_aiohttp),
            "Vote(16), all, 1 s": voting(stop=ALL, max_concurrency=N, budget=SECOND),
            "Vote(16), Beta .95": voting(prefer="cost", stop=AdaptiveConsistency(0.95)),
            "LangChain vote(n=16)": langchain,
            "BestOfN(16)": best_of,
        }
    )
