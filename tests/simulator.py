"""A discrete-event simulator of votes in flight: launch rules without an event loop.

It uses the launch rule and the stop rules of the package, and nothing else of it, so that thousands
of ballots a second can be counted, and so that what it says about a schedule does not rest on how
`Vote` is built.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinktwice.launch import in_flight
from thinktwice.stop import Settled, Stop, Tally, with_certain

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

SIGMA = 0.5
"""Of the logarithm of a latency, whose mean is 1 without stragglers."""
STRAGGLERS = 0.03
SLOWDOWN = 6.0
"""A straggler takes so many times as long."""


@dataclass(frozen=True)
class Schedule:
    """How calls are launched and votes counted.

    Attributes:
        tau: Of the launch rule; see `thinktwice.launch`.
        concurrency: Calls in flight at most.
        batch: Launch so many, wait for all of them and look, in place of the launch rule.
        in_order: Count in launch order, not on arrival.
    """

    tau: float = 1.0
    concurrency: int = 8
    batch: int | None = None
    in_order: bool = False


@dataclass(frozen=True)
class Ballot:
    """How a simulated ballot went.

    Attributes:
        winner: The answer with most votes; the first to reach the count at a tie.
        used: Votes counted.
        launched: Calls started.
        wall: Time to the decision, in mean latencies of a call that does not straggle.
    """

    winner: int
    used: int
    launched: int
    wall: float


@dataclass(frozen=True)
class Question:
    """What a model answers to a question.

    Attributes:
        shares: Probability of each answer; the first is the most probable.
        speeds: Factor on the latency of each answer; all 1 by default.
    """

    shares: Sequence[float]
    speeds: Sequence[float] | None = None

    def draw(self, rng: random.Random) -> tuple[int, float]:
        """An answer and its latency."""
        answer = rng.choices(range(len(self.shares)), self.shares)[0]
        seconds = rng.lognormvariate(-(SIGMA**2) / 2, SIGMA)
        if rng.random() < STRAGGLERS:
            seconds *= SLOWDOWN
        return answer, seconds * (self.speeds[answer] if self.speeds else 1.0)


def mixed(rng: random.Random) -> Question:
    """A question as benchmarks have them: half easy, a third middling, some hard."""
    kind = rng.random()
    shape = (18, 2) if kind < 0.5 else (6, 4) if kind < 0.8 else (2, 4)
    top = rng.betavariate(*shape)
    rest = [rng.gammavariate(0.5, 1.0) + 1e-12 for _ in range(7)]
    shares = [top, *((1 - top) * each / sum(rest) for each in rest)]
    return Question(sorted(shares, reverse=True))


def simulate(
    question: Question, n: int, schedule: Schedule, rng: random.Random, *, stop: Stop | None = None
) -> Ballot:
    """Vote on a question."""
    rule = with_certain(stop or Settled())
    clock, launched = 0.0, 0
    flying: list[tuple[float, int, int]] = []
    arrived: dict[int, int] = {}
    votes: Counter[int] = Counter()
    counted = 0
    while True:
        tally = _tally(n, votes, counted)
        looks = counted and not (schedule.batch and flying)
        if not tally.remaining or (looks and rule.fired(tally) is not None):
            leader = max(votes, key=lambda answer: votes[answer])
            return Ballot(leader, counted, launched, clock)
        room = _room(tally, rule, schedule, flying)
        while len(flying) + len(arrived) < room and launched < n:
            answer, seconds = question.draw(rng)
            heapq.heappush(flying, (clock + seconds, launched, answer))
            launched += 1
        clock, position, answer = heapq.heappop(flying)
        if schedule.in_order:
            arrived[position] = answer
            while counted in arrived and rule.fired(_tally(n, votes, counted)) is None:
                votes[arrived.pop(counted)] += 1
                counted += 1
        else:
            votes[answer] += 1
            counted += 1


def _tally(n: int, votes: Counter[int], counted: int) -> Tally:
    return Tally(n, tuple(sorted(votes.values(), reverse=True)[:2]), counted)


def _room(
    tally: Tally, rule: Stop, schedule: Schedule, flying: list[tuple[float, int, int]]
) -> int:
    if schedule.batch is not None:
        return 0 if flying else schedule.batch
    return min(schedule.concurrency, in_flight(tally, rule, tau=schedule.tau))


def summary(
    questions: Callable[[random.Random], Question],
    n: int,
    schedule: Schedule,
    rng: random.Random,
    *,
    trials: int,
    stop: Stop | None = None,
) -> dict[str, float]:
    """Means over many ballots.

    Returns:
        `used`, `launched`, `wall` and its 95th percentile `p95`, and `right`: how often the winner
        is the most probable answer, in percent.
    """
    ballots = [simulate(questions(rng), n, schedule, rng, stop=stop) for _ in range(trials)]
    walls = sorted(each.wall for each in ballots)
    return {
        "used": sum(each.used for each in ballots) / trials,
        "launched": sum(each.launched for each in ballots) / trials,
        "wall": sum(walls) / trials,
        "p95": walls[int(0.95 * trials)],
        "right": 100 * sum(each.winner == 0 for each in ballots) / trials,
    }
