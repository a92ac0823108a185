"""Several ballots under one rule."""

from __future__ import annotations

import pytest

from thinktwice import AtMost, Lead
from thinktwice.fields.standing import Standing
from thinktwice.launch import in_flight
from thinktwice.stop import After, Certain, Certificate, EarlyStopping, Settled, Void, with_certain
from thinktwice.stop.tally import Tally

N = 16


def tally(leader, runner_up=0, n=N) -> Tally:
    counts = tuple(votes for votes in (leader, runner_up) if votes)
    history = (0,) * leader + (1,) * runner_up
    return Tally(n, counts, leader + runner_up, history)


def standing(stop, *tallies, fields=1) -> Standing:
    return Standing(stop, dict.fromkeys(tallies, fields))


class TestRule:
    """Each ballot runs at its share of the risk."""

    def test_settled_is_divided(self):
        """By the number of ballots, wherever it stands in the rule."""
        two = standing(Settled(0.05), tally(3), tally(2, 1))
        assert two.rule == with_certain(Settled(0.025))
        rule = (Settled(0.1) & Lead(2)) | Settled(0.05) | EarlyStopping(4)
        five = standing(rule, tally(3), fields=5)
        assert five.rule == with_certain(
            (Settled(0.02) & Lead(2)) | Settled(0.01) | EarlyStopping(4)
        )

    def test_a_certificate_is_divided(self):
        """Its claims add up as well."""
        three = standing(Certificate(0.3), tally(9, n=40), fields=3)
        assert three.rule == with_certain(Certificate(0.1))
        assert three.fired == Certificate(0.3)
        assert three.claim(None).risk == pytest.approx(0.3)

    def test_what_only_holds_fields_has_no_share(self):
        """But has to be settled as well."""
        held = Standing(Settled(0.05), {tally(4): 1, tally(2, 2): 0})
        assert held.rule == with_certain(Settled(0.05))
        assert held.fired is None

    def test_one_more_field_waits_longer(self):
        """Three equal votes of 16 settle one field, and not ten."""
        assert standing(Settled(0.05), tally(3)).fired == Settled(0.05)
        assert standing(Settled(0.05), tally(3), fields=10).fired is None


class TestFired:
    """When all are over at once, and by which rule."""

    def test_all_of_them(self):
        """One that is open keeps the others waiting."""
        assert standing(Lead(2), tally(4), tally(2, 2)).fired is None
        assert standing(Lead(2), tally(4), tally(3, 1)).fired == Lead(2)

    def test_the_least_certain_names_the_rule(self):
        """As it was asked for."""
        assert standing(Settled(0.05), tally(9), tally(8, 1)).fired == Certain()
        assert standing(Settled(0.05), tally(9), tally(7, 2)).fired == Settled(0.05)
        both = standing(Settled(0.05) | Lead(5), tally(9), tally(7, 2))
        assert both.fired == Settled(0.05)
        both = standing(Settled(0.05) | Lead(3), tally(9), tally(4, 1), tally(9))
        assert both.fired == Lead(3)
        held = Standing(Lead(2), {tally(3): 1, tally(9): 0})
        assert held.fired == Lead(2)

    def test_time(self):
        """A rule about time fires for all."""
        timed = standing(Settled() | After(seconds=5), tally(1, 1), tally(2))
        assert timed.at(4.9).fired is None
        assert timed.at(5.0).fired == After(seconds=5)


class TestInFlight:
    """What the least settled ballot needs."""

    @pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
    def test_the_most_of_all(self, tau):
        """Each at the common rule."""
        tallies = [tally(4), tally(3, 1), tally(2, 2)]
        both = standing(Settled(), *tallies)
        assert both.in_flight(tau) == max(in_flight(t, both.rule, tau=tau) for t in tallies)
        assert both.in_flight(tau) >= 1

    def test_nothing_when_all_are_over(self):
        """Nor when all are drawn."""
        assert standing(Settled(), tally(9)).in_flight(1.0) == 0
        assert standing(AtMost(N), tally(10, 6)).in_flight(0.0) == 0


class TestClaim:
    """What may be said of all of them together."""

    def test_risks_add_up(self):
        """To that of the rule at the most."""
        two = standing(Settled(0.05), tally(5), tally(6, 1))
        claim = two.claim(None)
        assert claim.holds
        assert claim.risk == pytest.approx(0.05)
        assert "0.025" in claim.text

    def test_certain_ones_add_nothing(self):
        """Nothing can change there."""
        claim = standing(Settled(0.04), tally(9), tally(8, 1)).claim(None)
        assert (claim.holds, claim.risk, claim.probability) == (True, 0.0, 1.0)
        one = standing(Settled(0.04), tally(9), tally(7, 2)).claim(None)
        assert one.risk == pytest.approx(0.02)

    def test_of_one_it_is_its_own(self):
        """As in a vote."""
        assert "for each of" not in standing(Settled(0.05), tally(3)).claim(None).text

    def test_chances_of_an_overturn_add_up(self):
        """A lower bound of the chance that nothing changes."""
        one = standing(Settled(), tally(3)).claim(None).probability
        four = standing(Settled(), tally(3), fields=4).claim(None).probability
        assert four == pytest.approx(1 - 4 * (1 - one))

    def test_another_rule_or_a_reason(self):
        """Voids it."""
        assert not standing(Lead(3), tally(3), tally(4)).claim(None).holds
        cut = standing(Settled(), tally(5), tally(5, 1)).claim(Void.BUDGET)
        assert "a budget cut" in cut.text


@pytest.mark.parametrize("risk", [0.05, 0.025, 0.01])
@pytest.mark.parametrize("n", [8, 10, 16])
def test_settled_at_any_moment_is_within_the_risk(n, risk):
    """A ballot that waits for others ends at a later moment at which it is settled, chosen by them.

    So the chance is computed that *some* settled leader has strictly fewer votes in the end.
    """

    def leads(a, b):
        ends = a != b and Settled(risk).fired(tally(max(a, b), min(a, b), n)) is not None
        return ends and a + b < n, a > b

    def overturned(p):
        states = {(0, 0, False, False): 1.0}
        for _ in range(n):
            following: dict[tuple[int, int, bool, bool], float] = {}
            for (a, b, first, second), chance in states.items():
                for x, share in ((a + 1, p), (a, 1 - p)):
                    y = a + b + 1 - x
                    ends, ahead = leads(x, y)
                    key = (x, y, first or (ends and ahead), second or (ends and not ahead))
                    following[key] = following.get(key, 0.0) + chance * share
            states = following
        return sum(
            chance for (a, b, x, y), chance in states.items() if (x and b > a) or (y and a > b)
        )

    assert max(overturned(p / 20) for p in range(10, 20)) <= risk
