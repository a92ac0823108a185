"""What varied draws do to the claim of `Settled`: exactly for two answers, and by simulation."""

from __future__ import annotations

import math
import random
from collections import Counter
from functools import cache

import pytest

from thinktwice.stop import Settled
from thinktwice.stop.curtail import RISKS
from thinktwice.stop.tally import Tally
from thinktwice.vary import Vary

RISK = 0.05
DESIGNS = [
    (6, 2),
    (8, 2),
    (9, 3),
    (12, 4),
    (15, 5),
    (16, 2),
    (16, 5),
    (20, 6),
    (24, 8),
    (31, 10),
    (40, 13),
]
"""Draws and variants; each variant is drawn three times at the least."""


def vary(count: int, seed: int | None = None) -> Vary:
    """So many variants."""
    return Vary(prompts=[f"Think {i}." for i in range(count)], seed=seed)


@cache
def stops(n: int, risk: float, x: int, y: int, abstained: int = 0) -> bool:
    """Whether the ballot ends with so many votes for the first two answers."""
    counts = tuple(sorted((v for v in (x, y) if v), reverse=True))
    return Settled(risk).fired(Tally(n, counts, x + y + abstained)) is not None


def votes_of(shares: list[float], drawn: int) -> list[float]:
    """Distribution of the votes for an answer of so many variants, drawn without replacement."""
    states = {(0, 0): 1.0}
    for share in shares:
        for (taken, votes), mass in list(states.items()):
            if taken < drawn:
                for vote, chance in ((1, share), (0, 1 - share)):
                    key = (taken + 1, votes + vote)
                    states[key] = states.get(key, 0.0) + mass * chance
    ways = math.comb(len(shares), drawn)
    return [states.get((drawn, votes), 0.0) / ways for votes in range(drawn + 1)]


def sums(left: list[float], right: list[float]) -> list[float]:
    """Distribution of the sum of two independent counts."""
    total = [0.0] * (len(left) + len(right) - 1)
    for i, p in enumerate(left):
        for j, q in enumerate(right):
            total[i + j] += p * q
    return total


Running = dict[tuple[int, int], float]
"""Probability of so many votes for the first answer, and of so many more in this block."""


def opened(running: Running, block: list[float]) -> Running:
    """At the start of a block."""
    return {
        (votes, left): mass * chance
        for (votes, _), mass in running.items()
        for left, chance in enumerate(block)
    }


def stepped(running: Running, to_come: int) -> Running:
    """After one of the draws to come in a block: an urn."""
    after: Counter[tuple[int, int]] = Counter()
    for (votes, left), mass in running.items():
        after[votes + 1, left - 1] += mass * left / to_come
        after[votes, left] += mass * (1 - left / to_come)
    return {state: mass for state, mass in after.items() if mass}


def overturned(n: int, shares: list[float], risk: float) -> float:
    """Probability that `Settled` stops and the other of two answers would have won.

    Args:
        n: Draws.
        shares: The chance of the first answer, by variant.
        risk: Of the rule.
    """
    k = len(shares)
    running: Running = {(0, 0): 1.0}
    bad = 0.0
    for drawn in range(n):
        size = min(k, n - drawn + drawn % k)
        if drawn % k == 0:
            running = opened(running, votes_of(shares, size))
        running = stepped(running, size - drawn % k)
        for votes, left in [s for s in running if stops(n, risk, s[0], drawn + 1 - s[0])]:
            mass, leads = running.pop((votes, left)), 2 * votes > drawn + 1
            for later, chance in enumerate(votes_behind(n, drawn, tuple(shares))):
                lead = 2 * (votes + left + later) - n
                bad += mass * chance * (lead < 0 if leads else lead > 0)
    return bad


@cache
def votes_behind(n: int, drawn: int, shares: tuple[float, ...]) -> list[float]:
    """Distribution of the votes in the blocks behind that of a draw."""
    k = len(shares)
    total = [1.0]
    for start in range(drawn - drawn % k + k, n, k):
        total = sums(total, votes_of(list(shares), min(k, n - start)))
    return total


def worst(n: int, k: int, risk: float = RISK) -> float:
    """The largest risk over variants that are sure of one answer or the other, one unsure."""
    sure = [[1.0] * ones + [0.0] * (k - ones) for ones in range(k // 2, k + 1)]
    unsure = [[0.5, *shares[1:]] for shares in sure]
    return max(overturned(n, shares, risk) for shares in sure + unsure)


class TestTwoAnswers:
    """Exact probabilities."""

    @pytest.mark.parametrize("risk", RISKS)
    @pytest.mark.parametrize(("n", "k"), DESIGNS)
    def test_variants_that_differ_keep_the_risk(self, n, k, risk):
        """Where the claim is said to stand, it does."""
        assert vary(k).void(n) is None
        assert worst(n, k, risk) <= risk

    @pytest.mark.parametrize(("n", "k"), [(8, 8), (16, 16), (9, 8), (10, 4), (25, 12)])
    def test_with_few_draws_of_each_they_may_not(self, n, k):
        """Near a tie an urn is emptied in an unlucky order more often than a coin falls so."""
        assert worst(n, k) > RISK
        assert vary(k).void(n) == "fewer than three draws of each variant"

    @pytest.mark.parametrize(("n", "k"), [(9, 3), (16, 2), (16, 5), (24, 8)])
    def test_the_risk_is_largest_where_they_do_not_differ(self, n, k):
        """Balanced draws tell more about the rest than independent ones."""
        assert worst(n, k) < overturned(n, [0.5] * k, RISK)

    def test_equal_variants_are_none(self):
        """The calculation agrees with that of independent draws."""
        assert overturned(16, [0.5] * 4, RISK) == pytest.approx(overturned(16, [0.5], RISK))
        assert overturned(16, [0.7] * 5, RISK) == pytest.approx(overturned(16, [0.7], RISK))


def simulated(n: int, made: Vary, answers: dict[str, dict[str | None, float]], runs: int) -> float:
    """Share of the runs that stop early with an answer that loses the full vote."""
    rng, bad = random.Random(0), 0
    for _ in range(runs):
        drawn = [
            rng.choices(list(chances), list(chances.values()))[0]
            for chances in (answers[variant.name] for variant in made.variants(n))
        ]
        full = Counter(answer for answer in drawn if answer is not None)
        votes: Counter[str] = Counter()
        for finished, answer in enumerate(drawn, 1):
            votes.update([answer] if answer is not None else [])
            (leader, x), (_, y) = [*votes.most_common(2), (None, 0), (None, 0)][:2]
            if stops(n, RISK, x, y, finished - x - y):
                bad += full[leader] < max(full.values())
                break
    return bad / runs


class TestSimulated:
    """With the orders that runs get."""

    @pytest.mark.parametrize(
        "chances",
        [
            [{"A": 1.0}, {"B": 1.0}, {"A": 0.5, "B": 0.5}, {"A": 0.4, "B": 0.4, "C": 0.2}],
            [{"A": 0.6, "B": 0.4}, {"A": 0.4, "B": 0.6}, {"C": 1.0}, {None: 1.0}],
            [{"A": 0.45, "B": 0.45, None: 0.1}] * 4,
        ],
    )
    def test_unlike_variants_keep_the_risk(self, chances):
        """With a third answer and with abstentions, too."""
        made, runs = vary(4), 1200
        answers = dict(zip([f"prompt {i}" for i in range(4)], chances, strict=True))
        error = math.sqrt(RISK * (1 - RISK) / runs)
        assert simulated(16, made, answers, runs) <= RISK + 3 * error

    def test_a_fixed_order_does_not(self):
        """The variants that always come first decide every request, and they may be wrong."""
        made = vary(9, seed=3)
        first = [each.name for each in made.variants(4)]
        names = {each.name for each in made.variants(9)}
        answers = {name: {"B" if name in first else "A": 1.0} for name in names}
        assert simulated(27, made, answers, 3) == 1.0
        assert made.void(27) == "a fixed order of variants"
        assert simulated(27, vary(9), answers, 600) <= RISK

    def test_one_variant_has_no_order(self):
        """Then a seed fixes nothing."""
        assert vary(1, seed=3).void(2) is None
