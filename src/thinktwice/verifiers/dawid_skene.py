"""How reliable verifiers are, by how far they agree, without labels.

Dawid and Skene 1979, doi:10.2307/2346806, on verdicts that pass or fail.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from thinktwice.calibration import logistic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROUNDS: Final = 2000

Row: TypeAlias = "tuple[bool | None, ...]"
"""What each verifier said of a sample; None where it said nothing."""


class Reliability(NamedTuple):
    """How often a verifier passes right and wrong samples.

    Attributes:
        right: Share of the right ones, in (0, 1).
        wrong: Share of the wrong ones.
    """

    right: float
    wrong: float


def reliabilities(passed: Sequence[Sequence[bool | None]]) -> tuple[list[Reliability], float]:
    """Of each verifier, and the share of right samples.

    Expectation maximisation, from the share of the verifiers that pass a sample.

    Samples of which all verifiers say the same are one row: there are few such patterns.

    Args:
        passed: For each verifier whether it passed each sample; None where it said nothing.
    """
    rows: Counter[Row] = Counter(zip(*passed, strict=True))
    total = rows.total()
    chances = {row: _share_passed(row) for row in rows}
    found: list[Reliability] = []
    prior = 0.5
    for _ in range(_ROUNDS):
        right = math.fsum(count * chances[row] for row, count in rows.items())
        prior = min(0.98, max(0.02, right / total))
        found = [_reliability(rows, chances, place) for place in range(len(passed))]
        before, chances = chances, {row: _chance(row, found, prior) for row in rows}
        if max(abs(chances[row] - before[row]) for row in rows) < 1e-7:  # noqa: PLR2004 - settled
            break
    return found, prior


def _share_passed(row: Row) -> float:
    known = [each for each in row if each is not None]
    return 0.1 + 0.8 * fmean(known) if known else 0.5


def _reliability(rows: Mapping[Row, int], chances: Mapping[Row, float], place: int) -> Reliability:
    """With one pass and one failure added to either kind, so that no rate is 0 or 1."""
    known = {row: count for row, count in rows.items() if row[place] is not None}
    right = math.fsum(count * chances[row] for row, count in known.items())
    passes = {row: count for row, count in known.items() if row[place]}
    both = math.fsum(count * chances[row] for row, count in passes.items())
    wrong, passed_wrong = sum(known.values()) - right, sum(passes.values()) - both
    return Reliability((both + 1) / (right + 2), (passed_wrong + 1) / (wrong + 2))


def _chance(row: Row, found: Sequence[Reliability], prior: float) -> float:
    """Of being right, if the verifiers err independently."""
    odds = math.log(prior / (1 - prior))
    for each, rates in zip(row, found, strict=True):
        if each is not None:
            right, wrong = rates if each else (1 - rates.right, 1 - rates.wrong)
            odds += math.log(right / wrong)
    return logistic(odds)
