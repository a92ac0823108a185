"""Whether the latency of a sampler's calls depends on their answers."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST: Final = 32
"""Draws of a request above which it is not looked at: the work grows with their square."""

_FALSE_ALARM: Final = 0.001
_PRIOR_VARIANCE: Final = 3.0  # where the boundary is tightest: after some 30 requests


class Association:
    """A test of whether some answers come faster than others, over the requests of a sampler.

    If they do, samples that are counted as they arrive are not counted in a fair order, and a stop
    rule that looks at them decides for the fast answers too often.

    In each request the latencies of one answer are compared with those of another by a rank sum
    (Wilcoxon). The null distribution is exact: if latencies do not depend on answers, every order
    of the same answers that the stop rule would not have interrupted is equally likely. Sums over
    requests are compared with a boundary that a fair sampler crosses with a probability of about
    .001, however often one looks (a normal mixture, Robbins 1970).

    Thread-safe: all runs over a sampler share it.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._shift = 0.0
        self._variance = 0.0
        self._found = False

    @property
    def found(self) -> bool:
        """Some answers come faster than others."""
        return self._found

    def add(
        self,
        ordinals: Sequence[int],
        seconds: Sequence[float],
        *,
        over: Callable[[int, int, int], bool],
    ) -> None:
        """Look at a request.

        Args:
            ordinals: Answer group of each draw, in the order in which they arrived and were
                counted; -1 abstained.
            seconds: Latency of each draw.
            over: Whether the ballot ends after so many draws, of which so many are for the leader
                and so many for the runner-up.
        """
        moments = shift_of(ordinals, seconds, over=over)
        if moments is None:
            return
        with self._lock:
            self._shift += moments[0]
            self._variance += moments[1]
            spread = self._variance + _PRIOR_VARIANCE
            odds = spread / _PRIOR_VARIANCE / _FALSE_ALARM**2
            self._found = self._found or self._shift**2 > spread * math.log(odds)


def shift_of(
    ordinals: Sequence[int], seconds: Sequence[float], *, over: Callable[[int, int, int], bool]
) -> tuple[float, float] | None:
    """By how much the answer that came first is faster than its rival, and the variance of that.

    The rival is the largest other group, or the first one's the largest of all. The draws of all
    other groups keep their places; those of the two are exchanged in every way that the stop rule
    allows. The first draw of the two, which says whose shift is measured, keeps its place as well.

    Args:
        ordinals: As in `Association.add`.
        seconds: Likewise.
        over: Likewise.

    Returns:
        Shift and variance, in ranks over the number of draws; None if nothing can be compared.
    """
    size = len(ordinals)
    pair = _pair(ordinals)
    if pair is None or size > LONGEST:
        return None
    first = next(ordinal for ordinal in ordinals if ordinal in pair)
    order = sorted(range(size), key=seconds.__getitem__)
    rank = {place: (position + 1) / (size + 1) for position, place in enumerate(order)}
    observed = math.fsum(rank[place] for place in range(size) if ordinals[place] == first)
    ranks = [rank[place] for place in range(size)]
    null = _null(ordinals, ranks, pair, first, over)
    return None if null is None else (null[0] - observed, null[1])


def _pair(ordinals: Sequence[int]) -> tuple[int, int] | None:
    """The two largest groups, if there are two that no other equals in size.

    Which of several equal ones came first depends on the order, which is what is tested.
    """
    largest = Counter(each for each in ordinals if each >= 0).most_common(3)
    if len(largest) == 3 and largest[1][1] == largest[2][1]:  # noqa: PLR2004 - a third
        return None
    return (largest[0][0], largest[1][0]) if len(largest) > 1 else None


_Paths = tuple[float, float, float]


def _null(
    ordinals: Sequence[int],
    ranks: Sequence[float],
    pair: Sequence[int],
    first: int,
    over: Callable[[int, int, int], bool],
) -> tuple[float, float] | None:
    """Mean and variance of the rank sum, over all orders that the rule would not have cut short.

    None if there is none: then the order was not that of one ballot under this rule.
    """
    total = sum(ordinal in pair for ordinal in ordinals)
    wins = sum(ordinal == first for ordinal in ordinals)
    others: Counter[int] = Counter()
    # By votes of the first: number of orders, and the sums of their rank sums and of the squares.
    paths: dict[int, _Paths] = {0: (1.0, 0.0, 0.0)}
    placed = 0
    for place, ordinal in enumerate(ordinals):
        if ordinal in pair:
            placed += 1
            most_lost = 0 if placed == 1 else total - wins  # the first one keeps its place
            paths = _extended(paths, ranks[place], wins, placed, most_lost)
        elif ordinal >= 0:
            others[ordinal] += 1
        if place + 1 < len(ordinals):
            rest = [votes for _, votes in others.most_common(2)]
            paths = {
                votes: each
                for votes, each in paths.items()
                if not over(place + 1, *_two_largest(votes, placed - votes, *rest))
            }
    if wins not in paths:
        return None
    count, once, squared = paths[wins]
    mean = once / count
    return mean, max(0.0, squared / count - mean * mean)


def _extended(
    paths: dict[int, _Paths], rank: float, wins: int, placed: int, most_lost: int
) -> dict[int, _Paths]:
    """The orders with one more draw of the two, for the first of them or for its rival."""
    longer: dict[int, _Paths] = {}
    for votes, (count, once, squared) in paths.items():
        if votes < wins:
            before = longer.get(votes + 1, (0.0, 0.0, 0.0))
            longer[votes + 1] = (
                before[0] + count,
                before[1] + once + rank * count,
                before[2] + squared + 2 * rank * once + rank * rank * count,
            )
        if placed - votes <= most_lost:
            before = longer.get(votes, (0.0, 0.0, 0.0))
            longer[votes] = (before[0] + count, before[1] + once, before[2] + squared)
    return longer


def _two_largest(*counts: int) -> tuple[int, int]:
    first, second = sorted(counts, reverse=True)[:2]
    return first, second
