"""Whether `thinktwice whatif` says what another rule then does, and whether its intervals hold.

    python tests/bench/whatif.py [--stores 300] [--orders 10] [--pools SVAMP AQuA]

First, stores are simulated: 1,000 requests each, of which a share is always drawn in full and the
others explore. How often do the intervals hold the figure of all requests? Then the recorded votes
of real models (see `pools.py`) are drawn in full, replayed under another rule, and really voted on
under that rule, in other seeded orders. About 10 minutes on one free core.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import pools

from thinktwice import Vote, solve
from thinktwice import ballot as counting
from thinktwice.policy.whatif import WhatIf, whatif
from thinktwice.sample import Sample
from thinktwice.stop import Lead, Settled, Stop
from thinktwice.store.ballots import Ballot, Ballots, Draw
from thinktwice.testing import run_virtual

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUESTS = 1000
FIGURES = ("used", "cost", "saved", "changed")
RULES: tuple[tuple[Stop, str], ...] = (
    (Lead(2), "cost"),
    (Lead(3), "cost"),
    (Settled(), "cost"),
    (Settled(), "balanced"),
)


class Trial(NamedTuple):
    """Calls and seconds of a vote, and whether its answer is not that of the full vote."""

    calls: float
    seconds: float
    changed: float


@dataclass(frozen=True)
class Traffic:
    """What is simulated.

    Attributes:
        name: In words.
        explore: Share of the votes that explore.
        whole: Share of the requests that are always drawn in full, and are easier.
        questions: How many different ones, of which each comes often; None for all different.
    """

    name: str
    explore: float
    whole: float = 0.0
    questions: int | None = None


TRAFFIC = (
    Traffic("2 % explored", 0.02),
    Traffic("5 % explored", 0.05),
    Traffic("20 % explored", 0.2),
    Traffic("5 %, and a tenth always in full", 0.05, whole=0.1),
    Traffic("20 %, and half always in full", 0.2, whole=0.5),
    Traffic("20 %, of 20 questions", 0.2, questions=20),
)


def shares(rng: random.Random, *, easy: bool) -> float:
    """Of the first of two answers, for one question."""
    return rng.betavariate(12, 2) if easy else rng.betavariate(4, 3)


def drawn(rng: random.Random, share: float, *, explored: bool) -> Ballot:
    """A vote of 8, whose samples cost more where the question is harder."""
    answers = [int(rng.random() > share) for _ in range(8)]
    cost = 0.002 - 0.001 * share
    draws = [
        Draw(answer, rng.expovariate(1), cost * rng.lognormvariate(0, pools.SIGMA))
        for answer in answers
    ]
    return Ballot(tuple(draws), explored=explored)


def store(traffic: Traffic, rng: random.Random, requests: int, *, explore: float) -> Ballots:
    """What observing so many requests leaves to replay."""
    fixed = random.Random(1)
    known = [shares(fixed, easy=False) for _ in range(traffic.questions or 0)]
    full: list[Ballot] = []
    censored = 0
    for _ in range(requests):
        if rng.random() < traffic.whole:
            full.append(drawn(rng, shares(rng, easy=True), explored=False))
        elif rng.random() < explore:
            share = rng.choice(known) if known else shares(rng, easy=False)
            full.append(drawn(rng, share, explored=True))
        else:
            censored += 1
    return Ballots(full, 0, {8: censored} if censored else {}, 0, {})


@cache
def truth(traffic: Traffic) -> WhatIf:
    """Of very many requests, all of which are drawn in full."""
    return whatif(store(traffic, random.Random(2), 40_000, explore=1.0), Lead(2))


def coverage(traffic: Traffic, stores: int) -> dict[str, tuple[float, float]]:
    """By figure: percent of the intervals that hold the truth, and the mean error in percent."""
    true = truth(traffic)
    rng = random.Random(traffic.name)
    held: dict[str, list[bool]] = {name: [] for name in FIGURES}
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(stores):
        found = whatif(store(traffic, rng, REQUESTS, explore=traffic.explore), Lead(2))
        for name in FIGURES:
            estimate = getattr(found, name)
            values[name].append(estimate.value)
            if estimate.low is not None:
                held[name].append(estimate.low <= getattr(true, name).value <= estimate.high)
    return {
        name: (
            100 * fmean(held[name]) if held[name] else float("nan"),
            100 * (fmean(values[name]) / getattr(true, name).value - 1),
        )
        for name in FIGURES
    }


def drawn_in_full(problems: Sequence[Sequence[pools.Draw]], rng: random.Random) -> Ballots:
    """A store of full votes on each problem once."""
    full: list[Ballot] = []
    for problem in problems:
        draws = rng.sample(problem, pools.N)
        seen: dict[str, int] = {}
        full.append(
            Ballot(
                tuple(
                    Draw(
                        -1 if each.answer is None else seen.setdefault(each.answer, len(seen)),
                        rng.lognormvariate(0, pools.SIGMA),
                        length=None if each.text is None else len(each.text),
                    )
                    for each in draws
                )
            )
        )
    return Ballots(full, 0, {}, 0, {})


async def once(vote: Vote, problem: Sequence[pools.Draw], order: random.Random) -> Trial:
    """One vote, and whether its answer is that of all samples of the same order."""
    draws = order.sample(problem, pools.N)
    sampler = pools.Replay(draws, [order.lognormvariate(0, pools.SIGMA) for _ in draws])
    clock = asyncio.get_running_loop()
    began = clock.time()
    result = await solve("", sampler=sampler, strategy=vote)
    full: counting.Ballot[pools.Draw] = counting.Ballot(pools.N)
    for index, draw in enumerate(draws):
        full.add(Sample(index=index, answer=draw.answer, text=draw.text))
    winner = full.winner()
    same = result.answer == (None if winner is None else winner.answer)
    return Trial(sampler.calls, clock.time() - began, not same)


async def really(pool: str, vote: Vote, orders: int) -> Trial:
    """Means over problems and orders."""
    trials = [
        await once(vote, problem, random.Random(f"really {pool} {number} {order}"))
        for order in range(orders)
        for number, problem in enumerate(pools.load(pool))
    ]
    return Trial(*map(fmean, zip(*trials, strict=True)))


def compare(pool: str, orders: int) -> list[str]:
    """Rows of a table: what is foretold from full votes, and what came."""
    problems = pools.load(pool)
    found = drawn_in_full(problems, random.Random(pool))
    rows: list[str] = []
    for stop, prefer in RULES:
        told = whatif(found, stop, n=pools.N, prefer=prefer)
        vote = Vote(pools.N, key=pools.answer_of, stop=stop, prefer=prefer, hedge=False)
        came = run_virtual(really(pool, vote, orders))
        rows.append(
            f"| {pool} | {stop!r} | {prefer} | {told.launched} | {came.calls:.2f} "
            f"| {told.seconds} | {came.seconds:.2f} "
            f"| {_percent(told)} | {100 * came.changed:.1f} |"
        )
    return rows


def _percent(found: WhatIf) -> str:
    assert found.changed is not None
    value, low, high = found.changed
    return f"{100 * value:.1f} ({100 * (low or 0):.1f} to {100 * (high or 0):.1f})"


def main() -> int:
    """Print both tables; the second one is left out without recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stores", type=int, default=300, help="simulated stores")
    parser.add_argument("--orders", type=int, default=10, help="of a recorded problem")
    parser.add_argument("--pools", nargs="*", choices=pools.POOLS, default=list(pools.POOLS))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.stores:
        print("percent of the 95 % intervals that hold, and error of the mean estimate in percent")
        print(f"| traffic | {' | '.join(FIGURES)} |")
        print("|---" * (1 + len(FIGURES)) + "|")
    for traffic in TRAFFIC if chosen.stores else ():
        cells = [f"{a:.1f} ({b:+.1f})" for a, b in coverage(traffic, chosen.stores).values()]
        print(f"| {traffic.name} | {' | '.join(cells)} |", flush=True)
    if not pools.folder().is_dir():
        print(f"skipped: no recordings in {pools.folder()}; set THINKTWICE_DATA to their folder")
        return 0
    print(
        "\n| pool | rule | prefer | calls | really | seconds | really | other answer % | really |"
    )
    print("|---" * 9 + "|")
    for pool in chosen.pools:
        print("\n".join(compare(pool, chosen.orders)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
