"""Voting over a cached model: what each cache makes of the samples, and what native n saves.

Each question is put twice, as to an application that sees a question again. Run it with
`python examples/langchain/caching.py`. The model is small and embedded; no key and no network are
needed. The questions are from a split that its training did not see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import warnings
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from arithmetic_lm import Problem, final_answer, problems
from arithmetic_lm.langchain import ArithmeticChatModel
from langchain_core.caches import InMemoryCache
from langchain_thinktwice import SampleKeyedCache, vote
from pydantic import PrivateAttr
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from thinktwice import AtMost, Settled
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.caches import BaseCache
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatResult

    from thinktwice import Result, Stop

N = 8
SETUPS: dict[str, tuple[Callable[[], BaseCache | None], bool]] = {
    "no cache": (lambda: None, False),
    "InMemoryCache": (InMemoryCache, False),
    "SampleKeyedCache": (lambda: SampleKeyedCache(InMemoryCache()), False),
    "no cache, native n": (lambda: None, True),
    "SampleKeyedCache, native n": (lambda: SampleKeyedCache(InMemoryCache()), True),
}


class Counted(ArithmeticChatModel):
    """The embedded model, which counts its requests."""

    _requests: list[int] = PrivateAttr(default_factory=list[int])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ANN401 - LangChain's signature
        **kwargs: Any,
    ) -> ChatResult:
        self._requests.append(int(kwargs.get("n") or 1))
        return await super()._agenerate(messages, stop, run_manager, **kwargs)

    @property
    def requests(self) -> int:
        """So far."""
        return len(self._requests)


@dataclass
class Pass:
    """All questions, put once.

    Attributes:
        requests: Of the model.
        read: Prompt tokens that were paid for.
        right: Share of the questions that were answered right.
        texts: Different texts among the samples of a question, on average.
    """

    requests: int = 0
    read: int = 0
    right: float = 0.0
    texts: float = 0.0


@dataclass
class Setup:
    """A cache, or none, and what came of it.

    Attributes:
        name: What it is.
        passes: The first and the second time that the questions were put.
    """

    name: str
    passes: list[Pass] = field(default_factory=list[Pass])


async def measured(name: str, asked: Sequence[Problem], stop: Stop) -> Setup:
    """Put the questions twice."""
    kind, native = SETUPS[name]
    model = Counted(cache=kind() or False)
    with warnings.catch_warnings():  # it says that a plain cache makes all samples the same
        warnings.simplefilter("ignore", ThinktwiceWarning)
        chain = vote(
            model, N, key=answer, stop=stop, native_n=native, hedge=False, include_result=True
        )
        setup = Setup(name)
        for _ in range(2):
            before = model.requests
            results = [(await chain.ainvoke(each.question))["result"] for each in asked]
            setup.passes.append(summed(results, asked, model.requests - before))
    return setup


def summed(results: Sequence[Result[AIMessage]], asked: Sequence[Problem], requests: int) -> Pass:
    """What one pass came to."""
    pairs = zip(results, asked, strict=True)
    return Pass(
        requests=requests,
        read=sum(result.ledger.total.usage.input_tokens or 0 for result in results),
        right=fmean(result.answer == each.answer for result, each in pairs),
        texts=fmean(len({sample.text for sample in result.samples}) for result in results),
    )


def answer(message: AIMessage) -> int | None:
    """What votes are counted by."""
    found = final_answer(message.text)
    return None if found is None else int(found)


def table_of(setups: Sequence[Setup], count: int) -> Table:
    """A row for each."""
    table = Table(box=SIMPLE, title=f"{count} questions, twice, {N} samples each")
    table.add_column("model")
    for name in ("requests", "again", "prompt tokens", "again", "texts", "again", "right", "again"):
        table.add_column(name, justify="right")
    for setup in setups:
        first, second = setup.passes
        pairs = (
            (str(first.requests), str(second.requests)),
            (f"{first.read:,}", f"{second.read:,}"),
            (f"{first.texts:.1f}", f"{second.texts:.1f}"),
            (f"{first.right:.0%}", f"{second.right:.0%}"),
        )
        table.add_row(setup.name, *(cell for pair in pairs for cell in pair))
    return table


async def main(count: int, stop: Stop) -> None:
    """Measure each setup, and show the table."""
    asked = problems(count, families=("product", "long"))
    setups = [await measured(name, asked, stop) for name in SETUPS]
    Console(width=110).print(table_of(setups, count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--early-stop", action="store_true", help="stop when the vote is settled")
    given = parser.parse_args()
    asyncio.run(main(given.questions, Settled() if given.early_stop else AtMost(N)))
