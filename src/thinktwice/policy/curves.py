"""How often each way to choose is right, by the number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.policy.intervals import mean_of
from thinktwice.policy.recommendation import Fall
from thinktwice.policy.selection import RULES, expected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thinktwice.diversity import Estimate
    from thinktwice.policy.selection import Candidate

_STEPS: Final = (1, 2, 5)
_LEFT_OUT: Final = 0.1
"""The share of questions, those with the fewest samples, that may not shorten the curves."""

_RISK: Final = 0.05
"""That of finding a fall where there is none, over all numbers of samples together."""


@dataclass(frozen=True)
class Curves:
    """The chance of a right answer to each question, by rule and number of samples.

    Attributes:
        ns: Numbers of samples, rising.
        questions: How many have as many samples as the largest of them.
        chances: By rule, for each n the chance at each of these questions.
    """

    ns: tuple[int, ...]
    questions: int
    chances: Mapping[str, Sequence[Sequence[float]]]

    @classmethod
    def of(
        cls,
        rows: Sequence[Sequence[Candidate]],
        ns: Sequence[int] | None,
        *,
        orders: int,
        seed: int,
    ) -> Curves:
        """Measure.

        Raises:
            UsageError: The numbers do not rise, or no question has so many samples.
        """
        chosen = _numbers(rows, ns)
        long = [row for row in rows if len(row) >= chosen[-1]]
        each = [
            expected(row, chosen, orders=orders, seed=seed + place)
            for place, row in enumerate(long)
        ]
        chances = {rule: list(zip(*(one[rule] for one in each), strict=True)) for rule in RULES}
        return cls(chosen, len(long), chances)

    @property
    def estimates(self) -> dict[str, tuple[Estimate, ...]]:
        """The share of right answers by rule, for each n."""
        return {rule: tuple(map(mean_of, columns)) for rule, columns in self.chances.items()}

    def peak(self, rule: str) -> int:
        """Where among the numbers a curve is highest; the first such place."""
        means = [fmean(column) for column in self.chances[rule]]
        return means.index(max(means))

    @property
    def falls(self) -> dict[str, Fall]:
        """The curves that end significantly below their peak.

        The peak is the best of several, so the level is divided by how many there are (Bonferroni).
        """
        falls: dict[str, Fall] = {}
        for rule in RULES:
            at = self.peak(rule)
            difference = self.difference((rule, -1), (rule, at), share=len(self.ns) - 1)
            if difference.high is not None and difference.high < 0:
                before, after = (fmean(self.chances[rule][place]) for place in (at, -1))
                shown = self.difference((rule, -1), (rule, at))
                falls[rule] = Fall(self.ns[at], before, after, shown)
        return falls

    def difference(
        self, ones: tuple[str, int], others: tuple[str, int], *, share: int = 1
    ) -> Estimate:
        """By how much a rule is better than another, each at a place among the numbers.

        Args:
            ones: Name of the rule and place.
            others: What it is compared with.
            share: How many comparisons the risk is divided among.
        """
        first, second = self.chances[ones[0]][ones[1]], self.chances[others[0]][others[1]]
        column = [a - b for a, b in zip(first, second, strict=True)]
        return mean_of(column, level=1 - _RISK / max(1, share))


def _numbers(rows: Sequence[Sequence[Candidate]], ns: Sequence[int] | None) -> tuple[int, ...]:
    sizes = sorted(map(len, rows))
    if ns is not None:
        if not ns or list(ns) != sorted(set(ns)) or not 1 <= ns[0] <= ns[-1] <= sizes[-1]:
            remedy = f"give rising numbers, from 1 to the {sizes[-1]} samples that there are"
            raise UsageError("ns", ns, remedy)
        return tuple(ns)
    most = sizes[int(len(sizes) * _LEFT_OUT)]
    steps = (step * 10**power for power in range(len(str(most))) for step in _STEPS)
    return (*(n for n in steps if n < most), most)
