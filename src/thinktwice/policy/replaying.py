"""One recorded request under another stop rule: what would have been launched, and when it ends."""

from __future__ import annotations

import heapq
import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from thinktwice.ballot import Ballot, heaviest
from thinktwice.launch import Pace
from thinktwice.sample import Sample
from thinktwice.stop import with_certain
from thinktwice.store.ballots import cost_of
from thinktwice.weighing import WEIGHING, weights_of

if TYPE_CHECKING:
    from thinktwice.stop import Stop, Tally
    from thinktwice.store import ballots


class Replayed(NamedTuple):
    """How a request would have gone.

    Attributes:
        used: Samples counted.
        launched: Samples started; those that were still under way at the end are recalled.
        cost: USD of what was launched; None if that is not known. What is recalled counts in full.
        seconds: To the decision.
        winner: Ordinal of the answer; None if all abstained.
    """

    used: int
    launched: int
    cost: float | None
    seconds: float
    winner: int | None


def replay(recorded: ballots.Ballot, stop: Stop, *, n: int, tau: float, room: int) -> Replayed:
    """Draw the recorded samples anew: the k-th launch gets the k-th of them, with its latency.

    Launching is that of a run without hedges, on a clock of its own.

    Args:
        recorded: The request.
        stop: The rule.
        n: Samples at the most, at most as many as were recorded.
        tau: As `launch.tau_of` has it.
        room: Samples in flight at the most.
    """
    count = _Count(recorded, n)
    rule = stop if recorded.scored else with_certain(stop)
    pace = Pace(rule=rule, tally=lambda: count.tally(now), tau=tau)
    now, launched = 0.0, 0
    flying: list[tuple[float, int]] = []
    while count.used < n and not pace.over():
        if not flying or flying[0][0] > now:  # else it has arrived with the one before
            while len(flying) < min(room, pace.in_flight()) and launched < n:
                heapq.heappush(flying, (now + recorded.draws[launched].seconds, launched))
                launched += 1
        wake = min((time for time in rule.wakes if time > now), default=math.inf)
        if wake < flying[0][0]:
            now = wake
            continue
        now, at = heapq.heappop(flying)
        count.add(at)
    cost = cost_of(recorded.draws[:launched])
    return Replayed(count.used, launched, cost, now, count.winner)


def winner_of(recorded: ballots.Ballot) -> int | None:
    """The answer of all samples: its ordinal, None if all abstained."""
    count = _Count(recorded, len(recorded.draws))
    for at in range(len(recorded.draws)):
        count.add(at)
    return count.winner


class _Count:
    """The votes so far, counted and selected from as the strategy does."""

    def __init__(self, recorded: ballots.Ballot, n: int) -> None:
        self.used = 0
        self._draws = recorded.draws
        self._selection = recorded.selection
        self._weighted = any(draw.weight is not None for draw in recorded.draws)
        self._ballot: Ballot[object] = Ballot(n, weighted=self._weighted)
        self._scores: dict[int, float] = {}

    def add(self, at: int) -> None:
        """Count the sample that was launched at this place."""
        draw = self._draws[at]
        weight = draw.weight if self._weighted else 1.0
        sample = _sample(at, draw.answer)
        self._ballot.add(sample, weight=weight, score=draw.score, passed=draw.passed)
        if draw.score is not None:
            self._scores[at] = draw.score
        self.used += 1

    def tally(self, seconds: float) -> Tally:
        """As the rule sees it."""
        return self._ballot.tally(seconds)

    @property
    def winner(self) -> int | None:
        """Ordinal of the answer that would be returned."""
        groups, weights = self._ballot.groups, None
        if self._selection in WEIGHING:
            weights = weights_of(groups, self._scores, WEIGHING[self._selection])
        group = heaviest(groups, weights, length=self._length)
        return None if group is None else self._draws[group.representative.index].answer

    def _length(self, sample: Sample[object]) -> float:
        length = self._draws[sample.index].length
        return math.inf if length is None else length


@lru_cache(maxsize=1 << 12)
def _sample(index: int, answer: int) -> Sample[object]:
    return Sample(index=index, answer=None if answer < 0 else answer)
