"""The certificate keeps its risk at any time, by exact enumeration; and it fires when it says."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from thinktwice.launch import in_flight
from thinktwice.stop import Certain, Tally, with_certain
from thinktwice.stop.certificate import Certificate, bets, capital, p_value

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_of(n: int, *history: int, **fields) -> Tally:
    """A tally with its history."""
    counts = sorted((float(history.count(g)) for g in set(history) - {-1}), reverse=True)
    return Tally(n, tuple(counts), len(history), history, **fields)


# --- the bets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (7, 0), (3, 2), (10, 4), (2, 9)])
def test_the_capital_is_the_mean_over_shares_above_one_half(won: int, lost: int):
    """By numerical integration."""
    steps = 20000
    shares = (0.5 + (k + 0.5) / (2 * steps) for k in range(steps))
    mean = sum((2 * x) ** won * (2 - 2 * x) ** lost for x in shares) / steps
    assert capital(won, lost) == pytest.approx(mean, rel=1e-6)


def test_a_bet_at_even_odds_is_fair():
    """What winning adds, losing takes: hence no gain on average while the other is no likelier."""
    for won, lost in itertools.product(range(12), repeat=2):
        assert capital(won + 1, lost) + capital(won, lost + 1) == pytest.approx(
            2 * capital(won, lost)
        )
        assert capital(won, lost + 1) < capital(won, lost) < capital(won + 1, lost)


def by_definition(history: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bets won and lost against each answer: on the one that led before the draw."""
    against = [*sorted({h for h in history if h >= 0}), 99]
    won, lost = dict.fromkeys(against, 0), dict.fromkeys(against, 0)
    votes: dict[int, int] = {}
    leader = None
    for drawn in history:
        if drawn < 0:
            continue
        for answer in against:
            if leader not in {None, answer}:
                won[answer] += drawn == leader
                lost[answer] += drawn == answer
        votes[drawn] = votes.get(drawn, 0) + 1
        if leader is None or votes[drawn] > votes[leader]:
            leader = drawn
    return tuple(won.values()), tuple(lost.values())


def test_the_bets_are_named_before_the_draw():
    """The one-pass bookkeeping agrees with the definition, on random histories."""
    rng = random.Random(5)
    for _ in range(2000):
        history: list[int] = []
        for _ in range(rng.randrange(16)):
            history.append(rng.choice([-1, 0, 0, *range(max(history, default=-1) + 2)]))
        if 0 not in history:
            continue
        ranks = {-1: -1}  # ordinals are in order of first appearance
        for drawn in history:
            ranks.setdefault(drawn, len(ranks) - 1)
        history = [ranks[drawn] for drawn in history]
        found = bets(history)
        assert (found.won, found.lost) == by_definition(history), history


def test_the_first_draw_is_no_evidence():
    """It says what to bet on; nothing could have been bet before."""
    assert p_value([0]) == 1.0
    assert p_value([]) is None
    assert p_value([-1, -1]) is None


def test_abstentions_change_nothing():
    """A draw without an answer leaves every bet open."""
    assert p_value([0, -1, 0, 1, -1, 0]) == p_value([0, 0, 1, 0])


# --- the claim -----------------------------------------------------------------------------------


def wrong_certificates(risk: float, chances: tuple[float, ...], draws: int) -> float:
    """P(some answer but the first is ever certified within so many draws): exact.

    The first is a mode; where others are as probable, it stands for one that is hardly more so,
    which is the worst that the claim allows.
    """

    def from_here(history: tuple[int, ...], order: tuple[int, ...]) -> float:
        found = p_value(history)
        if found is not None and found <= risk:
            return float(order[bets(history).leader] != 0)
        if len(history) == draws:
            return 0.0
        total = 0.0
        for label, chance in enumerate(chances):
            seen = order if label in order else (*order, label)
            total += chance * from_here((*history, seen.index(label)), seen)
        return total

    return from_here((), ())


@pytest.mark.parametrize(
    ("risk", "chances", "draws"),
    [
        (0.05, (0.5, 0.5), 12),
        (0.2, (0.5, 0.5), 12),
        (0.3, (0.55, 0.45), 12),
        (0.3, (1 / 3, 1 / 3, 1 / 3), 8),
        (0.3, (0.45, 0.45, 0.1), 8),
        (0.5, (0.4, 0.3, 0.3), 8),
        (0.6, (0.25, 0.25, 0.25, 0.25), 6),
    ],
)
def test_wrong_certificates_are_rarer_than_the_risk(
    risk: float, chances: tuple[float, ...], draws: int
):
    """By enumeration of all histories; the risk is that of any draw up to the last."""
    wrong = wrong_certificates(risk, chances, draws)
    assert 0 < wrong <= risk


def ends(risk: float, shares: list[float], *, draws: int, runs: int) -> Iterator[tuple[int, int]]:
    """The answer certified first in each run, and after how many draws; -1 if none."""
    rng = random.Random(f"{risk} {shares}")
    for _ in range(runs):
        drawn = rng.choices(range(len(shares)), shares, k=draws)
        seen: dict[int, int] = {}
        history = [seen.setdefault(label, len(seen)) for label in drawn]
        for k in range(1, draws + 1):
            if (p_value(history[:k]) or 1.0) <= risk:
                yield list(seen)[bets(history[:k]).leader], k
                break
        else:
            yield -1, draws


@pytest.mark.parametrize("answers", [2, 3, 10])
def test_wrong_certificates_are_rare_over_long_runs(answers: int):
    """Ties of 2, 3 and 10 answers over 60 draws: the fewer answers, the closer to the risk."""
    runs = 150
    certified = [found for found, _ in ends(0.2, [1.0] * answers, draws=60, runs=runs)]
    wrong = sum(found > 0 for found in certified)
    assert wrong <= 0.2 * runs
    assert (wrong > 0) == (answers < 10)


@pytest.mark.parametrize(("share", "mean"), [(0.9, 11.8), (0.8, 20.1)])
def test_what_a_certificate_costs(share: float, mean: float):
    """Mean draws at a risk of .05 against one other answer; all of them find the mode."""
    found = list(ends(0.05, [share, 1 - share], draws=120, runs=150))
    assert {answer for answer, _ in found} == {0}
    assert sum(draws for _, draws in found) / len(found) == pytest.approx(mean, rel=0.12)


# --- the rule ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("risk", "draws"), [(0.01, 10), (0.05, 8), (0.1, 6), (0.2, 5), (0.5, 3)])
def test_equal_answers_are_certified_after_a_few(risk: float, draws: int):
    """The first names the bet; then (2^k - 1) / k has to reach 1 / risk, k being the draws."""
    rule = Certificate(risk)
    assert rule.least == draws
    assert (
        Fraction(2**draws - 1, draws)
        >= 1 / Fraction(str(risk))
        > Fraction(2 ** (draws - 1) - 1, draws - 1)
    )
    assert rule.fired(run_of(40, *[0] * draws)) is rule
    assert rule.fired(run_of(40, *[0] * (draws - 1))) is None


def test_a_leader_that_is_not_clear_of_every_other_is_not_certified():
    """Far ahead of the third answer is not enough while the second is close."""
    assert Certificate(0.05).fired(run_of(60, *[0, 1] * 10, 2)) is None
    assert Certificate(0.05).fired(run_of(60, 0, *[1] * 3, *[0] * 30)) is not None


def test_no_certificate_under_weights_or_without_a_history():
    """Counts alone do not tell what was bet."""
    assert Certificate(0.5).fired(Tally(40, (20.0,), 20, (0,) * 20, weighted=True)) is None
    assert Certificate(0.5).fired(Tally(40, (20,), 20)) is None


def test_small_ballots_are_certain_before_they_are_certified():
    """8 of 15 that agree end the ballot: the rest cannot change it."""
    assert with_certain(Certificate()).fired(run_of(15, *[0] * 8)) == Certain()


@pytest.mark.parametrize("risk", [0.3, 0.45, 0.6])
def test_soonest_is_exact(risk: float):
    """No continuation of up to three answers certifies sooner, and one does as soon."""
    rng = random.Random(risk)
    rule = Certificate(risk)
    for _ in range(60):
        history: list[int] = []
        for _ in range(rng.randrange(6)):
            history.append(rng.randrange(min(max(history, default=-1) + 2, 3)))
        at = run_of(8, *history)
        assert rule.soonest(at) == _shortest(tuple(history), rule, at.remaining), history


def _shortest(history: tuple[int, ...], rule: Certificate, remaining: int) -> int:
    level = {history}
    for k in range(remaining):
        if any((p_value(each) or 1.0) <= rule.risk for each in level):
            return k
        level = {(*each, label) for each in level for label in range(max(each, default=-1) + 2)}
    return remaining


def test_nothing_is_sooner_than_the_cap():
    """A ballot whose draws are all counted, or cannot suffice, ends where it ends."""
    assert Certificate(0.05).soonest(run_of(4, 0, 0, 1, 1)) == 0
    assert Certificate(0.05).soonest(run_of(4, 0, 0, 1)) == 1


def test_the_order_does_not_matter_while_the_leader_stays_ahead():
    """As many draws may be in flight as cannot make another answer lead, and one more."""
    at = run_of(40, 0, 0, 1, 0, 0, 2)
    rule = Certificate(0.05)
    assert rule.barrier(at) == 4
    for more in itertools.combinations_with_replacement((0, 1, 2), 4):
        assert len({bets(at.history + order) for order in itertools.permutations(more)}) == 1
    assert bets((*at.history, 1, 1, 1, 1, 0)) != bets((*at.history, 1, 1, 1, 0, 1))


def test_launching_may_ask_for_answers_in_any_order():
    """A hypothetical second answer may come before the first has been drawn."""
    assert p_value([1, 1, 0, 1]) == p_value([0, 0, 1, 0])
    at = Tally(16)
    assert Certificate(0.5).fired(at.after(0, 4)) is not None
    assert in_flight(at, with_certain(Certificate(0.5)), tau=0.5) >= Certificate(0.5).soonest(at)


def test_a_long_unanimous_ballot_is_certified_beyond_all_numbers():
    """The capital no longer fits a float: the smallest risk is 0, and nothing breaks."""
    assert p_value([0] * 5000) == 0.0
    assert p_value([*[0] * 1039, 1]) < 1e-300
