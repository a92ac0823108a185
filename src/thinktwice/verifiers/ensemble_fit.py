"""What the verdicts of several verifiers weigh, from recorded verdicts, with labels or without."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING, Final, NamedTuple

from thinktwice.calibration import logistic
from thinktwice.errors import UsageError, is_number
from thinktwice.verifiers.dawid_skene import reliabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thinktwice.verifiers.dawid_skene import Reliability

FOR_STACKING: Final = 50
"""Labels from which on they decide what a verifier weighs."""

FEW_OF_A_KIND: Final = 10
"""Right, and wrong, samples among them."""

FEWEST_VERIFIERS: Final = 3
"""Without labels: of two that disagree nothing says which is the better one."""

_CONSTANT: Final = 0.02
_NO_BETTER: Final = 0.05
_ONE_SIDED: Final = 0.05
_ROUNDS: Final = 2000
_RIDGE: Final = 1.0


@dataclass(frozen=True)
class Weight:
    """What the score of one verifier says, in log-odds of the sample being right.

    Attributes:
        up: What a score of 1 adds; with a threshold, any score from there on.
        down: What a score of 0 takes away; with a threshold, any score below.
        threshold: Where it steps; None for a straight line from 0 to 1.

    Raises:
        UsageError: A number that is negative, or none; a higher score may never say less.
    """

    up: float
    down: float
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, amount in (("up", self.up), ("down", self.down)):
            if not is_number(amount) or not 0 <= amount < math.inf:
                raise UsageError(name, amount, "give log-odds of at least 0")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError("threshold", self.threshold, "give a score in [0, 1], or None")

    def log_odds(self, score: float) -> float:
        """Added up over verifiers."""
        if self.threshold is None:
            return score * (self.up + self.down) - self.down
        return self.up if score >= self.threshold else -self.down


NOTHING: Final = Weight(0.0, 0.0)


class Fit(NamedTuple):
    """What was learned.

    Attributes:
        weights: By the position of the verifier; those that are missing were dropped.
        prior: The share of right samples.
        notes: What was done, and which were dropped and why.
    """

    weights: Mapping[int, Weight]
    prior: float
    notes: tuple[str, ...]


Columns = dict[int, list[float | None]]
"""By position of the verifier, its score for each sample; None where it said nothing."""


def fitted(
    columns: Sequence[Sequence[float | None]],
    right: Sequence[bool] | None,
    *,
    names: Sequence[str],
) -> Fit:
    """Weigh verifiers by what they said of the same samples.

    Args:
        columns: For each verifier its score of each sample, None where it said nothing.
        right: Labels; at least 50, 10 of each kind, or they are not used.
        names: Of the verifiers, for the notes.

    Raises:
        UsageError: Nothing can be learned from these verdicts.
    """
    notes: list[str] = []
    telling: Columns = {}
    for place, column in enumerate(columns):
        known = [score for score in column if score is not None]
        why = _useless(known)
        if why is None:
            telling[place] = list(column)
        else:
            notes.append(f"{names[place]} was dropped: {why}")
    if right is not None:
        few = min(sum(right), len(right) - sum(right))
        if len(right) >= FOR_STACKING and few >= FEW_OF_A_KIND:
            return _stacked(telling, right, names, notes)
        notes.append(
            f"{len(right)} labels, {sum(right)} of right samples, were not used: it takes "
            f"{FOR_STACKING}, {FEW_OF_A_KIND} of each kind"
        )
    return _agreed(telling, names, notes)


def _useless(known: Sequence[float]) -> str | None:
    if not known:
        return "it judged nothing"
    if pstdev(known) < _CONSTANT:
        return "it says the same of almost every sample"
    return None


# ---- with labels --------------------------------------------------------------------------------


def _stacked(
    columns: Columns, right: Sequence[bool], names: Sequence[str], notes: list[str]
) -> Fit:
    """Logistic regression with a ridge, whose slopes are not negative, by coordinate descent.

    Each step minimises a parabola that is nowhere below the loss, so that it never rises. A score
    that is missing counts as the mean, which adds nothing.
    """
    if not columns:
        raise UsageError("verdicts", len(names), f"nothing to weigh: {'; '.join(notes)}")
    scales = {place: _scale(column) for place, column in columns.items()}
    rows = {
        place: [0.0 if s is None else (s - mean) / spread for s in columns[place]]
        for place, (mean, spread) in scales.items()
    }
    found, intercept = _descend(list(zip(*rows.values(), strict=True)), right)
    slopes = dict(zip(rows, found, strict=True))
    weights: dict[int, Weight] = {}
    for place, (mean, spread) in scales.items():
        if slopes[place] <= 0:
            notes.append(f"{names[place]} was dropped: it adds nothing to the others")
            continue
        slope = slopes[place] / spread
        weights[place] = Weight(slope * (1 - mean), slope * mean)
    if not weights:
        remedy = "none of the verifiers scores right samples higher than wrong ones"
        raise UsageError("verdicts", len(names), remedy)
    notes.insert(0, f"weights by logistic stacking on {len(right)} labels")
    return Fit(weights, logistic(intercept), tuple(notes))


def _scale(column: Sequence[float | None]) -> tuple[float, float]:
    known = [score for score in column if score is not None]
    return fmean(known), pstdev(known)


def _descend(
    samples: Sequence[tuple[float, ...]], right: Sequence[bool]
) -> tuple[list[float], float]:
    """Slopes and intercept; samples with the same scores are one row."""
    counts = Counter(samples)
    rights = Counter(row for row, label in zip(samples, right, strict=True) if label)
    rows = [(row, count, rights[row]) for row, count in counts.items()]
    places = range(len(samples[0]))
    curves = [math.fsum(n * row[at] ** 2 for row, n, _ in rows) / 4 + _RIDGE for at in places]
    slopes, intercept, odds = [0.0] * len(places), 0.0, [0.0] * len(rows)
    for _ in range(_ROUNDS):
        gaps = [hits - n * logistic(each) for (_, n, hits), each in zip(rows, odds, strict=True)]
        most = step = 4 * math.fsum(gaps) / len(samples)
        intercept += step
        odds = [each + step for each in odds]
        for at in places:
            gain = -_RIDGE * slopes[at]
            for (row, n, hits), each in zip(rows, odds, strict=True):
                gain += (hits - n * logistic(each)) * row[at]
            step = max(-slopes[at], gain / curves[at])
            slopes[at] += step
            odds = [each + step * row[at] for each, (row, _, _) in zip(odds, rows, strict=True)]
            most = max(abs(most), abs(step))
        if abs(most) < 1e-5:  # noqa: PLR2004 - of a weight in log-odds
            break
    return slopes, intercept


# ---- without labels -----------------------------------------------------------------------------


def _agreed(columns: Columns, names: Sequence[str], notes: list[str]) -> Fit:
    """Dawid and Skene, as in Weaver (arXiv:2506.18203).

    Those that turn out no better than chance are dropped, and the others fitted again.
    """
    while True:
        if len(columns) < FEWEST_VERIFIERS:
            remedy = (
                f"without {FOR_STACKING} labels it takes {FEWEST_VERIFIERS} verifiers that tell "
                f"something, or weights of your own{_because(notes)}"
            )
            raise UsageError("verdicts", len(columns), remedy)
        bars = {place: _threshold(column) for place, column in columns.items()}
        passed = {
            place: [None if score is None else score >= bars[place] for score in column]
            for place, column in columns.items()
        }
        rates, prior = reliabilities(list(passed.values()))
        found = dict(zip(passed, rates, strict=True))
        worst = min(found, key=lambda place: found[place].right - found[place].wrong)
        if found[worst].right - found[worst].wrong >= _NO_BETTER:
            break
        notes.append(f"{names[worst]} was dropped: the others say it is no better than chance")
        del columns[worst]
    samples = len(next(iter(columns.values())))
    notes.insert(0, f"weights by Dawid-Skene on {samples} samples without labels")
    return Fit(
        {place: _weight(each, bars[place]) for place, each in found.items()}, prior, tuple(notes)
    )


def _weight(rates: Reliability, threshold: float) -> Weight:
    up = math.log(rates.right / rates.wrong)
    down = math.log((1 - rates.wrong) / (1 - rates.right))
    return Weight(max(0.0, up), max(0.0, down), threshold)


def _because(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""


def _threshold(column: Sequence[float | None]) -> float:
    """One half, or the median where hardly any score is on one side of it."""
    known = [score for score in column if score is not None]
    above = fmean(score >= 0.5 for score in known)  # noqa: PLR2004 - a half
    if _ONE_SIDED <= above <= 1 - _ONE_SIDED:
        return 0.5
    middle = median(known)
    return (
        middle
        if any(score < middle for score in known)
        else min(score for score in known if score > middle)
    )
