"""From labelled samples and what was said of them to the candidates that are measured."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from thinktwice.errors import TypeOf, UsageError
from thinktwice.policy.labelled import Judgement
from thinktwice.policy.selection import LONGEST, Candidate
from thinktwice.verifiers.adapt import verdict_of

if TYPE_CHECKING:
    from thinktwice.answers import Key
    from thinktwice.policy.labelled import Labelled
    from thinktwice.sample import Sample, Verdict

Judgements: TypeAlias = Sequence[Sequence[Judgement]]
"""For each question what was said of each of its samples."""


class Judged(NamedTuple):
    """A labelled sample and what was said of it."""

    sample: Sample[object]
    right: bool
    verdict: Verdict | None

    @property
    def usable(self) -> bool:
        """It has an answer: what abstains or failed is never chosen, and not judged."""
        return self.sample.error is None and self.sample.answer is not None


def paired(
    questions: Sequence[Labelled], said: Judgements, key: str | Key | None
) -> list[list[Judged]]:
    """Each sample with its label and its verdict.

    Raises:
        UsageError: The lists do not fit, or no sample was judged.
    """
    if not isinstance(said, Sequence) or len(said) != len(questions):
        remedy = f"give a verifier, or a list of verdicts for each of {len(questions)} questions"
        raise UsageError("verifier", TypeOf(said), remedy)
    rows: list[list[Judged]] = []
    for question, verdicts in zip(questions, said, strict=True):
        samples = question.drawn(key)
        if not isinstance(verdicts, Sequence) or len(verdicts) != len(samples):
            remedy = f"give one verdict for each of the {len(samples)} samples of a question"
            raise UsageError("verifier", TypeOf(verdicts), remedy)
        read = [None if each is None else verdict_of(each) for each in verdicts]
        rows.append(list(map(Judged, samples, question.right, read)))
    if not any(j.usable and j.verdict and j.verdict.score is not None for r in rows for j in r):
        raise UsageError("labelled", len(rows), "no sample was judged: there is nothing to tell")
    return rows


def outcomes(rows: Sequence[Sequence[Judged]]) -> Counter[str]:
    """How many samples have a verdict of each outcome; "abstained" and "not judged" are none."""
    counts = Counter[str]()
    for each in itertools.chain.from_iterable(rows):
        if not each.usable:
            counts["abstained"] += 1
        else:
            counts["not judged" if each.verdict is None else each.verdict.outcome] += 1
    return counts


@dataclass(frozen=True)
class Bar:
    """What passes.

    Attributes:
        threshold: The score that it takes; None where verdicts pass or fail.
        fitted: It was chosen on the labels.
    """

    threshold: float | None
    fitted: bool = False

    @classmethod
    def of(cls, rows: Sequence[Sequence[Judged]], threshold: float | None) -> Bar:
        """The given threshold; else 1, if a right sample reaches it; else where it tells most."""
        scored = [
            (each.verdict.score, each.right)
            for each in itertools.chain.from_iterable(rows)
            if each.usable and each.verdict and each.verdict.outcome == "scored"
            if each.verdict.score is not None
        ]
        if threshold is not None or not scored:
            return cls(threshold)
        if any(right and score >= 1 for score, right in scored):
            return cls(1.0)
        return cls(_most_apart(scored), fitted=True)

    def candidate(self, judged: Judged) -> Candidate:
        """A sample as it is measured."""
        sample, right, verdict = judged
        score = None if verdict is None or not judged.usable else verdict.score
        return Candidate(
            answer=sample.answer if judged.usable else None,
            right=right,
            score=score,
            passed=None if score is None or verdict is None else self._passes(verdict, score),
            length=LONGEST if sample.text is None else len(sample.text),
        )

    def _passes(self, verdict: Verdict, score: float) -> bool:
        if verdict.outcome == "scored":
            return self.threshold is not None and score >= self.threshold
        return verdict.outcome == "pass"


def _most_apart(scored: Sequence[tuple[float, bool]]) -> float:
    """Youden's threshold: where the shares of right and wrong samples that pass differ most."""
    rights = sum(right for _, right in scored) or 1
    wrongs = len(scored) - rights or 1
    best, at, lead = 0.0, 1.0, 0.0
    for score, group in itertools.groupby(sorted(scored, reverse=True), key=lambda each: each[0]):
        lead += sum(1 / rights if right else -1 / wrongs for _, right in group)
        if lead > best:
            best, at = lead, score
    return at
