"""What is known of a verifier, to read in a terminal, a notebook or a page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinktwice.policy.recommendation import points
from thinktwice.tables import aligned, html_table, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from thinktwice.diversity import Estimate
    from thinktwice.policy.discrimination import Bin
    from thinktwice.policy.intervals import Rate
    from thinktwice.policy.recommendation import Fall, Recommendation


@dataclass(frozen=True, kw_only=True, repr=False)
class VerifierReport:
    """What labelled samples tell of a verifier. Holds no content.

    Printing it shows a table; a notebook gets HTML, `to_markdown()` Markdown.

    Attributes:
        verifier: Its name; None if scores were given.
        questions: Labelled questions.
        samples: Labelled samples.
        outcomes: Samples by the outcome of their verdict; "abstained" and "not judged" have none.
        single: The share of samples that is right; each question counts the same.
        auc: Within-question: how often a right sample scores above a wrong one of the same
            question, .5 by chance, and an equal score is half. Each question counts the same. None
            without a question that tells.
        telling: Questions with judged samples of both kinds.
        calibration: Expected calibration error of the scores as probabilities, in [0, 1].
        bins: The scores by tenths, and what share of each is right.
        threshold: The score from which on a sample passes; None where verdicts say so.
        fitted: The threshold was chosen on the labels: it looks better than it is.
        tpr: Right samples that pass, of those judged.
        fpr: Wrong samples that pass.
        ceiling: What drawing until a pass converges to, p TPR / (p TPR + (1 - p) FPR), with the
            interval that the one of `fpr` gives (Stroebl et al. 2024, arXiv:2411.17501). It takes
            all questions for alike. None if nothing passes.
        passing: Questions with a sample that passes.
        ns: Numbers of samples to choose among.
        compared: Questions with as many samples as the largest of `ns`, over which the curves are.
        curves: Share of right answers by rule and number of samples: "best score"; "first pass",
            and without one the best score; "weighted", sums of scores over equal answers, as in
            `BestOfN`; "rank weights"; "vote", without the verifier; "oracle", if any is right.
        falls: The rules that end significantly below their peak: they over-optimise.
        recommendation: How to use it.
    """

    verifier: str | None
    questions: int
    samples: int
    outcomes: Mapping[str, int]
    single: Estimate
    auc: Estimate | None
    telling: int
    calibration: Estimate
    bins: tuple[Bin, ...]
    threshold: float | None
    fitted: bool
    tpr: Rate
    fpr: Rate
    ceiling: Estimate | None
    passing: int
    ns: tuple[int, ...]
    compared: int
    curves: Mapping[str, tuple[Estimate, ...]]
    falls: Mapping[str, Fall]
    recommendation: Recommendation

    @property
    def falls_from(self) -> int | None:
        """The number of samples from which on the best score gets worse; None if it does not."""
        fall = self.falls.get("best score")
        return None if fall is None else fall.n

    def __repr__(self) -> str:
        """One line."""
        advice = self.recommendation
        cap = "" if advice.n is None else f" at {advice.n}"
        return (
            f"<VerifierReport: {self.samples} samples of {self.questions} questions, "
            f"within-question AUC {self.auc}: {advice.use}{cap}>"
        )

    def __str__(self) -> str:
        """Facts, the curves, and what follows."""
        lines = [*listed(self._facts()), "", *aligned(self._curves())]
        lines += ["", *aligned(self._reliability())]
        return "\n".join([*lines, "", *self._says()])

    def to_markdown(self) -> str:
        """The same as Markdown."""
        parts = [_markdown([("", ""), *self._facts()])]
        parts += [_markdown(self._curves()), _markdown(self._reliability())]
        return "\n\n".join([*parts, "\n".join(f"- {line}" for line in self._says())])

    def _repr_html_(self) -> str:
        tables = (self._facts(), self._curves(), self._reliability())
        says = "".join(f"<li>{html.escape(line)}</li>" for line in self._says())
        return "".join(html_table(each, named=True) for each in tables) + f"<ul>{says}</ul>"

    def _facts(self) -> Iterator[tuple[str, str]]:
        if self.verifier is not None:
            yield "verifier", self.verifier
        yield "labelled", f"{self.samples:,} samples of {self.questions:,} questions"
        counts = sorted(self.outcomes.items(), key=lambda each: -each[1])
        yield "verdicts", ", ".join(f"{count:,} {outcome}" for outcome, count in counts)
        yield "right", f"{_percent(self.single)} of the samples"
        known = f"{self.auc}, over {self.telling} questions with right and wrong samples"
        yield "within-question AUC", "unknown" if self.auc is None else known
        yield "calibration error", str(self.calibration)
        bar = "" if self.threshold is None else f", from {self.threshold:.2f} on"
        chosen = " (chosen on these labels: too good to be true)" if self.fitted else ""
        yield f"right that pass{bar}", str(self.tpr) + chosen
        yield f"wrong that pass{bar}", str(self.fpr) + chosen
        if self.ceiling is not None:
            yield "until a pass, at most", f"{_percent(self.ceiling)} right"
            yield "with a pass at all", f"{self.passing} of {self.questions} questions"

    def _curves(self) -> list[tuple[str, ...]]:
        head = ("right, %", *(f"N = {n}" for n in self.ns))
        rows = [
            (rule, *(f"{100 * each.value:.1f}" for each in curve))
            for rule, curve in self.curves.items()
        ]
        return [head, *rows]

    def _reliability(self) -> list[tuple[str, ...]]:
        rows = [
            (f"{each.low:.1f}", f"{each.samples:,}", f"{each.score:.2f}", f"{each.right:.2f}")
            for each in self.bins
        ]
        return [("score from", "samples", "mean score", "share right"), *rows]

    def _says(self) -> Iterator[str]:
        for rule, fall in self.falls.items():
            does = "gets worse" if rule == "vote" else "over-optimises"
            yield (
                f"{rule} {does}: {100 * fall.peak:.1f} % at N = {fall.n}, "
                f"{100 * fall.last:.1f} % at N = {self.ns[-1]}, {points(fall.difference)} points"
            )
        yield f"recommendation: {self.recommendation}"


def _percent(share: Estimate) -> str:
    value, low, high = share
    if low is None or high is None:
        return f"{100 * value:.1f} %"
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
