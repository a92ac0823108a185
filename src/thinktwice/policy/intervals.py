"""Intervals of shares and of means, where samples of one question are not independent.

Pure Python: the incomplete beta function is a continued fraction, its inverse a bisection.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache
from statistics import quantiles, stdev
from typing import TYPE_CHECKING, Final

from thinktwice.diversity import FEWEST, Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVEL: Final = 0.95
_TINY: Final = 1e-300
_TERMS: Final = 10_000
_HALVINGS: Final = 60  # of [0, 1]: to the last bit of a float


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction.

    Args:
        x: In [0, 1].
        a: Positive.
        b: Positive.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - beta_cdf(1 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _off_zero(1 + term * d)
            c = _off_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-14:  # noqa: PLR2004 - the last digits of a float
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _beta_quantile(chance: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < chance else (low, middle)
    return (low + high) / 2


def clopper_pearson(count: float, of: float, *, level: float = _LEVEL) -> tuple[float, float]:
    """The interval of a share that is never too short, by inverting the binomial tails.

    Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404. Counts need not be whole: see `Rate`.

    Args:
        count: Of these.
        of: Among these, independent of each other.
        level: Coverage, in (0, 1).
    """
    tail = (1 - level) / 2
    low = _beta_quantile(tail, count, of - count + 1) if count > 0 else 0.0
    high = _beta_quantile(1 - tail, count + 1, of - count) if count < of else 1.0
    return low, high


def mean_of(column: Sequence[float], *, level: float = _LEVEL) -> Estimate:
    """The mean over questions with the interval of Student's t; too few have none.

    Args:
        column: A figure of each question.
        level: Coverage, in (0, 1).
    """
    value = math.fsum(column) / len(column)
    if len(column) < FEWEST:
        return Estimate(value)
    half = _student(1 - level, len(column) - 1) * stdev(column) / math.sqrt(len(column))
    return Estimate(value, value - half, value + half)


def stratified(parts: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The weighted sum of independent estimates; without an interval if one has none.

    Distances to the ends add up as squares (Zou and Donner 2008, doi:10.1002/sim.3095), so that
    intervals that are not symmetric, such as those of rare events, keep their coverage.

    Args:
        parts: Of each stratum.
        weights: Shares of the strata, which add up to 1.
    """
    if len(parts) == 1:
        return parts[0]
    value = down = up = 0.0
    for weight, (middle, low, high) in zip(weights, parts, strict=True):
        value += weight * middle
        down = math.hypot(down, math.inf if low is None else weight * (middle - low))
        up = math.hypot(up, math.inf if high is None else weight * (high - middle))
    return Estimate(value, value - down, value + up) if down + up < math.inf else Estimate(value)


@lru_cache(maxsize=256)
def _student(both: float, freedom: int) -> float:
    """The quantile of Student's t that leaves so much beyond both ends."""
    x = _beta_quantile(both, freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x)


@dataclass(frozen=True)
class Rate:
    """How many of how many, and the interval of the share behind it.

    Samples of one question resemble each other, so that they are worth fewer independent ones. The
    interval is that of Clopper and Pearson with the effective number in place of the number, after
    Korn and Graubard 1998 (Survey Methodology 24). Where none or all of the samples count there is
    no variance to see, and each question is taken for one.

    Attributes:
        count: Of these.
        of: Among these.
        effective: Independent samples that they are worth.
        low: Lower end of the 95 % interval of the share.
        high: Upper end.
    """

    count: int
    of: int
    effective: float
    low: float
    high: float

    @classmethod
    def clustered(cls, counts: Sequence[int], sizes: Sequence[int]) -> Rate:
        """Of counts among the samples of each question."""
        count, of = sum(counts), sum(sizes)
        effective = _effective(counts, sizes)
        low, high = clopper_pearson(count / of * effective, effective) if of else (0.0, 1.0)
        return cls(count, of, effective, low, high)

    @property
    def share(self) -> float | None:
        """In [0, 1]; None of none."""
        return self.count / self.of if self.of else None

    def __str__(self) -> str:
        """As "4.4 % (2.1 to 8.0)"."""
        if self.share is None:
            return "none to see"
        return f"{100 * self.share:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


def _effective(counts: Sequence[int], sizes: Sequence[int]) -> float:
    """The number of samples over the design effect of questions as clusters."""
    of, clusters = sum(sizes), sum(size > 0 for size in sizes)
    if not of or clusters == 1:
        return float(clusters)
    share = sum(counts) / of
    if not 0 < share < 1:
        return float(clusters)
    residuals = (count - share * size for count, size in zip(counts, sizes, strict=True))
    variance = clusters / (clusters - 1) * math.fsum(each**2 for each in residuals) / of**2
    independent = share * (1 - share) / of
    return of if variance <= independent else max(1.0, of * independent / variance)


class Bootstrap:
    """Questions drawn with replacement, for figures that are no means over questions."""

    def __init__(self, questions: int, *, resamples: int = 1000, seed: int = 0) -> None:
        """Draw; too few questions would make intervals too short, so these have none.

        Args:
            questions: How many there are.
            resamples: How many times to draw as many.
            seed: Of the draws.
        """
        rng = random.Random(seed)
        everything = range(questions)
        times = resamples if questions >= FEWEST else 0
        self._drawn = [rng.choices(everything, k=questions) for _ in range(times)]

    def sums(self, column: Sequence[float]) -> list[float]:
        """The sum of a figure of each question, in each resample."""
        at = column.__getitem__
        return [sum(map(at, drawn)) for drawn in self._drawn]

    def ratio(self, tops: Sequence[float], bottoms: Sequence[float]) -> Estimate:
        """A ratio of two sums over questions; resamples with nothing below are left out."""
        pairs = zip(self.sums(tops), self.sums(bottoms), strict=True)
        return percentiles(
            math.fsum(tops) / math.fsum(bottoms), [top / bottom for top, bottom in pairs if bottom]
        )


def percentiles(value: float, resampled: Sequence[float]) -> Estimate:
    """An estimate with the interval of its resamples; without it if there are none."""
    if len(resampled) < 2:  # noqa: PLR2004 - of one number there are none
        return Estimate(value)
    cuts = quantiles(resampled, n=40, method="inclusive")
    return Estimate(value, cuts[0], cuts[-1])
