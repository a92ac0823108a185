"""A chain of five dependent steps with one budget of calls: where should they be spent?

Each step asks a question about the answer of the step before, so an error anywhere is an error at
the end. Run it with `python examples/workflow.py`. The model is small and embedded; no key and no
network are needed. The questions are from a split that its training did not see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import math
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from arithmetic_lm import ArithmeticSampler, final_answer
from arithmetic_lm.problems import evaluate, split_of
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from thinktwice import AtMost, BestOfN, Budget, GoodEnough, Vote, budget_scope, solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from thinktwice import Completion, Strategy

CALLS = 15  # of a whole chain
TEMPERATURE = 0.5
AT_ONCE = 100  # chains
SAMPLES = 15  # of a question, to calibrate


@dataclass(frozen=True)
class Question:
    """What a step asks about the number that came before, brought between two bounds."""

    low: int
    high: int
    about: Callable[[int, random.Random], str]


PRODUCT = Question(20, 99, lambda a, r: f"{a}*{r.randint(3, 9)}+{r.randint(12, 99)}")
LONG = Question(12, 39, lambda a, r: f"{a}*{r.randint(12, 29)}+{r.randint(12, 99)}")
TERMS = Question(
    12, 99, lambda a, r: f"{a}*{r.randint(3, 9)}+{r.randint(12, 99)}+{r.randint(12, 48)}"
)
STEPS = {"product": PRODUCT, "long": LONG, "terms": TERMS, "product 2": PRODUCT, "long 2": LONG}


@dataclass(frozen=True)
class Chain:
    """A problem of five questions, each about the answer to the one before.

    Attributes:
        number: What the first question is about; and a seed.
        split: Where its questions lie: none was seen in training.
    """

    number: int
    split: str = "test"

    def question(self, name: str, before: int) -> str:
        """The question of a step; the same for the same number before it."""
        step, draw = STEPS[name], random.Random(f"{self.number}/{name}/{before}")
        operand = step.low + before % (step.high - step.low + 1)
        while split_of(question := step.about(operand, draw)) != self.split:
            pass
        return question

    def solved(self) -> Iterator[tuple[str, str, int]]:
        """Names, questions and right answers of all steps, without an error."""
        number = self.number
        for name in STEPS:
            question = self.question(name, number)
            number = evaluate(question)
            yield name, question, number


@dataclass(frozen=True)
class Way:
    """How the calls are spent: the weights of the steps, and what a step does with its share."""

    name: str
    weights: Mapping[str, float]
    strategy: Callable[[int, str], Strategy]
    calls: int = CALLS


@dataclass(frozen=True)
class Walk:
    """What came out: whether each step was right as asked, the last number, the calls."""

    right: Sequence[bool]
    end: int
    calls: int


@dataclass
class Remembered:
    """The model, which answers a question under a seed once: all ways see the same samples."""

    model: ArithmeticSampler
    seen: dict[tuple[str, object], asyncio.Future[Completion[str]]] = field(default_factory=dict)

    async def __call__(self, prompt: str, /, *, options: Mapping[str, object]) -> Completion[str]:
        """Sample, or remember."""
        key = prompt, options["seed"]
        if key not in self.seen:
            self.seen[key] = asyncio.ensure_future(self.model(prompt, options=options))
        return await self.seen[key]


def all_of(n: int, _question: str) -> Strategy:
    """A vote of all n samples."""
    return Vote(n, key=final_answer, stop=AtMost(n), prefer="cost")


def vote(n: int, _question: str) -> Strategy:
    """A vote of up to n samples, which stops when more would hardly change it."""
    return Vote(n, key=final_answer, prefer="cost")


def checked(n: int, question: str) -> Strategy:
    """The first of up to n samples whose answer passes a check; else the most frequent one.

    The check is an old one by hand, casting out nines: the answer and the question, worked out with
    the remainders of its numbers, must leave the same remainder when divided by nine.
    """
    remainder = evaluate(re.sub(r"\d+", lambda found: str(int(found[0]) % 9), question)) % 9

    def nines(text: str) -> float:
        answer = final_answer(text)
        return float(answer is not None and int(answer) % 9 == remainder)

    return BestOfN(n, verifier=nines, key=final_answer, stop=GoodEnough(1.0), prefer="cost")


def seeded(index: int) -> dict[str, object]:
    """Settings of a sample: a seed each."""
    return {"seed": index}


async def walk(chain: Chain, way: Way, sampler: Remembered) -> Walk:
    """Go through the steps: this is the workflow, and its budget."""
    number, right = chain.number, []
    with budget_scope(Budget(calls=way.calls), steps=way.weights) as budget:
        for name in STEPS:
            question = chain.question(name, number)
            with budget.step(name) as step:
                strategy = way.strategy(int(step.remaining["calls"]), question)
                result = await solve(question, sampler=sampler, strategy=strategy, options=seeded)
            number = int(str(result.answer or 0))
            right.append(number == evaluate(question))
    return Walk(right, number, budget.total.calls)


async def walk_all(
    ways: Sequence[Way], chains: Sequence[Chain], sampler: Remembered
) -> list[Sequence[Walk]]:
    """Go every way through every chain, many at once."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(chain: Chain, way: Way) -> Walk:
        async with at_once:
            return await walk(chain, way, sampler)

    async def whole(way: Way) -> Sequence[Walk]:
        return await asyncio.gather(*(one(chain, way) for chain in chains))

    return await asyncio.gather(*map(whole, ways))


async def calibrate(count: int, sampler: Remembered) -> dict[str, list[float]]:
    """Accuracy of votes of 1 to 15 samples at each step, on chains used for nothing else."""
    kinds, draw = ("product", "long", "terms"), random.Random(0)
    shares: dict[str, list[list[float]]] = {kind: [] for kind in kinds}

    async def measure(kind: str, question: str, truth: int) -> None:
        asked = (sampler(question, options=seeded(index)) for index in range(SAMPLES))
        answers = [final_answer(each.value) for each in await asyncio.gather(*asked)]
        right = (share_right(answers, n, str(truth), draw) for n in range(1, SAMPLES + 1))
        shares[kind].append(list(right))

    chains = [Chain(number, "validation") for number in range(count)]
    asked = [step for chain in chains for step in islice(chain.solved(), len(kinds))]
    await asyncio.gather(*(measure(*step) for step in asked))
    curves = {kind: list(map(fmean, zip(*shares[kind], strict=True))) for kind in kinds}
    return {name: curves[name.split()[0]] for name in STEPS}


def share_right(
    answers: Sequence[str | None], n: int, truth: str, draw: random.Random, times: int = 50
) -> float:
    """How often n of the answers, at random, have the right one as their most frequent."""
    found = 0
    for _ in range(times):
        votes = Counter(answer for answer in draw.sample(answers, n) if answer is not None)
        found += bool(votes) and votes.most_common(1)[0][0] == truth
    return found / times


def by_error(curves: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Weigh a step by the error that it has when each step gets the same."""
    equal = CALLS // len(STEPS)
    return {name: round(max(1 - curve[equal - 1], 0.01), 2) for name, curve in curves.items()}


def by_gain(curves: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Hand the calls out by twos (a vote of two is no better than one), each to where it wins most.

    The end is right with the product of the accuracies, so what counts is by which factor two more
    calls raise that of a step.
    """
    given = dict.fromkeys(curves, 1)

    def gain(name: str) -> float:
        n, curve = given[name], curves[name]
        return curve[n + 1] / curve[n - 1] if n + 2 <= SAMPLES else 0

    while sum(given.values()) + 2 <= CALLS:
        given[max(given, key=gain)] += 2
    return {name: float(n) for name, n in given.items()}


def ways_of(curves: Mapping[str, Sequence[float]]) -> list[Way]:
    """What is compared."""
    equal, error, gain = dict.fromkeys(STEPS, 1.0), by_error(curves), by_gain(curves)
    return [
        Way("one sample a step", equal, all_of, calls=len(STEPS)),
        Way("vote, equal, all drawn", equal, all_of),
        Way("vote, equal", equal, vote),
        Way("vote, by error", error, vote),
        Way("vote, by gain", gain, vote),
        Way("check, equal", equal, checked),
        Way("check, by error", error, checked),
    ]


def interval(values: Sequence[float]) -> str:
    """A mean in per cent, with half the width of its 95 % interval."""
    half = 1.96 * stdev(values) / len(values) ** 0.5
    return f"{100 * fmean(values):.1f} ± {100 * half:.1f}"


def table_of(ways: Sequence[Way], walked: Sequence[Sequence[Walk]], truths: Sequence[int]) -> Table:
    """One row for each way."""
    table = Table(box=SIMPLE, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in ("calls", *STEPS, "multiplied", "right at the end", "against equal"):
        table.add_column(heading, justify="right", no_wrap=True)
    right = [[w.end == t for w, t in zip(walks, truths, strict=True)] for walks in walked]
    for way, walks, ends in zip(ways, walked, right, strict=True):
        steps = [fmean(w.right[place] for w in walks) for place in range(len(STEPS))]
        paired = [float(a) - b for a, b in zip(ends, right[1], strict=True)]
        table.add_row(
            way.name,
            f"{fmean(w.calls for w in walks):.1f}",
            *(f"{100 * step:.0f}" for step in steps),
            f"{100 * math.prod(steps):.1f}",
            interval(ends),
            "" if ends is right[1] else interval(paired),
        )
    return table


async def main(count: int, calibration: int) -> None:
    """Calibrate, compare, print."""
    console, started = Console(), time.perf_counter()
    console.width = max(console.width, 140)
    sampler = Remembered(ArithmeticSampler(temperature=TEMPERATURE))
    curves = await calibrate(calibration, sampler)
    console.print(f"{calibration} other chains: per cent right by votes of n samples")
    for name, curve in islice(curves.items(), 3):
        shown = (f"{n}: {100 * curve[n - 1]:.0f}  " for n in (1, 3, 5, 9, 15))
        console.print(f"  {name:8}", *shown)
    ways, chains = ways_of(curves), [Chain(number) for number in range(count)]
    for way in ways[3:5]:
        shares = ", ".join(f"{name} {weight:g}" for name, weight in way.weights.items())
        console.print(f"weights of {way.name!r}: {shares}")
    walked = await walk_all(ways, chains, sampler)
    console.print(f"\n{count} chains of {CALLS} calls at most: per cent right, 95 % intervals")
    truths = [[answer for _, _, answer in chain.solved()][-1] for chain in chains]
    console.print(table_of(ways, walked, truths))
    console.print(
        "multiplied: the product of the steps, what is right if their errors are independent"
    )
    console.print(f"{len(sampler.seen):,} samples, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=100, help="chains (100)")
    parser.add_argument("--calibration", type=int, default=40, help="chains to calibrate (40)")
    given = parser.parse_args()
    asyncio.run(main(given.chains, given.calibration))
