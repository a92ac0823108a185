# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy"]
# ///
"""Regenerate the tables of `thinktwice.curtail`: the largest thresholds that keep each risk.

    uv run tests/bench/settled_table.py [first] [last]

For every cap n, a dynamic programme follows the votes for two answers and for a third party, which
is either a third answer or an abstention, over a grid of distributions, and sums the probability
that the ballot stops early and another answer has strictly more votes after n draws. Up to n = 64
it takes a quarter of an hour.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from thinktwice.curtail import JEFFREYS, RISKS, UNIFORM, UNIT, Threshold, overturn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grid = NDArray[np.float64]

# Three significant digits, in units of 1e-5: finer thresholds would not stop in other states.
CANDIDATES = [0, *range(1, 1000), *range(1000, 10000, 10), *range(10000, 40001, 100)]
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
LAST_CHOICE, WORTH_IT = 40, 0.01  # for Jeffreys' prior: up to which n, and from which saving


def distributions(n: int) -> list[tuple[float, float]]:
    """Probabilities of the two answers; the third party has the rest.

    Near ties are the hardest, and a rare third party is harder than none: one odd draw in n turns a
    lead that would have ended in a tie into one that can be overturned.
    """
    shares = [c / n for c in (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)] + [0.1, 0.2, 0.3, 1 / 3, 0.4]
    even = [(0.5, 0.5), *(((1 - t) / 2, (1 - t) / 2) for t in shares if t <= 0.5)]
    return even + [((1 - t) * 0.54, (1 - t) * 0.46) for t in (0.0, 1 / n, 0.2, 1 / 3)]


@cache
def chances(n: int, drawn: int, prior: float, *, abstains: bool) -> Grid:
    """Chance of an overturn by votes of the two answers; 2 where no vote has been counted."""
    table = np.full((drawn + 1, drawn + 1), 2.0)
    for x in range(drawn + 1):
        for y in range(drawn - x + 1):
            votes = sorted((x, y) if abstains else (x, y, drawn - x - y), reverse=True)
            if votes[0]:
                table[x, y] = overturn(votes[0], votes[1], n - drawn, prior)
    return table


def worst(n: int, limit: Threshold, points: list[tuple[float, float]], *, abstains: bool) -> float:
    """The largest risk over the points."""
    p, q = (np.array(column)[:, None, None] for column in zip(*points, strict=True))
    rest = 1 - p - q
    x, y = np.indices((n + 1, n + 1))
    mass = np.zeros((3 if not abstains else 2, len(points), n + 1, n + 1))  # stopped, by leader
    running = np.zeros((len(points), n + 1, n + 1))
    running[:, 0, 0] = 1

    def step(state: Grid) -> Grid:
        out = rest * state
        out[..., 1:, :] += p * state[..., :-1, :]
        out[..., :, 1:] += q * state[..., :, :-1]
        return out

    for drawn in range(1, n):
        size = drawn + 1
        part = (slice(None), slice(size), slice(size))
        running[part] = step(running[part])
        mass[:, *part] = step(mass[:, *part])
        xs, ys = x[:size, :size], y[:size, :size]
        votes = np.stack([xs, ys] if abstains else [xs, ys, drawn - xs - ys])
        leader = votes.argmax(axis=0)
        fired = chances(n, drawn, limit.prior, abstains=abstains) <= limit.chance
        for label in range(len(votes)):
            here = fired & (leader == label)
            mass[label][part] += np.where(here, running[part], 0.0)
        running[part] = np.where(fired, 0.0, running[part])
    mass = step(mass)
    votes = np.stack([x, y] if abstains else [x, y, n - x - y])
    lost = votes.max(axis=0) > votes
    valid = x + y <= n
    return float((mass * (lost & valid)[:, None]).sum(axis=(0, 2, 3)).max())


def cost(n: int, limit: Threshold) -> float:
    """Mean draws, over shares of two answers from a tie to near unanimity."""
    total = 0.0
    for p in SHARES:
        running = {(0, 0): 1.0}
        for drawn in range(1, n + 1):
            after: dict[tuple[int, int], float] = defaultdict(float)
            for (x, y), mass in running.items():
                after[x + 1, y] += mass * p
                after[x, y + 1] += mass * (1 - p)
            running = {}
            for (x, y), mass in after.items():
                chance = overturn(max(x, y), min(x, y), n - drawn, limit.prior)
                if drawn == n or chance <= limit.chance:
                    total += mass * drawn
                else:
                    running[x, y] = mass
    return total / len(SHARES)


def calibrate(n: int, risk: float, prior: float) -> int:
    """The largest candidate whose worst risk is at most `risk`."""

    def largest(candidates: list[int], points: list[tuple[float, float]], *, third: bool) -> int:
        low, high = 0, len(candidates) - 1
        while low < high:
            middle = (low + high + 1) // 2
            limit = Threshold(candidates[middle] * UNIT, prior)
            parties = (True, False) if third else (True,)
            bad = max(worst(n, limit, points, abstains=party) for party in parties)
            low, high = (middle, high) if bad <= risk else (low, middle - 1)
        return candidates[low]

    two = largest(CANDIDATES, [(0.5, 0.5)], third=False)
    return largest(
        [c for c in CANDIDATES if two / 2 <= c <= two] or [0], distributions(n), third=True
    )


def entry(n: int, risk: float) -> int:
    """The entry of the table: negative where Jeffreys' prior saves draws."""
    uniform = calibrate(n, risk, UNIFORM)
    if n > LAST_CHOICE:
        return uniform
    jeffreys = calibrate(n, risk, JEFFREYS)
    costs = [
        cost(n, Threshold(units * UNIT, prior))
        for units, prior in ((uniform, UNIFORM), (jeffreys, JEFFREYS))
    ]
    return -jeffreys if costs[1] < costs[0] - WORTH_IT else uniform


def main() -> None:
    """Print a row a cap: the entry of each risk, in units of 1e-5."""
    first, last = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (6, 64)
    for n in range(first, last + 1):
        chances.cache_clear()
        print(n, *(entry(n, risk) for risk in RISKS), flush=True)


if __name__ == "__main__":
    main()
