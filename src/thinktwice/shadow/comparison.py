"""A single sample against a strategy on the same requests: how often, at what cost, how good.

Pure: what a `Shadow` has seen, added up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal

    from thinktwice.entry import Total

_Z: Final = 1.959963984540054  # of a 95 % interval


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Proportion:
    """How many of how many, with the Wilson interval of the share behind it (95 %).

    Attributes:
        count: Of these.
        of: Among these.
    """

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """In [0, 1]; None of none."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> Interval:
        """What the share may be in all traffic like this; anything in [0, 1] if there was none."""
        if not self.of:
            return Interval(0.0, 1.0)
        n, p, z2 = self.of, self.count / self.of, _Z**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        low = middle - half if self.count else 0.0
        high = middle + half if self.count < n else 1.0
        return Interval(max(0.0, low), min(1.0, high))

    def __str__(self) -> str:
        """One line."""
        if self.share is None:
            return "0 of 0"
        low, high = self.interval
        return f"{self.share:.1%} ({low:.1%} to {high:.1%}), {self.count} of {self.of}"


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What one request took; on average, in a report.

    Attributes:
        calls: Calls of models.
        tokens: Input and output tokens; None where they are not known.
        cost: USD; None while unpriced.
        seconds: Wall-clock time.
    """

    calls: float
    tokens: float | None
    cost: Decimal | None
    seconds: float

    @classmethod
    def of(cls, total: Total, seconds: float) -> Spend:
        """Of the calls of one request; a cost that leaves calls out is none."""
        return cls(
            calls=total.calls,
            tokens=total.usage.total_tokens,
            cost=None if total.unpriced else total.cost,
            seconds=seconds,
        )

    def __sub__(self, other: Spend) -> Spend:
        """How much more it is."""
        tokens, cost = None, None
        if self.tokens is not None and other.tokens is not None:
            tokens = self.tokens - other.tokens
        if self.cost is not None and other.cost is not None:
            cost = self.cost - other.cost
        calls, seconds = self.calls - other.calls, self.seconds - other.seconds
        return Spend(calls=calls, tokens=tokens, cost=cost, seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a verifier said of both answers to the same requests.

    Answers that count as the same are judged once, and are a tie. No answer at all scores 0.

    Attributes:
        wins: The strategy's answer scored higher.
        losses: It scored lower.
        ties: Neither.
        single: Mean score of the single sample; of a verifier that passes or fails, the share that
            passed.
        strategy: The same of the strategy's answer.
        interval: Of the difference of the two (95 %): the paired interval of Agresti and Min 2005
            (doi:10.1002/sim.1781), which counts half a win, half a loss and a tie more than there
            were.
    """

    wins: int
    losses: int
    ties: int
    single: float
    strategy: float
    interval: Interval

    @property
    def difference(self) -> float:
        """By how much the strategy's mean score is higher, in [-1, 1]."""
        return self.strategy - self.single

    def __str__(self) -> str:
        """One line."""
        low, high = self.interval
        return (
            f"{self.wins} won, {self.losses} lost, {self.ties} tied; mean score {self.single:.3f} "
            f"-> {self.strategy:.3f}, {self.difference:+.3f} ({low:+.3f} to {high:+.3f})"
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One request that was answered both ways.

    Attributes:
        changed: The strategy has another answer; None if neither way gave one.
        single: What the user's request took.
        strategy: What the strategy took.
        scores: Of the single sample and of the strategy's answer; None if not both were judged.
    """

    changed: bool | None
    single: Spend
    strategy: Spend
    scores: tuple[float, float] | None = None


class Comparisons:
    """Comparisons added up, in constant memory."""

    def __init__(self) -> None:
        """Nothing was compared yet."""
        self.compared = self.changed = self.unanswered = 0
        self._wins = self._losses = self._judged = 0
        self._scores = [0.0, 0.0]
        self._squares = 0.0
        self._means = {name: _PairedMean() for name in ("calls", "tokens", "cost", "seconds")}

    def add(self, comparison: Comparison) -> None:
        """Count one."""
        if comparison.changed is None:
            self.unanswered += 1
            return
        self.compared += 1
        self.changed += comparison.changed
        for name, mean in self._means.items():
            mean.add(getattr(comparison.single, name), getattr(comparison.strategy, name))
        if comparison.scores is not None:
            self._judge(*comparison.scores)

    def _judge(self, single: float, strategy: float) -> None:
        self._judged += 1
        self._wins += strategy > single
        self._losses += strategy < single
        self._scores[0] += single
        self._scores[1] += strategy
        self._squares += (strategy - single) ** 2

    @property
    def judged(self) -> Judged | None:
        """What the verifier said; None if nothing was judged."""
        if not self._judged:
            return None
        single, strategy = (score / self._judged for score in self._scores)
        return Judged(
            wins=self._wins,
            losses=self._losses,
            ties=self._judged - self._wins - self._losses,
            single=single,
            strategy=strategy,
            interval=_paired(self._scores[1] - self._scores[0], self._squares, self._judged),
        )

    @property
    def spends(self) -> tuple[Spend, Spend] | None:
        """Mean of a single sample and of the strategy; None before the first comparison."""
        if not self.compared:
            return None
        means = [{name: mean.of(side) for name, mean in self._means.items()} for side in (0, 1)]
        return Spend(**means[0]), Spend(**means[1])  # type: ignore[arg-type] - calls, seconds: known

    @property
    def unpriced(self) -> int:
        """Compared requests that the mean cost leaves out."""
        return self.compared - self._means["cost"].n


class _PairedMean:
    """Means of both sides, over the requests in which both are known."""

    def __init__(self) -> None:
        self.n = 0
        self._sums: list[float | Decimal] = [0, 0]

    def add(self, *sides: float | Decimal | None) -> None:
        if None in sides:
            return
        self.n += 1
        self._sums = [a + b for a, b in zip(self._sums, sides, strict=True)]  # type: ignore[operator] - of one type

    def of(self, side: int) -> float | Decimal | None:
        return self._sums[side] / self.n if self.n else None


def _paired(total: float, squares: float, n: int) -> Interval:
    """Of a mean difference of values in [-1, 1]."""
    n += 2
    mean = total / n
    half = _Z * math.sqrt(max(0.0, (squares + 1) / n - mean**2) / n)
    return Interval(max(-1.0, mean - half), min(1.0, mean + half))
