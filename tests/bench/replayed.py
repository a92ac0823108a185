"""Recorded samples as arrays: what a vote has counted after each draw, in many orders at once.

Not a bench by itself: `frontier.py` uses it. Orders are those of `pools.py`, seed by seed.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pools

from thinktwice.stop.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thinktwice.stop.algebra import Stop


@dataclass(frozen=True)
class Runs:
    """Votes of at most n draws, one a row; columns count the draws from none to n.

    Attributes:
        n: Cap on the draws.
        questions: How many there are; their orders stand together.
        leader: Votes of the leading answer after so many draws.
        runner_up: Votes of the next.
        lost: Another answer has more votes after n draws than the one that would be returned now.
        right: The answer that would be returned now is right.
        history: Ordinal of the answer of each draw; -1 abstains. It has n columns.
    """

    n: int
    questions: int
    leader: NDArray[np.int16]
    runner_up: NDArray[np.int16]
    lost: NDArray[np.bool_]
    right: NDArray[np.bool_]
    history: NDArray[np.int16]

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return np.arange(len(self.leader))

    def stops_by_counts(self, fires: NDArray[np.bool_]) -> NDArray[np.int64]:
        """After how many draws each run ends, by a table over draws, leader and runner-up."""
        fired = fires[np.arange(self.n + 1), self.leader, self.runner_up]
        fired[:, 0], fired[:, self.n] = False, True
        return fired.argmax(axis=1)

    def stops_by_history(self, rule: Stop) -> NDArray[np.int64]:
        """The same by a rule that remembers; runs that begin alike are looked at once."""
        known: dict[tuple[int, ...], bool] = {}
        return np.array([self._first(rule, row, known) for row in self._rows])

    def _first(self, rule: Stop, row: int, known: dict[tuple[int, ...], bool]) -> int:
        history = tuple(self.history[row].tolist())
        for drawn in range(1, self.n):
            seen = history[:drawn]
            if seen not in known:
                pair = (int(self.leader[row, drawn]), int(self.runner_up[row, drawn]))
                counts = tuple(votes for votes in pair if votes)
                known[seen] = rule.fired(Tally(self.n, counts, drawn, seen)) is not None
            if known[seen]:
                return drawn
        return self.n

    def means(self, stops: NDArray[np.int64]) -> NDArray[np.float64]:
        """Calls, overturned runs and right answers of each question: a row each."""
        ended = self.lost[self._rows, stops], self.right[self._rows, stops]
        shape = (self.questions, -1)
        return np.stack([each.reshape(shape).mean(axis=1) for each in (stops, *ended)])


def table(rule: Stop, n: int) -> NDArray[np.bool_]:
    """Where a rule on counts fires: by draws finished, votes of the leader and of the runner-up."""
    fires = np.zeros((n + 1, n + 1, n + 1), bool)
    for finished in range(1, n):
        for leader in range(1, finished + 1):
            for runner_up in range(min(leader, finished - leader) + 1):
                counts = (leader, runner_up) if runner_up else (leader,)
                fired = rule.fired(Tally(n, counts, finished))
                fires[finished, leader, runner_up] = fired is not None
    return fires


def replay(pool: str, n: int, orders: int) -> Runs:
    """A recorded pool in seeded orders."""
    questions = pools.load(pool)
    orders *= pools.MORE_ORDERS.get(pool, 1)
    return follow(
        [
            random.Random(f"{pool} {number} {order}").sample(draws, len(draws))[:n]
            for number, draws in enumerate(questions)
            for order in range(orders)
        ],
        questions=len(questions),
    )


def follow(runs: Sequence[Sequence[pools.Draw]], *, questions: int) -> Runs:
    """Count votes, draw by draw."""
    n = len(runs[0])
    shape = (len(runs), n + 1)
    leader, runner_up = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
    lost, right = np.zeros(shape, bool), np.zeros(shape, bool)
    history = np.full((len(runs), n), -1, np.int16)
    for row, draws in enumerate(runs):
        count = _Count(draws)
        winners = [-1]
        for drawn in range(1, n + 1):
            history[row, drawn - 1] = count.add(drawn - 1)
            winners.append(count.winner)
            first, second = (*sorted(count.votes, reverse=True)[:2], 0, 0)[:2]
            leader[row, drawn], runner_up[row, drawn] = first, second
            right[row, drawn] = count.winner >= 0 and draws[count.first[count.winner]].right
        most = max(count.votes, default=0)
        lost[row] = [most > (count.votes[w] if w >= 0 else 0) for w in winners]
    return Runs(n, questions, leader, runner_up, lost, right, history)


class _Count:
    """A ballot without its bookkeeping: the same winner, a hundred times as fast."""

    def __init__(self, draws: Sequence[pools.Draw]) -> None:
        self.votes: list[int] = []
        self.first: list[int] = []
        self.winner = -1
        self._draws = draws
        self._ordinals: dict[str, int] = {}

    def add(self, index: int) -> int:
        """Count a draw; only its own answer can have become the winner."""
        answer = self._draws[index].answer
        if answer is None:
            return -1
        ordinal = self._ordinals.setdefault(answer, len(self.votes))
        if ordinal == len(self.votes):
            self.votes.append(0)
            self.first.append(index)
        self.votes[ordinal] += 1
        if self.winner < 0 or self._rank(ordinal) > self._rank(self.winner):
            self.winner = ordinal
        return ordinal

    def _rank(self, ordinal: int) -> tuple[int, float, int]:
        index = self.first[ordinal]
        text = self._draws[index].text
        return self.votes[ordinal], -math.inf if text is None else -len(text), -index
