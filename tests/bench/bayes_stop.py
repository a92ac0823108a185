"""The best rule that sees counts alone, by dynamic programming, for a prior on what comes next.

Not a bench by itself: `frontier.py` uses it. A prior is an array of four tables over draws, leader
and runner-up: how often the state is reached, how often what leads there is overturned in the end,
and how often the next draw is a vote for either. States with the same counts are taken as one,
whatever led to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thinktwice.stop.curtail import overturn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from replayed import Runs

    Floats = NDArray[np.float64]


def priors(replayed: Mapping[str, Runs], n: int) -> dict[str, dict[str, Floats]]:
    """Of each Bayes rule: the prior that it has on each pool."""
    seen = {pool: transitions(runs) for pool, runs in replayed.items()}
    uniform = uniform_transitions(n)  # with a little weight, for states that were never reached
    others = {
        pool: sum((each for name, each in seen.items() if name != pool), 1e-4 * uniform)
        for pool in seen
    }
    return {
        "Bayes, uniform prior": dict.fromkeys(seen, uniform),
        "Bayes, the other pools": others,
        "Bayes, these pools": dict.fromkeys(seen, sum(seen.values(), 1e-5 * uniform)),
    }


def transitions(runs: Runs) -> Floats:
    """Of each state: how often it is reached, lost, and left by a vote for either answer."""
    n = runs.n
    found = np.zeros((4, n + 1, n + 1, n + 1))
    for drawn in range(n):
        at = runs.leader[:, drawn], runs.runner_up[:, drawn]
        ahead = runs.leader[:, drawn + 1] > at[0], runs.runner_up[:, drawn + 1] > at[1]
        for row, what in enumerate((np.ones(len(at[0])), runs.lost[:, drawn], *ahead)):
            np.add.at(found[row, drawn], at, what / len(at[0]))
    return found


def uniform_transitions(n: int) -> Floats:
    """The same if every draw goes to one of the two, with a uniform prior on their shares."""
    found = np.zeros((4, n + 1, n + 1, n + 1))
    for drawn in range(n):
        for leader in range(drawn + 1):
            for runner_up in range(min(leader, drawn - leader) + 1):
                share = (leader + 1) / (leader + runner_up + 2)
                lost = overturn(leader, runner_up, n - drawn) if leader else 1.0
                found[:, drawn, leader, runner_up] = 1.0, lost, share, 1 - share
    return found


def optimal(seen: Floats, loss: float) -> NDArray[np.bool_]:
    """Where to stop, backwards: to lose as much as is overturned, or to go on for one more call."""
    n = seen.shape[1] - 1
    reached = np.maximum(seen[0], 1e-300)
    lost, up, follow = seen[1:] / reached
    fires = np.zeros((n + 1, n + 1, n + 1), bool)
    ahead = np.zeros((n + 2, n + 2))
    for drawn in range(n - 1, 0, -1):
        stay = ahead[:-1, :-1] * (1 - up[drawn] - follow[drawn])
        on = 1 + stay + up[drawn] * ahead[1:, :-1] + follow[drawn] * ahead[:-1, 1:]
        stop = loss * lost[drawn]
        fires[drawn] = (stop <= on) & (seen[0, drawn] > 0)
        fires[drawn, 0] = False
        ahead[:-1, :-1] = np.minimum(stop, on)
    return fires
