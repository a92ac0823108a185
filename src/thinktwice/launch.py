"""How many calls to have in flight: a call is launched if it will probably be needed.

With `tau` = 1 no more are in flight than the fewest further votes that could end the ballot, so
that nothing is ever discarded and the ballot equals the one-by-one ballot in launch order,
whatever the latencies. With `tau` = 0 all of them start at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from thinktwice.errors import UsageError, is_number
from thinktwice.stop.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from thinktwice.stop.algebra import Stop

TAU = {"cost": 1.0, "balanced": 0.5, "latency": 0.0, "shortest": 0.0}
"""Least chance of being needed that launches a call, by what is preferred."""

Preference = Literal["cost", "balanced", "latency", "shortest"]

_ROUNDING = 1e-12
_HORIZON = 64  # draws to look ahead: the work grows with their square


def tau_of(prefer: Preference | float, *, recallable: bool = True) -> float:
    """The least chance of being needed that launches a call.

    Args:
        prefer: A name in `TAU`, or the chance itself.
        recallable: Calls in flight can be cancelled. Where they cannot, "balanced" is "cost":
            what is launched is paid for in full.

    Raises:
        UsageError: It is neither.
    """
    if prefer == "balanced" and not recallable:
        return TAU["cost"]
    if isinstance(prefer, str) and prefer in TAU:
        return TAU[prefer]
    if is_number(prefer) and 0 <= prefer <= 1:
        return float(prefer)
    remedy = "give 'cost', 'balanced', 'latency', 'shortest' or a number in [0, 1]"
    raise UsageError("prefer", prefer, remedy)


def hedges(prefer: Preference | float, tau: float) -> bool:
    """Whether stragglers are hedged: where waste is accepted, and slow answers are wanted."""
    return tau < 1 and prefer != "shortest"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When to launch and when to end, for one ballot under one rule.

    Attributes:
        rule: The stop rule, with whatever it is evaluated with.
        tally: The ballot as it stands.
        tau: As in `in_flight`.
        warm_first: Launch one call, and no other before it has finished.
        waiting: How many draws have finished and are not counted yet.
    """

    rule: Stop
    tally: Callable[[], Tally]
    tau: float
    warm_first: bool = False
    waiting: Callable[[], int] = lambda: 0

    def in_flight(self) -> int:
        """How many calls may be in flight."""
        tally, waiting = self.tally(), self.waiting()
        if self.warm_first and not tally.finished and not waiting:
            return 1
        return in_flight(tally, self.rule, tau=self.tau) - waiting

    def needed(self) -> int:
        """Fewest further draws that could end the ballot."""
        return in_flight(self.tally(), self.rule, tau=1.0)

    def over(self) -> bool:
        """The rule has fired."""
        return self.rule.fired(self.tally()) is not None


def in_flight(tally: Tally, rule: Stop, *, tau: float) -> int:
    """How many calls may be in flight at once.

    The k-th is launched if, with a chance of at least `tau`, k - 1 more finished draws leave the
    rule unfired. The draws ahead go to the leader or to the runner-up, with a uniform prior on
    their shares; each may satisfy a rule about scores at the rate seen so far. Time is ignored.

    Args:
        tally: The ballot so far; draws in flight are not in it.
        rule: The stop rule, with whatever it is evaluated with (see `with_certain`).
        tau: In [0, 1].

    Returns:
        0 when the ballot is over, else from 1 to the draws that remain under the cap.
    """
    if not tally.remaining:
        return 0
    if rule.counts_only:
        votes = tally.leader, tally.runner_up
        unit = tally.max_weight
        return _by_counts(rule, tau, tally.n, tally.finished, *votes, tally.weighted, unit)
    if rule.fired(tally) is not None:
        return 0
    return _by_tally(rule, tau, replace(tally, seconds=0.0) if tally.seconds else tally)


@lru_cache(maxsize=1 << 16)
def _by_counts(  # noqa: PLR0917 - the arguments are the key of the cache
    rule: Stop,
    tau: float,
    n: int,
    finished: int,
    leader: float,
    runner_up: float,
    weighted: bool,  # noqa: FBT001
    unit: float,
) -> int:
    counts = tuple(votes for votes in (leader, runner_up) if votes)
    tally = Tally(n, counts, finished, weighted=weighted, max_weight=unit)
    return 0 if rule.fired(tally) is not None else _needed(tally, rule, tau)


@lru_cache(maxsize=1 << 14)
def _by_tally(rule: Stop, tau: float, tally: Tally) -> int:
    left = rule.timeless()
    return tally.remaining if left is None else _needed(tally, left, tau)


def _needed(tally: Tally, rule: Stop, tau: float) -> int:
    if tau <= 0:
        return tally.remaining
    soonest = max(1, rule.soonest(tally))
    if soonest >= tally.remaining:
        return min(tally.remaining, rule.barrier(tally)) if tau >= 1 else tally.remaining
    if tau >= 1:
        return min(soonest, rule.barrier(tally))
    return max(soonest, _likely(tally, rule, tau))


def _likely(tally: Tally, rule: Stop, tau: float) -> int:
    """The largest k for which the k-th call is needed with a chance of at least tau."""
    rate = (tally.passed + 1) / (tally.scored + 2) if rule.reads_scores else 0.0
    running: dict[Hashable, tuple[float, Tally]] = {None: (1.0, tally)}
    farthest = min(tally.remaining, _HORIZON if rule.counts_only else _HORIZON // 4)
    for k in range(1, farthest):
        ahead: dict[Hashable, tuple[float, Tally]] = {}
        for chance, state in running.values():
            for share, after in _next(state, rate):
                if share and rule.fired(after) is None:
                    key = (after.counts[:2], after.best_score, rule.memory(after))
                    ahead[key] = (
                        ahead[key][0] + chance * share if key in ahead else chance * share,
                        after,
                    )
        running = ahead
        if sum(chance for chance, _ in running.values()) < tau - _ROUNDING:
            return k
    return farthest


def _next(state: Tally, rate: float) -> Iterator[tuple[float, Tally]]:
    """What the next draw may do, with its probability: an urn over leader and runner-up."""
    leader, runner_up = state.leader / state.max_weight, state.runner_up / state.max_weight
    share = (leader + 1) / (leader + runner_up + 2)
    for chance, after in ((share, state.after(1)), (1 - share, state.after(0, 1))):
        if not rate or after.best_score == 1.0:
            yield chance, after
        else:
            yield chance * (1 - rate), after
            yield chance * rate, replace(after, best_score=1.0)
