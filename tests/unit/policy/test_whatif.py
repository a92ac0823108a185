"""Replaying recorded votes under another rule."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Completion, UsageError, Vote, solve
from thinktwice.policy.whatif import whatif
from thinktwice.stop import After, AtMost, GoodEnough, Lead, Quorum, Settled
from thinktwice.store.ballots import Ballot, Ballots
from thinktwice.testing import ScriptedSampler, run_virtual

CENT = Decimal("0.01")


def ballot(text: str) -> Ballot:
    """Of answers as letters, "-" abstains; each costs a cent, and arrived as launched."""
    seen: dict[str, int] = {}
    answers = tuple(-1 if c == "-" else seen.setdefault(c, len(seen)) for c in text)
    return Ballot(answers, tuple(range(len(text))), (CENT,) * len(text))


def ballots(*texts: str) -> Ballots:
    return Ballots([ballot(text) for text in texts], cut=2, censored=5)


def test_one_vote():
    """Drawn until the rule fires; another answer than the full vote's counts as changed."""
    found = whatif(ballots("aabbbb"), Lead(2))
    assert (found.samples.value, found.recorded_samples.value) == (2, 6)
    assert (found.cost.value, found.recorded_cost.value) == (0.02, 0.06)
    assert found.changed.value == 1
    assert whatif(ballots("aabbbb"), Lead(3)).changed.value == 0


def test_what_is_left_out_is_said():
    """Votes that are too short, and those that the store knew of already."""
    found = whatif(ballots("aaaaaaaa", "aaaa"), Lead(2), n=6)
    assert (found.replayed, found.too_short, found.cut, found.censored) == (1, 1, 2, 5)
    nothing = whatif(Ballots([], cut=0, censored=7), Lead(2))
    assert (nothing.replayed, nothing.censored, nothing.changed) == (0, 7, None)


def test_a_smaller_cap():
    """Another n alone is compared with all that was recorded."""
    found = whatif(ballots("aabbbbbb"), AtMost(4), n=4)
    assert found.samples.value == 4
    assert found.changed.value == 1  # aabb: a was launched first


def test_certain_is_part_of_a_rule():
    """As in a vote: it also ends when nothing can change."""
    assert whatif(ballots("aaaaaaaa"), Quorum(7)).samples.value == 4
    assert whatif(ballots("aaaaaaaa"), AtMost(8)).samples.value == 8


def test_abstentions_are_draws():
    """They cost, and vote for none."""
    found = whatif(ballots("--a-aab"), Lead(2))
    assert found.samples.value == 5
    assert whatif(ballots("----"), Lead(2)).changed.value == 0


def test_ties_go_to_the_one_launched_first():
    """Also where it arrived later."""
    late = Ballot((0, 1), (5, 3), (CENT, CENT))
    found = whatif(Ballots([late], 0, 0), AtMost(1), n=1)
    assert found.changed.value == 1


@pytest.mark.parametrize("stop", [After(seconds=3), GoodEnough(0.9), Lead(20)])
def test_rules_that_cannot_be_replayed(stop):
    """By time, by scores, or more than there are."""
    with pytest.raises(UsageError):
        whatif(ballots("aaaabbbb"), stop)


@pytest.mark.parametrize("n", [0, -1, True])
def test_caps_that_are_none(n):
    """At least one draw."""
    with pytest.raises(UsageError, match="n="):
        whatif(ballots("aaaa"), Lead(1), n=n)


letters = st.text("abc-", min_size=8, max_size=8)


@given(letters, st.sampled_from([Lead(2), Lead(3), Quorum(3), Settled(), AtMost(8)]))
def test_it_is_what_the_vote_would_have_done(text, stop):
    """The same samples, given to a vote under the rule, which draws one at a time."""
    sampler = ScriptedSampler([Completion(value=None if c == "-" else c) for c in text])
    strategy = Vote(8, stop=stop, prefer="cost", key=lambda value: value)
    result = run_virtual(solve("q", sampler=sampler, strategy=strategy, max_concurrency=1))
    found = whatif(ballots(text), stop)
    assert found.samples.value == result.launched
    votes = Counter(c for c in text if c != "-")
    if (votes and len(votes.most_common()) == 1) or len(set(votes.values())) == len(votes):
        winner = votes.most_common(1)[0][0] if votes else None
        assert found.changed.value == (result.value != winner)


def test_the_interval_covers():
    """Over repeated traffic, 95 % of the intervals of the share hold what it is in the long run."""
    rng = random.Random(3)

    def traffic(count: int) -> Ballots:
        texts = ("".join(rng.choices("ab", (3, 2), k=9)) for _ in range(count))
        return Ballots([ballot(text) for text in texts], 0, 0)

    truth = whatif(traffic(8000), Lead(1)).changed.value
    intervals = [whatif(traffic(60), Lead(1)).changed for _ in range(150)]
    held = sum(each.low <= truth <= each.high for each in intervals)
    assert held >= 0.93 * len(intervals)
