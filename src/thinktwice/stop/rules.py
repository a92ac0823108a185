"""When a ballot has seen enough: stop rules.

A rule looks at a `Tally` and says whether it fires; it draws nothing, waits for nothing and keeps
no state. Rules combine with `|` (whichever fires first) and `&` (all of them at once):

    Settled(risk=0.05) | GoodEnough(0.9)
    Lead(3) & AtMost(6)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinktwice.errors import UsageError, is_number
from thinktwice.stop.algebra import CountRule, Promise, Stop, at_least_one
from thinktwice.stop.curtail import overturn, threshold

if TYPE_CHECKING:
    from thinktwice.stop.tally import Tally


@dataclass(frozen=True)
class Settled(CountRule):
    """Stop when the full vote would most probably not change the winner: the default of votes.

    Predictive curtailment: the chance that the runner-up overtakes the leader within the remaining
    draws is at most a threshold. The threshold, and whether the prior on their shares is uniform or
    Jeffreys', is calibrated to `risk` and n.

    Claim: if the samples are exchangeable and counted in an order that does not depend on their
    answers, then over repeated runs the probability that the run stops early and some other answer
    would have had strictly more votes after n draws is at most `risk`. Computed exactly for two
    answers, and calibrated on the worst of a grid with a third answer and with abstentions; beyond
    n = 64 with a margin. It covers any draw at which the rule fires. It is not about truth, not
    conditional on this run, and does not cover ties.

    Under weights there is no such claim: then it fires when the weight still to come cannot change
    the winner, as `Certain` does.

    Expected cost at n = 16, risk .05: 3 samples if they agree, 8 to 10 on hard questions.

    Attributes:
        risk: Largest probability of such an overturn, in (0, 1). It is calibrated at .01, .02, .05
            and .1; a value between stops as the next smaller one does, a larger one as .1.
    """

    risk: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a risk that is no probability."""
        if not is_number(self.risk) or not 0 < self.risk < 1:
            raise UsageError("risk", self.risk, "give a probability between 0 and 1, such as 0.05")

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the chance of an overturn is within the threshold."""
        remaining = tally.remaining
        if not remaining:
            return None
        if tally.weighted:
            return self if tally.lead >= tally.reach else None
        limit = threshold(tally.n, self.risk)
        leader, runner_up = int(tally.leader), int(tally.runner_up)
        chance = overturn(leader, runner_up, remaining, limit.prior, limit.chance)
        return self if chance <= limit.chance else None

    def promise(self, n: int) -> Promise:
        """That the full vote agrees."""
        return Promise(
            self.risk,
            "if the samples are exchangeable and counted in an order that does not depend on their "
            "answers, then over repeated runs the probability that the run stops early and some "
            f"other answer would have had strictly more votes after {n} draws is at most "
            f"{self.risk:g}",
        )


@dataclass(frozen=True)
class Certain(CountRule):
    """Stop when the remaining draws cannot give another answer strictly more votes (curtailment).

    The leader is that of the full vote, up to a tie that the leader at the stop wins. It is part of
    every rule but `AtMost`. Expected cost at n = 16: 8 samples if they agree, 11 to 15 otherwise.
    """

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the lead is at least all that can still be cast."""
        return self if tally.lead >= tally.reach > 0 else None


@dataclass(frozen=True)
class Quorum(CountRule):
    """Stop when an answer has k votes.

    With k above n / 2 the winner is that of the full vote; below, the first to k is returned, and
    nothing is claimed. Under weights k is a weight. Expected cost: k / p samples for an answer of
    probability p.
    """

    k: int

    def __post_init__(self) -> None:
        """Refuse a quorum below one vote."""
        at_least_one("k", self.k)

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the leader has k votes."""
        return self if tally.leader >= self.k else None

    @property
    def least(self) -> int:
        """As many, all for one answer."""
        return self.k


@dataclass(frozen=True)
class Lead(CountRule):
    """Stop when the leader is k votes ahead (MAKER's first-to-ahead-by-k, arXiv:2511.09030).

    Between two answers of probability p > q the wrong one wins with chance 1 / (1 + (p / q)^k), if
    there were no cap. Nothing is claimed about the full vote: near a tie, Lead(3) at n = 40 differs
    from it in up to 23 % of runs. ConSol's sequential test (arXiv:2503.17587) with its published
    settings is Lead(3). Under weights k is a weight. Expected cost: k (1 - 2 P(wrong)) / (p - q)
    samples, at least k.
    """

    k: int

    def __post_init__(self) -> None:
        """Refuse a lead below one vote."""
        at_least_one("k", self.k)

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the lead is k."""
        return self if tally.lead >= self.k else None

    @property
    def least(self) -> int:
        """As many, all for one answer."""
        return self.k


@dataclass(frozen=True)
class AtMost(CountRule):
    """Stop after n draws, and not before: `AtMost(n)` alone is the full vote, without curtailment.

    Joined by `&` it is a least number of draws: `Lead(2) & AtMost(6)` draws 6 or more.
    """

    n: int

    def __post_init__(self) -> None:
        """Refuse less than one draw."""
        at_least_one("n", self.n)

    @property
    def certain(self) -> bool:
        """No: all the draws are wanted."""
        return False

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when so many draws have finished."""
        return self if tally.finished >= self.n else None

    @property
    def least(self) -> int:
        """All of its draws."""
        return self.n


@dataclass(frozen=True)
class GoodEnough(Stop):
    """Stop when a sample's verdict has at least this score.

    As good as the verifier: with one that is not exact, the first good score tends to be that of a
    sample that fools it, and nothing is claimed. Expected cost: 1 / P(such a score).

    Attributes:
        score: In [0, 1].
    """

    score: float

    def __post_init__(self) -> None:
        """Refuse a score that no verdict has."""
        if not is_number(self.score) or not 0 <= self.score <= 1:
            raise UsageError("score", self.score, "verdict scores are in [0, 1]")

    @property
    def reads_scores(self) -> bool:
        """Yes."""
        return True

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the best score is good enough."""
        return self if tally.best_score is not None and tally.best_score >= self.score else None

    def soonest(self, tally: Tally) -> int:
        """The next sample may be good enough."""
        return 0 if self.fired(tally) is not None else min(1, tally.remaining)


@dataclass(frozen=True, kw_only=True)
class After(Stop):
    """Stop after so many seconds, at the next sample that finishes or at once while one waits.

    Unlike a budget of seconds it ends the run normally. Slow answers are under-represented, so
    nothing is claimed. Expected cost: what finishes in that time.
    """

    seconds: float

    def __post_init__(self) -> None:
        """Refuse a time that has passed already or never passes."""
        if not is_number(self.seconds) or not 0 < self.seconds < math.inf:
            raise UsageError("seconds", self.seconds, "give a positive number of seconds")

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the time has passed."""
        return self if tally.seconds >= self.seconds else None

    def soonest(self, tally: Tally) -> int:
        """The time may have passed by the next draw."""
        return 0 if self.fired(tally) is not None else min(1, tally.remaining)

    @property
    def wakes(self) -> tuple[float, ...]:
        """When the time has passed."""
        return (self.seconds,)

    def timeless(self) -> Stop | None:
        """Nothing is left of it."""
        return None


def with_certain(rule: Stop) -> Stop:
    """The rule as a ballot evaluates it: also ending once the outcome is certain, if it may."""
    return Certain() | rule if rule.certain else rule
