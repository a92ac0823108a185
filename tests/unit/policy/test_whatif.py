"""What another rule would have done, over the requests of a store."""

from __future__ import annotations

import random
from itertools import product

import pytest

from thinktwice import UsageError
from thinktwice.policy.whatif import whatif
from thinktwice.stop import After, AtMost, GoodEnough, Lead, Quorum
from thinktwice.store.ballots import Ballot, Ballots, Draw


def ballot(text: str, *, explored: bool = False, **more: object) -> Ballot:
    """Of answers as letters, "-" abstains; each costs a cent and takes a second."""
    seen: dict[str, int] = {}
    answers = (-1 if c == "-" else seen.setdefault(c, len(seen)) for c in text)
    draws = tuple(Draw(answer, seconds=1.0, cost=0.01) for answer in answers)
    return Ballot(draws, explored=explored, seconds=1.5, **more)


def ballots(*texts: str | Ballot, censored: int = 0) -> Ballots:
    full = [each if isinstance(each, Ballot) else ballot(each) for each in texts]
    return Ballots(full, 0, {8: censored} if censored else {}, 0, {})


class TestOneVote:
    """Drawn until the rule fires."""

    def test_its_figures(self):
        """Samples, cost, what that saves, the time, and whether the answer is another one."""
        found = whatif(ballots("aabbbb"), Lead(2))
        assert (found.used.value, found.launched.value) == (2, 2)
        assert (found.cost.value, found.recorded_cost.value) == (0.02, pytest.approx(0.06))
        assert found.saved.value == pytest.approx(2 / 3)
        assert (found.seconds.value, found.recorded_seconds.value) == (1, 1.5)
        assert found.changed.value == 1
        assert whatif(ballots("aabbbb"), Lead(3)).changed.value == 0

    def test_a_smaller_cap(self):
        """Another n alone is compared with all that was recorded."""
        found = whatif(ballots("aabbbbbb"), AtMost(4), n=4)
        assert found.used.value == 4
        assert found.changed.value == 1  # aabb: a was launched first

    def test_certain_is_part_of_a_rule(self):
        """As in a vote: it also ends when nothing can change. Not so in best-of-N."""
        assert whatif(ballots("aaaaaaaa"), Quorum(7)).used.value == 4
        assert whatif(ballots("aaaaaaaa"), AtMost(8)).used.value == 8
        judged = ballot("aaaaaaaa", selection="score")
        assert whatif(ballots(judged), Quorum(7)).used.value == 7

    def test_abstentions_are_draws(self):
        """They cost, and vote for none."""
        assert whatif(ballots("--a-aab"), Lead(2)).used.value == 5
        assert whatif(ballots("----"), Lead(2)).changed.value == 0

    @pytest.mark.parametrize(
        ("prefer", "launched", "seconds"), [("cost", 6, 3), ("balanced", 6, 2), ("latency", 8, 1)]
    )
    def test_how_it_is_launched(self, prefer, launched, seconds):
        """What is in flight at the end is paid for, and time is saved."""
        found = whatif(ballots("aabbaaaa"), Lead(3), prefer=prefer)
        assert found.launched.value == launched
        assert found.cost.value == pytest.approx(launched / 100)
        assert found.seconds.value == seconds

    def test_a_cap_on_what_is_in_flight(self):
        """Takes longer."""
        found = whatif(ballots("abababab"), AtMost(8), max_concurrency=2)
        assert found.seconds.value == 4

    def test_time(self):
        """A rule about time ends it on the clock of the replay."""
        found = whatif(ballots("abababab"), After(seconds=2.5), prefer="cost", max_concurrency=1)
        assert (found.used.value, found.launched.value, found.seconds.value) == (2, 3, 2.5)

    def test_without_costs(self):
        """What is saved is samples."""
        free = Ballot(tuple(Draw(0) for _ in range(8)))
        found = whatif(ballots(free), Lead(2))
        assert (found.cost.value, found.saved.value) == (0, 0.75)


class TestPrices:
    """What is unknown is not 0."""

    def test_none(self):
        """There is no cost, and what is saved is samples."""
        unpriced = Ballot(tuple(Draw(0, cost=None) for _ in range(8)))
        found = whatif(ballots(unpriced), Lead(2))
        assert (found.cost, found.recorded_cost, found.unpriced) == (None, None, 1)
        assert found.saved.value == 0.75

    def test_some(self):
        """Requests with a part that is unknown are left out of the cost, and of no other figure."""
        partly = Ballot((Draw(0, cost=5.0), *(Draw(0, cost=None) for _ in range(7))))
        found = whatif(ballots(partly, "aaaaaaaa", "aaaaaa"), Lead(3))
        assert (found.replayed, found.unpriced) == (3, 1)
        assert found.cost.value == pytest.approx(0.03)
        assert found.recorded_cost.value == pytest.approx(0.07)
        assert found.saved.value == pytest.approx(1 - 3 / 7)
        assert found.recorded_samples.value == pytest.approx((8 + 8 + 6) / 3)

    def test_those_that_explored_stand_for_their_like(self):
        """Half of them are priced, and so are half of those that they stand for."""
        priced = [ballot("abababaa", explored=True) for _ in range(10)]
        unpriced = Ballot(tuple(Draw(0, cost=None) for _ in range(8)), explored=True)
        known = ballots(*["aaaaaaaa"] * 20, *priced, *[unpriced] * 10, censored=20)
        found = whatif(known, Lead(2))
        assert found.cost.value == pytest.approx((20 * 0.02 + 20 * 0.07) / 40)


class TestWeights:
    """Votes that weigh differently, and answers that are selected by scores."""

    def test_a_weighted_vote(self):
        """k is a weight; the heaviest answer wins."""
        weighted = Ballot(
            tuple(Draw(a, weight=w) for a, w in ((0, 0.2), (0, 0.2), (1, 1.0), (1, 1.0), (1, 0.5)))
        )
        found = whatif(ballots(weighted), Lead(1))
        assert (found.used.value, found.changed.value) == (4, 0)

    def test_scores(self):
        """A rule about them ends it; the best one alone may win another way than the sum."""
        draws = ((0, 0.5), (1, 0.9), (0, 0.5), (2, 0.1))
        judged = Ballot(tuple(Draw(a, score=s) for a, s in draws), "score")
        found = whatif(ballots(judged), GoodEnough(0.8))
        assert (found.used.value, found.changed.value) == (2, 1)

    def test_ties(self):
        """To the shorter text, then to what was launched first."""
        tie = Ballot((Draw(0, length=9), Draw(1, length=3), Draw(1, length=3)))
        assert whatif(ballots(tie), AtMost(2), n=2).changed.value == 0
        tie = Ballot((Draw(0), Draw(1), Draw(1)))
        assert whatif(ballots(tie), AtMost(2), n=2).changed.value == 1


class TestWhatIsLeftOut:
    """Counted by reason."""

    def test_by_reason(self):
        """What is too short for n or for the rule, and what the store knew of already."""
        full = [ballot("aaaaaaaa"), ballot("aaaa")]
        found = whatif(Ballots(full, 2, {8: 5}, 3, {"ToolCheck": 4}), Lead(2), n=6)
        assert found.replayed == 1
        known = {"censored": 5, "never_explore": 3, "cut": 2, "other": 4}
        assert found.left_out == known | {"too_short": 1}
        assert found.others == ["ToolCheck"]
        found = whatif(ballots("aaaaaaaa", "aaaa"), Lead(5))
        assert (found.replayed, found.left_out) == (1, {"too_short": 1})

    def test_rules_that_need_scores(self):
        """Votes have none."""
        judged = Ballot(tuple(Draw(0, score=0.9) for _ in range(4)), "score")
        found = whatif(ballots("aaaa", judged), GoodEnough(0.8))
        assert (found.replayed, found.left_out) == (1, {"unscored": 1})

    def test_nothing(self):
        """There are no figures."""
        found = whatif(Ballots([], 0, {8: 7}, 0, {}), Lead(2))
        assert (found.replayed, found.left_out, found.changed) == (0, {"censored": 7}, None)

    @pytest.mark.parametrize(
        ("stop", "words"),
        [
            (GoodEnough(0.9), "it needs verdict scores"),
            (Lead(20), "it takes 20 draws to fire, and n=8"),
        ],
    )
    def test_rules_for_none_of_them(self, stop, words):
        """It is said why."""
        with pytest.raises(UsageError, match=words):
            whatif(ballots("aaaabbbb"), stop)

    @pytest.mark.parametrize(
        ("parameter", "more"),
        [
            *(("n", {"n": n}) for n in (0, -1, True)),
            *(("prefer", {"prefer": each}) for each in ("fast", "shortest", 1.5)),
            ("max_concurrency", {"max_concurrency": 0}),
        ],
    )
    def test_parameters_that_make_no_sense(self, parameter, more):
        """They are named, and what is offered instead works."""
        with pytest.raises(UsageError, match=f"{parameter}=") as refused:
            whatif(ballots("aaaa"), Lead(1), **more)
        assert "shortest" not in refused.value.remedy


class TestIntervals:
    """Requests are the units of chance."""

    def test_what_explored_stands_for_more(self):
        """For all votes that could have; what is always drawn in full stands for itself."""
        full = [*["aaaaaaaa"] * 60, *(ballot("abababaa", explored=True) for _ in range(20))]
        alone = whatif(ballots(*full), Lead(2))
        assert alone.used.value == (60 * 2 + 20 * 7) / 80
        found = whatif(ballots(*full, censored=120), Lead(2))
        assert found.used.value == pytest.approx((60 * 2 + 140 * 7) / 200)
        assert found.explored == 20

    def test_smaller_votes_could_not_have(self):
        """With n, those that would draw fewer samples are left out on both sides."""
        full = [*["aaaaaaaa"] * 20, *(ballot("abababaa", explored=True) for _ in range(20))]
        known = Ballots([*map(_made, full)], 0, {8: 20, 4: 1000}, 0, {})
        assert whatif(known, Lead(2), n=8).used.value == pytest.approx((20 * 2 + 40 * 7) / 60)

    def test_too_few_for_the_rule(self):
        """Left out on both sides, without n too."""
        full = [*["aaaaaaaa"] * 20, *(ballot("abababaa", explored=True) for _ in range(20))]
        short = [ballot("ab", explored=True) for _ in range(30)]
        known = Ballots([*map(_made, full), *short], 0, {8: 20, 2: 1000}, 0, {})
        assert whatif(known, Lead(3)).used.value == whatif(known, Lead(3), n=8).used.value
        assert whatif(known, Lead(3)).left_out["too_short"] == 30

    def test_votes_of_unknown_size(self):
        """Of these so many count as of those that explored."""
        full = [*["aaaaaaaa"] * 20, *(ballot("abababaa", explored=True) for _ in range(20))]
        short = [ballot("ab", explored=True) for _ in range(20)]
        known = Ballots([*map(_made, full), *short], 0, {0: 40}, 0, {})
        assert whatif(known, Lead(2), n=8).used.value == pytest.approx((20 * 2 + 40 * 7) / 60)

    def test_nothing_stands_for_what_never_explores(self):
        """It changes no figure."""
        full = [*["aaaaaaaa"] * 60, *(ballot("abababaa", explored=True) for _ in range(20))]
        found = whatif(Ballots([*map(_made, full)], 0, {}, 500, {}), Lead(2))
        assert found.used == whatif(ballots(*full), Lead(2)).used
        assert found.left_out == {"never_explore": 500}

    def test_none_beyond_what_there_can_be(self):
        """Not below zero, nor more samples than n, nor more than all is saved."""
        slow = Ballot(tuple(Draw(0, 500.0, 1.0) for _ in range(8)), seconds=4000.0)
        quick = Ballot(tuple(Draw(0) for _ in range(8)))
        found = whatif(ballots(slow, *[quick] * 24), Lead(2))
        assert (found.seconds.low, found.recorded_seconds.low) == (0, 0)
        assert (found.cost.low, found.recorded_cost.low) == (0, 0)
        found = whatif(ballots(*["abcdefgh"] * 24, "aaa"), Lead(3))
        assert (found.used.high, found.launched.high, found.recorded_samples.high) == (8, 8, 8)
        late = Ballot(tuple(Draw(0, cost=100.0 * (at > 1)) for at in range(8)))
        hard = Ballot(tuple(Draw(at, cost=1.0) for at in range(8)))
        found = whatif(ballots(late, hard, *[quick] * 23), Lead(2))
        assert 0.9 < found.saved.value < found.saved.high == 1

    def test_few_have_no_interval_of_means(self):
        """The share has one all the same."""
        found = whatif(ballots(*["aaaaaaaa"] * 19), Lead(2))
        assert found.cost.low is None
        assert found.changed.low == 0 < found.changed.high < 0.2

    def test_they_cover(self):
        """95 % of the intervals hold what is so in the long run, of two kinds of requests, too."""
        rng = random.Random(3)
        shares = {True: 0.9, False: 0.6}  # of "a", where all is drawn anyway and where it is not

        def traffic() -> Ballots:
            full, censored = [], 0
            for _ in range(120):
                whole = rng.random() < 0.3
                if whole or rng.random() < 0.6:
                    text = "".join("ab"[rng.random() > shares[whole]] for _ in range(5))
                    full.append(ballot(text, explored=not whole))
                else:
                    censored += 1
            return ballots(*full, censored=censored)

        found = [whatif(traffic(), Lead(2)) for _ in range(60)]
        for name, true in (("changed", _mean("changed", shares)), ("used", _mean("used", shares))):
            ends = [getattr(each, name) for each in found]
            assert sum(low <= true <= high for _, low, high in ends) >= 54
            assert sum(value for value, _, _ in ends) / 60 == pytest.approx(true, rel=0.15)


def _mean(name: str, shares: dict[bool, float]) -> float:
    """Over all votes that there can be."""
    total = 0.0
    for text in map("".join, product("ab", repeat=5)):
        value = getattr(whatif(ballots(text), Lead(2)), name).value
        for whole, share in shares.items():
            chance = share ** text.count("a") * (1 - share) ** text.count("b")
            total += (0.3 if whole else 0.7) * chance * value
    return total


def _made(each: str | Ballot) -> Ballot:
    return each if isinstance(each, Ballot) else ballot(each)
