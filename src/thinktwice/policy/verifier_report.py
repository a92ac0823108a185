"""How good a verifier is, on labelled samples, and how to use it."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, cast

from thinktwice.diversity import Estimate
from thinktwice.errors import UsageError, is_number
from thinktwice.policy.curves import Curves
from thinktwice.policy.discrimination import auc, bins_of, calibration_error, gaps_of, tenths
from thinktwice.policy.intervals import Bootstrap, Rate, mean_of, percentiles
from thinktwice.policy.labelled import verdicts_of
from thinktwice.policy.reading import Bar, outcomes, paired
from thinktwice.policy.recommendation import Findings, recommend
from thinktwice.policy.report import VerifierReport
from thinktwice.threads import run_sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thinktwice.answers import Key
    from thinktwice.budget import Budget
    from thinktwice.policy.labelled import Labelled
    from thinktwice.policy.reading import Judgements
    from thinktwice.policy.selection import Candidate
    from thinktwice.pricing.table import Price
    from thinktwice.protocols import PriceSource, Verifier
    from thinktwice.verifiers import Check


def verifier_report(
    verifier: Verifier[object] | Check | Judgements,
    labelled: Iterable[Labelled],
    *,
    key: str | Key | None = None,
    threshold: float | None = None,
    ns: Sequence[int] | None = None,
    orders: int = 20,
    seed: int = 0,
    budget: Budget | None = None,
    max_concurrency: int = 8,
    prices: Mapping[str, Price] | PriceSource | None = None,
) -> VerifierReport:
    """Measure a verifier on labelled samples, and say how to use it.

    Draw more samples of a question than you mean to use, since a verifier that looks good at N = 5
    may fail at N = 100: with every further sample another wrong one gets the chance to fool it
    (Stroebl et al. 2024, arXiv:2411.17501). 20 questions are the least; for narrow intervals take
    100. Intervals are 95 %, with questions as the units of chance:
    a bootstrap over questions for the AUC and the calibration error, Student's t for the curves.

    A verifier that is given runs on an event loop of its own. In async code run it by
    `await verdicts_of(verifier, labelled)`, and give what that returns.

    Cost: one verdict a sample if a verifier is given; none for what was said already.

    Args:
        verifier: A `Verifier` or a callable of the value, to be run; or what was said already: for
            each question a list with a verdict, a bool, a score in [0, 1] or None for each sample.
        labelled: The questions.
        key: What answers are told apart by, as in `Vote`.
        threshold: The score from which on a sample passes; verdicts that pass or fail stand. By
            default 1 if a right sample reaches it, as in `BestOfN`; else where the shares of right
            and wrong samples that pass differ most, which makes these shares look better than they
            are.
        ns: Numbers of samples to choose among; 1, 2, 5, 10, ... by default.
        orders: Random orders of a question's samples, for the rules that add up.
        seed: Of the orders and of the intervals.
        budget: Hard caps on running the verifier; samples that they leave over are not judged.
        max_concurrency: Questions that are judged side by side.
        prices: USD per million tokens by model, over the list prices.

    Raises:
        UsageError: A parameter makes no sense, or no sample was judged.
    """
    questions = list(labelled)
    _check(threshold, orders)
    name, said = None, cast("Judgements", verifier)
    if callable(verifier):
        given = verifier
        name = _name_of(given)
        said = run_sync(
            lambda: verdicts_of(
                given,
                questions,
                key=key,
                budget=budget,
                max_concurrency=max_concurrency,
                prices=prices,
            )
        )
    judged = paired(questions, said, key)
    bar = Bar.of(judged, threshold)
    rows = [list(map(bar.candidate, row)) for row in judged]
    return _reported(
        rows,
        bar,
        Curves.of(rows, ns, orders=orders, seed=seed),
        Bootstrap(len(rows), seed=seed),
        name=name,
        counts=outcomes(judged),
    )


def _check(threshold: float | None, orders: int) -> None:
    if threshold is not None and not (is_number(threshold) and 0 <= threshold <= 1):
        raise UsageError("threshold", threshold, "give a score in [0, 1], or None")
    if isinstance(orders, bool) or not isinstance(orders, int) or orders < 1:
        raise UsageError("orders", orders, "give at least 1")


def _name_of(verifier: object) -> str:
    name = getattr(verifier, "name", None) or getattr(verifier, "__name__", None)
    return name if isinstance(name, str) else type(verifier).__name__


def _reported(
    rows: Sequence[Sequence[Candidate]],
    bar: Bar,
    curves: Curves,
    sampled: Bootstrap,
    *,
    name: str | None,
    counts: Mapping[str, int],
) -> VerifierReport:
    areas = [auc(row) for row in rows]
    telling = [float(each is not None) for each in areas]
    area = sampled.ratio([each or 0.0 for each in areas], telling) if any(telling) else None
    single = mean_of([fmean(each.right for each in row) for row in rows])
    tpr, fpr = (_rate(rows, right=label) for label in (True, False))
    sums = [tenths(row) for row in rows]
    falls, last = curves.falls, len(curves.ns) - 1
    found = Findings(
        questions=len(rows),
        telling=round(sum(telling)),
        auc=area,
        tpr=tpr,
        fpr=fpr,
        grouped=any(map(_grouped, rows)),
        most=curves.ns[-1],
        falls=falls,
        over_vote=curves.difference(("weighted", last), ("vote", last)),
        over_best=curves.difference(("weighted", last), ("best score", curves.peak("best score"))),
    )
    return VerifierReport(
        verifier=name,
        questions=len(rows),
        samples=sum(map(len, rows)),
        outcomes=dict(counts),
        single=single,
        auc=area,
        telling=found.telling,
        calibration=_calibration(sums, sampled),
        bins=bins_of(_total(sums)),
        threshold=bar.threshold,
        fitted=bar.fitted,
        tpr=tpr,
        fpr=fpr,
        ceiling=_ceiling(single.value, tpr, fpr),
        passing=sum(any(each.passed for each in row) for row in rows),
        ns=curves.ns,
        compared=curves.questions,
        curves=curves.estimates,
        falls=falls,
        recommendation=recommend(found),
    )


def _rate(rows: Sequence[Sequence[Candidate]], *, right: bool) -> Rate:
    """The share of right, or of wrong, samples that pass, of those that were judged."""
    passed = [[c.passed for c in row if c.right is right and c.passed is not None] for row in rows]
    return Rate.clustered([sum(each) for each in passed], [len(each) for each in passed])


def _grouped(row: Sequence[Candidate]) -> bool:
    counts = Counter(each.answer for each in row if each.answer is not None)
    return any(count > 1 for count in counts.values())


def _total(sums: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*sums, strict=True)]


def _calibration(sums: Sequence[Sequence[float]], sampled: Bootstrap) -> Estimate:
    counts = [math.fsum(each[::3]) for each in sums]
    gaps = [gaps_of(each) for each in sums]
    columns = [sampled.sums(column) for column in zip(*gaps, strict=True)]
    resampled = map(calibration_error, zip(*columns, strict=True), sampled.sums(counts))
    return percentiles(calibration_error(gaps_of(_total(sums)), math.fsum(counts)), list(resampled))


def _ceiling(single: float, tpr: Rate, fpr: Rate) -> Estimate | None:
    """Of the false-positive rate, and of both ends of its interval."""
    if tpr.share is None or fpr.share is None or not single * tpr.share + (1 - single) * fpr.share:
        return None
    good = single * tpr.share

    def ceiling(false: float) -> float:
        return good / (good + (1 - single) * false) if good else 0.0

    return Estimate(ceiling(fpr.share), ceiling(fpr.high), ceiling(fpr.low))
