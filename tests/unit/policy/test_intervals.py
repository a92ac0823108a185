"""Intervals of shares and means, with questions as the units of chance."""

from __future__ import annotations

import random
from math import comb, isclose
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.diversity import Estimate
from thinktwice.policy.intervals import (
    Bootstrap,
    Rate,
    beta_cdf,
    clopper_pearson,
    mean_of,
    percentiles,
    stratified,
)


def at_least(count: int, of: int, share: float) -> float:
    """The binomial tail, added up."""
    return sum(comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))


class TestClopperPearson:
    """Exact by definition."""

    @pytest.mark.parametrize(
        ("count", "of", "low", "high"),
        [(0, 10, 0.0, 0.30850), (5, 10, 0.18709, 0.81291), (1, 100, 0.00025, 0.05446)],
    )
    def test_published_values(self, count, of, low, high):
        """As tables give them."""
        assert clopper_pearson(count, of) == (
            pytest.approx(low, abs=1e-5),
            pytest.approx(high, abs=1e-5),
        )

    @given(st.integers(1, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
    def test_the_ends_leave_the_tails(self, counts):
        """At either end what was seen, or more extreme, has a chance of 2.5 %."""
        count, of = counts
        low, high = clopper_pearson(count, of)
        if count:
            assert at_least(count, of, low) == pytest.approx(0.025, rel=1e-6)
        if count < of:
            assert 1 - at_least(count + 1, of, high) == pytest.approx(0.025, rel=1e-6)
        assert low <= count / of <= high

    @given(st.integers(1, 40).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
    def test_it_mirrors(self, counts):
        """Failures are to passes as passes to failures."""
        count, of = counts
        low, high = clopper_pearson(count, of)
        other = clopper_pearson(of - count, of)
        assert other == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9))

    def test_large_counts_are_precise(self):
        """No continued fraction gives up: against the normal approximation."""
        low, high = clopper_pearson(300_000, 1_000_000)
        assert (low, high) == (pytest.approx(0.2991, abs=1e-4), pytest.approx(0.3009, abs=1e-4))

    def test_of_none_anything_is_possible(self):
        """Nothing was seen."""
        assert clopper_pearson(0, 0) == (0.0, 1.0)

    @given(st.floats(0, 1), st.integers(1, 30), st.integers(1, 30))
    def test_the_beta_function_is_a_binomial_tail(self, x, a, b):
        """Its definition at whole numbers."""
        assert isclose(beta_cdf(x, a, b), at_least(a, a + b - 1, x), abs_tol=1e-9)


class TestRate:
    """Shares of samples that come in questions."""

    def test_samples_that_do_not_resemble_each_other_count_in_full(self):
        """Each question has the same share: nothing is lost."""
        rate = Rate.clustered([3] * 50, [10] * 50)
        assert (rate.count, rate.of, rate.effective) == (150, 500, 500)
        assert (rate.low, rate.high) == clopper_pearson(150, 500)

    def test_samples_that_are_copies_count_once_a_question(self):
        """All or none of the samples of a question: as many as there are questions."""
        rate = Rate.clustered([10] * 15 + [0] * 35, [10] * 50)
        assert rate.effective == pytest.approx(49, abs=1)
        assert rate.high - rate.low > 0.2

    def test_where_none_passes_a_question_counts_once(self):
        """There is no variance to see, so it promises no more than the questions do."""
        rate = Rate.clustered([0] * 30, [100] * 30)
        assert (rate.share, rate.low, rate.high) == (0.0, 0.0, clopper_pearson(0, 30)[1])

    def test_it_covers_the_truth_in_clusters(self):
        """Of 100 sets of resembling samples about 95 % of the intervals hold the true share."""
        rng = random.Random(1)
        hits = 0
        for _ in range(100):
            chances = [rng.betavariate(0.5, 2.0) for _ in range(40)]
            counts = [sum(rng.random() < p for _ in range(20)) for p in chances]
            rate = Rate.clustered(counts, [20] * 40)
            hits += rate.low <= 0.2 <= rate.high
        assert hits >= 91

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
    def test_it_is_never_more_than_it_is(self, pairs):
        """The effective number is no larger than the number, and the share is in its interval."""
        sizes = [a + b for a, b in pairs]
        rate = Rate.clustered([a for a, _ in pairs], sizes)
        assert rate.effective <= max(1, rate.of)
        assert rate.share is None or rate.low - 1e-9 <= rate.share <= rate.high + 1e-9

    def test_of_none(self):
        """No samples of the kind."""
        rate = Rate.clustered([0, 0], [0, 0])
        assert (rate.share, rate.low, rate.high, str(rate)) == (None, 0.0, 1.0, "none to see")

    def test_it_reads_as_percent(self):
        """With the interval."""
        assert str(Rate.clustered([1] * 10, [4] * 10)) == "25.0 % (12.7 to 41.2)"


class TestMeanOf:
    """A mean over questions."""

    def test_the_interval_is_students(self):
        """By the table: 2.093 at 19 degrees of freedom, 2.861 for 99 %."""
        column = [0.0, 1.0] * 10
        error = stdev(column) / 20**0.5
        assert mean_of(column) == pytest.approx(
            (0.5, 0.5 - 2.0930 * error, 0.5 + 2.0930 * error), abs=1e-4
        )
        assert mean_of(column, level=0.99).high == pytest.approx(0.5 + 2.8609 * error, abs=1e-4)

    def test_questions_that_are_alike_leave_no_doubt(self):
        """A difference that is the same in each has no width."""
        assert mean_of([0.25] * 30) == (0.25, 0.25, 0.25)

    def test_too_few_questions_have_no_interval(self):
        """It would say more than they do."""
        assert mean_of([0.0, 1.0]) == (0.5, None, None)


class TestBootstrap:
    """Questions drawn with replacement."""

    def test_a_mean_has_the_interval_of_its_standard_error(self):
        """1.96 of them to either side."""
        rng = random.Random(0)
        column = [rng.gauss(0, 1) for _ in range(400)]
        found = Bootstrap(400, seed=1).ratio(column, [1.0] * 400)
        assert found.low is not None
        assert found.high is not None
        assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.1)

    def test_a_seed_repeats(self):
        """The same report twice."""
        column, ones = [float(each) for each in range(20)], [1.0] * 20
        assert Bootstrap(20, seed=3).ratio(column, ones) == Bootstrap(20, seed=3).ratio(
            column, ones
        )
        assert Bootstrap(20, seed=3).ratio(column, ones) != Bootstrap(20, seed=4).ratio(
            column, ones
        )

    def test_questions_that_do_not_tell_are_left_out(self):
        """They are 0 above and below."""
        tells = [1.0] + [0.0] * 19
        assert Bootstrap(20).ratio([0.7, *tells[1:]], tells) == pytest.approx((0.7, 0.7, 0.7))

    def test_too_few_questions_have_no_interval(self):
        """It would be too short."""
        assert Bootstrap(3).ratio([1.0, 2.0, 3.0], [1.0] * 3) == (2.0, None, None)

    def test_percentiles_leave_a_fortieth_on_either_side(self):
        """95 %."""
        found = percentiles(500.0, [float(each) for each in range(1001)])
        assert found == (500.0, pytest.approx(25.0), pytest.approx(975.0))


class TestStratified:
    """Sums of independent estimates."""

    def test_of_one(self):
        """It is that one."""
        assert stratified([Estimate(0.3, 0.1, 0.9)], [1.0]) == (0.3, 0.1, 0.9)

    def test_distances_add_up_as_squares(self):
        """At either end by itself."""
        value, low, high = stratified([Estimate(2, 1, 2), Estimate(4, 3, 8)], [0.5, 0.5])
        assert value == 3
        assert low == pytest.approx(3 - 0.5 * 2**0.5)
        assert high == 5

    def test_one_without_an_interval(self):
        """Then there is none."""
        assert stratified([Estimate(1), Estimate(2, 1, 3)], [0.5, 0.5]) == (1.5, None, None)
