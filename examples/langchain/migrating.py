"""A hand-rolled self-consistency, and what becomes of it with `vote`.

Both sample the same chain with the same seeds, over a connection that breaks for one request in a
hundred. The model is embedded and errs on its own; no key and no network are needed. The problems
are from a split that its training did not see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from arithmetic_lm import FAMILIES, Problem, final_answer, problems
from arithmetic_lm.langchain import ArithmeticChatModel
from comparing import CONSOLE, PRICES, Outcome, Run, ask_all, table_of
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_thinktwice import vote

from thinktwice import AtMost, Budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult
    from langchain_core.runnables import Runnable

BROKEN = 0.01  # share of the requests
REQUESTS = Counter[str]()  # that were sent, and that are still open


class Unreliable(ArithmeticChatModel):
    """The embedded model, behind a connection that breaks now and then.

    Attributes:
        hangs: The seed whose request is never answered; None for none.
    """

    hangs: int | None = None

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        seed = kwargs.get("seed", self.seed)
        REQUESTS.update(("sent", "open"))
        try:
            if random.Random(f"{messages[-1].text} {seed}").random() < BROKEN:
                raise ConnectionError
            if seed is not None and seed == self.hangs:
                await asyncio.sleep(3600)
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        finally:
            REQUESTS.subtract(("open",))


PROMPT = ChatPromptTemplate.from_template("What is {question}?")


def make_chain(model: Runnable[Any, Any]) -> Runnable[dict[str, str], str]:
    """An ordinary chain."""
    return PROMPT | model | StrOutputParser() | final_answer


async def by_hand(chain: Runnable[dict[str, str], str], question: str, n: int) -> str:
    """What one writes first: draw n, count, return the most frequent."""
    config = [{"configurable": {"seed": index}} for index in range(n)]
    answers = await chain.abatch([{"question": question}] * n, config)
    [(answer, _)] = Counter(answers).most_common(1)
    return answer


async def by_hand_mended(chain: Runnable[dict[str, str], str], question: str, n: int) -> str:
    """What it becomes after the first failures: errors do not vote."""
    config = [{"configurable": {"seed": index}} for index in range(n)]
    inputs = [{"question": question}] * n
    answers = await chain.abatch(inputs, config, return_exceptions=True)
    usable = [each for each in answers if not isinstance(each, Exception)]
    if not usable:
        raise next(each for each in answers if isinstance(each, Exception))
    [(answer, _)] = Counter(usable).most_common(1)
    return answer


def by_vote(chain: Runnable[dict[str, str], str], n: int, **settings: Any) -> Any:  # noqa: ANN401
    """The same by `vote`."""
    return vote(
        chain,
        n=n,
        options=lambda index: {"seed": index},
        prices=PRICES,
        include_result=True,
        **settings,
    )


async def compared(asked: Sequence[Problem], n: int) -> tuple[list[Run], dict[str, int]]:
    """All ways over all problems, and the requests that each sent."""
    model = Unreliable(temperature=0.8)
    seeded = make_chain(model.configurable_fields(seed=ConfigurableField(id="seed")))
    full = by_vote(make_chain(model), n, stop=AtMost(n))
    settled = by_vote(make_chain(model), n)

    async def hand(question: str) -> Outcome:
        return Outcome(await by_hand(seeded, question, n), None, None, None)

    async def mended(question: str) -> Outcome:
        return Outcome(await by_hand_mended(seeded, question, n), None, None, None)

    async def all_drawn(question: str) -> Outcome:
        return Outcome.of((await full.ainvoke({"question": question}))["result"])

    async def as_needed(question: str) -> Outcome:
        return Outcome.of((await settled.ainvoke({"question": question}))["result"])

    ways = {
        "abatch and Counter": hand,
        "... with return_exceptions": mended,
        f"vote(n={n}, stop=AtMost({n}))": all_drawn,
        f"vote(n={n})": as_needed,
    }
    questions = [each.question for each in asked]

    def score(at: int, value: str) -> float:
        return float(asked[at].is_right(value))

    runs: list[Run] = []
    sent: dict[str, int] = {}
    for name, way in ways.items():
        before = REQUESTS["sent"]
        runs.append(await ask_all(name, way, questions, score, at_once=4))
        sent[name] = REQUESTS["sent"] - before
    return runs, sent


async def hanging(question: str, n: int, seconds: float) -> list[str]:
    """What each makes of a deadline, if the third sample is never answered."""
    model = Unreliable(temperature=0.8, hangs=2)
    seeded = make_chain(model.configurable_fields(seed=ConfigurableField(id="seed")))
    try:
        shown = await asyncio.wait_for(by_hand(seeded, question, n), seconds)
    except TimeoutError:
        shown = "TimeoutError: the answers that came are lost with it"
    voted = by_vote(make_chain(model), n, stop=AtMost(n), budget=Budget(seconds=seconds))
    result = (await voted.ainvoke({"question": question}))["result"]
    return [
        f"abatch and Counter  {shown}",
        f"vote(n={n})           {result.value} ({result.ledger}; {result.cut})",
        f"requests left open  {REQUESTS['open']}",
    ]


async def main(count: int) -> None:
    """Compare the ways, then show what a hanging request does to them."""
    kinds = tuple(name for name, family in FAMILIES.items() if not family.is_misconception)
    asked = problems(count, families=kinds)
    runs, sent = await compared(asked, 8)
    reference = runs[2]  # all are drawn, and errors do not vote

    def same(run: Run) -> str:
        pairs = zip(run.outcomes, reference.outcomes, strict=True)
        alike = sum(a is not None and b is not None and a.value == b.value for a, b in pairs)
        return f"{100 * alike / count:.0f} %"

    def failed(run: Run) -> str:
        return str(sum(outcome is None for outcome in run.outcomes))

    more = {"failed": failed, "same answer": same, "requests": lambda run: f"{sent[run.name]:,}"}
    CONSOLE.print(table_of(f"{count} problems, 8 samples each at the most", runs, more))
    CONSOLE.print("A deadline of 2 seconds, and a third sample that is never answered:")
    for line in await hanging(asked[0].question, 8, seconds=2):
        CONSOLE.print(f"  {line}", highlight=False)
    CONSOLE.print("\nPrices are made up: $0.10 and $0.40 per million input and output tokens.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100, help="problems (100)")
    asyncio.run(main(parser.parse_args().problems))
