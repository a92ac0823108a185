"""What verifiers weigh, from recorded verdicts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import UsageError
from thinktwice.calibration import logistic
from thinktwice.verifiers.ensemble_fit import Weight, fitted

RATES = {"good": (0.9, 0.15), "fair": (0.75, 0.3), "weak": (0.6, 0.4)}
NAMES = tuple(RATES)


def verdicts(rates=RATES, *, samples=2000, prior=0.4, seed=0):
    """Independent verdicts with these rates of passing right and wrong samples."""
    rng = random.Random(seed)
    right = [rng.random() < prior for _ in range(samples)]
    columns = [
        [float(rng.random() < (tpr if each else fpr)) for each in right]
        for tpr, fpr in rates.values()
    ]
    return columns, right


def odds(tpr, fpr):
    return math.log(tpr / fpr), math.log((1 - fpr) / (1 - tpr))


class TestWeight:
    """Log-odds of a score."""

    def test_a_line_from_down_to_up(self):
        """Half-way in between."""
        weight = Weight(2.0, 1.0)
        assert [weight.log_odds(each) for each in (0.0, 0.5, 1.0)] == [-1.0, 0.5, 2.0]

    def test_a_step_at_the_threshold(self):
        """From there on."""
        weight = Weight(2.0, 1.0, 0.5)
        assert [weight.log_odds(each) for each in (0.49, 0.5, 1.0)] == [-1.0, 2.0, 2.0]

    @pytest.mark.parametrize("bad", [(-1, 0), (0, -1), (math.inf, 0), ("1", 0), (1, 1, 2)])
    def test_a_higher_score_never_says_less(self, bad):
        """Negative log-odds would turn a verifier round."""
        with pytest.raises(UsageError):
            Weight(*bad)


class TestWithoutLabels:
    """Dawid and Skene."""

    def test_the_rates_come_out(self):
        """Each verifier's log-odds, and the share of right samples, without a label."""
        columns, right = verdicts(samples=20_000)
        found = fitted(columns, None, names=NAMES)
        assert found.prior == pytest.approx(sum(right) / len(right), abs=0.03)
        for place, rates in enumerate(RATES.values()):
            weight = found.weights[place]
            assert (weight.up, weight.down) == pytest.approx(odds(*rates), abs=0.35)
        assert found.notes[0] == "weights by Dawid-Skene on 20000 samples without labels"

    def test_the_weighted_sum_beats_a_majority(self):
        """One good verifier among four weak ones."""
        rates = {"good": (0.9, 0.1), **{f"weak {at}": (0.6, 0.4) for at in range(4)}}
        columns, right = verdicts(rates)
        found = fitted(columns, None, names=list(rates))

        def accuracy(says):
            return sum(says(at) == each for at, each in enumerate(right)) / len(right)

        def weighed(at):
            prior = math.log(found.prior / (1 - found.prior))
            return prior + sum(w.log_odds(columns[p][at]) for p, w in found.weights.items()) > 0

        majority = accuracy(lambda at: sum(column[at] for column in columns) > 2.5)
        assert accuracy(weighed) > majority + 0.08
        assert accuracy(weighed) > 0.88

    @pytest.mark.parametrize(
        ("column", "why"),
        [
            ([1.0] * 1000, "extra was dropped: it says the same of almost every sample"),
            ([None] * 1000, "extra was dropped: it judged nothing"),
        ],
    )
    def test_what_says_nothing_is_dropped_and_said(self, column, why):
        """Near-constant, or silent."""
        columns, _ = verdicts(samples=1000)
        found = fitted([*columns, column], None, names=[*NAMES, "extra"])
        assert set(found.weights) == {0, 1, 2}
        assert why in found.notes

    @pytest.mark.parametrize("rates", [(0.5, 0.5), (0.2, 0.8)])
    def test_chance_and_worse_are_dropped(self, rates):
        """By what the others say of it."""
        columns, _ = verdicts({**RATES, "bad": rates})
        found = fitted(columns, None, names=[*NAMES, "bad"])
        assert set(found.weights) == {0, 1, 2}
        assert "bad was dropped: the others say it is no better than chance" in found.notes

    def test_two_verifiers_cannot_be_weighed(self):
        """Nothing says which one is right where they differ."""
        columns, _ = verdicts(samples=200)
        with pytest.raises(UsageError, match="without 50 labels it takes 3 verifiers"):
            fitted(columns[:2], None, names=NAMES[:2])

    def test_missing_verdicts_are_no_failures(self):
        """A verifier that broke on half of the samples keeps its rates."""
        columns, _ = verdicts(samples=4000)
        rng = random.Random(1)
        columns[0] = [None if rng.random() < 0.5 else each for each in columns[0]]
        found = fitted(columns, None, names=NAMES)
        assert found.weights[0].up == pytest.approx(odds(0.9, 0.15)[0], abs=0.4)

    def test_scores_are_split_where_they_differ(self):
        """All are above one half: at the median."""
        columns, _ = verdicts()
        columns[0] = [0.8 + each / 10 for each in columns[0]]
        found = fitted(columns, None, names=NAMES)
        assert found.weights[0].threshold == pytest.approx(0.9)
        assert found.weights[0].up == pytest.approx(odds(0.9, 0.15)[0], abs=0.5)


class TestWithLabels:
    """Logistic stacking."""

    def test_the_log_odds_come_out(self):
        """Of independent verifiers they are those of each."""
        found = fitted(*verdicts(samples=6000), names=NAMES)
        assert found.notes == ("weights by logistic stacking on 6000 labels",)
        for place, rates in enumerate(RATES.values()):
            weight = found.weights[place]
            assert weight.up + weight.down == pytest.approx(sum(odds(*rates)), abs=0.3)

    def test_a_copy_is_not_counted_twice(self):
        """Two equal judges share what one would weigh."""
        columns, right = verdicts(samples=1000)
        alone = fitted(columns, right, names=NAMES)
        twice = fitted([columns[0], *columns], right, names=["copy", *NAMES])
        both = [twice.weights[place] for place in (0, 1)]
        assert sum(each.up + each.down for each in both) == pytest.approx(
            alone.weights[0].up + alone.weights[0].down, rel=0.05
        )

    def test_what_misleads_is_dropped_and_said(self):
        """Its weight would be negative."""
        columns, right = verdicts({**RATES, "bad": (0.2, 0.8)}, samples=1000)
        found = fitted(columns, right, names=[*NAMES, "bad"])
        assert 3 not in found.weights
        assert "bad was dropped: it adds nothing to the others" in found.notes

    def test_what_is_missing_counts_as_the_mean(self):
        """And adds nothing."""
        columns, right = verdicts(samples=1000)
        columns[1] = [None if at % 2 else each for at, each in enumerate(columns[1])]
        found = fitted(columns, right, names=NAMES)
        known = [each for each in columns[1] if each is not None]
        assert found.weights[1].log_odds(sum(known) / len(known)) == pytest.approx(0)

    @pytest.mark.parametrize("labels", [49, 1000])
    def test_few_labels_are_not_used_and_that_is_said(self, labels):
        """Fewer than 50, or than ten of a kind."""
        columns, right = verdicts(samples=labels, prior=0.5 if labels == 49 else 0.005)
        found = fitted(columns, right, names=NAMES)
        assert found.notes[0].startswith("weights by Dawid-Skene")
        assert any("were not used: it takes 50, 10 of each kind" in each for each in found.notes)

    def test_verifiers_that_all_mislead_are_refused(self):
        """There is nothing to weigh."""
        columns, right = verdicts({"bad": (0.2, 0.8), "worse": (0.1, 0.9)}, samples=200)
        with pytest.raises(UsageError, match="none of the verifiers scores right samples higher"):
            fitted(columns, right, names=["bad", "worse"])
        with pytest.raises(UsageError, match="judged nothing"):
            fitted([[None] * 60], [True, False] * 30, names=["mute"])


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.booleans())
def test_weights_are_finite_and_never_turn_a_verifier_round(seed, labelled):
    """Whatever the verdicts are; or they are refused."""
    rng = random.Random(seed)
    columns = [
        [rng.choice([None, 0.0, 0.3, 0.7, 1.0]) for _ in range(60)]
        for _ in range(rng.randint(1, 5))
    ]
    right = [rng.random() < 0.5 for _ in range(60)] if labelled else None
    try:
        found = fitted(columns, right, names=[str(at) for at in range(len(columns))])
    except UsageError:
        return
    assert 0 < found.prior < 1
    for weight in found.weights.values():
        assert 0 <= weight.up < 20
        assert 0 <= weight.down < 20
        assert weight.log_odds(0.0) <= weight.log_odds(1.0)
    assert 0 < logistic(sum(each.log_odds(1.0) for each in found.weights.values())) < 1
