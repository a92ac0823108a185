"""The bench of stop rules counts as votes do, and its comparisons are what they say."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from thinktwice.ballot import Ballot
from thinktwice.sample import Sample
from thinktwice.stop import (
    AdaptiveConsistency,
    Certain,
    Certificate,
    EarlyStopping,
    Lead,
    Settled,
    Stop,
    with_certain,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))  # scripts, no package

import bayes_stop
import frontier
import pools
import replayed

N = 12


def draws(seed: int) -> list[pools.Draw]:
    """A run of up to four answers and abstentions, with texts of several lengths."""
    rng = random.Random(seed)
    answers = rng.choices(["a", "b", "c", "d", None], [4, 3, 1, 1, 1], k=N)
    return [
        pools.Draw(answer=each, text="x" * rng.randrange(3), right=each == "a") for each in answers
    ]


RUNS = [draws(seed) for seed in range(200)]
REPLAYED = replayed.follow(RUNS, questions=20)


@pytest.mark.parametrize(
    "rule",
    [Settled(0.05), Lead(3), AdaptiveConsistency(0.9), EarlyStopping(3), Certificate(0.4)],
    ids=repr,
)
@pytest.mark.parametrize("certain", [True, False])
def test_runs_end_where_ballots_do(rule: Stop, certain: bool):
    """After as many draws, with the same winner, right and overturned as often."""
    rule = with_certain(rule) if certain else rule
    if rule.counts_only:
        stops = REPLAYED.stops_by_counts(replayed.table(rule, N))
    else:
        stops = REPLAYED.stops_by_history(rule)
    for row, run in enumerate(RUNS):
        ballot: Ballot[pools.Draw] = Ballot(N)
        for index, draw in enumerate(run):
            if index and rule.fired(ballot.tally()) is not None:
                break
            ballot.add(Sample(index=index, value=draw, answer=draw.answer, text=draw.text))
        end = ballot.tally().finished
        winner = ballot.winner()
        right = winner is not None and winner.value is not None and winner.value.right
        votes = Counter(each.answer for each in run if each.answer is not None)
        kept = 0 if winner is None else votes[str(winner.answer)]
        most = max(votes.values(), default=0)
        assert stops[row] == end
        assert REPLAYED.right[row, end] == right
        assert REPLAYED.lost[row, end] == (most > kept)


def test_means_are_those_of_questions():
    """Ten orders of each of 20 questions; calls come first."""
    stops = REPLAYED.stops_by_counts(replayed.table(Certain(), N))
    means = REPLAYED.means(stops)
    assert means.shape == (3, 20)
    assert means[0, 0] == pytest.approx(stops[:10].mean())
    assert not means[1].any()  # what is certain is never overturned


@pytest.mark.parametrize("loss", [20.0, 60.0])
def test_the_bayes_rule_is_the_best_under_its_own_prior(loss: float):
    """No other rule on counts has less calls + loss * overturns where its prior is the truth."""
    rng = np.random.default_rng(1)
    histories = []
    for share in rng.random(3000):
        labels = np.where(rng.random(N) < share, "a", "b")
        histories.append([pools.Draw(answer=str(x), text=None, right=False) for x in labels])
    runs = replayed.follow(histories, questions=3000)

    def total(fires) -> float:
        calls, overturned, _ = runs.means(runs.stops_by_counts(fires)).mean(axis=1)
        return calls + loss * overturned

    best = total(bayes_stop.optimal(bayes_stop.uniform_transitions(N), loss))
    for rule in (Settled(0.02), Settled(0.05), Settled(0.1), Lead(2), Lead(3), Lead(4), Certain()):
        assert best <= total(replayed.table(with_certain(rule), N)) + 0.02


def sweep(*points: tuple[float, float]) -> frontier.Sweep:
    """Settings with these calls and overturns."""
    calls, overturned = (np.array([column]) for column in zip(*points, strict=True))
    return frontier.Sweep("any", calls, overturned, right=50 + calls)


def test_families_are_compared_by_their_cheapest_mixture():
    """At 1 %: half of (10, .5) and half of (8, 1.5), whatever lies above that line."""
    found = sweep((10.0, 0.5), (9.5, 1.2), (8.0, 1.5)).at_equal_overturns()
    assert found == pytest.approx([9.0])
    assert np.isnan(sweep((10.0, 0.5), (9.0, 0.9)).at_equal_overturns()).all()


def test_accuracy_is_compared_at_equal_calls():
    """Between two settings of ours by their mixture, beyond the last by the last."""
    ours, other = sweep((4.0, 1.0), (8.0, 0.0)), sweep((5.0, 1.0), (9.0, 0.0))
    assert frontier.accuracy_beyond(ours, other, 0) == pytest.approx([0.0])
    assert frontier.accuracy_beyond(ours, other, 1) == pytest.approx([1.0])
