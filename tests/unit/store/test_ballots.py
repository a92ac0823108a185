"""Which votes of a store can be replayed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from thinktwice import BestOfN, Budget, Completion, Price, Usage, Vote, solve
from thinktwice.stop import AtMost, Lead
from thinktwice.store.ballots import read_ballots
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
USAGE = Usage(input_tokens=1000, output_tokens=0, source="provider")


def run(strategy, **more):
    replies = [
        *(Completion(value="a", usage=USAGE), Completion(value="b", usage=USAGE)),
        *(KeyError(), Completion(value="a", usage=USAGE)),
    ]
    sampler = ScriptedSampler(replies, model="m", seconds=[4, 2, 3, 1])
    prices = {"m": Price("1", "1")}
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, prices=prices, **more))


def test_a_full_vote(observer):
    """Its samples in order of arrival, with answers, places and costs."""
    run(Vote(4, stop=AtMost(4), prefer="latency"))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert found.answers == (0, 1, -1, 0)
    assert found.positions == (3, 1, 2, 0)
    assert found.costs == (Decimal("0.001"),) * 4  # a call that failed may have been billed


def test_what_is_not_full(observer):
    """Stopped by a rule, cut by a budget, or no vote at all."""
    run(Vote(4, stop=Lead(2), prefer="cost"))
    run(Vote(4, stop=AtMost(4), prefer="cost"), budget=Budget(calls=2))
    run(BestOfN(4, verifier=lambda value: 0.5))
    observer.flush()
    found = read_ballots(observer.path)
    assert (list(found.full), found.cut, found.censored) == ([], 1, 1)


def test_a_hedged_vote(observer):
    """One more was launched than were asked for; those that were counted are replayed."""
    sampler = ScriptedSampler(["a"], seconds=[*[1] * 12, 50, 1], model="m")
    for _ in range(4):
        strategy = Vote(4, stop=AtMost(4), prefer="latency")
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
    assert result.hedges == 1
    observer.flush()
    found = read_ballots(observer.path)
    assert [len(each.answers) for each in found.full] == [4, 4, 4, 4]
    assert found.cut == 0


def test_votes_of_votes(observer):
    """The outer one is replayed; each of its samples costs what is inside it."""
    result = run(Vote(2, stop=AtMost(2), of=Vote(2, stop=AtMost(2))))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert sum(found.costs) == result.ledger.total.cost
    assert len(found.answers) == 2
