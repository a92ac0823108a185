"""What a stop rule may see of a ballot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """The state of a ballot, as far as a stop rule may see it.

    Attributes:
        n: Cap on the draws of this ballot.
        counts: Votes of each answer group, the largest first; sums of weights if weighted.
        finished: Draws that finished, those that abstained or failed included.
        history: Ordinal of the answer group of each finished draw, in counting order; -1 if none.
        seconds: Time since the run began.
        best_score: Best verdict score so far; None without one.
        passed: Draws whose verdict was a pass.
        scored: Draws that have a verdict score.
        weighted: The votes carry weights.
        max_weight: The most that one vote can weigh.
    """

    n: int
    counts: tuple[float, ...] = ()
    finished: int = 0
    history: tuple[int, ...] = ()
    seconds: float = 0.0
    best_score: float | None = None
    passed: int = 0
    scored: int = 0
    weighted: bool = False
    max_weight: float = 1.0

    @property
    def leader(self) -> float:
        """Votes of the leading answer."""
        return self.counts[0] if self.counts else 0.0

    @property
    def runner_up(self) -> float:
        """Votes of the next answer."""
        return self.counts[1] if len(self.counts) > 1 else 0.0

    @property
    def remaining(self) -> int:
        """Draws left under the cap."""
        return max(0, self.n - self.finished)

    @property
    def lead(self) -> float:
        """How far the leader is ahead; weights to nine digits, so that rounding does not decide."""
        ahead = self.leader - self.runner_up
        return round(ahead, 9) if self.weighted else ahead

    @property
    def reach(self) -> float:
        """The most that the draws left can bring to one answer."""
        return round(self.remaining * self.max_weight, 9)

    def after(self, k_leader: int, k_runner_up: int = 0) -> Tally:
        """The tally if further draws went to the leader and to the runner-up, at full weight."""
        if not k_leader and not k_runner_up:
            return self
        votes = (
            self.leader + k_leader * self.max_weight,
            self.runner_up + k_runner_up * self.max_weight,
        )
        top = tuple(sorted((v for v in votes if v), reverse=True))
        history = self.history
        if len(history) == self.finished:
            first, second = _leading_groups(history)
            history += (first,) * k_leader + (second,) * k_runner_up
        return Tally(
            self.n,
            (*top, *self.counts[2:]),
            self.finished + k_leader + k_runner_up,
            history,
            self.seconds,
            self.best_score,
            self.passed,
            self.scored,
            self.weighted,
            self.max_weight,
        )


def _leading_groups(history: tuple[int, ...]) -> tuple[int, int]:
    """Ordinals of the two largest groups; new ones where there are fewer than two."""
    ranked = [group for group, _ in Counter(h for h in history if h >= 0).most_common(2)]
    fresh = max(history, default=-1) + 1
    ranked += [fresh, fresh + 1]
    return ranked[0], ranked[1]
