"""Which votes of a store can be replayed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Limiter,
    Price,
    Usage,
    UsageError,
    Verdict,
    Vote,
    exploring,
    solve,
)
from thinktwice.policy.replaying import replay
from thinktwice.quota import Quota
from thinktwice.stop import (
    AtMost,
    Certificate,
    EarlyStopping,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
)
from thinktwice.store import observe, schema
from thinktwice.store.ballots import read_ballots
from thinktwice.strategies.deepconf import DeepConf
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
USAGE = Usage(input_tokens=1000, output_tokens=0, source="provider")


def answers(ballot):
    return [each.answer for each in ballot.draws]


def run(strategy, **more):
    replies = [
        *(Completion(value="a", usage=USAGE), Completion(value="b", usage=USAGE)),
        *(KeyError(), Completion(value="a", usage=USAGE)),
    ]
    sampler = ScriptedSampler(replies, model="m", seconds=[4, 2, 3, 1])
    prices = {"m": Price("1", "1")}
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, prices=prices, **more))


def test_a_full_vote(observer):
    """Its samples in order of launch, with answers, costs and lengths."""
    run(Vote(4, stop=AtMost(4), prefer="latency"))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert answers(found) == [0, 1, -1, 0]  # numbered as they arrived: the last one came first
    assert [each.cost for each in found.draws] == [0.001] * 4  # one that failed may be billed
    assert [each.length for each in found.draws] == [1, 1, None, 1]
    assert (found.selection, found.explored, found.scored) == ("votes", False, False)
    assert 0 < max(each.seconds for each in found.draws) <= found.seconds


def test_weights_and_equivalent_answers(observer):
    """Each vote's weight, None where nobody knows; answers that are the same have one number."""
    sampler = ScriptedSampler(["a", "A", "b", "B"])
    strategy = Vote(
        4,
        stop=AtMost(4),
        weight=lambda sample: {"a": 0.5, "A": 1}.get(sample.value),
        equivalent=lambda one, other: one.lower() == other.lower(),
        key=lambda value: value,
    )
    run_virtual(solve("q", sampler=sampler, strategy=strategy))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert answers(found) == [0, 0, 1, 1]
    assert [each.weight for each in found.draws] == [0.5, 1.0, None, None]


@pytest.mark.parametrize("weights", ["score", "rank"])
def test_best_of_n(observer, weights):
    """Scores and passes are those of the verdicts, which cost and take time as well."""

    async def judge(sample, *, prompt):
        del prompt
        await anyio.sleep(0.02)
        return Verdict(outcome="pass" if sample.value == "a" else "fail")

    judge.name, judge.exact = "judge", False
    strategy = BestOfN(4, verifier=judge, weights=weights)
    sampler = ScriptedSampler(["a", "b", KeyError(), "a"])
    anyio.run(lambda: solve("q", sampler=sampler, strategy=strategy))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert [each.score for each in found.draws] == [1, 0, None, 1]
    assert [each.passed for each in found.draws] == [True, False, False, True]
    assert (found.selection, found.scored) == (weights, True)
    assert min(each.seconds for each in found.draws if each.score is not None) >= 0.02


def test_time_in_a_queue_is_no_latency(observer):
    """What waited for a limiter would not have waited alone."""
    sampler = ScriptedSampler(["a"], seconds=0.05)
    strategy = Vote(2, stop=AtMost(2), prefer="latency")

    async def crowded():
        limiter = Limiter(1)
        await solve("q", sampler=sampler, strategy=strategy, limiter=limiter, max_concurrency=2)

    anyio.run(crowded)
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert all(each.seconds < found.seconds - 0.045 for each in found.draws)


def test_what_is_not_full(observer):
    """Stopped by a rule, cut by a budget, of a rule of its own, or nothing that votes."""
    run(Vote(4, stop=Lead(2), prefer="cost"))
    run(Vote(3, stop=AtMost(3), prefer="cost"), budget=Budget(calls=2))
    run(BestOfN(4, verifier=lambda value: 0.5, stop=GoodEnough(0.4)))
    run(BestOfN(4, verifier=lambda value: 0.5, weights=lambda scores: [1.0] * len(scores)))
    run(DeepConf(2, warmup=1, confidence=lambda sample: 1.0))
    observer.flush()
    found = read_ballots(observer.path)
    assert list(found.full) == []
    assert (found.cut, found.censored, found.never_explore) == (1, {}, 2)
    assert found.others == {"BestOfN": 1, "DeepConf": 1}


def test_of_one_strategy(observer):
    """By name; one that the store does not have is told from those that it has."""
    run(Vote(4, stop=AtMost(4)))
    run(BestOfN(4, verifier=lambda value: 0.5))
    observer.flush()
    (found,) = read_ballots(observer.path, strategy="BestOfN").full
    assert found.scored
    with pytest.raises(UsageError, match="strategy='Vot': the store has BestOfN, Vote"):
        read_ballots(observer.path, strategy="Vot")


def test_since(observer):
    """What began before is left out."""
    run(Vote(4, stop=AtMost(4)))
    observer.flush()
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert not read_ballots(observer.path, since=later).full


def test_what_explored(observer):
    """It is told from what always draws all."""
    exploring.explore(1)
    run(Vote(4, stop=Lead(2)))
    exploring.explore(0)
    run(Vote(4, stop=AtMost(4)))
    observer.flush()
    assert sorted(each.explored for each in read_ballots(observer.path).full) == [False, True]


def test_what_could_have_explored(observer):
    """Those that were not chosen are told from those that had no chance."""
    exploring.explore(1e-12)
    run(Vote(4, stop=Lead(2)))
    run(Vote(2, stop=Lead(1), of=Vote(2)))  # how many were asked for is known of both together
    with Quota("test", Budget(calls=100)).scope():
        run(Vote(4, stop=Lead(2)))
    run(Vote(4, stop=Lead(2)), budget=Budget(calls=3))
    exploring.explore(0)
    run(Vote(4, stop=Lead(2)))
    observer.flush()
    found = read_ballots(observer.path)
    assert (found.censored, found.never_explore, found.others) == ({4: 1, 0: 1}, 3, {})


@pytest.mark.parametrize(("known", "cost"), [((), None), (("m",), None), (("m", "x"), 0.004)])
def test_prices_that_are_not_known(observer, known, cost):
    """The cost of a request is None if a part of it is unknown, never 0."""
    replies = [Completion(value="a", usage=USAGE, model=model) for model in "mxmm"]
    prices = {model: Price("1", "1") for model in known}
    sampler = ScriptedSampler(replies)
    run_virtual(solve("q", sampler=sampler, strategy=Vote(4, stop=AtMost(4)), prices=prices))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    assert found.cost == (cost and pytest.approx(cost))
    assert all((draw.cost is None) is (cost is None) for draw in found.draws)


def test_a_replay_is_what_the_rule_really_does(observer):
    """From the file alone: the samples that another run draws under the rule, and its answer."""

    async def vote(stop):
        sampler = ScriptedSampler(["a", "b", "b", "a", "a", "c", "b", "a"])
        return await solve("q", sampler=sampler, strategy=Vote(8, stop=stop, prefer="cost"))

    run_virtual(vote(AtMost(8)))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    for stop in (Lead(2), Quorum(2), Settled(), EarlyStopping(2), Certificate(0.3)):
        result = run_virtual(vote(stop))
        replayed = replay(found, stop, n=8, tau=1.0, room=8)
        assert (replayed.used, replayed.launched) == (result.used, result.launched)
        assert "abc"[replayed.winner] == result.value


class TestOlderFiles:
    """What version 1 wrote."""

    @pytest.fixture
    def older(self, observer):
        """A file of version 1 with one vote: the columns that came later are gone."""
        run(Vote(4, stop=AtMost(4), prefer="latency"))
        observer.close()
        with closing(sqlite3.connect(observer.path)) as db:
            for table, column in (
                *(("requests", "explored"), ("requests", "selection")),
                *(("spans", "queued"), ("spans", "weight"), ("spans", "length")),
            ):
                db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
            db.execute("PRAGMA user_version = 1")
            db.commit()
        return observer.path

    def test_they_can_be_read(self, older):
        """As they are, also where nothing may be written."""
        older.chmod(0o400)
        (found,) = read_ballots(older).full
        assert answers(found) == [0, 1, -1, 0]
        assert found.selection == "votes"
        assert {each.weight for each in found.draws} == {None}

    def test_no_chance_to_explore_is_known(self, observer):
        """A file says none of it: what its rule could stop is left out, and nothing breaks."""
        run(Vote(4, stop=Lead(2)))
        observer.close()
        with closing(sqlite3.connect(observer.path)) as db:
            db.execute("ALTER TABLE requests DROP COLUMN explored")
            db.execute("PRAGMA user_version = 1")
            db.commit()
        found = read_ballots(observer.path)
        assert (found.censored, found.never_explore) == ({}, 1)

    def test_they_are_written_on(self, older):
        """Nothing is lost, and what is new has its place."""
        again = observe(older)
        run(Vote(4, stop=AtMost(4), weight=lambda sample: 0.5))
        again.close()
        found = read_ballots(older).full  # in no order
        first, second = sorted(found, key=lambda each: each.draws[0].weight is not None)
        assert answers(first) == answers(second) == [0, 1, -1, 0]
        assert [each.weight for each in second.draws] == [0.5, 0.5, None, 0.5]
        with closing(sqlite3.connect(older)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        observe(older).close()  # it is done once


def test_a_hedged_vote(observer):
    """One more was launched than were asked for; those that were counted are replayed."""
    sampler = ScriptedSampler(["a"], seconds=[*[1] * 12, 50, 1], model="m")
    for _ in range(4):
        strategy = Vote(4, stop=AtMost(4), prefer="latency")
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
    assert result.hedges == 1
    observer.flush()
    found = read_ballots(observer.path)
    assert [len(each.draws) for each in found.full] == [4, 4, 4, 4]
    assert found.cut == 0


def test_votes_of_votes(observer):
    """The outer one is replayed; each of its samples costs what is inside it."""
    result = run(Vote(2, stop=AtMost(2), of=Vote(2, stop=AtMost(2))))
    observer.flush()
    (found,) = read_ballots(observer.path).full
    paid = sum(each.cost for each in found.draws)
    assert paid == pytest.approx(float(result.ledger.total.cost))
    assert len(found.draws) == 2
