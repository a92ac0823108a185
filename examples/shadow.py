"""A chain that serves its users as before, while a vote runs in the shadow of some of them.

Nobody waits for the vote. After a while the report says what it would change, at what cost, and
whether it would be for the better. The model is small and embedded; no key and no network are
needed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arithmetic_lm.langchain import ArithmeticChatModel
from arithmetic_lm.problems import FAMILIES, Problem, evaluate, final_answer, problems
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_thinktwice import vote

from thinktwice import Budget, Price, Sample, Verdict
from thinktwice.shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRICES = {"arithmetic-lm": Price("0.10", "0.40")}  # made up: USD per million tokens, in and out
MISCONCEPTION = "precedence"
AT_ONCE = 16  # requests
NOTES = f"""\
seconds: {AT_ONCE} users ask at once, so their requests wait for one another and for the vote
behind them; only one vote runs at a time. With AT_ONCE = 1 a request takes less time than a vote.
unpriced: calls that a vote recalled once it was settled, before anybody knew their tokens."""


@dataclass(frozen=True)
class Oracle:
    """Knows the right answer; an application asks a judge, or a check that it trusts."""

    name: str = "oracle"
    exact: bool = True

    async def __call__(self, sample: Sample[object], /, *, prompt: Mapping[str, str]) -> Verdict:
        """Compare with the exact value of the expression."""
        right = final_answer(str(sample.value)) == str(evaluate(prompt["question"]))
        return Verdict(outcome="pass" if right else "fail")


async def serve(asked: Sequence[Problem], shadow: Shadow) -> None:
    """Answer all requests, several at once."""
    prompt = ChatPromptTemplate.from_messages([("human", "What is {question}?")])
    chain = prompt | ArithmeticChatModel(temperature=0.8) | StrOutputParser()
    served = vote(chain, n=8, key=final_answer, prices=PRICES, shadow=shadow)
    at_once = asyncio.Semaphore(AT_ONCE)

    async def answer(problem: Problem) -> None:
        async with at_once:
            await served.ainvoke({"question": problem.question})

    await asyncio.gather(*map(answer, asked))
    await shadow.drain()


async def main(count: int, share: float) -> None:
    """Serve two kinds of traffic, each with a shadow."""
    common = tuple(name for name in FAMILIES if name != MISCONCEPTION)
    for title, families in (
        ("ordinary problems", common),
        ("problems of a class with a misconception", (MISCONCEPTION,)),
    ):
        shadow = Shadow(
            share, budget=Budget(cost="1"), verifier=Oracle(), seed=1, max_pending=count
        )
        await serve(problems(count, families=families), shadow)
        print(f"{count} requests: {title}\n\n{shadow.report}\n")
    print(NOTES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="of each kind (200)")
    parser.add_argument("--share", type=float, default=1.0, help="of them followed (1.0)")
    given = parser.parse_args()
    asyncio.run(main(given.requests, given.share))
