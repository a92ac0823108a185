"""Counting the votes of the confident: a warm-up sets the threshold, and what a vote weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice.ballot import Ballot, best_member, heaviest
from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from thinktwice.sample import Sample
    from thinktwice.stop.tally import Tally

T = TypeVar("T")


@dataclass(frozen=True)
class Bar:
    """What the confidences of a warm-up say of the weight of any.

    Attributes:
        least: The threshold: what is below has no weight.
        most: The largest of them, which weighs 1; what is above weighs no more.
        neutral: The weight of a sample without a confidence: the mean of those that have one.
    """

    least: float = 0.0
    most: float = 0.0
    neutral: float = 1.0

    @classmethod
    def of(cls, confidences: Sequence[float | None], *, keep: float) -> Bar:
        """Set it so that a share of the known ones reaches it: their (1 - keep) quantile."""
        known = sorted(each for each in confidences if each is not None)
        if not known:
            return cls()
        place = (1 - keep) * (len(known) - 1)
        low = math.floor(place)
        high = known[min(low + 1, len(known) - 1)]
        # Of two equal neighbours the mean must not come out above them.
        least = min(high, known[low] + (high - known[low]) * (place - low))
        bar = cls(least, known[-1])
        weights = [bar.weight(each) for each in known]
        return cls(least, known[-1], math.fsum(weights) / len(weights))

    def weight(self, confidence: float | None) -> float:
        """In [0, 1]; 1 for all where nothing is known of any, or where all of them are 0."""
        if confidence is None:
            return self.neutral
        if not self.most:
            return 1.0
        return 0.0 if confidence < self.least else min(1.0, confidence / self.most)


def softmax_weights(scores: Sequence[float | None], *, temperature: float) -> list[float]:
    """Weights proportional to exp(score / temperature), the largest 1.

    Confidence-informed self-consistency (CISC, arXiv:2502.06233) weighs so. A low temperature
    listens to the best scores alone, a high one counts votes; it is tuned on labelled questions. A
    sample without a score gets the mean weight of the others.
    """
    known = [score for score in scores if score is not None]
    best = max(known, default=0.0)
    weights = [math.exp((score - best) / temperature) for score in known]
    neutral = math.fsum(weights) / len(weights) if weights else 1.0
    given = iter(weights)
    return [neutral if score is None else next(given) for score in scores]


class Poll(Generic[T]):
    """The votes of one run: they are weighed when the warm-up is over."""

    def __init__(
        self,
        n: int,
        confidence: Callable[[Sample[object]], float | None],
        *,
        keep: float,
        warmup: int,
        equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    ) -> None:
        """No votes yet.

        Args:
            n: Cap on the draws.
            confidence: Of a sample: at least 0, or None where it is not known.
            keep: Share of the warm-up that reaches the threshold.
            warmup: Samples with an answer that set it.
            equivalent: As in `Ballot`.
        """
        self._confidence = confidence
        self._keep = keep
        self._wanted = warmup
        self._ballot: Ballot[T] = Ballot(n, equivalent=equivalent, weighted=True)
        self._confidences: dict[int, float] = {}
        self._asked: set[int] = set()
        self._warmup: list[Sample[T]] = []
        self._answers = 0
        self._bar: Bar | None = None
        self._tally: Tally | None = None

    def add(self, sample: Sample[T]) -> None:
        """Count a finished draw.

        Raises:
            UsageError: The confidence function raised, or returned what is no confidence.
        """
        self.confidence_of(sample)
        self._tally = None
        if self._bar is not None:
            self._cast(sample, self._bar)
            return
        self._warmup.append(sample)
        self._answers += sample.answer is not None
        if self._answers == self._wanted:
            self.close()

    def close(self) -> None:
        """End the warm-up, if it has not ended: weigh what is there."""
        if self._bar is not None:
            return
        usable = [each for each in self._warmup if each.answer is not None]
        known = [self._confidences.get(each.index) for each in usable]
        self._bar = bar = Bar.of(known, keep=self._keep)
        for sample in self._warmup:
            self._cast(sample, bar)
        self._tally = None

    def tally(self) -> Tally:
        """The counts; during the warm-up only how many draws have finished."""
        if self._tally is None:
            known = self._ballot.tally()
            finished = len(self._warmup) if self._bar is None else known.finished
            self._tally = replace(known, finished=finished, history=())
        return self._tally

    def winner(self) -> Sample[T] | None:
        """The most confident sample of the heaviest answer."""
        group = heaviest(self._ballot.groups)
        return None if group is None else best_member(group, self._confidences)

    @property
    def agreement(self) -> float | None:
        """The winner's share of the weight."""
        return self._ballot.agreement

    @property
    def unweighted(self) -> bool:
        """There are answers, and the confidence of none is known."""
        return bool(self._ballot.groups) and not self._confidences

    def _cast(self, sample: Sample[T], bar: Bar) -> None:
        score = self._confidences.get(sample.index)
        self._ballot.add(sample, weight=bar.weight(score), score=score)

    def confidence_of(self, sample: Sample[object]) -> float | None:
        """Of a sample, asked once; None where it abstains, or the confidence is not known.

        Raises:
            UsageError: As in `add`.
        """
        if sample.index not in self._asked:
            self._asked.add(sample.index)
            confidence = self._read(sample)
            if confidence is not None:
                self._confidences[sample.index] = confidence
        return self._confidences.get(sample.index)

    def _read(self, sample: Sample[object]) -> float | None:
        if sample.answer is None:
            return None
        try:
            found = self._confidence(sample)
        except Exception as error:
            remedy = f"it raised {type(error).__name__}: return a number of at least 0, or None"
            raise UsageError("confidence", self._confidence, remedy) from error
        if found is None or (isinstance(found, Real) and not math.isfinite(found)):
            return None
        if not isinstance(found, Real) or found < 0:
            raise UsageError("confidence", found, "return a number of at least 0, or None")
        return float(found)
