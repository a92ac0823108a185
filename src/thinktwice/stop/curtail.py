"""Chance that the votes still to come overturn a leader, and the thresholds that `Settled` uses."""

from __future__ import annotations

from functools import lru_cache
from math import comb, exp, lgamma, log
from typing import NamedTuple

RISKS = (0.01, 0.02, 0.05, 0.1)
"""The risks that thresholds are tabulated for."""

UNIT = 1e-5 * (1 - 1e-9)
"""Of the tables; a little less than it says, so that rounding never decides at a threshold."""

UNIFORM, JEFFREYS = 1.0, 0.5
"""Priors. In a small ballot few chances are possible, and at the same risk now the one and now the
other lets it stop earlier."""

_PRECISION = 1e-16
"""Where a series ends, as a share of its sum."""

# The largest threshold, to three digits, whose worst risk over a grid of distributions is at most
# the risk it stands under; negative where the prior is Jeffreys'. Written by
# `tests/bench/settled_table.py`, which also verifies it.
_FROM = 6  # up to five draws every threshold above zero is too high: stop when it is certain
_TABLE: dict[float, tuple[int, ...]] = {
    0.01: (
        2850, 1420, 2850, 2380, 1510, -585, 1630, 1040, 885, 1280, 904, 761,
        773, 988, -516, -325, 693, -326, -326, 745, -296, 637, 632, 461,
        535, -385, 455, 521, 473, -289, 437, -284, 390, -276, -289, 431,
        360, 443, 375, 367, 389, 392, 402, 414, 355, 389, 359, 313,
        374, 331, 333, 332, 290, 278, 301, 287, 305, 270, 277,
    ),
    0.02: (
        2850, 5000, 3960, 2380, -1070, 3030, 2090, 1450, 1860, -1170, -1060, 1470,
        1470, 1620, -613, 1180, 1230, 1350, 1130, 846, 1140, -772, 1010, -818,
        898, -535, 876, 920, 780, -552, 798, -495, 831, 935, 839, 905,
        845, 784, 853, 827, 777, 727, 708, 605, 722, 591, 668, 593,
        646, 579, 579, 594, 596, 609, 589, 534, 539, 544, 553,
    ),
    0.05: (
        10000, 7140, 4760, 7140, 6060, -2730, 4890, 3490, 3490, 3840, -1950, 4110,
        3250, -2320, 3480, 3170, 2910, 3430, -2100, -1940, 2660, 2300, 2240, -1700,
        2100, -1340, 2100, -1410, -1410, -1320, -1310, -1170, 2010, 2170, 2030, 2170,
        2030, 2150, 1960, 1800, 2020, 1810, 2000, 1870, 1720, 1920, 1740, 1760,
        1690, 1520, 1730, 1470, 1580, 1510, 1480, 1300, 1480, 1320, 1420,
    ),
    0.1: (
        11400, -6250, 11400, 8330, 6700, 9090, 6990, 8620, 7690, -5560, 8230, 6560,
        5480, 7040, -5360, -3760, 5940, -3850, 4650, -2790, 4120, 4880, -3510, -2670,
        -2670, 5060, -2640, 4270, -2740, 4380, -2630, 4480, 3910, 4570, 4000, 4270,
        4060, 3440, 4150, 3550, 4210, 3610, 3960, 3680, 3580, 3720, 3480, 3310,
        3340, 2980, 3410, 2850, 3320, 2870, 3070, 2920, 2920, 2670, 2960,
    ),
}  # fmt: skip
_BEYOND: dict[int, tuple[int, ...]] = {
    80: (248, 536, 1280, 2610),
    96: (260, 521, 1240, 2650),
    128: (197, 398, 1160, 2550),
}
_MARGIN = 0.8  # thresholds do not fall smoothly with n


@lru_cache(maxsize=1 << 17)
def overturn(
    leader: int, runner_up: int, remaining: int, prior: float = 1.0, enough: float = 1.0
) -> float:
    """Probability that the runner-up ends with strictly more votes than the leader.

    Every remaining draw votes for one of the two, with a Beta(prior, prior) prior on their shares:
    the runner-up's further votes are Beta-binomial(remaining, runner_up + prior, leader + prior).
    Above `enough` it is a lower bound: whoever compares with that needs no more.
    """
    lead = leader - runner_up
    if lead >= remaining:
        return 0.0
    first = (lead + remaining) // 2 + 1
    alpha, beta = runner_up + prior, leader + prior
    rest = remaining - first
    # Terms of the tail fall from the first one on, each by a ratio of small numbers.
    term = exp(
        _log_beta(alpha + first, beta + rest)
        - _log_beta(alpha, beta)
        - _log_beta(first + 1, rest + 1)
    ) / (remaining + 1)
    total = term
    for x in range(first, remaining):
        term *= (remaining - x) * (alpha + x) / ((x + 1) * (beta + remaining - x - 1))
        total += term
        if total > enough:
            break
    return total


@lru_cache(maxsize=1 << 16)
def lead_probability(leader: float, runner_up: float) -> float:
    """Posterior probability that the leader is the more probable of two answers, uniform prior.

    That is 1 - I_{1/2}(leader + 1, runner_up + 1): exact for whole counts, where it is a binomial
    tail, and to 1e-12 for weights.
    """
    if leader == int(leader) and runner_up == int(runner_up):
        tosses = int(leader + runner_up) + 1
        return sum(comb(tosses, i) for i in range(int(leader) + 1)) / 2**tosses
    return 1.0 - _half_beta(leader + 1, runner_up + 1)


def _half_beta(a: float, b: float) -> float:
    """The regularised incomplete beta function I_{1/2}(a, b), for a >= b > 0.

    By its series of positive terms (DLMF 8.17.8), whose ratio falls from (a + b) / (2a + 2) to 1/2.
    """
    total, k = 0.0, 0
    term = exp(-_log_beta(a, b) - (a + b) * log(2)) / a
    while term > total * _PRECISION:
        total += term
        term *= (a + b + k) / (2 * (a + 1 + k))
        k += 1
    return total


class Threshold(NamedTuple):
    """When a ballot is settled: `overturn(..., prior)` is at most `chance`."""

    chance: float
    prior: float


@lru_cache(maxsize=4096)
def threshold(n: int, risk: float) -> Threshold:
    """When a ballot of at most n draws is settled, at a risk in (0, 1).

    Tabulated for `RISKS` and n up to 64. Other values err on the side of more draws: a risk between
    two of the table counts as the smaller one; below the table the chance falls with the square of
    the risk; for a larger n it is a margin below that of the next n of the second table, and beyond
    that table in proportion to 1 / n. So at most .93 of the risk is used at any n from 65 to 128, a
    third party included, and less beyond.
    """
    if n < _FROM:
        return Threshold(0.0, UNIFORM)
    column = max((known for known in RISKS if known <= risk), default=RISKS[0])
    shrink = min(1.0, risk / RISKS[0]) ** 2
    table = _TABLE[column]
    if n < _FROM + len(table):
        entry = table[n - _FROM]
        return Threshold(abs(entry) * UNIT * shrink, UNIFORM if entry > 0 else JEFFREYS)
    last = max(_BEYOND)
    row = _BEYOND[min((known for known in _BEYOND if known >= n), default=last)]
    chance = row[RISKS.index(column)] * UNIT * shrink * _MARGIN * min(1.0, last / n)
    return Threshold(chance, UNIFORM)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
