"""Structured output, voted on as a whole and field by field.

A chain fills in a form of four amounts, each worked out from its own part of the input. The model
is embedded and errs on its own; no key and no network are needed. The questions are from a split
that its training did not see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arithmetic_lm import FAMILIES, final_answer, problems
from arithmetic_lm.langchain import ArithmeticChatModel
from comparing import CONSOLE, PRICES, Outcome, Run, ask_all, table_of
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote, with_strategy
from pydantic import BaseModel

from thinktwice import AtMost, FieldVote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import Runnable

KINDS = [name for name, family in FAMILIES.items() if not family.is_misconception]


class Report(BaseModel):
    """An expense report. A field that could not be read is None, and does not vote."""

    travel: int | None
    lodging: int | None
    meals: int | None
    other: int | None


FIELDS = tuple(Report.model_fields)


@dataclass(frozen=True)
class Claim:
    """What was claimed, in terms such as `37*8+56`, and the report that is right."""

    asked: dict[str, str]
    report: Report


def claims(count: int) -> list[Claim]:
    """Claims, each of one sum of every kind."""
    found = iter(problems(count * len(FIELDS), families=tuple(KINDS)))
    drawn = [[next(found) for _ in FIELDS] for _ in range(count)]
    return [
        Claim(
            {name: each.question for name, each in zip(FIELDS, row, strict=True)},
            Report(**{name: each.answer for name, each in zip(FIELDS, row, strict=True)}),
        )
        for row in drawn
    ]


def parts(asked: dict[str, str]) -> list[dict[str, str]]:
    """Each part of the form as a question of its own."""
    return [{"question": asked[name]} for name in FIELDS]


def filled(answers: list[str | None]) -> Report:
    """The answers as a form."""
    amounts = (None if each is None else int(each) for each in answers)
    return Report(**dict(zip(FIELDS, amounts, strict=True)))


def make_chain() -> Runnable[dict[str, str], Report]:
    """One form from four model calls; `model.with_structured_output(Report)` is another way."""
    prompt = ChatPromptTemplate.from_template("What is {question}?")
    read = prompt | ArithmeticChatModel(temperature=0.8) | StrOutputParser() | final_answer
    return RunnableLambda(parts) | read.map() | filled


def ways(chain: Runnable[dict[str, str], Report]) -> dict[str, Runnable[dict[str, str], object]]:
    """The ways of asking that are compared, all over the same chain."""
    common = {
        "prices": PRICES,
        "options": lambda index: {"seed": index},  # two runs of this script draw the same
        "include_result": True,
    }
    return {
        "one sample": vote(chain, n=1, stop=AtMost(1), **common),
        "vote(n=8)": vote(chain, n=8, **common),
        "FieldVote(8)": with_strategy(chain, FieldVote(8), **common),
    }


def fields_right(asked: Sequence[Claim], run: Run) -> str:
    """Share of the amounts that are right."""
    right = 0
    for claim, outcome in zip(asked, run.outcomes, strict=True):
        read = None if outcome is None else outcome.value
        right += sum(getattr(read, name, None) == getattr(claim.report, name) for name in FIELDS)
    return f"{100 * right / len(asked) / len(FIELDS):.0f} %"


async def main(count: int) -> None:
    """Compare the ways of asking."""
    asked = claims(count)

    def score(at: int, value: object) -> float:
        return float(value == asked[at].report)

    runs: list[Run] = []
    for name, way in ways(make_chain()).items():

        async def ask(claim: Claim, way: Runnable[dict[str, str], object] = way) -> Outcome:
            return Outcome.of((await way.ainvoke(claim.asked))["result"])

        runs.append(await ask_all(name, ask, asked, score, at_once=8))
    title = f"{count} forms of {len(FIELDS)} amounts: right if all of them are"
    more = {"amounts right": lambda run: fields_right(asked, run)}
    CONSOLE.print(table_of(title, runs, more))
    CONSOLE.print("Prices are made up: $0.10 and $0.40 per million input and output tokens.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forms", type=int, default=100, help="forms (100)")
    asyncio.run(main(parser.parse_args().forms))
