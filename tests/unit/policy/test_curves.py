"""How often each way to choose is right, by the number of samples."""

from __future__ import annotations

import pytest

from thinktwice import UsageError
from thinktwice.policy.curves import Curves
from thinktwice.policy.selection import RULES, Candidate


def row(*labels):
    """Samples that score higher the later they stand; all but right ones are one answer."""
    return [
        Candidate(answer="right" if right else "wrong", right=right, score=at / len(labels))
        for at, right in enumerate(labels)
    ]


def curves(rows, ns=None):
    return Curves.of(rows, ns, orders=1, seed=0)


def drawn(falling):
    """Curves of two numbers, with these chances of the best score at either."""
    chances = {rule: [[0.5] * len(falling), [0.5] * len(falling)] for rule in RULES}
    chances["best score"] = [[a for a, _ in falling], [b for _, b in falling]]
    return Curves((1, 10), len(falling), chances)


class TestNumbers:
    """How many samples are chosen among."""

    @pytest.mark.parametrize(
        ("size", "ns"), [(1, (1,)), (2, (1, 2)), (7, (1, 2, 5, 7)), (20, (1, 2, 5, 10, 20))]
    )
    def test_they_rise_to_what_there_is(self, size, ns):
        """In steps of 1, 2 and 5."""
        assert curves([row(*([True] * size))] * 3).ns == ns

    def test_a_tenth_of_the_questions_may_have_less(self):
        """They are left out."""
        found = curves([row(True)] * 2 + [row(True, False)] * 18)
        assert (found.ns, found.questions) == ((1, 2), 18)
        found = curves([row(True)] * 3 + [row(True, False)] * 18)
        assert (found.ns, found.questions) == ((1,), 21)

    @pytest.mark.parametrize("ns", [(), (2, 1), (1, 1), (0, 1), (1, 3)])
    def test_others_are_refused(self, ns):
        """They must rise, from 1 to the most that there are."""
        with pytest.raises(UsageError, match="ns"):
            curves([row(True, False)], ns)


class TestFalls:
    """Where more samples harm."""

    def test_a_fall_on_most_questions_is_one(self):
        """From the peak to the end."""
        fall = drawn([(0.6, 0.4), (0.7, 0.4), (0.5, 0.4)] * 10).falls["best score"]
        assert (fall.n, fall.peak, fall.last) == (1, pytest.approx(0.6), pytest.approx(0.4))
        assert fall.difference.value == pytest.approx(-0.2)
        assert fall.difference.high is not None
        assert fall.difference.high < 0

    def test_a_fall_on_some_that_others_make_up_for_is_none(self):
        """Within the noise of the questions."""
        assert not drawn([(0.9, 0.4), (0.4, 0.8)] * 10).falls

    def test_few_questions_show_no_fall(self):
        """There is no interval."""
        assert not drawn([(0.9, 0.1)] * 5).falls

    def test_more_places_for_the_peak_take_more(self):
        """The level is divided by their number."""
        found = drawn([(0.6, 0.4), (0.4, 0.45)] * 14)
        alone = found.difference(("best score", 1), ("best score", 0))
        among_many = found.difference(("best score", 1), ("best score", 0), share=50)
        assert alone.value == among_many.value
        assert alone.high is not None
        assert among_many.high is not None
        assert alone.high < 0 < among_many.high

    def test_a_curve_that_rises_has_its_peak_at_the_end(self):
        """And does not fall."""
        found = curves([row(False, False, True)] * 20)
        assert found.peak("best score") == 2
        assert "best score" not in found.falls
        assert found.estimates["best score"][-1].value == 1.0
