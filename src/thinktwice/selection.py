"""How best-of-N chooses among the answers, other than by the sum of their scores."""

from __future__ import annotations

import asyncio
import math
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from thinktwice.ballot import best_member, heaviest
from thinktwice.errors import BudgetExceeded, UsageError, is_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thinktwice.ballot import Group
    from thinktwice.entry import Role
    from thinktwice.protocols import Options, Sampler
    from thinktwice.run import Run
    from thinktwice.sample import Completion, Sample

P = TypeVar("P")
T = TypeVar("T")

_ROUNDING = 1e-9

UNCOMPARED = (
    "the judge could not be read in some comparisons, or failed: scores and votes decided there"
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Entrants(Generic[T]):
    """The answers that can still win.

    Attributes:
        groups: The samples of each; answers that failed a check are left out where others did not.
        weights: Of each sample by its index: its score, or what `weights=` made of the scores; 1
            without a verifier.
        votes: Samples with an answer, those that were left out included.
    """

    groups: tuple[Group[T], ...]
    weights: Mapping[int, float]
    votes: int

    def best(self, groups: Sequence[Group[T]]) -> Group[T] | None:
        """The heaviest of some of them."""
        return heaviest(groups, self.weights)

    def __repr__(self) -> str:
        """One line without content."""
        return f"<{len(self.groups)} entrants of {self.votes} votes>"


class Selection(ABC):
    """How `BestOfN` chooses an answer, where it is not by the sum of its weights.

    One of your own is a frozen dataclass that implements `__call__`.

    Attributes:
        needs_scores: It is nothing without a verifier.
    """

    needs_scores = True

    def calls(self, n: int) -> int:
        """Model calls at the most, for n answers."""
        del n
        return 0

    @abstractmethod
    async def __call__(self, run: Run[P, T], entrants: Entrants[T], /) -> Group[T] | None:
        """The answer that wins; None if there is none.

        A budget that ends it is no reason to raise: return the best that is known.
        """


@dataclass(frozen=True)
class BestOfMajority(Selection):
    """Among the answers that are frequent enough, the one with the best mean score.

    Di et al. 2025, arXiv:2510.03199. A rare answer with a high score is likely one that fools the
    verifier, and a frequent answer need not be the right one: of those that at least a share
    `alpha` of the samples gave, the scores decide. If no answer is that frequent, the most frequent
    ones stand.

    Attributes:
        alpha: Least share of the samples, in (0, 1].

    Raises:
        UsageError: The share is out of range.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        """Check the share."""
        if not is_number(self.alpha) or not 0 < self.alpha <= 1:
            raise UsageError("alpha", self.alpha, "give a share of the samples above 0, at most 1")

    async def __call__(self, run: Run[P, T], entrants: Entrants[T], /) -> Group[T] | None:
        """Filter by frequency, then take the best."""
        del run
        return self.chosen(entrants)

    def chosen(self, entrants: Entrants[T]) -> Group[T] | None:
        """The same, without a run."""
        sizes = [len(group.samples) for group in entrants.groups]
        least = min(self.alpha * entrants.votes, max(sizes, default=0)) - _ROUNDING
        frequent = [group for group in entrants.groups if len(group.samples) >= least]

        def rank(group: Group[T]) -> tuple[float, int, int]:
            scores = [entrants.weights[sample.index] for sample in group.samples]
            mean = math.fsum(scores) / len(scores)
            return mean, len(group.samples), -group.representative.index

        return max(frequent, key=rank, default=None)


class Ask(Protocol):
    """How a model is called: `thinktwice.calls.call`, or `Run.ask` from inside a strategy."""

    async def __call__(
        self,
        sampler: Sampler[object, object],
        prompt: object,
        *,
        role: Role,
        options: Options | None = None,
    ) -> Completion[object]:
        """Call it, and book the call."""
        ...


class Comparing(Protocol):
    """What compares two samples, as `PairwiseJudge` does.

    Attributes:
        calls: Model calls per comparison.
    """

    @property
    def calls(self) -> int:
        """Model calls per comparison."""
        ...

    async def compare(
        self, first: Sample[object], second: Sample[object], /, *, prompt: object, ask: Ask
    ) -> float | None:
        """The points of the first, in [0, 1]; None if nothing can be said.

        Raises:
            BudgetExceeded: `ask` refused a call.
        """
        ...


@dataclass(frozen=True)
class Knockout(Selection):
    """Answers meet in pairs, the better one goes on, until one is left.

    Chen et al. 2024, arXiv:2411.19477: the error falls to 0 with more samples and comparisons if a
    right answer is drawn at all and the judge is better than a coin on pairs of a right and a
    wrong one. Equal answers are one entrant, of which the best-scored sample plays. Who meets whom
    is drawn by a seed. A match that ends in a tie, or without a reply that can be read, goes to the
    answer with more weight: its scores, or its votes without a verifier.

    When a budget ends it, the heaviest answer that is still in wins.

    Cost: one comparison less than there are different answers, at most n - 1; each is two calls
    of a `PairwiseJudge`, or `2 * repeats`. The matches of a round are played at once.

    Attributes:
        judge: A `PairwiseJudge`, or another that compares.
        seed: Of the draw.

    Raises:
        UsageError: The judge cannot compare.
    """

    judge: Comparing
    seed: int = field(default=0, kw_only=True)
    needs_scores = False

    def __post_init__(self) -> None:
        """See that there is a judge."""
        if not callable(getattr(self.judge, "compare", None)):
            raise UsageError("judge", self.judge, "give a PairwiseJudge(sampler, rubric=...)")

    def calls(self, n: int) -> int:
        """Those of n - 1 matches."""
        return self.judge.calls * (n - 1)

    async def __call__(self, run: Run[P, T], entrants: Entrants[T], /) -> Group[T] | None:
        """Play round after round."""
        left = drawn(entrants.groups, self.seed)
        while len(left) > 1:
            pairs = list(zip(left[::2], left[1::2], strict=False))
            bye = left[2 * len(pairs) :]
            matches = (self._match(run, entrants, *pair) for pair in pairs)
            points = await asyncio.gather(*matches, return_exceptions=True)
            if None in points:
                run.warn(UNCOMPARED)
            left = [*bye, *_survivors(entrants, pairs, points)]
            if any(isinstance(each, BudgetExceeded) for each in points):
                break
        return entrants.best(left)

    async def _match(
        self, run: Run[P, T], entrants: Entrants[T], first: Group[T], second: Group[T]
    ) -> float | None:
        one, other = (best_member(group, entrants.weights) for group in (first, second))
        return await self.judge.compare(one, other, prompt=run.prompt, ask=run.ask)


def drawn(groups: Sequence[Group[T]], seed: int) -> list[Group[T]]:
    """In a seeded random order, which does not depend on the order of arrival."""
    order = sorted(groups, key=lambda group: group.representative.index)
    random.Random(seed).shuffle(order)
    return order


def _survivors(
    entrants: Entrants[T],
    pairs: Sequence[tuple[Group[T], Group[T]]],
    points: Sequence[float | BaseException | None],
) -> list[Group[T]]:
    """The winner of each match, and both of one that a budget prevented."""
    survivors: list[Group[T]] = []
    for pair, won in zip(pairs, points, strict=True):
        if isinstance(won, BudgetExceeded):
            survivors += pair
        elif isinstance(won, BaseException):
            raise won
        elif won is None or won == 1 / 2:
            survivors += [group for group in (entrants.best(pair),) if group is not None]
        else:
            survivors.append(pair[0] if won > 1 / 2 else pair[1])
    return survivors
