"""How far samples agree within and between variants, and what that makes of their number.

Pure: it reads results, samples or recorded answers, and draws nothing.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from thinktwice.errors import TypeOf, UsageError, is_number
from thinktwice.result import Result
from thinktwice.sample import Sample
from thinktwice.tables import html_table, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

Answers: TypeAlias = Mapping[str, Sequence[Hashable | None]]
"""Recorded answers to one question by variant; None abstains."""

Question: TypeAlias = Result[object] | Sequence[Sample[object]] | Answers
"""What was drawn for one question."""

FEWEST: Final = 20
"""Questions from which on there are intervals: resampling fewer would make them too short."""

_RESAMPLES: Final = 1000
_ACCEPTED: Final = "give results, their samples, or mappings of variants to lists of answers"


class Estimate(NamedTuple):
    """A number with its 95 % interval; without one where there are too few questions."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """As "0.71 (0.66 to 0.75)"."""
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Diversity:
    """What samples of several variants tell about each other. Holds no content.

    All figures are over pairs of usable samples of one question, and each question counts the same.
    Those that tell about both kinds of pairs are counted, or all where none does. Agreement says
    nothing about truth: variants that share a misconception agree.

    Attributes:
        questions: Questions counted.
        variants: Different variants.
        n: Usable samples of a question, on average.
        within: Chance that two samples of one variant agree; None if none has two samples.
        between: Chance that samples of two variants agree; None if there is one variant.
        rho: Intraclass correlation, (within - between) / (1 - between): 0 if it does not matter
            which variant a sample is of, 1 if a variant always gives the same answer and others
            differ. Chance can take it below 0. None without both, or if nothing differs.
        n_eff: Effective number of samples of a question, on average: see `n_eff_of`.
    """

    questions: int
    variants: int
    n: float
    within: Estimate | None
    between: Estimate | None
    rho: Estimate | None
    n_eff: Estimate | None

    def n_eff_of(self, n: float, *, variants: int) -> float | None:
        """What n samples spread evenly over so many variants are worth, in independent ones.

        Independent ones are each of another variant. It is n over Kish's design effect,
        n / (1 + (m - 1) rho), with m = n / variants draws of each (Kish 1965, Survey Sampling); a
        rho below 0 counts as 0.

        Returns:
            From 1 to n; None while rho is not known.

        Raises:
            UsageError: A number is below 1, or there are fewer samples than variants.
        """
        if isinstance(variants, bool) or not isinstance(variants, int):
            raise UsageError("variants", variants, "give a whole number")
        if not is_number(n) or not math.isfinite(n):
            raise UsageError("n", n, "give a number")
        if variants < 1:
            raise UsageError("variants", variants, "give at least 1")
        if n < variants:
            raise UsageError("n", n, f"{variants} variants take at least as many samples")
        return None if self.rho is None else _worth(n, n / variants, self.rho.value)

    def __repr__(self) -> str:
        """One line."""
        worth = "unknown" if self.n_eff is None else f"{self.n_eff.value:.1f}"
        return (
            f"<Diversity: {self.n:.1f} samples of {self.variants} variants, n_eff {worth}, "
            f"{self.questions} questions>"
        )

    def __str__(self) -> str:
        """A line for each figure."""
        return "\n".join(listed(self._facts()))

    def _repr_html_(self) -> str:
        return html_table(self._facts(), named=True)

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "questions", f"{self.questions}"
        yield "variants", f"{self.variants}"
        yield "samples of a question", f"{self.n:.1f}"
        figures = {
            "agreement within": self.within,
            "agreement between": self.between,
            "correlation (rho)": self.rho,
            "effective samples": self.n_eff,
        }
        for name, figure in figures.items():
            yield name, "unknown" if figure is None else str(figure)


def diversity(
    results: Question | Iterable[Question],
    *,
    by: Callable[[Sample[object]], Hashable | None] | None = None,
) -> Diversity:
    """How far the samples of a question agree within and between variants.

    Give full votes (`stop=AtMost(n)`): what stopped early is there because it agreed. Rates are
    unbiased, over all pairs of samples. Samples that failed or abstained are left out. From 20
    questions on there are 95 % intervals, by resampling questions.

    Args:
        results: A result, its samples, or the recorded answers to a question by variant; or many
            of these, one for each question.
        by: The variant of a sample; `sample.variant` by default. For models that is
            `lambda sample: sample.model`.

    Raises:
        UsageError: There is nothing to read, or an answer cannot be compared.
    """
    if by is not None and not callable(by):
        raise UsageError("by", by, "give a function of a sample, or None")
    drawn = [_by_variant(each, by) for each in _questions(results)]
    pairs = [_Pairs.of(answers) for answers in drawn if answers]
    if not pairs:
        raise UsageError("results", len(drawn), "give results with usable samples")
    telling = [each for each in pairs if each.within is not None and each.between is not None]
    counted = telling or pairs
    within = [each.within for each in counted if each.within is not None]
    between = [each.between for each in counted if each.between is not None]
    resampled = list(_resampled(telling)) if len(telling) >= FEWEST else []
    rho = _correlation(fmean(within), fmean(between)) if telling else None
    sizes = Counter((each.n, each.m) for each in counted)
    rhos = [each for w, b in resampled if (each := _correlation(w, b)) is not None]
    return Diversity(
        questions=len(counted),
        variants=len({variant for answers in drawn for variant in answers}),
        n=fmean(each.n for each in counted),
        within=_estimate(fmean(within), [w for w, _ in resampled]) if within else None,
        between=_estimate(fmean(between), [b for _, b in resampled]) if between else None,
        rho=None if rho is None else _estimate(rho, rhos),
        n_eff=(
            None
            if rho is None
            else _estimate(_mean_worth(sizes, rho), [_mean_worth(sizes, each) for each in rhos])
        ),
    )


class _Pairs(NamedTuple):
    """What the samples of one question tell.

    Attributes:
        n: Usable samples.
        m: Samples of a sample's own variant, on average: Kish's m where they are not equal.
        within: Share of pairs of one variant that agree; None if there is no such pair.
        between: The same of pairs of two variants.
    """

    n: int
    m: float
    within: float | None
    between: float | None

    @classmethod
    def of(cls, answers: Mapping[Hashable, Sequence[Hashable]]) -> _Pairs:
        sizes = [len(each) for each in answers.values()]
        n = sum(sizes)
        inside = _pairs(sizes)
        outside = _pairs([n]) - inside
        alike = _pairs(count for each in answers.values() for count in Counter(each).values())
        everyone = Counter(answer for each in answers.values() for answer in each)
        alike_outside = _pairs(everyone.values()) - alike
        return cls(
            n=n,
            m=sum(size * size for size in sizes) / n,
            within=alike / inside if inside else None,
            between=alike_outside / outside if outside else None,
        )


def _pairs(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


def _questions(results: Question | Iterable[Question]) -> Sequence[Question]:
    if isinstance(results, Result | Mapping):
        return [cast("Question", results)]
    if not isinstance(results, Iterable):
        raise UsageError("results", results, _ACCEPTED)
    listed = list(cast("Iterable[Question]", results))
    if listed and isinstance(listed[0], Sample):
        return [cast("Sequence[Sample[object]]", listed)]
    return listed


def _by_variant(
    question: Question, by: Callable[[Sample[object]], Hashable | None] | None
) -> dict[Hashable, list[Hashable]]:
    """The usable answers; a variant without any is none."""
    answers: dict[Hashable, list[Hashable]] = {}
    for variant, answer in _answers(question, by):
        try:
            hash(answer)
        except TypeError as error:
            remedy = "answers must be hashable: give their keys"
            raise UsageError("results", TypeOf(answer), remedy) from error
        if answer is not None:
            answers.setdefault(variant, []).append(cast("Hashable", answer))
    return answers


def _answers(
    question: Question, by: Callable[[Sample[object]], Hashable | None] | None
) -> Iterator[tuple[Hashable, object]]:
    if isinstance(question, Mapping):
        for variant, each in question.items():
            if isinstance(each, str | bytes | Mapping) or not isinstance(each, Iterable):
                remedy = "give a list of answers for each variant"
                raise UsageError("results", TypeOf(each), remedy)
            yield from ((variant, answer) for answer in each)
        return
    samples = question.samples if isinstance(question, Result) else question
    if not isinstance(samples, Iterable):
        raise UsageError("results", TypeOf(samples), _ACCEPTED)
    for sample in samples:
        if not isinstance(sample, Sample):
            raise UsageError("results", TypeOf(sample), _ACCEPTED)
        answer = None if sample.error is not None else sample.answer
        yield (sample.variant if by is None else by(sample)), answer


def _correlation(within: float, between: float) -> float | None:
    return None if between == 1 else (within - between) / (1 - between)


def _worth(n: float, m: float, rho: float) -> float:
    return n / (1 + (m - 1) * max(0.0, rho))


def _mean_worth(sizes: Mapping[tuple[int, float], int], rho: float) -> float:
    total = sum(_worth(n, m, rho) * count for (n, m), count in sizes.items())
    return total / sum(sizes.values())


def _resampled(pairs: Sequence[_Pairs]) -> Iterator[tuple[float, float]]:
    """Agreement within and between in questions drawn with replacement: they are the clusters."""
    rng = random.Random(0)
    rates = [(each.within or 0.0, each.between or 0.0) for each in pairs]
    for _ in range(_RESAMPLES):
        chosen = rng.choices(rates, k=len(rates))
        yield fmean(w for w, _ in chosen), fmean(b for _, b in chosen)


def _estimate(value: float, resampled: Sequence[float]) -> Estimate:
    if not resampled:
        return Estimate(value)
    cuts = quantiles(resampled, n=40)
    return Estimate(value, cuts[0], cuts[-1])
