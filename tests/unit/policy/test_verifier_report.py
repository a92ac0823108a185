"""Reports on verifiers whose truth is known, and on recorded programs."""

from __future__ import annotations

import gzip
import json
import math
import random
from statistics import NormalDist

import pytest

from thinktwice import Budget, UsageError, Verdict
from thinktwice.policy import Labelled, VerifierReport, verifier_report
from thinktwice.testing import ScriptedSampler

RIGHT, WRONG = "right", "wrong"


def made(score, *, questions=60, samples=12, chance=0.5, alone=False, seed=0):
    """Questions and scores: `score(rng, right)`; wrong samples share few answers, or none do."""
    rng = random.Random(seed)
    labelled, scores = [], []
    for _ in range(questions):
        p = rng.betavariate(2 * chance, 2 * (1 - chance))
        labels = [rng.random() < p for _ in range(samples)]
        values = [f"{RIGHT if r else WRONG + str(rng.randrange(3))}" for r in labels]
        if alone:
            values = [f"{value} {at}" for at, value in enumerate(values)]
        labelled.append(Labelled(samples=values, right=labels))
        scores.append([score(rng, r) for r in labels])
    return scores, labelled


def gaussian(distance):
    """Scores that overlap; the area follows from the distance of the means."""

    def score(rng, right):
        return 1 / (1 + math.exp(-rng.gauss(distance if right else 0.0, 1)))

    return score


def fooled(rng, right):
    """Tells fairly well, and one wrong sample in ten fools it altogether."""
    if not right and rng.random() < 0.1:
        return 0.999
    return gaussian(1.5)(rng, right)


def coin(rng, right):
    return rng.random()


def truth(rng, right):
    return right


class TestKnownTruth:
    """What was put in comes out."""

    def test_the_area_under_the_curve(self):
        """Of two normal distributions."""
        report = verifier_report(*made(gaussian(1.2), questions=200), ns=[1, 12], orders=1)
        assert report.auc is not None
        assert report.auc.low < NormalDist().cdf(1.2 / math.sqrt(2)) < report.auc.high
        assert report.auc.high - report.auc.low < 0.06

    def test_the_rates_at_a_threshold(self):
        """The shares above it."""
        report = verifier_report(
            *made(gaussian(1.2), questions=200), threshold=0.5, ns=[1], orders=1
        )
        assert report.fpr.low < 0.5 < report.fpr.high
        assert report.tpr.low < NormalDist().cdf(1.2) < report.tpr.high
        assert (report.threshold, report.fitted) == (0.5, False)

    def test_the_ceiling_is_the_formula(self):
        """Of the share of right samples and both rates, with the interval of the false one."""
        report = verifier_report(*made(gaussian(1.2)), threshold=0.5, orders=1)
        p, tpr, fpr = report.single.value, report.tpr.share, report.fpr

        def ceiling(false):
            return p * tpr / (p * tpr + (1 - p) * false)

        expected = (ceiling(fpr.share), ceiling(fpr.high), ceiling(fpr.low))
        assert report.ceiling == pytest.approx(expected)

    def test_a_first_pass_gets_to_the_ceiling(self):
        """Where all questions are alike, as the formula takes them to be."""
        rng = random.Random(1)
        labels = [[rng.random() < 0.3 for _ in range(60)] for _ in range(60)]
        labelled = [Labelled(samples=[f"{at}" for at in range(60)], right=row) for row in labels]
        passes = [[rng.random() < (0.8 if r else 0.1) for r in row] for row in labels]
        report = verifier_report(passes, labelled, orders=1)
        assert report.ceiling is not None
        assert report.threshold is None  # they pass or fail by themselves
        assert report.curves["first pass"][-1].value == pytest.approx(
            report.ceiling.value, abs=0.05
        )

    def test_probabilities_are_calibrated(self):
        """Scores that are drawn first, and labels by them."""
        rng = random.Random(0)
        scores = [[rng.random() for _ in range(20)] for _ in range(200)]
        labelled = [
            Labelled(samples=["a"] * 20, right=[rng.random() < s for s in row]) for row in scores
        ]
        report = verifier_report(scores, labelled, orders=1)
        assert report.calibration.value < 0.04
        assert all(abs(each.score - each.right) < 0.1 for each in report.bins)


class TestRecommendation:
    """One for each kind of verifier."""

    def test_proof(self):
        """500 questions without a false pass."""
        report = verifier_report(*made(truth, questions=500, samples=4), ns=[1, 4], orders=1)
        assert report.recommendation.use == "exact"
        assert report.auc is not None
        assert report.auc.value == 1.0
        assert report.fpr.count == 0
        assert not report.falls

    def test_proof_that_was_seen_too_little(self):
        """60 questions cannot show a false-positive rate below a hundredth."""
        report = verifier_report(*made(truth), orders=2)
        assert report.recommendation.use == "weighted"
        assert report.fpr.high > 0.01

    def test_a_coin(self):
        """It says so."""
        assert verifier_report(*made(coin), orders=2).recommendation.use == "do not use"

    def test_a_verifier_that_can_be_fooled_is_weighed(self):
        """Its best score falls, sums over equal answers do not."""
        report = verifier_report(*made(fooled, samples=30, questions=80), orders=3)
        assert report.recommendation.use == "weighted"
        assert set(report.falls) >= {"best score"}
        assert "weighted" not in report.falls
        assert report.falls_from is not None
        assert report.falls_from < 10

    def test_without_equal_answers_n_is_capped_where_it_falls(self):
        """At the peak of the curve."""
        report = verifier_report(*made(fooled, samples=30, questions=80, alone=True), orders=1)
        curve = [each.value for each in report.curves["best score"]]
        assert report.recommendation.use == "cap N"
        assert report.recommendation.n == report.ns[curve.index(max(curve))] == report.falls_from

    def test_a_verifier_that_does_not_fall_is_not_said_to(self):
        """Of 10 sets of scores without a flaw at most one is called over-optimising."""
        falls = 0
        for seed in range(10):
            sets = made(gaussian(1.0), questions=25, samples=10, alone=True, seed=seed)
            falls += bool(verifier_report(*sets, orders=1, seed=seed).falls)
        assert falls <= 1

    def test_few_questions_say_label_more(self):
        """No interval, no claim."""
        report = verifier_report(*made(truth, questions=5), orders=1)
        assert report.recommendation.use == "label more"
        assert report.single.low is None


class TestWhatIsJudged:
    """Errors, abstentions, and what was left over."""

    def test_outcomes_are_counted_and_errors_say_nothing(self):
        """They are neither wrong nor right, and the report stays what it is without them."""
        error = Verdict(outcome="error")
        scores, labelled = made(gaussian(2), questions=30, samples=4)
        more = [
            Labelled(samples=[*each.samples, "x", "x", ""], right=[*each.right, True, False, False])
            for each in labelled
        ]
        said = [[*row, error, None, 0.9] for row in scores]
        report = verifier_report(said, more, orders=1)
        alone = verifier_report(scores, labelled, orders=1)
        assert report.outcomes == {"scored": 120, "error": 30, "not judged": 30, "abstained": 30}
        assert (report.auc, report.fpr, report.bins) == (alone.auc, alone.fpr, alone.bins)

    def test_verdicts_that_pass_or_fail_stand_whatever_their_score(self):
        """A score orders them, and no threshold is needed."""
        said = [[Verdict(outcome="fail", score=0.9), Verdict(outcome="pass", score=0.2)]] * 30
        labelled = [Labelled(samples=["a", "b"], right=[False, True])] * 30
        report = verifier_report(said, labelled, threshold=0.5, orders=1)
        assert (report.tpr.share, report.fpr.share) == (1.0, 0.0)
        assert report.auc is not None
        assert report.auc.value == 0.0

    def test_the_default_threshold_is_a_full_score(self):
        """If a right sample has it; else where it tells most, which is said."""
        full = [[1.0, 0.5], [0.9, 0.2]] * 15
        labelled = [Labelled(samples=["a", "b"], right=[True, False])] * 30
        assert verifier_report(full, labelled, orders=1).threshold == 1.0
        fitted = verifier_report([[0.9, 0.5], [0.8, 0.2]] * 15, labelled, orders=1)
        assert (fitted.threshold, fitted.fitted) == (0.8, True)
        assert "chosen on these labels" in str(fitted)

    def test_a_verifier_is_run(self):
        """The same report as from what it says, also inside a running loop."""
        scores, labelled = made(truth, questions=25, samples=3)

        def check(value):
            return value.startswith(RIGHT)

        report = verifier_report(check, labelled, orders=1)
        given = verifier_report(scores, labelled, orders=1)
        assert report.verifier == "check"
        assert (report.auc, report.curves) == (given.auc, given.curves)

    async def test_a_budget_leaves_samples_unjudged(self):
        """The report says how many."""
        _, labelled = made(truth, questions=25, samples=3)
        judge = ScriptedSampler([0.5])

        class Asking:
            name, exact, calls, sampler = "asking", False, 1, judge

            async def __call__(self, sample, /, *, prompt):
                from thinktwice.calls import call

                reply = await call(judge, "?", role="verify")
                return Verdict(outcome="scored", score=reply.value)

        report = verifier_report(Asking(), labelled, budget=Budget(calls=10), orders=1)
        assert report.outcomes == {"scored": 10, "not judged": 65}
        assert judge.calls == 10

    def test_curves_are_over_questions_with_enough_samples(self):
        """The few with the fewest do not shorten them."""
        scores, labelled = made(truth, questions=30, samples=6)
        scores[0], labelled[0] = [True], Labelled(samples=["a"], right=[True])
        report = verifier_report(scores, labelled, orders=1)
        assert (report.ns, report.compared) == ((1, 2, 5, 6), 29)

    def test_the_numbers_can_be_given(self):
        """Rising, and no more than there are."""
        scores, labelled = made(truth, questions=25, samples=6)
        assert verifier_report(scores, labelled, ns=[1, 3], orders=1).ns == (1, 3)
        for ns in ([], [3, 1], [0, 1], [1, 7]):
            with pytest.raises(UsageError, match="ns"):
                verifier_report(scores, labelled, ns=ns)

    @pytest.mark.parametrize(
        ("more", "parameter"),
        [
            ({"verifier": [[0.5]]}, "verifier"),
            ({"verifier": 3}, "verifier"),
            ({"verifier": [[0.5]] * 3}, "verifier"),
            ({"verifier": [[None, None]] * 3}, "no sample was judged"),
            ({"verifier": [[2.0, 0.5]] * 3}, "scale the score"),
            ({"threshold": 2}, "threshold"),
            ({"orders": 0}, "orders"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, more, parameter):
        """By name."""
        labelled = [Labelled(samples=["a", "b"], right=[True, False])] * 3
        given = {"verifier": [[0.5, 0.5]] * 3, "labelled": labelled, **more}
        with pytest.raises(UsageError, match=parameter):
            verifier_report(given.pop("verifier"), given.pop("labelled"), **given)

    def test_a_seed_repeats(self):
        """The same report twice."""
        sets = made(fooled, questions=25, samples=5)
        assert verifier_report(*sets, seed=1) == verifier_report(*sets, seed=1)


class TestReading:
    """Terminal, notebook and page."""

    @pytest.fixture
    def report(self) -> VerifierReport:
        return verifier_report(*made(fooled, samples=20, questions=60), orders=1)

    def test_a_terminal(self, report):
        """Facts, curves, reliability, advice."""
        text = str(report)
        assert "within-question AUC" in text
        assert "best score over-optimises" in text
        assert f"recommendation: {report.recommendation}" in text
        assert max(map(len, text.splitlines()[:20])) < 110
        assert repr(report).startswith("<VerifierReport: 1200 samples of 60 questions")

    def test_a_page(self, report):
        """Tables of Markdown, each row with as many cells as its head."""
        tables = report.to_markdown().split("\n\n")
        for table in tables[:-1]:
            assert len({line.count("|") for line in table.splitlines()}) == 1
        assert tables[-1].splitlines()[-1].startswith("- recommendation: weighted")

    def test_a_notebook(self, report):
        """HTML, escaped."""
        page = report._repr_html_()
        assert page.count("<table>") == page.count("</table>") == 3
        assert "<li>recommendation: weighted" in page

    def test_no_content_is_shown(self, report):
        """Only counts."""
        for text in (str(report), repr(report), report.to_markdown()):
            assert f"{WRONG}0" not in text


def test_the_models_own_asserts_over_optimise_on_recorded_programs(shared_data):
    """CodeGen-16B on HumanEval: best score and first pass fall, sums over equal answers rise."""
    path = shared_data / "codet_codegen16b_humaneval_k100.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        problems = [json.loads(line)["samples"] for line in lines]
    labelled = [Labelled(samples=row, right=[s["passed"] for s in row]) for row in problems]
    scores = [[s["score"] for s in row] for row in problems]
    report = verifier_report(
        scores, labelled, key=lambda s: s["answer"], ns=[1, 5, 20, 100], orders=1
    )
    for rule in ("best score", "first pass"):
        fall = report.falls[rule]
        assert fall.n == 5
        assert fall.peak == pytest.approx(0.304, abs=0.001)
        assert fall.last == pytest.approx(0.212, abs=0.003)
    weighted = [each.value for each in report.curves["weighted"]]
    assert "weighted" not in report.falls
    assert weighted[1] == pytest.approx(0.32, abs=0.02)
    assert weighted[3] == pytest.approx(0.373, abs=0.02)
    assert report.falls_from == 5
    assert report.recommendation.use == "weighted"
    assert report.auc is not None
    assert report.auc.value == pytest.approx(0.778, abs=0.001)
