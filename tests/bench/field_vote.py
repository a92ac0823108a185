"""Votes on whole objects against votes on their fields, on samples of the embedded model.

    make bench-field_vote
    python tests/bench/field_vote.py [--objects 120] [--draws 16] [--orders 10]

Two kinds of objects. Fields "apart": a chain asks the model a question for each, as parts of a form
are read one by one. Fields "built on" each other: the lines of one text, each of which goes on
from the line before. An object is right if all of it is. Every strategy sees the same draws in the
same orders, by the public `solve`; a call is a draw of an object. Differences are with 95 %
intervals, objects being the units of chance. A few minutes on a free core, most of it for the
samples.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import random
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from arithmetic_lm.problems import final_answer, problems, work
from arithmetic_lm.sampler import ArithmeticSampler

from thinktwice import AtMost, Vote, solve
from thinktwice.strategies.field_vote import FieldVote
from thinktwice.testing import ScriptedSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice import Strategy

FORM = ("chain", "products", "long")
AT_ONCE = 16  # requests to the model

Object = dict[str, str | None]


@dataclass(frozen=True)
class Task:
    """What is to be read, and what the model read.

    Attributes:
        right: The right object.
        draws: Objects as they were sampled.
    """

    right: Object
    draws: Sequence[Object]


@dataclass(frozen=True)
class Trial:
    """One request.

    Attributes:
        right: All fields of the answer are.
        calls: Objects drawn.
        composed: The answer is that of no sample.
        overturned: After n draws another answer would have strictly more votes in some field.
    """

    right: bool
    calls: int
    composed: bool
    overturned: bool


def strategies(n: int) -> dict[str, Strategy]:
    """What is compared."""
    return {
        f"Vote({n}), all drawn": Vote(n, stop=AtMost(n)),
        f"FieldVote({n}), all drawn": FieldVote(n, stop=AtMost(n)),
        f"Vote({n})": Vote(n, prefer="cost"),
        f"FieldVote({n})": FieldVote(n, prefer="cost"),
    }


async def ask(sampler: ArithmeticSampler, question: str, seed: int, gate: asyncio.Semaphore) -> str:
    """One text of the model."""
    async with gate:
        completion = await sampler(f"What is {question}?", options={"seed": seed})
    return completion.value


async def apart(count: int, draws: int) -> list[Task]:
    """Objects whose parts are asked for one by one."""
    sampler, gate = ArithmeticSampler(temperature=0.8), asyncio.Semaphore(AT_ONCE)
    found = problems(count * len(FORM), families=FORM)
    tasks: list[Task] = []
    for first in range(0, len(found), len(FORM)):
        asked = found[first : first + len(FORM)]
        texts = await asyncio.gather(
            *(ask(sampler, each.question, seed, gate) for seed in range(draws) for each in asked)
        )
        answers = [final_answer(text) for text in texts]
        rows = [answers[at : at + len(FORM)] for at in range(0, len(answers), len(FORM))]
        right = {each.family: str(each.answer) for each in asked}
        tasks.append(Task(right, [dict(zip(right, row, strict=True)) for row in rows]))
    return tasks


def paired(tasks: Sequence[Task]) -> list[Task]:
    """Objects of twice as many fields: two at a time."""
    return [
        Task(joined(one.right, other.right), list(map(joined, one.draws, other.draws)))
        for one, other in zip(tasks[::2], tasks[1::2], strict=False)
    ]


def joined(one: Object, other: Object) -> Object:
    """One object of two."""
    return {**one, **{f"second {name}": value for name, value in other.items()}}


async def built_on(count: int, draws: int) -> list[Task]:
    """Objects whose parts follow from each other."""
    sampler, gate = ArithmeticSampler(temperature=0.8), asyncio.Semaphore(AT_ONCE)
    tasks: list[Task] = []
    for each in problems(count, families=("chain",)):
        texts = await asyncio.gather(
            *(ask(sampler, each.question, seed, gate) for seed in range(draws))
        )
        right = lines_of("\n".join(work(each.question)))
        tasks.append(Task(right, [lines_of(text) for text in texts]))
    return tasks


def lines_of(text: str) -> Object:
    """What the lines of a solution come to."""
    results = [line.rpartition("=")[2] for line in text.splitlines() if "=" in line]
    return {f"line {number}": result for number, result in enumerate(results, 1)}


async def tried(strategy: Strategy, task: Task, n: int, order: random.Random) -> Trial:
    """Vote on one task, on draws in random order."""
    draws = order.sample(task.draws, n)
    result = await solve("", sampler=ScriptedSampler(draws), strategy=strategy)
    value = result.value or {}
    votes = {name: Counter(draw.get(name) for draw in draws) for name in value}
    return Trial(
        right=value == task.right,
        calls=result.launched,
        composed=result.composed,
        overturned=any(max(v.values()) > v[value[name]] for name, v in votes.items()),
    )


async def compare(tasks: Sequence[Task], n: int, orders: int) -> dict[str, list[list[Trial]]]:
    """Trials of each strategy, by task and order."""
    return {
        name: [
            [
                await tried(strategy, task, n, random.Random(f"{at} {seed}"))
                for seed in range(orders)
            ]
            for at, task in enumerate(tasks)
        ]
        for name, strategy in strategies(n).items()
    }


def rows(task: str, trials: dict[str, list[list[Trial]]]) -> list[str]:
    """A line of the table for each strategy; differences are to the one before."""
    lines: list[str] = []
    before: list[float] = []
    for name, by_task in trials.items():
        share = [100 * fmean(each.right for each in orders) for orders in by_task]
        flat = [each for orders in by_task for each in orders]
        gain = extra = ""
        if name.startswith("FieldVote"):
            gains = [own - other for own, other in zip(share, before, strict=True)]
            gain = f"{fmean(gains):+.1f} ± {1.96 * stdev(gains) / len(gains) ** 0.5:.1f}"
            composed = 100 * fmean(each.composed for each in flat)
            extra = f"{composed:.0f} | {100 * fmean(each.overturned for each in flat):.1f}"
        calls = fmean(each.calls for each in flat)
        lines.append(
            f"| {task} | `{name}` | {fmean(share):.1f} | {gain} | {calls:.1f} | {extra or '| '} |"
        )
        before = share
    return lines


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=120, help="objects of each kind")
    parser.add_argument("--draws", type=int, default=16, help="samples of each object")
    parser.add_argument("--orders", type=int, default=10, help="orders of the samples")
    parser.add_argument("--n", type=int, nargs="+", default=[8, 16], help="samples at the most")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| fields | strategy | right % | to `Vote` | calls | composed % | overturned % |")
    print("|---|---|---|---|---|---|---|")
    forms = asyncio.run(apart(chosen.objects, chosen.draws))
    texts = asyncio.run(built_on(chosen.objects, chosen.draws))
    kinds = {"3 apart": forms, "6 apart": paired(forms), "3 built on": texts}
    for name, tasks in kinds.items():
        single = fmean(draw == task.right for task in tasks for draw in task.draws)
        print(f"| {name} | one sample | {100 * single:.1f} | | 1.0 | | |")
        for n in chosen.n:
            trials = asyncio.run(compare(tasks, n, chosen.orders))
            print(*rows(name, trials), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
