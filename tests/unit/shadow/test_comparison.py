"""What is added up of requests that were answered both ways."""

from __future__ import annotations

import random
from decimal import Decimal
from math import comb, sqrt

import pytest

from thinktwice.entry import Total
from thinktwice.sample import Usage
from thinktwice.shadow.comparison import Comparison, Comparisons, Proportion, Spend

Z = 1.959963984540054


def spend(calls=1.0, tokens=10, cost="0.1", seconds=1.0):
    money = None if cost is None else Decimal(cost)
    return Spend(calls=calls, tokens=tokens, cost=money, seconds=seconds)


def added(*comparisons):
    seen = Comparisons()
    for each in comparisons:
        seen.add(each)
    return seen


def judged(*scores):
    seen = added(
        *(
            Comparison(changed=a != b, single=spend(), strategy=spend(), scores=(a, b))
            for a, b in scores
        )
    )
    assert seen.judged is not None
    return seen.judged


class TestProportion:
    """A share of requests and what it may be."""

    def test_its_interval_is_wilsons(self):
        """As published tables have it (Newcombe 1998, table I: 81 of 263 and 15 of 148)."""
        low, high = Proportion(81, 263).interval
        assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
        low, high = Proportion(15, 148).interval
        assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)

    @pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 0.1611), (20, 0.8389, 1.0)])
    def test_none_and_all_leave_something_open(self, count, low, high):
        """On the other side."""
        assert tuple(round(end, 4) for end in Proportion(count, 20).interval) == (low, high)

    def test_of_none_it_may_be_anything(self):
        """And the share is no number."""
        nothing = Proportion(0, 0)
        assert nothing.share is None
        assert nothing.interval == (0.0, 1.0)
        assert str(nothing) == "0 of 0"

    @pytest.mark.parametrize("p", [0.02, 0.05, 0.2, 0.5])
    def test_it_covers_what_it_claims(self, p):
        """Exactly, over all outcomes of 100 requests: 95 % but for the steps of the binomial."""
        chance = [comb(100, k) * p**k * (1 - p) ** (100 - k) for k in range(101)]
        intervals = [Proportion(k, 100).interval for k in range(101)]
        covered = sum(c for c, i in zip(chance, intervals, strict=True) if i.low <= p <= i.high)
        assert 0.93 < covered < 0.99

    def test_it_reads_as_one_line(self):
        """Share, interval, counts."""
        assert str(Proportion(9, 99)) == "9.1% (4.9% to 16.4%), 9 of 99"


class TestSpend:
    """What a request took."""

    def test_it_is_read_off_a_total(self):
        """Calls, tokens, money; the wall clock is told."""
        usage = Usage(input_tokens=7, output_tokens=3, source="provider")
        total = Total(calls=2, usage=usage, cost=Decimal("0.5"), seconds=9)
        assert Spend.of(total, 4.0) == spend(2, 10, "0.5", 4.0)

    def test_a_cost_that_leaves_calls_out_is_none(self):
        """Unknown is not zero."""
        assert Spend.of(Total(calls=2, cost=Decimal(1), unpriced=1), 1.0).cost is None

    def test_the_difference_of_what_is_unknown_is_unknown(self):
        """Field by field."""
        extra = spend(8, 80, None, 3.0) - spend(1, 10, "0.1", 1.0)
        assert extra == spend(7, 70, None, 2.0)


class TestComparisons:
    """Sums over requests."""

    def test_nothing_was_compared_yet(self):
        """And nothing is made up."""
        nothing = added()
        assert (nothing.compared, nothing.spends, nothing.judged) == (0, None, None)

    def test_answers_are_counted_by_whether_they_changed(self):
        """Those that neither way gave are counted apart, and are in no mean."""
        same = Comparison(changed=False, single=spend(), strategy=spend())
        other = Comparison(changed=True, single=spend(), strategy=spend())
        neither = Comparison(changed=None, single=spend(99), strategy=spend(99))
        seen = added(same, other, neither, same)
        assert (seen.compared, seen.changed, seen.unanswered) == (3, 1, 1)
        assert seen.spends is not None
        assert seen.spends[0].calls == 1

    def test_means_are_of_requests(self):
        """Of both sides."""
        pairs = [(spend(1, 10, "0.1", 1.0), spend(5, 50, "0.5", 3.0))]
        pairs += [(spend(1, 30, "0.3", 2.0), spend(3, 90, "0.9", 5.0))]
        seen = added(*(Comparison(changed=False, single=a, strategy=b) for a, b in pairs))
        assert seen.spends == (spend(1, 20, "0.2", 1.5), spend(4, 70, "0.7", 4.0))

    def test_means_take_a_request_in_on_both_sides_or_on_none(self):
        """Else the extra cost would compare different requests."""
        known = Comparison(changed=False, single=spend(cost="0.1"), strategy=spend(cost="0.8"))
        half = Comparison(changed=False, single=spend(cost="9"), strategy=spend(cost=None))
        seen = added(known, half)
        assert seen.spends is not None
        assert [each.cost for each in seen.spends] == [Decimal("0.1"), Decimal("0.8")]
        assert seen.unpriced == 1

    def test_what_nobody_knows_is_none(self):
        """And not zero."""
        seen = added(
            Comparison(changed=False, single=spend(tokens=None), strategy=spend(tokens=None))
        )
        assert seen.spends is not None
        assert seen.spends[0].tokens is None


class TestJudged:
    """What a verifier said of both."""

    def test_wins_losses_and_ties_are_told_by_scores(self):
        """Of any verifier."""
        said = judged((0.2, 0.9), (0.5, 0.4), (1.0, 1.0))
        assert (said.wins, said.losses, said.ties) == (1, 1, 1)
        assert said.single == pytest.approx(1.7 / 3)
        assert said.strategy == pytest.approx(2.3 / 3)
        assert said.difference == pytest.approx(0.2)

    def test_what_was_not_judged_is_in_no_mean(self):
        """It was compared all the same."""
        unjudged = Comparison(changed=True, single=spend(), strategy=spend())
        assert added(unjudged).judged is None
        assert added(unjudged).compared == 1

    def test_of_passes_the_interval_is_that_of_agresti_and_min(self):
        """Half an observation more in each cell of the table of pairs, then Wald."""
        wins, losses, ties = 12, 3, 85
        said = judged(*[(0.0, 1.0)] * wins, *[(1.0, 0.0)] * losses, *[(1.0, 1.0)] * ties)
        b, c, n = wins + 0.5, losses + 0.5, wins + losses + ties + 2
        middle, half = (b - c) / n, Z * sqrt((b + c) - (b - c) ** 2 / n) / n
        assert said.interval == pytest.approx((middle - half, middle + half))

    def test_ties_alone_prove_nothing(self):
        """Ten of them leave room for a difference either way."""
        low, high = judged(*[(1.0, 1.0)] * 10).interval
        assert low < -0.1 < 0.1 < high

    @pytest.mark.parametrize(("win", "lose"), [(0.1, 0.05), (0.3, 0.1), (0.02, 0.02)])
    def test_it_covers_what_it_claims(self, win, lose):
        """In 95 of 100 simulated reports of 60 requests, about."""
        rng, covered = random.Random(7), 0
        for _ in range(200):
            draws = [rng.random() for _ in range(60)]
            pairs = [(0.0, 1.0) if d < win else (1.0, float(d >= win + lose)) for d in draws]
            low, high = judged(*pairs).interval
            covered += low <= win - lose <= high
        assert covered / 200 > 0.92

    def test_it_reads_as_one_line(self):
        """Counts, means, difference."""
        assert str(judged((0.0, 1.0), (1.0, 1.0))) == (
            "1 won, 0 lost, 1 tied; mean score 0.500 -> 1.000, +0.500 (-0.398 to +0.898)"
        )
