"""A question about several shops, cut into one for each, under one budget.

A `SubQuestionQueryEngine` asks every shop what an order costs there, and compares the answers. Each
shop's engine votes. Without a budget a question takes as many samples as the votes like. A
`budget_scope` around it holds for all of them together: where the tokens run out, a vote returns
the best answer that it has, and a shop that was left without any is left out of the comparison
(up to llama-index-core 0.14.15 the engine raises `BudgetExceeded` instead).

The model is embedded and errs on its own; no key and no network are needed. Cutting the question
and comparing the answers is done by plain code here, which an LLM would do elsewhere.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import logging
import random
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arithmetic_lm import final_answer
from arithmetic_lm.price import PriceList, draw_price_list, read_price_list
from arithmetic_lm.problems import split_of
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import SubQuestionQueryEngine
from llama_index.core.question_gen.types import BaseQuestionGenerator, SubQuestion
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.tools import QueryEngineTool
from llama_index_thinktwice import StrategyQueryEngine
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from shops import SHOPS, asked_for, engine_over, index_of, order

from thinktwice import Budget, Vote, budget_scope
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.prompts.mixin import PromptDictType
    from llama_index.core.schema import QueryBundle
    from llama_index.core.tools import ToolMetadata

    from thinktwice.workflow import BudgetScope

SHARED = 3  # shops of a question


@dataclass(frozen=True)
class Comparison:
    """A question about several shops that all have what is wanted."""

    lists: dict[str, PriceList]

    @property
    def question(self) -> str:
        """What the customer asks."""
        shop, listed = next(iter(self.lists.items()))
        bought = order(shop, listed).question.removesuffix(f" at the {shop}?")
        return f"{bought} at each of these: {', '.join(self.lists)}? Where is it cheapest?"

    @property
    def answer(self) -> str:
        """The shop where it costs least."""
        return min(self.lists, key=lambda shop: self.lists[shop].answer)

    def engine(self) -> SubQuestionQueryEngine:
        """An engine of the shops' engines, each of which votes."""
        tools = [
            QueryEngineTool.from_defaults(
                StrategyQueryEngine(engine_over(index_of({shop: listed})), Vote(8, key=total_of)),
                name=shop,
                description=f"the prices at the {shop}",
            )
            for shop, listed in self.lists.items()
        ]
        return SubQuestionQueryEngine(PerShop(), Cheapest(), tools, verbose=False)


def total_of(response: object) -> str | None:
    """What an answer says that the order costs."""
    return final_answer(str(response))


class PerShop(BaseQuestionGenerator):
    """Asks every shop that the question names the same."""

    def generate(self, tools: Sequence[ToolMetadata], query: QueryBundle) -> list[SubQuestion]:
        """One question for each."""
        bought = query.query_str.partition(" at each of")[0]
        names = [tool.name or "" for tool in tools]
        return [
            SubQuestion(sub_question=f"{bought} at the {name}?", tool_name=name)
            for name in names
            if name in query.query_str
        ]

    async def agenerate(
        self, tools: Sequence[ToolMetadata], query: QueryBundle
    ) -> list[SubQuestion]:
        """One question for each."""
        return self.generate(tools, query)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        del prompts


class Cheapest(BaseSynthesizer):
    """Names the shop with the smallest total, of those that have one."""

    def __init__(self) -> None:
        super().__init__(llm=MockLLM())

    def get_response(self, query_str: str, text_chunks: Sequence[str], **_: Any) -> str:
        """Read the totals, and compare them."""
        del query_str
        found: dict[str, int] = {}
        for chunk in text_chunks:
            shop, total = re.search(r" at the (.+)\?", chunk), total_of(chunk)
            if shop and total:
                found[shop[1]] = int(total)
        if not found:
            return "Nobody could say."
        cheapest = min(found, key=found.__getitem__)
        return f"{cheapest}, {found[cheapest]} ({len(found)} compared)"

    async def aget_response(self, query_str: str, text_chunks: Sequence[str], **_: Any) -> str:
        """Read the totals, and compare them."""
        return self.get_response(query_str, text_chunks)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        del prompts


def comparisons(count: int, seed: int = 0) -> list[Comparison]:
    """Questions about shops that sell the same at other prices; training saw none of them."""
    rng = random.Random(seed)
    found: list[Comparison] = []
    while len(found) < count:
        first = read_price_list(draw_price_list(rng))
        if first is None:
            continue
        lists = [PriceList(_prices(rng, first), first.bought) for _ in range(SHARED)]
        if all(split_of(_written(each)) == "test" for each in lists):
            found.append(Comparison(dict(zip(rng.sample(SHOPS, SHARED), lists, strict=True))))
    return found


def _prices(rng: random.Random, listed: PriceList) -> dict[str, int]:
    return dict(zip(listed.prices, rng.sample(range(11, 100), len(listed.prices)), strict=True))


def _written(listed: PriceList) -> str:
    """As the model reads it."""
    rows = " ".join(f"{name} {price}" for name, price in listed.prices.items())
    return f"{rows}:" + "+".join(f"{count} {name}" for name, count in listed.bought)


@dataclass(frozen=True)
class Asked:
    """A question, what came of it, and what it took."""

    comparison: Comparison
    said: str
    ledger: BudgetScope

    @property
    def right(self) -> bool:
        """Whether the cheapest shop was named."""
        return self.said.startswith(self.comparison.answer)

    @property
    def compared(self) -> int:
        """Shops that had an answer."""
        found = re.search(r"\((\d+) compared\)", self.said)
        return int(found[1]) if found else 0

    @property
    def tokens(self) -> int | None:
        """Of all samples; None where they are not known."""
        total = self.ledger.total
        return total.usage.total_tokens if total.calls else 0


async def ask(comparison: Comparison, budget: Budget) -> Asked:
    """Ask one question, within a budget for all of it."""
    with budget_scope(budget) as ledger:
        response = await comparison.engine().aquery(comparison.question)
    return Asked(comparison, str(response), ledger)


def row(name: str, asked: Sequence[Asked]) -> list[str]:
    """The cells of a row of the table."""
    count = len(asked)
    known = [each.tokens for each in asked if each.tokens is not None]
    return [
        name,
        f"{100 * sum(each.right for each in asked) / count:.0f} %",
        f"{sum(each.compared for each in asked) / count:.1f} of {SHARED}",
        f"{sum(each.ledger.total.calls for each in asked) / count:.1f}",
        f"{sum(known) / count:,.0f}" if len(known) == count else "unknown",
        f"{max(known):,}" if len(known) == count else "unknown",
    ]


async def main(count: int) -> None:
    """Ask the same questions with smaller and smaller budgets."""
    asked = comparisons(count)
    title = f"{count} questions about {SHARED} shops, a vote of at most 8 for each shop"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for heading in ("tokens a question", "right", "compared", "calls", "tokens", "at most"):
        table.add_column(heading, justify="left" if not table.columns else "right", no_wrap=True)
    example: Asked | None = None
    for tokens in (None, 1200, 800, 400):
        budget = Budget(calls=8 * SHARED, tokens=tokens)
        answers = await asyncio.gather(*(ask(each, budget) for each in asked))
        example = example or answers[0]
        table.add_row(*row("no cap" if tokens is None else f"{tokens:,}", answers))
    console = Console()
    if example is not None:
        console.print(f"{example.comparison.question}\n  {example.said}\n", soft_wrap=True)
    console.print(table)
    console.print(
        "An engine's calls are heard of when they are made, so that a cap is kept by estimate: "
        "what is under way when it is reached may go over it.",
        soft_wrap=True,
    )


warnings.simplefilter("ignore", ThinktwiceWarning)  # the table shows what they warn of
logging.getLogger("llama_index.core").setLevel(logging.ERROR)  # which warns of shops left out

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    asyncio.run(main(asked_for(parser, "questions", 20, least=1, most=1000)))
