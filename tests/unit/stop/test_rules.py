"""Each stop rule fires on the tally that its definition says, and on none before."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import pytest

from thinktwice.errors import UsageError
from thinktwice.stop import (
    AdaptiveConsistency,
    After,
    AllOf,
    AnyOf,
    AtMost,
    Certain,
    Certificate,
    EarlyStopping,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    Stop,
    Tally,
    with_certain,
)


def tally(n: int, *counts: float, lost: int = 0, **fields) -> Tally:
    """A tally of whole votes, with so many abstentions."""
    return Tally(n, counts, int(sum(counts)) + lost, **fields)


# --- tallies -------------------------------------------------------------------------------------


def test_an_empty_tally_has_no_leader():
    """Nothing is counted before the first draw."""
    empty = Tally(16)
    assert (empty.leader, empty.runner_up, empty.remaining) == (0.0, 0.0, 16)


def test_remaining_counts_abstentions_as_drawn():
    """A draw that abstains uses up the cap without a vote."""
    assert tally(16, 4, 1, lost=3).remaining == 8


def test_remaining_is_never_negative():
    """A hedged ballot may finish more draws than its cap."""
    assert tally(4, 5).remaining == 0


def test_after_moves_votes_and_draws_together():
    """A hypothetical draw counts as finished too."""
    after = tally(16, 3, 1, 1).after(2, 1)
    assert (after.counts, after.finished) == ((5, 2, 1), 8)


def test_after_ranks_a_runner_up_that_overtakes():
    """Counts stay sorted."""
    assert tally(16, 3, 2).after(0, 2).counts == (4, 3)


def test_after_extends_the_history_with_the_leading_groups():
    """Window rules see the hypothetical draws in the groups that got them."""
    before = Tally(16, (2, 1), 3, history=(1, 0, 1))
    assert before.after(1, 1).history == (1, 0, 1, 1, 0)


def test_after_opens_groups_that_do_not_exist_yet():
    """From an empty ballot the first answer is group 0 and the second group 1."""
    assert Tally(16).after(2, 1).history == (0, 0, 1)


def test_after_adds_full_weight():
    """A further vote may weigh as much as a vote can."""
    assert Tally(8, (1.5, 0.25), 4, weighted=True, max_weight=2.0).after(1).counts == (3.5, 0.25)


def test_what_can_still_come_is_bounded_by_the_largest_weight():
    """Two draws of a weight of 20 at the most can bring 40."""
    heavy = Tally(8, (30.0, 12.0), 6, weighted=True, max_weight=20.0)
    assert (heavy.lead, heavy.reach) == (18.0, 40.0)


def test_rounding_does_not_decide_over_weights():
    """2.3 - 1.3 is a little below 1, and 3 * .1 a little above .3."""
    assert 2.3 - 1.3 < 1
    assert 3 * 0.1 > 0.3
    assert Lead(1).fired(Tally(8, (2.3, 1.3), 5, weighted=True)) is not None
    assert Certain().fired(Tally(6, (0.3,), 3, weighted=True, max_weight=0.1)) is not None


# --- rules on counts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fires", "waits"),
    [
        (Certain(), tally(16, 8, 2), tally(16, 7, 2)),
        (Certain(), tally(16, 8), tally(16, 7)),
        (Quorum(3), tally(16, 3, 2), tally(16, 2, 2)),
        (Lead(3), tally(16, 5, 2), tally(16, 5, 3)),
        (AtMost(4), tally(16, 2, 1, lost=1), tally(16, 3)),
        (AdaptiveConsistency(0.95), tally(16, 4), tally(16, 3)),
        (AdaptiveConsistency(0.95), tally(16, 7, 1), tally(16, 5, 1)),
        (Settled(), tally(16, 3), tally(16, 2)),
        (Settled(), tally(16, 5, 1), tally(16, 4, 1)),
        (Settled(0.01), tally(16, 5), tally(16, 4)),
        (GoodEnough(0.8), tally(8, 1, best_score=0.8), tally(8, 1, best_score=0.79)),
        (GoodEnough(0.8), tally(8, 1, best_score=1.0), tally(8, 1)),
        (After(seconds=2), tally(8, 1, seconds=2.0), tally(8, 1, seconds=1.9)),
    ],
    ids=repr,
)
def test_a_rule_fires_at_its_boundary(rule: Stop, fires: Tally, waits: Tally):
    """It fires on the first tally and not on the one just short of it."""
    assert rule.fired(fires) is rule
    assert rule.fired(waits) is None


@pytest.mark.parametrize(("votes", "confidence"), [((4, 0), 1 - 2**-5), ((3, 1), 26 / 32)])
def test_adaptive_consistency_has_its_closed_form(votes: tuple[int, int], confidence: float):
    """1 - I_{1/2}(a + 1, b + 1): known values of the Beta tail."""
    at = tally(16, *votes)
    assert AdaptiveConsistency(confidence - 1e-9).fired(at) is not None
    assert AdaptiveConsistency(confidence + 1e-9).fired(at) is None


def test_settled_counts_abstentions_as_draws_that_cannot_overturn():
    """With fewer draws left the same lead settles the ballot."""
    assert Settled().fired(tally(16, 4, 1)) is None
    assert Settled().fired(tally(16, 4, 1, lost=6)) is not None


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_settled_is_certain_in_small_ballots(n: int):
    """Up to five draws no threshold above zero keeps a risk of 5 %."""
    for votes in ((a, b) for a in range(n + 1) for b in range(a + 1) if 0 < a + b < n):
        at = tally(n, *votes)
        assert (Settled().fired(at) is None) == (Certain().fired(at) is None)


def test_settled_asks_for_more_at_a_smaller_risk():
    """The tally that settles at .1 need not settle at .01."""
    risks = (0.1, 0.05, 0.02, 0.01, 0.001)
    needed = [
        next(k for k in range(1, 17) if Settled(r).fired(tally(16, k)) or k == 16) for r in risks
    ]
    assert needed == sorted(needed)
    assert needed[0] < needed[-1]


def test_rules_about_the_rest_do_not_fire_when_nothing_is_left():
    """The cap ended that ballot, not a rule."""
    full = tally(4, 3, 1)
    assert Certain().fired(full) is None
    assert Settled().fired(full) is None


def test_no_rule_about_votes_fires_without_votes():
    """A ballot in which all abstained so far is not decided."""
    nothing = tally(16, lost=6)
    for rule in (Certain(), Settled(), Quorum(1), Lead(1), AdaptiveConsistency(0.6)):
        assert rule.fired(nothing) is None


def test_certain_knows_weights():
    """A heavy vote that is still possible keeps the ballot open."""
    light = Tally(8, (4.0, 1.0), 6, weighted=True, max_weight=1.0)
    heavy = Tally(8, (4.0, 1.0), 6, weighted=True, max_weight=2.0)
    assert Certain().fired(light) is not None
    assert Certain().fired(heavy) is None


HALF = Tally(16, (2.5, 1.0), 5, weighted=True)
WEIGHED = Tally(16, (7.5, 0.5), 9, weighted=True)


@pytest.mark.parametrize(
    ("rule", "fires", "waits"),
    [
        (Lead(7), WEIGHED, HALF),
        (Quorum(7), WEIGHED, HALF),
        (AdaptiveConsistency(0.95), WEIGHED, HALF),
        (Settled(), WEIGHED, HALF),
        (Certain(), WEIGHED, HALF),
    ],
    ids=repr,
)
def test_rules_on_counts_take_weights_as_real_numbers(rule: Stop, fires: Tally, waits: Tally):
    """Halves of votes count as halves."""
    assert rule.fired(fires) is rule
    assert rule.fired(waits) is None


def test_settled_does_not_predict_weighted_votes():
    """Equal votes would be settled; under weights only certainty ends the ballot."""
    assert Settled().fired(tally(16, 5)) is not None
    for risk in (0.05, 0.99):
        assert Settled(risk).fired(Tally(16, (5.0,), 5, weighted=True)) is None
        assert Settled(risk).fired(Tally(16, (8.0,), 8, weighted=True)) is not None


def test_settled_under_weights_waits_for_the_weight_that_can_still_come():
    """A lead of 2.5 full votes is safe with two draws left, and not with three."""
    for max_weight in (1.0, 0.2, 20.0):
        counts = (5.0 * max_weight, 2.5 * max_weight)
        shut = Tally(12, counts, 10, weighted=True, max_weight=max_weight)
        open_ = Tally(12, counts, 9, weighted=True, max_weight=max_weight)
        assert Settled().fired(shut) is not None
        assert Settled().fired(open_) is None


def test_adaptive_consistency_under_weights_has_real_valued_counts():
    """Beta(1 + 3.5, 1 + .5): .91229 by numerical integration, between those of whole votes."""
    at = Tally(16, (3.5, 0.5), 4, weighted=True)
    assert AdaptiveConsistency(0.9122).fired(at) is not None
    assert AdaptiveConsistency(0.9123).fired(at) is None


# --- windows -------------------------------------------------------------------------------------


def windows(*history: int, n: int = 16) -> Tally:
    """A tally with the counts of this history."""
    groups = sorted((history.count(g) for g in set(history) - {-1}), reverse=True)
    return Tally(n, tuple(groups), len(history), history)


@pytest.mark.parametrize(
    ("history", "fires"),
    [
        ((0, 0, 0), True),
        ((0, 0), False),
        ((1, 0, 0, 0), False),
        ((1, 0, 0, 0, 0, 0), True),
        ((1, 1, 1, 0), True),
        ((0, 0, -1), False),
        ((-1, -1, -1), False),
    ],
)
def test_early_stopping_wants_one_whole_window_to_agree(history: tuple[int, ...], fires: bool):
    """Windows start at multiples of their size, do not slide, and an abstention breaks one."""
    assert (EarlyStopping(3).fired(windows(*history)) is not None) == fires


@pytest.mark.parametrize(
    ("history", "soonest"),
    [((), 3), ((0,), 2), ((0, 0), 1), ((0, 1), 4), ((0, 1, 0), 3), ((-1,), 5), ((0, 0, 0), 0)],
)
def test_early_stopping_knows_its_soonest_end(history: tuple[int, ...], soonest: int):
    """A window that is broken already cannot end the ballot; the next one can."""
    assert EarlyStopping(3).soonest(windows(*history)) == soonest


def test_early_stopping_does_not_end_beyond_the_cap():
    """Draws that are not there cannot make it fire."""
    assert EarlyStopping(3).soonest(windows(0, 1, n=5)) == 3


# --- soonest -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "at", "soonest"),
    [
        (Lead(3), tally(16, 2, 1), 2),
        (Quorum(5), tally(16, 2, 2), 3),
        (AtMost(6), tally(16, 2, 2), 2),
        (Certain(), tally(16), 8),
        (Certain(), tally(15), 8),
        (Settled(), tally(16), 3),
        (GoodEnough(0.9), tally(16, 3), 1),
        (After(seconds=1), tally(16, 3), 1),
        (Lead(9), tally(16, 4, 4, lost=2), 6),
        (Lead(3) | Quorum(3), tally(16, 2, 2), 1),
        (Lead(3) & Quorum(3), tally(16, 2, 2), 3),
        (Lead(2), tally(16, 2), 0),
    ],
    ids=repr,
)
def test_soonest_is_the_fewest_draws_to_the_end(rule: Stop, at: Tally, soonest: int):
    """The fewest further draws that could make it fire, and the cap where none can."""
    assert rule.soonest(at) == soonest


# --- construction and validation -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        (Settled, {"risk": 0}),
        (Settled, {"risk": 1.0}),
        (Settled, {"risk": math.nan}),
        (Certificate, {"risk": 0.0}),
        (Certificate, {"risk": 1}),
        (Quorum, {"k": 0}),
        (Quorum, {"k": 1.5}),
        (Lead, {"k": -1}),
        (AtMost, {"n": 0}),
        (EarlyStopping, {"window": 0}),
        (AdaptiveConsistency, {"confidence": 0.5}),
        (AdaptiveConsistency, {"confidence": 1.0}),
        (GoodEnough, {"score": 1.1}),
        (GoodEnough, {"score": math.nan}),
        (After, {"seconds": 0}),
        (After, {"seconds": math.inf}),
        (AnyOf, {"parts": ()}),
    ],
    ids=str,
)
def test_a_rule_refuses_a_setting_without_meaning(rule, settings: dict[str, float]):
    """The error names the parameter, when the rule is made and not when it is used."""
    with pytest.raises(UsageError) as caught:
        rule(**settings)
    assert [caught.value.parameter] == list(settings)


@pytest.mark.parametrize(
    "rule",
    [
        Quorum(9),
        Lead(9),
        AtMost(9),
        EarlyStopping(9),
        AdaptiveConsistency(0.999),
        GoodEnough(0.5),
        Certificate(0.02),
        Settled() | Lead(9),
        Settled() & Quorum(9),
    ],
    ids=repr,
)
def test_validate_refuses_what_can_never_fire(rule: Stop):
    """Under a cap of 8 draws and without a verifier none of these can fire."""
    with pytest.raises(UsageError, match="stop="):
        rule.validate(8, scored=False)


@pytest.mark.parametrize(
    "rule",
    [
        Quorum(8),
        Lead(8),
        AtMost(8),
        EarlyStopping(8),
        AdaptiveConsistency(0.998),
        GoodEnough(0.5),
        Settled(1e-6),
        Certificate(0.05),
        Certain(),
        After(seconds=600),
    ],
    ids=repr,
)
def test_validate_passes_what_can_fire(rule: Stop):
    """Each of these fires on some ballot of 8 draws with a verifier."""
    rule.validate(8, scored=True)
    best = Tally(8, (8,), 8, (0,) * 8, seconds=1e6, best_score=1.0)
    latest = Tally(8, (7,), 7, (0,) * 7)
    assert rule.fired(best) or rule.fired(latest)


# --- combinations --------------------------------------------------------------------------------


def test_any_of_names_the_first_part_that_fired():
    """`stopped_by` is one rule and not the whole combination."""
    rule = Lead(3) | Quorum(3) | AtMost(9)
    assert rule.fired(tally(16, 3)) == Lead(3)
    assert rule.fired(tally(16, 3, 2)) == Quorum(3)
    assert rule.fired(tally(16, 2, 2)) is None


def test_all_of_names_the_combination():
    """No part alone ended the ballot."""
    rule = Lead(3) & AtMost(6)
    assert rule.fired(tally(16, 5, 1)) is rule
    assert rule.fired(tally(16, 5)) is None


def test_a_nested_combination_is_named_as_one():
    """Within alternatives, a conjunction that fires is the rule that fired."""
    both = Lead(3) & AtMost(6)
    assert (Quorum(9) | both).fired(tally(16, 5, 1)) == both


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (Settled(), "Settled(risk=0.05)"),
        (After(seconds=20), "After(seconds=20)"),
        (Lead(3) | Quorum(5), "Lead(k=3) | Quorum(k=5)"),
        (Lead(3) & Quorum(5) | Certain(), "Lead(k=3) & Quorum(k=5) | Certain()"),
        ((Lead(3) | Quorum(5)) & AtMost(4), "(Lead(k=3) | Quorum(k=5)) & AtMost(n=4)"),
    ],
    ids=repr,
)
def test_repr_is_the_constructor(rule: Stop, shown: str):
    """What is shown can be pasted back."""
    assert repr(rule) == shown
    assert eval(shown, dict(globals())) == rule  # noqa: S307 - our own repr


def test_combinations_survive_pickling():
    """Rules travel to other processes with the strategies that hold them."""
    rule = Lead(3) & AtMost(4) | Settled()
    assert pickle.loads(pickle.dumps(rule)) == rule  # noqa: S301 - our own bytes


def test_every_rule_but_at_most_ends_certain_ballots():
    """Drawing all n is what AtMost is for."""
    decided = tally(16, 9)
    assert with_certain(Lead(12)).fired(decided) == Certain()
    assert with_certain(AtMost(16)).fired(decided) is None
    assert with_certain(AtMost(16) | Lead(12)).fired(decided) == Certain()
    assert with_certain(AtMost(16) & Lead(12)).fired(decided) is None


def test_what_is_promised_is_named_by_its_rule():
    """`Settled` and `Certificate` promise something, at their risk; of `&` the surest part does."""
    assert Settled(0.02).promise(16).risk == 0.02
    assert "after 16 draws" in Settled(0.02).promise(16).text
    assert Lead(3).promise(16) is None
    assert (Lead(3) & AtMost(5)).promise(16) is None
    assert (Settled(0.02) & AtMost(5)).promise(16) == Settled(0.02).promise(16)
    assert (Settled(0.02) & Certificate(0.01)).promise(16) == Certificate(0.01).promise(16)


def test_time_can_be_taken_out_of_a_rule():
    """How many calls are launched does not depend on the clock."""
    assert After(seconds=1).timeless() is None
    assert (After(seconds=1) & After(seconds=2)).timeless() is None
    assert (After(seconds=1) | Lead(3)).timeless() == Lead(3)
    assert ((After(seconds=1) | Lead(3)) & Quorum(4)).timeless() == AllOf((Lead(3), Quorum(4)))


@dataclass(frozen=True)
class Unanimous(Stop):
    """A rule of a user's own."""

    k: int

    def fired(self, tally: Tally) -> Stop | None:
        return self if tally.leader >= self.k and not tally.runner_up else None


def test_a_rule_of_ones_own_needs_one_method():
    """Everything else has a default that fits rules about counts."""
    rule = Unanimous(3) | Quorum(5)
    assert rule.fired(tally(16, 3)) == Unanimous(3)
    assert rule.soonest(tally(16, 1)) == 2
    rule.validate(16, scored=False)
