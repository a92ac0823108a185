"""How to use a verifier, by what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thinktwice.diversity import Estimate
from thinktwice.policy.intervals import Rate
from thinktwice.policy.recommendation import Fall, Findings, points, recommend

FALL = Fall(5, 0.304, 0.212, Estimate(-0.092, -0.13, -0.05))
GOOD = Findings(
    questions=100,
    telling=60,
    auc=Estimate(0.78, 0.75, 0.81),
    tpr=Rate(60, 100, 100, 0.5, 0.7),
    fpr=Rate(10, 100, 100, 0.05, 0.18),
    grouped=True,
    most=100,
    falls={"best score": FALL},
    over_vote=Estimate(0.11, 0.07, 0.16),
    over_best=Estimate(0.07, 0.02, 0.12),
)
PROOF = replace(GOOD, fpr=Rate(0, 5000, 400, 0.0, 0.009), falls={})


def test_a_verifier_that_tells_and_is_fooled_is_weighed():
    """The reason has the figures."""
    told = recommend(GOOD)
    assert (told.use, told.n) == ("weighted", None)
    assert "falls from 30.4 % at N = 5 to 21.2 % at N = 100" in told.reason
    assert "+11.0 (+7.0 to +16.0) points above a plain vote" in told.reason


def test_one_that_does_not_fall_is_weighed_all_the_same():
    """A pass that wrong samples get is no proof."""
    told = recommend(replace(GOOD, falls={}))
    assert told.use == "weighted"
    assert "a pass is no proof (10.0 % (5.0 to 18.0) of the wrong samples pass)" in told.reason


def test_a_gain_that_is_not_shown_is_said():
    """The interval holds 0."""
    told = recommend(replace(GOOD, over_vote=Estimate(0.01, -0.02, 0.04)))
    assert told.use == "weighted"
    assert told.reason.endswith("a gain that is not shown")


def test_sums_that_fall_are_capped():
    """They can be fooled, too, if less."""
    told = recommend(replace(GOOD, falls={"best score": FALL, "weighted": FALL._replace(n=20)}))
    assert (told.use, told.n) == ("weighted", 20)


def test_a_check_that_next_to_no_wrong_sample_passes_is_exact():
    """By the upper end of the interval, not by what was seen."""
    assert recommend(PROOF).use == "exact"
    seen_too_little = replace(PROOF, fpr=Rate(0, 50, 30, 0.0, 0.12))
    assert recommend(seen_too_little).use == "weighted"


@pytest.mark.parametrize(
    "found",
    [
        replace(PROOF, tpr=Rate(4, 100, 100, 0.01, 0.1)),
        replace(PROOF, falls={"first pass": FALL}),
    ],
)
def test_proof_that_hardly_comes_or_does_not_hold_is_not_exact(found):
    """A pass that few right samples get, or a curve that falls."""
    assert recommend(found).use == "weighted"


def test_where_nothing_can_be_added_up_n_is_capped():
    """At the peak, or where the measurement ends."""
    alone = replace(GOOD, grouped=False)
    assert (recommend(alone).use, recommend(alone).n) == ("cap N", 5)
    assert str(recommend(alone)).startswith("cap N at 5: no two samples share an answer")
    rising = recommend(replace(alone, falls={}))
    assert (rising.use, rising.n) == ("cap N", 100)
    assert "the most that was seen" in rising.reason


def test_a_best_score_that_does_better_is_taken_up_to_its_peak():
    """Sums lose against it, beyond chance."""
    told = recommend(replace(GOOD, over_best=Estimate(-0.05, -0.08, -0.02)))
    assert (told.use, told.n) == ("cap N", 5)


@pytest.mark.parametrize(
    "found",
    [
        replace(GOOD, auc=Estimate(0.52, 0.47, 0.57)),
        replace(GOOD, over_vote=Estimate(-0.04, -0.07, -0.01)),
        replace(PROOF, auc=Estimate(0.5, 0.45, 0.55)),
    ],
)
def test_what_does_not_tell_or_harms_is_not_used(found):
    """Whatever else it may be good at."""
    assert recommend(found).use == "do not use"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (replace(GOOD, questions=19), "19 questions do not tell, give at least 20"),
        (replace(GOOD, telling=9), "only 9 questions have judged samples of both kinds"),
        (replace(GOOD, telling=0, auc=None), "only 0 questions"),
    ],
)
def test_too_few_labels_are_said(found, why):
    """Before anything is claimed."""
    told = recommend(found)
    assert told.use == "label more"
    assert why in told.reason


def test_points_are_percentage_points():
    """With the interval where there is one."""
    assert points(Estimate(0.109, 0.065, 0.159)) == "+10.9 (+6.5 to +15.9)"
    assert points(Estimate(-0.01)) == "-1.0"
