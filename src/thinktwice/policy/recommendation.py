"""How to use a verifier, by what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from thinktwice.diversity import FEWEST, Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice.policy.intervals import Rate

Use: TypeAlias = Literal["exact", "weighted", "cap N", "do not use", "label more"]

TELLING: Final = 10
"""Questions with right and wrong samples, below which the discrimination is not known."""

EXACT: Final = 0.01
"""The share of wrong samples that may pass a check whose pass is taken for proof."""

REACHES: Final = 0.5
"""The share of right samples that such a check has to pass."""


class Fall(NamedTuple):
    """A curve that is significantly lower at its end than at its peak.

    Attributes:
        n: Samples at the peak, from which on more of them harm.
        peak: The chance of a right answer there.
        last: The same with the most samples.
        difference: `last` - `peak`, with its interval, over the same questions.
    """

    n: int
    peak: float
    last: float
    difference: Estimate


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the recommendation rests on.

    Attributes:
        questions: How many were labelled.
        telling: Those of them with right and wrong samples that were judged.
        auc: Within-question; None if no question tells.
        tpr: Right samples that pass.
        fpr: Wrong samples that pass.
        grouped: Some samples of a question share an answer.
        most: The largest number of samples that was measured.
        falls: The rules whose curves fall.
        over_vote: Sums of scores over a vote, at `most`.
        over_best: Sums of scores at `most` over the best score at its peak.
    """

    questions: int
    telling: int
    auc: Estimate | None
    tpr: Rate
    fpr: Rate
    grouped: bool
    most: int
    falls: Mapping[str, Fall]
    over_vote: Estimate
    over_best: Estimate


@dataclass(frozen=True)
class Recommendation:
    """How to use a verifier, and why.

    Attributes:
        use: "exact": declare it so, its first pass ends a run. "weighted": add its scores up over
            equal answers, as `BestOfN` does. "cap N": take the best score of at most `n`. "do not
            use": it does not help. "label more": the labels do not tell.
        reason: In a sentence.
        n: The cap, where more samples harm.
    """

    use: Use
    reason: str
    n: int | None = None

    def __str__(self) -> str:
        """As "cap N at 5: ..."."""
        return f"{self.use}{'' if self.n is None else f' at {self.n}'}: {self.reason}"


def recommend(found: Findings) -> Recommendation:
    """Decide, in the order of what rules out the rest."""
    too_few = _too_few(found)
    if too_few is not None:
        return Recommendation("label more", too_few)
    harm = _harm(found)
    if harm is not None:
        return Recommendation("do not use", harm)
    if _is_exact(found):
        reason = (
            f"{found.fpr} of the wrong samples pass, so the first pass can be taken for proof, and "
            f"{found.tpr} of the right ones do"
        )
        return Recommendation("exact", reason)
    if found.grouped and not _below(found.over_best):
        fall = found.falls.get("weighted")
        reason = f"{_of_best(found)}, {_of_weighted(found)}"
        return Recommendation("weighted", reason, None if fall is None else fall.n)
    return _capped(found)


def _too_few(found: Findings) -> str | None:
    if found.questions < FEWEST:
        return f"{found.questions} questions do not tell, give at least {FEWEST}"
    if found.telling < TELLING:
        return (
            f"only {found.telling} questions have judged samples of both kinds, right and wrong, "
            f"and it takes {TELLING} to see whether it tells them apart"
        )
    return None


def _harm(found: Findings) -> str | None:
    auc = found.auc
    if auc is None or (auc.low if auc.low is not None else auc.value) <= 0.5:  # noqa: PLR2004
        return (
            f"of a right and a wrong sample of one question it prefers the right one {auc} of the "
            "time, which is not shown to be better than chance"
        )
    if found.grouped and _below(found.over_vote):
        return f"sums of its scores do worse than a plain vote, by {points(found.over_vote)} points"
    return None


def _is_exact(found: Findings) -> bool:
    reaches = found.tpr.share is not None and found.tpr.share >= REACHES
    return reaches and found.fpr.high <= EXACT and "first pass" not in found.falls


def _capped(found: Findings) -> Recommendation:
    fall = found.falls.get("best score")
    why = (
        "the best score does better than sums over equal answers"
        if found.grouped
        else "no two samples share an answer, so there is nothing to add up"
    )
    if fall is not None:
        return Recommendation("cap N", f"{why}, and {_of_best(found)}", fall.n)
    reason = f"{why}; the best score does not fall up to N = {found.most}, the most that was seen"
    return Recommendation("cap N", reason, found.most)


def _of_best(found: Findings) -> str:
    fall = found.falls.get("best score")
    if fall is None:
        return f"a pass is no proof ({found.fpr} of the wrong samples pass)"
    return (
        f"the best score falls from {100 * fall.peak:.1f} % at N = {fall.n} to "
        f"{100 * fall.last:.1f} % at N = {found.most}"
    )


def _of_weighted(found: Findings) -> str:
    gain = found.over_vote
    told = f"and sums of scores over equal answers are {points(gain)} points above a plain vote"
    return told if gain.low is not None and gain.low > 0 else f"{told}, a gain that is not shown"


def _below(difference: Estimate) -> bool:
    return difference.high is not None and difference.high < 0


def points(difference: Estimate) -> str:
    """As "+11.3 (+7.0 to +15.2)", in percentage points."""
    value, low, high = difference
    if low is None or high is None:
        return f"{100 * value:+.1f}"
    return f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
