"""Scores as probabilities of being right, fitted on labelled scores.

Pure, and monotone: a calibration changes what a score is worth, and never which of two is higher.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from thinktwice.errors import UsageError, is_number
from thinktwice.folders import named_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

Pair: TypeAlias = tuple[float, bool]
"""A score in [0, 1], and whether its sample was right."""

FEWEST: Final = 20
"""Labels for two parameters, with at least `FEWEST_OF_EACH` of either kind."""

FEWEST_OF_EACH: Final = 5

FOR_ISOTONIC: Final = 200
"""Labels for a curve of any shape, with ten times `FEWEST_OF_EACH` of either kind."""

_STEPS: Final = 100
_EDGE: Final = 35.0  # where the logistic function is a float's 0 or 1


class Calibration(ABC):
    """From a score to the probability that its sample is right; made by `calibrate`.

    Call it with a score in [0, 1]. It never falls, and never says 0 or 1.
    """

    @abstractmethod
    def __call__(self, score: float) -> float:
        """The probability of being right, in (0, 1)."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON, for `load_calibration`.

        Raises:
            UsageError: The path is none.
        """
        fields = asdict(self)  # type: ignore[call-overload] - both kinds are dataclasses
        text = json.dumps({"calibration": type(self).__name__.lower(), **fields}, indent=2)
        named_path(path).write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Platt(Calibration):
    """A logistic curve, 1 / (1 + exp(-(slope * score + intercept))).

    Platt 1999, "Probabilistic Outputs for Support Vector Machines", with his targets for few
    labels.

    Attributes:
        slope: Above 0.
        intercept: Log-odds at the score 0.

    Raises:
        UsageError: The curve would not rise.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        """See that it rises."""
        if not is_number(self.slope) or not 0 < self.slope < math.inf:
            raise UsageError("slope", self.slope, "give a number above 0")
        if not is_number(self.intercept) or not math.isfinite(self.intercept):
            raise UsageError("intercept", self.intercept, "give a number")

    def __call__(self, score: float) -> float:
        """On the curve."""
        return logistic(self.slope * score + self.intercept)


@dataclass(frozen=True)
class Isotonic(Calibration):
    """Straight lines through points that rise, and flat beyond the first and the last.

    The points are those of pooled adjacent violators (Zadrozny and Elkan 2002), each block at its
    mean score, so that higher scores between two blocks stay higher (Oron and Flournoy 2017).

    Attributes:
        scores: Rising.
        chances: The probability at each, in (0, 1), rising.

    Raises:
        UsageError: The points do not rise.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]

    def __post_init__(self) -> None:
        """See that it rises."""
        object.__setattr__(self, "scores", tuple(self.scores))
        object.__setattr__(self, "chances", tuple(self.chances))
        if not self.scores or len(self.scores) != len(self.chances):
            raise UsageError("scores", self.scores, "give as many scores as chances")
        for name, points in (("scores", self.scores), ("chances", self.chances)):
            if any(b <= a for a, b in pairwise(points)):
                raise UsageError(name, points, "give rising numbers")

    def __call__(self, score: float) -> float:
        """Between the two points around the score."""
        after = bisect_right(self.scores, score)
        if after in {0, len(self.scores)}:
            return self.chances[max(0, after - 1)]
        (low, high), (least, most) = (
            points[after - 1 : after + 1] for points in (self.scores, self.chances)
        )
        # Of two neighbours the value between must not come out beyond them.
        return min(most, least + (most - least) * (score - low) / (high - low))


def calibrate(
    pairs: Iterable[Pair], *, method: Literal["isotonic", "platt"] | None = None
) -> Calibration:
    """Fit probabilities to labelled scores.

    Fit on other questions than those that you report on. Samples of one question resemble each
    other: 200 labels of 5 questions are few.

    Args:
        pairs: Scores in [0, 1] with whether their samples were right.
        method: "isotonic" from 200 labels, 50 of each kind, on, and "platt" below, by default.

    Raises:
        UsageError: There are fewer than 20 labels, or fewer than 5 of a kind; or the scores do not
            rise with being right, so that no rising curve fits them.
    """
    scores, labels = _read(pairs)
    few = min(sum(labels), len(labels) - sum(labels))
    if len(labels) < FEWEST or few < FEWEST_OF_EACH:
        remedy = (
            f"give at least {FEWEST} labelled scores, {FEWEST_OF_EACH} of right and of wrong "
            "samples: fewer say nothing of probabilities"
        )
        raise UsageError("pairs", len(labels), remedy)
    enough = len(labels) >= FOR_ISOTONIC and few >= 10 * FEWEST_OF_EACH
    if method not in {None, "isotonic", "platt"}:
        raise UsageError("method", method, "give 'isotonic', 'platt' or None")
    isotonic = method == "isotonic" or (method is None and enough)
    return _isotonic(scores, labels) if isotonic else _platt(scores, labels)


def load_calibration(path: str | PathLike[str]) -> Calibration:
    """Read what `Calibration.save` wrote.

    Raises:
        UsageError: The path is none, or the file holds no calibration.
    """
    file = named_path(path)
    try:
        fields = cast("object", json.loads(file.read_text(encoding="utf-8")))
        if isinstance(fields, dict):
            known = cast("Mapping[str, object]", fields)
            kind = {"platt": Platt, "isotonic": Isotonic}[str(known["calibration"])]
            return kind(**{name: each for name, each in known.items() if name != "calibration"})  # type: ignore[arg-type] - checked by its own
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError("path", str(path), "give a file that save() wrote") from error
    raise UsageError("path", str(path), "give a file that save() wrote")


def logistic(log_odds: float) -> float:
    """The probability of log-odds, kept off 0 and 1."""
    return 1 / (1 + math.exp(-max(-_EDGE, min(_EDGE, log_odds))))


def _read(pairs: Iterable[Pair]) -> tuple[list[float], list[bool]]:
    listed = list(pairs)
    for score, right in listed:
        if not is_number(score) or not 0 <= score <= 1:
            raise UsageError("pairs", score, "give scores in [0, 1]")
        if not isinstance(right, bool):
            raise UsageError("pairs", right, "say of each score whether its sample was right")
    listed.sort()
    return [float(score) for score, _ in listed], [right for _, right in listed]


def _refused(scores: Sequence[float]) -> UsageError:
    remedy = (
        "right samples do not score higher than wrong ones, so these scores cannot be made "
        "probabilities: use another verifier"
    )
    return UsageError("pairs", len(scores), remedy)


# ---- isotonic -----------------------------------------------------------------------------------


def _isotonic(scores: Sequence[float], labels: Sequence[bool]) -> Isotonic:
    """Pool adjacent violators.

    One right sample at the lowest score and one wrong sample at the highest are put to the labels:
    the curve stays monotone, and its ends stay off 0 and 1 as far as the number of labels asks.
    """
    rows = sorted([(scores[0], True), (scores[-1], False), *zip(scores, labels, strict=True)])
    blocks: list[list[float]] = []  # count, sum of scores, right
    last = None
    for score, right in rows:
        if score == last:
            blocks[-1] = [a + b for a, b in zip(blocks[-1], (1, score, right), strict=True)]
        else:
            blocks.append([1, score, right])
        last = score
    pooled = _pooled(blocks)
    if len(pooled) == 1:
        raise _refused(scores)
    return Isotonic(
        tuple(total / count for count, total, _ in pooled),
        tuple(right / count for count, _, right in pooled),
    )


def _pooled(blocks: Iterable[Sequence[float]]) -> list[Sequence[float]]:
    """Neighbours are joined until their shares of right samples rise."""
    pooled: list[Sequence[float]] = []
    for block in blocks:
        joined = block
        while pooled and pooled[-1][2] * joined[0] >= joined[2] * pooled[-1][0]:
            joined = [a + b for a, b in zip(pooled.pop(), joined, strict=True)]
        pooled.append(joined)
    return pooled


# ---- Platt --------------------------------------------------------------------------------------


def _platt(scores: Sequence[float], labels: Sequence[bool]) -> Platt:
    """Newton's method with step halving (Lin, Lin and Weng 2007, doi:10.1007/s10994-007-5018-6)."""
    rights = sum(labels)
    high, low = (rights + 1) / (rights + 2), 1 / (len(labels) - rights + 2)
    targets = [high if right else low for right in labels]
    point = (0.0, math.log((rights + 1) / (len(labels) - rights + 1)))
    loss = _loss(point, scores, targets)
    for _ in range(_STEPS):
        step = _newton(point, scores, targets)
        size = 1.0
        while size > 1e-10:  # noqa: PLR2004 - no step makes it better any more
            tried = (point[0] + size * step[0], point[1] + size * step[1])
            after = _loss(tried, scores, targets)
            if after < loss:
                break
            size /= 2
        else:
            break
        point, loss = tried, after
    if point[0] <= 0:
        raise _refused(scores)
    return Platt(*point)


def _loss(point: tuple[float, float], scores: Sequence[float], targets: Sequence[float]) -> float:
    """Cross entropy."""
    total = 0.0
    for score, target in zip(scores, targets, strict=True):
        at = point[0] * score + point[1]
        total += max(at, 0.0) - target * at + math.log1p(math.exp(-abs(at)))
    return total


def _newton(
    point: tuple[float, float], scores: Sequence[float], targets: Sequence[float]
) -> tuple[float, float]:
    """The step that a quadratic model of the loss asks for."""
    a = b = g = h = 0.0
    curve = c = 1e-12  # so that it can be solved where the scores are all alike
    for score, target in zip(scores, targets, strict=True):
        chance = logistic(point[0] * score + point[1])
        weight, gap = chance * (1 - chance), target - chance
        a += gap * score
        b += gap
        curve += weight * score * score
        g += weight * score
        c += weight
    h = curve * c - g * g
    if h <= 0:
        return 0.0, b / c
    return (c * a - g * b) / h, (curve * b - g * a) / h
