"""Counting: answer groups, the tally that stop rules see, and which sample is returned."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice.errors import UsageError
from thinktwice.grouping import Grouping
from thinktwice.stop.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from thinktwice.sample import Sample

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, repr=False)
class Group(Generic[T]):
    """The samples that gave one answer.

    Attributes:
        answer: That of the first of them, which the others were compared with.
        samples: In counting order.
        weight: Sum of their weights: their number, if the ballot is not weighted.
        score: Mean of the scores that are known; None without one.
    """

    answer: Hashable
    samples: tuple[Sample[T], ...]
    weight: float
    score: float | None = None

    @property
    def representative(self) -> Sample[T]:
        """The member that was launched first."""
        return min(self.samples, key=lambda sample: sample.index)

    def __repr__(self) -> str:
        """One line without content."""
        return f"<Group of {len(self.samples)}: weight {self.weight:g}, score {self.score}>"


@dataclass
class _Pile(Generic[T]):
    """A group while it grows."""

    answer: Hashable
    samples: list[Sample[T]] = field(default_factory=list["Sample[T]"])
    weights: list[float] = field(default_factory=list[float])
    scores: list[float] = field(default_factory=list[float])

    @property
    def weight(self) -> float:
        # fsum does not depend on the order of arrival, which must not decide a tie.
        return math.fsum(self.weights)

    def group(self) -> Group[T]:
        score = math.fsum(self.scores) / len(self.scores) if self.scores else None
        return Group(
            answer=self.answer, samples=tuple(self.samples), weight=self.weight, score=score
        )


class Ballot(Generic[T]):
    """Counts samples by their answer.

    Groups only grow: a sample joins the first group whose first answer it equals, and groups never
    merge, so what was counted once is never counted otherwise.
    """

    def __init__(
        self,
        n: int,
        *,
        equivalent: Callable[[Hashable, Hashable], bool] | None = None,
        weighted: bool = False,
        max_weight: float = 1.0,
    ) -> None:
        """Open a ballot.

        Args:
            n: Cap on the draws.
            equivalent: Whether two answers are the same one; by default, when they are equal. It
                is called with the first answer of a group, then with the new one: up to as many
                times per sample as there are groups.
            weighted: Votes carry weights.
            max_weight: The most that one vote can weigh.

        Raises:
            UsageError: n is below 1, or the weights are not positive and finite.
        """
        if n < 1:
            raise UsageError("n", n, "draw at least one sample")
        if not 0 < max_weight < math.inf or (max_weight != 1.0 and not weighted):
            raise UsageError("max_weight", max_weight, "give a positive number, with weighted=True")
        self.n = n
        self._grouping = Grouping(equivalent)
        self._weighted = weighted
        self._max_weight = max_weight
        self._piles: list[_Pile[T]] = []
        self._history: list[int] = []
        self._best: float | None = None
        self._passed = 0
        self._scored = 0
        self._unweighted = True

    def add(
        self,
        sample: Sample[T],
        *,
        weight: float | None = 1.0,
        score: float | None = None,
        passed: bool = False,
    ) -> int:
        """Count a finished draw.

        Args:
            sample: If it failed or has no answer it abstains: drawn, and a vote for none.
            weight: Of its vote, from 0 to the largest of this ballot; None where nothing is known
                of it, which weighs as much as the mean of the votes before it, or 1.
            score: Its verdict's, if it has one.
            passed: Its verdict is a pass.

        Returns:
            Ordinal of its answer group, in order of first appearance; -1 if it abstains.

        Raises:
            UsageError: The weight is out of range, or not 1 in a ballot without weights.
        """
        known = weight is not None
        weight = self._mean_weight() if weight is None else weight
        self._check(weight)
        ordinal = self._place(sample)
        self._history.append(ordinal)
        if ordinal < 0:
            return ordinal
        pile = self._piles[ordinal]
        pile.samples.append(sample)
        pile.weights.append(weight)
        self._unweighted &= not known
        self._passed += passed
        if score is not None:
            pile.scores.append(score)
            self._scored += 1
            self._best = score if self._best is None else max(self._best, score)
        return ordinal

    def tally(self, seconds: float = 0.0) -> Tally:
        """The counts as a stop rule sees them, so many seconds into the run."""
        counts = (pile.weight if self._weighted else len(pile.samples) for pile in self._piles)
        return Tally(
            self.n,
            tuple(sorted(counts, reverse=True)),
            len(self._history),
            tuple(self._history),
            seconds,
            self._best,
            self._passed,
            self._scored,
            self._weighted and not self._unweighted,
            self._max_weight,
        )

    @property
    def groups(self) -> tuple[Group[T], ...]:
        """The answer groups, in order of first appearance."""
        return tuple(pile.group() for pile in self._piles)

    def winner(self) -> Sample[T] | None:
        """The first sample of the winning group, by launch order; None if all abstained."""
        group = heaviest(self.groups)
        return group.representative if group is not None else None

    @property
    def agreement(self) -> float | None:
        """The winner's share of the votes cast; None if all abstained or weigh nothing."""
        weights = [pile.weight for pile in self._piles]
        total = math.fsum(weights)
        return max(weights) / total if total else None

    @property
    def unweighted(self) -> bool:
        """There are votes, and the weight of none was known."""
        return bool(self._piles) and self._unweighted

    def _mean_weight(self) -> float:
        votes = sum(len(pile.weights) for pile in self._piles)
        return math.fsum(pile.weight for pile in self._piles) / votes if votes else 1.0

    def _place(self, sample: Sample[T]) -> int:
        if sample.answer is None or sample.error is not None:
            return -1
        ordinal = self._grouping.place(sample.answer)
        if ordinal == len(self._piles):
            self._piles.append(_Pile(sample.answer))
        return ordinal

    def _check(self, weight: float) -> None:
        if not self._weighted and weight != 1.0:
            raise UsageError("weight", weight, "open the ballot with weighted=True")
        number = isinstance(weight, int | float)
        if not number or not 0 <= weight <= self._max_weight:
            raise UsageError("weight", weight, f"give a number from 0 to {self._max_weight:g}")


class LaunchOrder(Generic[T]):
    """Finished draws that wait until all that were launched before them have finished."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._waiting: dict[int, Sample[T]] = {}
        self._next = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def after(self, sample: Sample[T]) -> Iterator[Sample[T]]:
        """What can be counted now that a draw has finished, in launch order."""
        self._waiting[sample.index] = sample
        while self._next in self._waiting:
            yield self._waiting.pop(self._next)
            self._next += 1

    def rest(self) -> list[Sample[T]]:
        """What still waits, in launch order."""
        return [self._waiting[index] for index in sorted(self._waiting)]


def _length_of(sample: Sample[object]) -> float:
    return math.inf if sample.text is None else len(sample.text)


def heaviest(
    groups: Iterable[Group[T]],
    weights: Mapping[int, float] | None = None,
    *,
    length: Callable[[Sample[T]], float] = _length_of,
) -> Group[T] | None:
    """The winning group: the largest weight, and at a tie score, then brevity, then launch order.

    Args:
        groups: The groups of a ballot.
        weights: Weight of each sample by its index, in place of those it was counted with; a
            sample that is missing weighs nothing.
        length: Characters of a sample's text.

    Returns:
        The winner; None if there are no groups.
    """

    def rank(group: Group[T]) -> tuple[float, float, float, int]:
        first = group.representative
        weight = group.weight
        if weights is not None:
            weight = math.fsum(weights.get(sample.index, 0.0) for sample in group.samples)
        score = -math.inf if group.score is None else group.score
        return weight, score, -length(first), -first.index

    return max(groups, key=rank, default=None)


def best_member(group: Group[T], scores: Mapping[int, float]) -> Sample[T]:
    """The member with the best score, by index; at a tie the one that was launched first."""
    return max(group.samples, key=lambda s: (scores.get(s.index, -math.inf), -s.index))


def rank_weights(scores: Sequence[float | None], *, power: float = 0.5) -> list[float]:
    """Weights that depend on the order of the scores alone: (N - rank + 1)^power.

    For scores that are not calibrated (self-certainty with Borda voting, arXiv:2502.18581). Equal
    scores share the worst of their ranks, so that a weight tells how many samples one beats: many
    that fail alike do not vouch for each other. A sample without a score, whose check broke, says
    nothing: it gets the mean weight of the others.

    Returns:
        A weight for each score, from 1 to N^power.
    """
    known = sorted(score for score in scores if score is not None)
    weight: dict[float, float] = {}
    for beaten, score in enumerate(known):
        weight.setdefault(score, (beaten + 1) ** power)
    neutral = math.fsum(weight[score] for score in known) / len(known) if known else 1.0
    return [neutral if score is None else weight[score] for score in scores]
