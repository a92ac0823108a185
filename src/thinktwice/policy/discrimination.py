"""How well scores tell right from wrong, and whether they are the probabilities that they look."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thinktwice.policy.selection import Candidate

BINS: Final = 10
"""Of equal width, from 0 to 1."""


def auc(candidates: Iterable[Candidate]) -> float | None:
    """How often a right sample of a question scores above a wrong one; an equal score is half.

    Returns:
        In [0, 1], .5 by chance; None without both, and with scores.
    """
    right: list[float] = []
    wrong: list[float] = []
    for each in candidates:
        if each.score is not None:
            (right if each.right else wrong).append(each.score)
    if not right or not wrong:
        return None
    wrong.sort()
    beaten = sum(bisect_left(wrong, score) + bisect_right(wrong, score) for score in right)
    return beaten / 2 / len(right) / len(wrong)


class Bin(NamedTuple):
    """The samples whose scores are in one tenth of the scale.

    Attributes:
        low: Least score that belongs to it.
        samples: How many.
        score: Their mean score.
        right: The share of them that is right.
    """

    low: float
    samples: int
    score: float
    right: float


def tenths(candidates: Iterable[Candidate]) -> list[float]:
    """For each bin: count, sum of the scores, and how many are right. These add up."""
    sums = [0.0] * (3 * BINS)
    for each in candidates:
        if each.score is not None:
            at = 3 * min(BINS - 1, int(each.score * BINS))
            sums[at] += 1
            sums[at + 1] += each.score
            sums[at + 2] += each.right
    return sums


def bins_of(sums: Sequence[float]) -> tuple[Bin, ...]:
    """The bins that hold samples."""
    rows = ((at // 3 / BINS, *sums[at : at + 3]) for at in range(0, len(sums), 3))
    return tuple(
        Bin(low, round(count), scores / count, right / count)
        for low, count, scores, right in rows
        if count
    )


def gaps_of(sums: Sequence[float]) -> list[float]:
    """For each bin, by how much the scores of its samples exceed how many are right."""
    return [scores - right for scores, right in zip(sums[1::3], sums[2::3], strict=True)]


def calibration_error(gaps: Sequence[float], samples: float) -> float:
    """Expected calibration error: |mean score - share right| of a bin, weighed by its samples.

    Guo et al. 2017, arXiv:1706.04599. Few samples make it larger than it is.

    Args:
        gaps: Of the bins; see `gaps_of`.
        samples: In all bins.
    """
    return sum(map(abs, gaps)) / samples if samples else 0.0
