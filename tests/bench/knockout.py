"""When a knockout beats a vote: recorded samples of real models, and judges of known quality.

    make bench-knockout

Each problem has 16 of its recorded samples, in a seeded order. The judge is simulated: of a right
and a wrong answer it prefers the right one with the given probability, anew in each order; of two
alike either. Intervals are 95 %, from a bootstrap over problems. The recordings are looked for in
`THINKTWICE_DATA`, else beside the checkout. About five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import warnings
from typing import TYPE_CHECKING

from pools import Draw, answer_of, folder, load

from thinktwice import BestOfN, Sample, Vote, solve
from thinktwice.selection import Knockout
from thinktwice.stop import AtMost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice import Strategy
    from thinktwice.selection import Ask

N = 16
JUDGES = (0.5, 0.6, 0.7, 0.8, 0.9)
RESAMPLES = 2000


class Judge:
    """Compares as often right as it is told; half a point where its orders disagree."""

    calls = 2

    def __init__(self, skill: float, seed: int) -> None:
        """Draw its mistakes by a seed."""
        self.skill = skill
        self.random = random.Random(seed)

    async def compare(
        self, first: Sample[object], second: Sample[object], /, *, prompt: object, ask: Ask
    ) -> float:
        """Points of the first."""
        del prompt, ask
        one, other = (each.value.right for each in (first, second))  # type: ignore[union-attr]
        better = 0.5 if one == other else self.skill if one else 1 - self.skill
        return statistics.fmean(self.random.random() < better for _ in range(2))


async def right(strategy: Strategy, problem: Sequence[Draw], seed: int) -> bool:
    """Whether a strategy returns a right sample of a problem."""
    draws = iter(random.Random(seed).sample(list(problem), min(N, len(problem))))

    async def sampler(_: str) -> Draw:
        return next(draws)

    result = await solve("q", sampler=sampler, strategy=strategy)
    return isinstance(result.value, Draw) and result.value.right


async def share(pool: str, skill: float | None, orders: int) -> list[float]:
    """How often it is right, by problem; by a vote if there is no judge."""
    shares: list[float] = []
    for number, problem in enumerate(load(pool)):
        hits: list[bool] = []
        for seed in range(orders):
            strategy: Strategy = Vote(N, key=answer_of, stop=AtMost(N))
            if skill is not None:
                judge = Judge(skill, seed + 1000 * number)
                strategy = BestOfN(N, key=answer_of, select=Knockout(judge, seed=seed))
            hits.append(await right(strategy, problem, seed))
        shares.append(statistics.fmean(hits))
    return shares


def interval(differences: Sequence[float]) -> float:
    """Half the width of the interval of a mean."""
    rng = random.Random(0)
    means = sorted(
        statistics.fmean(rng.choices(differences, k=len(differences))) for _ in range(RESAMPLES)
    )
    return (means[int(0.975 * RESAMPLES)] - means[int(0.025 * RESAMPLES)]) / 2


async def main(pools: Sequence[str], orders: int) -> None:
    """Print a table, in Markdown."""
    out = sys.stdout.write
    judges = " | ".join(f"{skill:.0%}" for skill in JUDGES)
    out(f"| {N} samples | vote | {judges} |\n|---|---|{'---|' * len(JUDGES)}\n")
    for pool in pools:
        vote = await share(pool, None, orders)
        cells = [f"{100 * statistics.fmean(vote):.1f} %"]
        for skill in JUDGES:
            gains = [a - b for a, b in zip(await share(pool, skill, orders), vote, strict=True)]
            cells.append(f"{100 * statistics.fmean(gains):+.1f} \u00b1 {100 * interval(gains):.1f}")
        out(f"| {pool} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2)
    parser.add_argument("--pools", nargs="+", default=["AQuA", "Game of 24"])
    asked = parser.parse_args()
    if not folder().exists():
        sys.exit("there are no recordings here: set THINKTWICE_DATA")
    warnings.simplefilter("ignore")
    asyncio.run(main(asked.pools, asked.orders))
