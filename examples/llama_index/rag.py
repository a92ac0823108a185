"""Answers from retrieved price lists, side by side: engine, vote, grounding, repair, transforms.

An engine finds the price list of a shop and has a small model work out what an order costs there.
Two things go wrong. The model reads a wrong row, leaves an item out or slips in a sum; no key and
no network are needed for that, it is embedded and errs on its own. And every other customer calls
the shop by another name than its list does, so that the words of the question find another list.

What checks or repairs answers mends the first, and what rewrites queries the second: the last row
has both. `SourceGrounding` sees a wrong row, since that price stands beside no such name in the
list that was retrieved; a `Calculator` sees wrong sums, and `Complete` what is left out. No check
sees that the list is of another shop. The rewriter is a thesaurus, which guesses
wrong two times in five for each word: elsewhere an LLM stands here, and costs tokens.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest
sys.path.append(str(Path(__file__).parents[1] / "langchain"))  # for comparing.py

import argparse
import asyncio
import random
import re
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from arithmetic_lm import final_answer
from comparing import CONSOLE, PRICES, Outcome, Run, ask_all, table_of
from llama_index.core import PromptTemplate
from llama_index_thinktwice.query_engine import QueryPrompting, StrategyQueryEngine
from llama_index_thinktwice.transforms import (
    AsyncTransformQueryEngine,
    ToolCheckQueryTransform,
    VoteQueryTransform,
)
from llama_index_thinktwice.verifiers import SourceGrounding
from shops import KINDS, PLACES, SHOPS, Order, asked_for, engine_over, index_of, lists, order

from thinktwice import AtMost, BestOfN, CritiqueRepair, ToolCheck, Verdict, Vote, collect
from thinktwice.entry import Total
from thinktwice.verifiers import AllOf, Calculator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arithmetic_lm.price import PriceList
    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from llama_index.core.schema import QueryBundle

    from thinktwice import Result, Sample, Strategy

# In the words that this model has learnt to revise by; others need none.
REVISING = QueryPrompting(
    template=PromptTemplate("{query_str}\n\nDraft:\n{draft}\n\nFeedback:\n{feedback}")
)
REWRITES = (
    "Calls are those of the LLM. A rewrite here is a look-up in a thesaurus; one by an LLM would "
    "be a call as well, and cost tokens.\n"
)
ASKED = re.compile(r"\d ([a-z]+)")
SHOP = re.compile(r"at the (\w+ \w+)\?")


def total_of(response: object) -> str | None:
    """What an answer says that the order costs."""
    return final_answer(str(response))


def quoted(response: object) -> str:
    """The prices that an answer read: `pear 34` of the line `pear 34*3=102`."""
    return "\n".join(re.findall(r"^[a-z]+ \d+(?=\*)", str(response), re.MULTILINE))


@dataclass(frozen=True)
class Complete:
    """A check that an answer leaves nothing out that the question asks for."""

    name: str = "complete"
    exact: bool = False

    async def __call__(self, sample: Sample[object], /, *, prompt: QueryBundle) -> Verdict:
        """Look for the names."""
        answer = str(sample.value)
        left_out = [name for name in ASKED.findall(prompt.query_str) if f"{name} " not in answer]
        if left_out:
            return Verdict(outcome="fail", feedback=f"It leaves out {' and '.join(left_out)}.")
        return Verdict(outcome="pass")


class Thesaurus:
    """Rewrites a question by what its words may mean; of its guesses, two in five are wrong."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._near = dict(_near(PLACES) + _near(KINDS))

    def __call__(self, query: QueryBundle) -> str:
        """The question in other words, where it has words that no list has."""
        question = query.query_str.partition("\n")[0]  # it reads no feedback: it guesses again
        return re.sub(r"\w+", lambda word: self._guess(word[0]), question)

    def _guess(self, word: str) -> str:
        return self._rng.choice(self._near.get(word, [word]))


def _near(names: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    own = list(names)
    return [
        (called, [*[own[at]] * 3, own[at - 1], own[at - 2]])
        for at, called in enumerate(names.values())
    ]


def sold(found: Mapping[str, PriceList]) -> Callable[[str], Verdict]:
    """A check of rewrites: there is a shop of that name, and it sells what is asked for."""

    def check(question: str) -> Verdict:
        shop = SHOP.search(question)
        listed = found.get(shop[1]) if shop else None
        if listed is None:
            return Verdict(outcome="fail", feedback="There is no shop of that name.")
        missing = [name for name in ASKED.findall(question) if name not in listed.prices]
        if missing:
            return Verdict(outcome="fail", feedback=f"It sells no {' and no '.join(missing)}.")
        return Verdict(outcome="pass")

    return check


def ways(found: dict[str, PriceList]) -> dict[str, BaseQueryEngine]:
    """The engines that are compared, all over the same one."""
    plain = engine_over(index_of(found))
    checks = SourceGrounding(answer=quoted), Calculator(), Complete()
    sound = AllOf(*checks)

    def wrapped(strategy: Strategy) -> BaseQueryEngine:
        return StrategyQueryEngine(plain, strategy, prices=PRICES, prompting=REVISING)

    def alone() -> BaseQueryEngine:
        return wrapped(Vote(1, key=total_of, stop=AtMost(1), hedge=False))

    best = wrapped(BestOfN(8, verifier=sound, key=total_of))
    guess = Thesaurus()
    voted = VoteQueryTransform(9, transform=guess, include_original=False)
    checked = ToolCheckQueryTransform(sold(found), rounds=8, transform=guess)
    return {
        "plain engine": alone(),
        "Vote(8)": wrapped(Vote(8, key=total_of)),
        "BestOfN(8), grounded": best,
        "CritiqueRepair, grounded": wrapped(CritiqueRepair(sound, rounds=4, key=total_of)),
        "ToolCheck, grounded": wrapped(ToolCheck(*checks, rounds=4, key=total_of)),
        "query by VoteQueryTransform": AsyncTransformQueryEngine(alone(), voted),
        "query by ToolCheckQueryTransform": AsyncTransformQueryEngine(alone(), checked),
        "  and BestOfN(8), grounded": AsyncTransformQueryEngine(best, checked),
    }


def outcome_of(response: object, results: Sequence[Result[Any]]) -> Outcome:
    """The answer, and what its LLM calls took in all runs; draws of the thesaurus are none."""
    entries = (entry for result in results for entry in result.ledger.entries)
    total = Total.of(entry for entry in entries if entry.model is not None)
    return Outcome(response, total.calls, total.usage.total_tokens, total.cost)


def interval(run: Run) -> str:
    """Half the 95 % interval of the share that is right, in points."""
    share = fmean(run.scores)
    return f"± {196 * (share * (1 - share) / len(run.scores)) ** 0.5:.0f}"


async def main(count: int) -> None:
    """Compare the ways of asking, then show what was found wrong with one answer."""
    found = lists(count)
    orders = [order(*each, renamed=at % 2 == 1) for at, each in enumerate(found.items())]
    objections: list[str] = []

    def score(at: int, response: object) -> float:
        return float(total_of(response) == orders[at].answer)

    runs: list[Run] = []
    engines = ways(found)
    await engines["plain engine"].aquery(orders[0].question)  # loads the model
    for name, engine in engines.items():

        async def ask(asked: Order, engine: BaseQueryEngine = engine) -> Outcome:
            with collect() as results:
                response = await engine.aquery(asked.question)
            told = (v.feedback for result in results for v in result.verdicts)
            objections.extend(each for each in told if each)
            return outcome_of(response, results)

        runs.append(await ask_all(name, ask, orders, score, at_once=16))
    title = f"{count} orders in {count} shops, every other of them by another name"
    CONSOLE.print(table_of(title, runs, {}, of_right={"95 %": interval}))
    CONSOLE.print(REWRITES)
    CONSOLE.print(f"One of {len(objections)} objections:\n{objections[0]}\n")
    CONSOLE.print("Prices are made up: $0.10 and $0.40 per million input and output tokens.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    asyncio.run(main(asked_for(parser, "orders", 50, least=2, most=len(SHOPS))))
