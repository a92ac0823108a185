"""How many calls are in flight: cases by hand, bounds, and rules that are not about counts."""

from __future__ import annotations

import pytest

from thinktwice.launch import TAU, in_flight
from thinktwice.stop import (
    AdaptiveConsistency,
    After,
    AtMost,
    Certain,
    EarlyStopping,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    Stop,
    Tally,
    with_certain,
)

RULES = [
    Settled(),
    Certain(),
    Quorum(5),
    Lead(3),
    AtMost(9),
    AdaptiveConsistency(),
    EarlyStopping(4),
    GoodEnough(0.9),
    After(seconds=5),
    Settled() | GoodEnough(0.9),
    Lead(2) & EarlyStopping(3),
    After(seconds=5) & Lead(2),
]
TALLIES = [
    Tally(16),
    Tally(16, (2, 1), 3, (0, 1, 0)),
    Tally(16, (2, 2, 1), 6, (0, 1, 2, -1, 0, 1)),
    Tally(16, (), 3, (-1, -1, -1)),
    Tally(16, (8, 7), 15, (0, 1) * 7 + (0,)),
    Tally(1),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("at", TALLIES, ids=lambda at: f"{at.counts}, {at.finished} of {at.n}")
def test_more_are_launched_the_less_sure_they_must_be(rule: Stop, at: Tally):
    """From 1 to the draws that remain, and never fewer at a smaller tau."""
    launched = [in_flight(at, rule, tau=tau) for tau in (1.0, 0.75, 0.5, 0.25, 0.0)]
    assert launched == sorted(launched)
    if rule.fired(at) is None:
        assert 1 <= launched[0] <= launched[-1] == at.remaining
    else:
        assert set(launched) == {0}


def test_the_modes_have_names():
    """What `prefer` takes."""
    assert TAU == {"cost": 1.0, "balanced": 0.5, "latency": 0.0, "shortest": 0.0}


@pytest.mark.parametrize(
    "at", [Tally(4, (3, 1), 4), Tally(16, (4,), 4)], ids=["all counted", "settled"]
)
def test_nothing_is_launched_once_it_is_over(at: Tally):
    """In every mode."""
    assert [in_flight(at, Settled(), tau=tau) for tau in (1.0, 0.5, 0.0)] == [0, 0, 0]


def test_at_tau_one_only_what_is_needed_for_certain():
    """Three equal answers settle 16 draws, so that a fourth call may be one too many."""
    assert in_flight(Tally(16), Settled(), tau=1.0) == 3
    assert in_flight(Tally(16, (1,), 1), Settled(), tau=1.0) == 2


def test_the_urn_by_hand():
    """Lead(2) at 1 : 0 goes on after one draw with P = 1/3, after two alike, after three with 2/15.

    The first draw ends it with 2/3, else it stands at 1 : 1, and the next makes that 2 : 1. From
    there the third ends it with 3/5. The k-th call is needed if k - 1 draws have not ended it.
    """
    at = Tally(16, (1,), 1)
    for tau, calls in ((1.0, 1), (0.34, 1), (0.33, 3), (0.14, 3), (0.13, 5)):
        assert in_flight(at, Lead(2), tau=tau) == calls


def test_a_quorum_by_hand():
    """Quorum(3) at 2 : 0: the k-th call is needed unless one of k - 1 draws goes to the leader.

    The urn gives the runner-up 1/4, then 2/5, then 3/6: 1/10 after two draws; with the third it has
    three votes itself and ends the ballot.
    """
    at = Tally(16, (2,), 2)
    for tau, calls in ((0.26, 1), (0.25, 2), (0.11, 2), (0.1, 3), (0.05, 3), (0.01, 3)):
        assert in_flight(at, Quorum(3), tau=tau) == calls


def test_a_score_may_end_it_at_the_next_draw():
    """At tau 1 a rule about scores is served one by one, whatever the votes say."""
    assert in_flight(Tally(16), GoodEnough(0.9) | Lead(3), tau=1.0) == 1
    assert in_flight(Tally(16), GoodEnough(0.9) & Lead(3), tau=1.0) == 3


@pytest.mark.parametrize(
    ("passed", "scored", "calls"), [(0, 0, 2), (0, 8, 7), (8, 8, 1), (4, 8, 2)]
)
def test_the_rate_of_good_scores_decides_how_many(passed: int, scored: int, calls: int):
    """(passed + 1) / (scored + 2) ends it at each draw: k - 1 draws leave it open half the time."""
    at = Tally(32, (scored,) if scored else (), scored, passed=passed, scored=scored)
    assert in_flight(at, GoodEnough(0.9), tau=0.5) == calls


def test_a_good_score_need_not_come_last():
    """Under `&` a good score stays, and the votes end the ballot later."""
    both = GoodEnough(0.9) & Quorum(3)
    assert in_flight(Tally(8), both, tau=0.5) >= in_flight(Tally(8), Quorum(3), tau=0.5)


def test_time_is_ignored():
    """Calls are not held back for a clock that may end the run."""
    late, early = Tally(16, seconds=4.0), Tally(16)
    assert in_flight(late, After(seconds=5), tau=1.0) == 16
    assert in_flight(late, After(seconds=5) | Lead(3), tau=1.0) == 3
    assert in_flight(early, After(seconds=5) & Lead(3), tau=1.0) == 3
    assert in_flight(Tally(16, seconds=5.0), After(seconds=5) | Lead(3), tau=1.0) == 0


def test_windows_are_not_mixed_at_tau_one():
    """A broken window is finished before the next begins: who shares a window is then fixed."""
    rule = EarlyStopping(4)
    assert in_flight(Tally(16, (1, 1), 2, (0, 1)), rule, tau=1.0) == 2
    assert in_flight(Tally(16, (1, 1), 2, (0, 1)), rule | Lead(9), tau=1.0) == 2
    assert in_flight(Tally(16, (1, 1), 2, (0, 1)), rule & AtMost(9), tau=1.0) == 2


def test_windows_by_hand():
    """EarlyStopping(2) at 1 : 0 ends at the next draw with P = 2/3, else not before two more."""
    at = Tally(16, (1,), 1, (0,))
    assert in_flight(at, EarlyStopping(2), tau=0.4) == 1
    assert in_flight(at, EarlyStopping(2), tau=0.33) == 3


def test_abstentions_so_far_do_not_end_anything():
    """Draws were lost, no vote was cast: as many are needed as the rest of the cap allows."""
    lost = Tally(16, (), 4, (-1,) * 4)
    assert in_flight(lost, with_certain(Lead(3)), tau=1.0) == 3


def test_weights_count_in_units_of_the_largest():
    """Two votes of weight 2 may close a lead of 3 that needs three votes of weight 1."""
    light = Tally(16, (), 0, weighted=True, max_weight=1.0)
    heavy = Tally(16, (), 0, weighted=True, max_weight=2.0)
    assert in_flight(light, Lead(3), tau=1.0) == 3
    assert in_flight(heavy, Lead(3), tau=1.0) == 2
