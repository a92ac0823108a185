# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy"]
# ///
"""Regenerate or verify the tables of `thinktwice.stop.curtail`: the largest thresholds for a risk.

    python tests/bench/settled_table.py [first] [last]            # entries of the table
    python tests/bench/settled_table.py [first] [last] --verify   # worst risk / risk, as shipped
    python tests/bench/settled_table.py [first] [last] --fine     # the same on a finer grid

For every cap n, a dynamic programme follows the votes for two answers and for a third party over a
grid of distributions: a third answer, abstentions, or in ballots of up to 16 draws both at once. It
sums the probability that the ballot stops early and another answer has strictly more votes after n
draws. Up to n = 64 the table takes half an hour. To verify takes one second a cap at n = 64, five
at 128, and four minutes at 256; on the finer grid, with both third parties at once at any n, ten
seconds at 32 and several minutes at 64.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from thinktwice.stop.curtail import JEFFREYS, RISKS, UNIFORM, UNIT, Threshold, overturn, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Grid = NDArray[np.float64]
    Point = tuple[float, ...]

# Three significant digits, in units of 1e-5: finer thresholds would not stop in other states.
CANDIDATES = [0, *range(1, 1000), *range(1000, 10000, 10), *range(10000, 40001, 100)]
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
LAST_CHOICE, WORTH_IT = 40, 0.01  # for Jeffreys' prior: up to which n, and from which saving
LAST_JOINT = 16  # up to which n a third answer and abstentions are there at once
CELLS = 4_000_000  # of one array


def distributions(n: int) -> list[Point]:
    """Probabilities of the two answers; the third party has the rest.

    Near ties are the hardest, and a rare third party is harder than none: one odd draw in n turns a
    lead that would have ended in a tie into one that can be overturned.
    """
    shares = [c / n for c in (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)] + [0.1, 0.2, 0.3, 1 / 3, 0.4]
    even = [(0.5, 0.5), *(((1 - t) / 2, (1 - t) / 2) for t in shares if t <= 0.5)]
    return even + [((1 - t) * 0.54, (1 - t) * 0.46) for t in (0.0, 1 / n, 0.2, 1 / 3)]


def finer_distributions(n: int) -> list[Point]:
    """The same, ten times as many: none of them was used to set a threshold."""
    shares = [0.0, *np.geomspace(0.1 / n, 0.55, 40).tolist()]
    tilts = (0.5, 0.505, 0.51, 0.52, 0.54)
    return [((1 - t) * tilt, (1 - t) * (1 - tilt)) for t in shares for tilt in tilts]


def joint_distributions(n: int) -> list[Point]:
    """Probabilities of three answers; the rest abstains."""
    shares = [0.0, *(c / n for c in (0.3, 0.6, 1.0, 1.6, 2.5, 4.0)), 0.075, 0.15, 0.3]
    pairs = ((z, lost) for z, lost in itertools.product(shares, shares) if 3 * z + lost <= 1)
    return [((1 - z - lost) / 2, (1 - z - lost) / 2, z) for z, lost in pairs]


def worst(n: int, limit: Threshold, points: Sequence[Point], *, abstains: bool) -> float:
    """The largest risk over the points; what they leave of the probability abstains or votes."""
    axes = len(points[0])
    size = max(1, CELLS // (n + 1) ** axes)
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return max(float(_risks(n, limit, part, abstains=abstains).max()) for part in parts)


def _risks(n: int, limit: Threshold, points: Sequence[Point], *, abstains: bool) -> Grid:
    axes = len(points[0])
    chances = np.array(points).T.reshape(axes, len(points), *(1,) * axes)
    shape = (len(points), *(n + 1,) * axes)
    running = np.zeros(shape)
    running[:, *(0,) * axes] = 1.0
    stopped = np.zeros((axes if abstains else axes + 1, *shape))  # by leader
    for drawn in range(1, n):
        part = (slice(None), *(slice(drawn + 1),) * axes)
        running[part] = _step(running[part], chances)
        for mass in stopped:
            mass[part] = _step(mass[part], chances)
        votes = _votes(drawn, axes, abstains=abstains)
        ranked = np.sort(votes, axis=0)
        fired = _chances(n, drawn, limit.prior)[ranked[-1], ranked[-2]] <= limit.chance
        leader = votes.argmax(axis=0)
        for answer, mass in enumerate(stopped):
            mass[part] += np.where(fired & (leader == answer), running[part], 0.0)
        running[part] = np.where(fired, 0.0, running[part])
    votes = _votes(n, axes, abstains=abstains)
    lost = (votes.max(axis=0) > votes) & (votes.min(axis=0) >= 0)
    over = tuple(range(1, axes + 1))
    return sum(
        ((_step(mass, chances) * lost[i]).sum(axis=over) for i, mass in enumerate(stopped)),
        start=np.zeros(len(points)),
    )


def _step(state: Grid, chances: Grid) -> Grid:
    """One more draw."""
    out = (1 - chances.sum(axis=0)) * state
    for axis, chance in enumerate(chances, start=1):
        ahead, behind = [slice(None)] * state.ndim, [slice(None)] * state.ndim
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        out[tuple(ahead)] += chance * state[tuple(behind)]
    return out


def _votes(drawn: int, axes: int, *, abstains: bool) -> NDArray[np.int64]:
    """Votes of each answer in each state; negative ones where there is no such state."""
    votes = np.indices((drawn + 1,) * axes)
    rest = drawn - votes.sum(axis=0)
    return np.where(rest >= 0, votes if abstains else np.stack([*votes, rest]), -1)


@cache
def _chances(n: int, drawn: int, prior: float) -> Grid:
    """Chance of an overturn by leader and runner-up; 2 where there is no vote, or no such state."""
    table = np.full((drawn + 2, drawn + 2), 2.0)
    for leader in range(1, drawn + 1):
        for runner_up in range(min(leader, drawn - leader) + 1):
            table[leader, runner_up] = overturn(leader, runner_up, n - drawn, prior)
    return table


def worst_of_all(n: int, limit: Threshold, *, fine: bool = False) -> float:
    """The largest risk over all grids that are computed for this n."""
    points = finer_distributions(n) if fine else distributions(n)
    bad = [worst(n, limit, points, abstains=each) for each in (True, False)]
    if fine or n <= LAST_JOINT:
        bad.append(worst(n, limit, joint_distributions(n), abstains=True))
    return max(bad)


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

    def keeps(units: int, *, two: bool) -> bool:
        limit = Threshold(units * UNIT, prior)
        tie = [(0.5, 0.5)]
        return (worst(n, limit, tie, abstains=True) if two else worst_of_all(n, limit)) <= risk

    def largest(candidates: list[int], *, two: bool) -> int:
        low, high = 0, len(candidates) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if keeps(candidates[middle], two=two) else (low, middle - 1)
        return candidates[low]

    bound = largest(CANDIDATES, two=True)
    return largest([c for c in CANDIDATES if bound / 2 <= c <= bound] or [0], two=False)


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
    """Print a row a cap: for each risk the entry in units of 1e-5, or the share that is used up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=int, nargs="?", default=6)
    parser.add_argument("last", type=int, nargs="?", default=64)
    parser.add_argument("--verify", action="store_true", help="the thresholds as shipped")
    parser.add_argument("--fine", action="store_true", help="the same, on a finer grid")
    chosen = parser.parse_args()
    for n in range(chosen.first, chosen.last + 1):
        _chances.cache_clear()
        if chosen.verify or chosen.fine:
            limits = {risk: threshold(n, risk) for risk in RISKS}
            used = (worst_of_all(n, at, fine=chosen.fine) / risk for risk, at in limits.items())
            print(n, *(f"{each:.4f}" for each in used), flush=True)
        else:
            print(n, *(entry(n, risk) for risk in RISKS), flush=True)


if __name__ == "__main__":
    main()
