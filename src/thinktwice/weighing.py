"""What the samples of a ballot weigh, by the scores that they got."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from thinktwice.ballot import rank_weights
from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice.ballot import Group

T = TypeVar("T")

Weighing: TypeAlias = "Callable[[Sequence[float | None]], list[float]]"
"""Weights from scores, None where there is none: as many, each at least 0."""


def weights_of(
    groups: Sequence[Group[T]], scores: Mapping[int, float], weigh: Weighing
) -> dict[int, float]:
    """Weight of each sample, by its index.

    Args:
        groups: The groups of a ballot.
        scores: Of the samples that have one, by index.
        weigh: The weights that follow from the scores.

    Raises:
        UsageError: It returned no weight for each score.
    """
    samples = [sample for group in groups for sample in group.samples]
    known = _weights([scores.get(sample.index) for sample in samples], weigh)
    if not any(known):  # all fail alike: the vote decides
        known = [1.0] * len(samples)
    return {sample.index: weight for sample, weight in zip(samples, known, strict=True)}


def _weights(scores: Sequence[float | None], weigh: Weighing) -> list[float]:
    """Those of a function, which may be the caller's."""
    known = list(weigh(scores))
    if len(known) != len(scores) or not all(0 <= weight < math.inf for weight in known):
        raise UsageError("weights", weigh, "return a number of at least 0 for each score")
    return known


def _best_only(scores: Sequence[float | None]) -> list[float]:
    """For an exact verifier: among the samples with the best score the vote decides."""
    best = max((score for score in scores if score is not None), default=None)
    return [float(score == best) for score in scores]


def _as_they_are(scores: Sequence[float | None]) -> list[float]:
    """A sample whose check broke gets the mean: nothing is known of it."""
    known = [score for score in scores if score is not None]
    neutral = sum(known) / len(known) if known else 1.0
    return [neutral if score is None else score for score in scores]


WEIGHING: Final[Mapping[str, Weighing]] = {
    "score": _as_they_are,
    "rank": rank_weights,
    "exact": _best_only,
}
"""What weights follow from scores, by name; "exact" is for verifiers that are."""
