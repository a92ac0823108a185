"""What stopping early costs and loses on recorded samples of real models.

    python tests/bench/pools.py [--orders 20] [--jobs 2] [--pools SVAMP AQuA]

Every problem is voted on by the public `solve` in many seeded orders, with lognormal latencies on a
virtual clock, and graded against the full vote over the same order. Calls are counted where they
arrive, in the sampler: those that are cancelled later are among them. The recordings are looked for
in `THINKTWICE_DATA`, else beside the checkout. About 20 minutes on two free cores.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import math
import os
import random
import statistics
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from thinktwice import Completion, Vote, solve
from thinktwice.ballot import Ballot
from thinktwice.sample import Sample
from thinktwice.stop import AdaptiveConsistency, EarlyStopping, Lead
from thinktwice.testing import run_virtual

if TYPE_CHECKING:
    from collections.abc import Sequence

N = 16
SIGMA = 0.5
"""Of the logarithm of a latency; the median is one second."""

POOLS = {
    "SVAMP": "pot_code-davinci-002_svamp_k30",
    "AQuA": "pot_code-davinci-002_aqua_k30",
    "HumanEval": "codet_codegen16b_humaneval_k100",
    "Game of 24": "tot_gpt4_game24_io_k100",
    "BRUMO": "deepconf_brumo25_online_budget128",
}
MORE_ORDERS = {"BRUMO": 10}
"""Times as many orders where there are few problems."""


@dataclass(frozen=True)
class Draw:
    """A recorded sample."""

    answer: str | None
    text: str | None
    right: bool


def answer_of(draw: Draw) -> str | None:
    """What votes are counted by."""
    return draw.answer


ARMS = {
    "cost": Vote(N, key=answer_of, prefer="cost"),
    "balanced": Vote(N, key=answer_of),
    "latency": Vote(N, key=answer_of, prefer="latency"),
    "Adaptive-Consistency": Vote(N, key=answer_of, prefer="cost", stop=AdaptiveConsistency()),
    "ESC": Vote(N, key=answer_of, prefer="cost", stop=EarlyStopping(5)),
    "Lead(3)": Vote(N, key=answer_of, prefer="cost", stop=Lead(3)),
}
"""What is compared; the first three differ in how many calls are in flight under `Settled(.05)`."""


@dataclass(frozen=True)
class Row:
    """One arm on one pool.

    Attributes:
        pool: Name of the pool.
        arm: Name of the arm.
        right: Share of right answers, in percent.
        full: The same for the full vote.
        calls: Mean calls.
        seconds: Mean virtual time to the answer; one call takes 1.13 on average.
        loss: Standard error of `right - full`, with problems as the units of chance.
        units: Number of problems.
        overturned: Share of runs in which another answer has more votes after n draws, in percent.
    """

    pool: str
    arm: str
    right: float
    full: float
    calls: float
    seconds: float
    loss: float
    units: int
    overturned: float

    @property
    def bound(self) -> float:
        """One-sided 95 % lower bound of the difference to the full vote, in points."""
        return self.right - self.full - _quantile(self.units - 1) * self.loss


def _quantile(freedom: int) -> float:
    """Student's t at .95, to a hundredth from four degrees of freedom on."""
    return 1.645 + 1.52 / freedom + 1.4 / freedom**2


def folder() -> Path:
    """Where the recordings are."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("THINKTWICE_DATA", beside))


@cache
def load(pool: str) -> tuple[tuple[Draw, ...], ...]:
    """The recorded samples of each problem of a pool."""
    path = folder() / f"{POOLS[pool]}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return tuple(_problem(json.loads(line)) for line in lines)


def _problem(row: dict[str, object]) -> tuple[Draw, ...]:
    samples = row["samples"]
    assert isinstance(samples, list)
    gold = row.get("gold")
    return tuple(
        Draw(
            answer=None if each["answer"] is None else json.dumps(each["answer"]),
            text=each.get("text"),
            right=bool(each.get("correct", each.get("passed", each["answer"] == gold))),
        )
        for each in samples
    )


class Replay:
    """A sampler that returns recorded draws in order, each after its own latency."""

    def __init__(self, draws: Sequence[Draw], seconds: Sequence[float]) -> None:
        self.calls = 0
        self._draws = draws
        self._seconds = seconds

    async def __call__(self, prompt: object, /) -> Completion[Draw]:
        number = self.calls
        self.calls += 1
        await asyncio.sleep(self._seconds[number])
        draw = self._draws[number]
        return Completion(value=draw, text=draw.text)


@dataclass(frozen=True)
class Trial:
    """One vote: whether its answer is right, that of the full vote too, and what it took."""

    right: bool
    full: bool
    calls: int
    seconds: float
    overturned: bool


async def vote(strategy: Vote, problem: Sequence[Draw], order: random.Random) -> Trial:
    """Vote on a problem in one random order."""
    draws = order.sample(problem, len(problem))
    sampler = Replay(draws, [order.lognormvariate(0, SIGMA) for _ in draws])
    clock = asyncio.get_running_loop()
    began = clock.time()
    result = await solve("", sampler=sampler, strategy=strategy)
    full: Ballot[Draw] = Ballot(N)
    for index, draw in enumerate(draws[:N]):
        full.add(Sample(index=index, value=draw, answer=draw.answer, text=draw.text))
    winner = full.winner()
    votes = {group.answer: group.weight for group in full.groups}
    most = max(votes.values(), default=0.0)
    return Trial(
        right=result.value is not None and result.value.right,
        full=winner is not None and winner.value is not None and winner.value.right,
        calls=sampler.calls,
        seconds=clock.time() - began,
        overturned=most > votes.get(result.answer, 0.0),
    )


async def _trials(strategy: Vote, pool: str, orders: range) -> list[list[Trial]]:
    """Trials by order and problem; the votes of one order share the virtual clock."""
    problems = load(pool)
    return [
        await asyncio.gather(
            *(
                vote(strategy, problem, random.Random(f"{pool} {number} {order}"))
                for number, problem in enumerate(problems)
            )
        )
        for order in orders
    ]


def run_part(arm: str, pool: str, orders: range) -> list[list[Trial]]:
    """Some orders of one arm on one pool, on a virtual clock."""
    warnings.simplefilter("ignore")
    return run_virtual(_trials(ARMS[arm], pool, orders))


def row(arm: str, pool: str, trials: list[list[Trial]]) -> Row:
    """Sum up."""
    flat = [trial for order in trials for trial in order]
    lost = [
        statistics.fmean(trial.right - trial.full for trial in problem)
        for problem in zip(*trials, strict=True)
    ]
    return Row(
        pool=pool,
        arm=arm,
        right=100 * statistics.fmean(trial.right for trial in flat),
        full=100 * statistics.fmean(trial.full for trial in flat),
        calls=statistics.fmean(trial.calls for trial in flat),
        seconds=statistics.fmean(trial.seconds for trial in flat),
        loss=100 * statistics.stdev(lost) / math.sqrt(len(lost)),
        units=len(lost),
        overturned=100 * statistics.fmean(trial.overturned for trial in flat),
    )


def mean(rows: Sequence[Row]) -> Row:
    """The mean over pools, each with equal weight."""

    def average(name: str) -> float:
        return statistics.fmean(getattr(each, name) for each in rows)

    return Row(
        pool="mean",
        arm=rows[0].arm,
        right=average("right"),
        full=average("full"),
        calls=average("calls"),
        seconds=average("seconds"),
        loss=math.sqrt(sum(each.loss**2 for each in rows)) / len(rows),
        units=sum(each.units for each in rows),
        overturned=average("overturned"),
    )


def measure(
    arms: Sequence[str] = tuple(ARMS),
    pools: Sequence[str] = tuple(POOLS),
    *,
    orders: int = 20,
    jobs: int = 1,
) -> list[Row]:
    """Rows of every arm on every pool, and of every arm on the mean of the pools."""
    step = 10
    parts = [
        (arm, pool, range(first, min(first + step, count)))
        for arm in arms
        for pool in pools
        for count in [orders * MORE_ORDERS.get(pool, 1)]
        for first in range(0, count, step)
    ]
    trials: dict[tuple[str, str], list[list[Trial]]] = {}
    with ProcessPoolExecutor(jobs) as workers:
        for part, done in zip(parts, workers.map(run_part, *zip(*parts, strict=True)), strict=True):
            trials.setdefault(part[:2], []).extend(done)
    rows: list[Row] = []
    for arm in arms:
        own = [row(arm, pool, trials[arm, pool]) for pool in pools]
        rows += [*own, mean(own)]
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    head = "| vote | pool | accuracy | full vote | lower bound | calls | seconds | overturned % |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r.arm} | {r.pool} | {r.right:.2f} | {r.full:.2f} | {r.bound:+.2f} "
        f"| {r.calls:.2f} | {r.seconds:.2f} | {r.overturned:.2f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the table; without recordings, say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20, help="orders of a problem")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    chosen = parser.parse_args()
    if not folder().is_dir():
        print(f"skipped: no recordings in {folder()}; set THINKTWICE_DATA to their folder")
        return 0
    rows = measure(chosen.arms, chosen.pools, orders=chosen.orders, jobs=chosen.jobs)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
