"""A vote of the confident: filtered and weighted by the model's own confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice import launch
from thinktwice.confident import Poll
from thinktwice.errors import UsageError
from thinktwice.remarks import UNWEIGHTED
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, with_certain
from thinktwice.stop.algebra import Stop, at_least_one
from thinktwice.stop.claim import Void, claim
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_draws,
    check_inside,
    nested_calls,
    nested_draws,
)
from thinktwice.verifiers.confidence import Confidence, TokenConfidence

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice.launch import Preference
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.stop.tally import Tally

P = TypeVar("P")
T = TypeVar("T")

_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class DeepConf(Strategy):
    """Vote among the confident samples, each with the weight of its confidence.

    Fu et al. 2025, "Deep Think with Confidence", arXiv:2508.15260. The first `warmup` samples set a
    threshold, which the best `keep` of them reach. A sample below it abstains: it costs, and does
    not vote. From then on it ends when the leading answer has `consensus` of the weight, and at n
    at the latest. The published method also aborts a trace as soon as its confidence falls below
    the threshold, which takes an inference server of one's own; here every trace is paid for in
    full.

    Cost: from `warmup` to n samples. It helps where right samples are more confident than wrong
    ones of the same question, and harms where they are not, the more the fewer are kept: measure
    that before you lower `keep`.

    Attributes:
        n: Samples at the most.
        confidence: Of a sample: a `Confidence`, or a function that returns a number of at least 0
            in any unit, or None where it does not know. A sample without one is not filtered, and
            has the mean weight. It reads the sample, so ask for what it reads.
        keep: Share of the warm-up that reaches the threshold, in (0, 1]: 1 filters nothing. The
            paper's "high" is .9 and its "low" .1.
        warmup: Samples with an answer that set the threshold.
        consensus: Share of the weight that ends it, in (.5, 1]; it takes `warmup` samples first.
        key: What votes are counted by, as in `Vote`.
        prefer: As in `Vote`.
        equivalent: Whether two answers are the same one; by default, when they are equal.
        of: The strategy inside: each vote is then a run of it.

    Raises:
        UsageError: A parameter out of range.
    """

    n: int
    confidence: Callable[[Sample[object]], float | None] = field(
        default=TokenConfidence("lowest"), kw_only=True
    )
    keep: float = field(default=0.9, kw_only=True)
    warmup: int = field(default=16, kw_only=True)
    consensus: float = field(default=0.95, kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        at_least_one("warmup", self.warmup)
        if self.warmup > self.n:
            raise UsageError("warmup", self.warmup, f"give at most n={self.n}")
        if not 0 < self.keep <= 1:
            raise UsageError("keep", self.keep, "give a share above 0, at most 1")
        Consensus(self.consensus, after=self.warmup)
        launch.tau_of(self.prefer)
        check_inside(self.of)
        if self.confidence is None:
            raise UsageError("confidence", None, "give a Confidence or a function of the sample")
        check_callables(key=self.key, equivalent=self.equivalent, confidence=self.confidence)

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw."""
        return nested_calls(self.n, self.of)

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, weigh, and stop at a consensus."""
        poll: Poll[T] = Poll(
            self.n,
            self._score,
            keep=self.keep,
            warmup=self.warmup,
            equivalent=self.equivalent,
        )
        run.weigh = poll.confidence_of
        rule = with_certain(Consensus(self.consensus, after=self.warmup))
        tau = launch.tau_of(self.prefer, recallable=run.recallable)
        pace = launch.Pace(rule=rule, tally=poll.tally, tau=tau)
        async with run.draws(self.n, in_flight=pace.in_flight, until=pace.over) as samples:
            async for sample, _ in samples:
                poll.add(sample)
        poll.close()
        tally = poll.tally()
        if poll.unweighted:
            run.warn(UNWEIGHTED, aloud=True)
        fired = rule.fired(tally) if tally.remaining else None
        cut = run.exhausted if tally.remaining and (fired is None or run.out_of_time) else None
        return Outcome(
            winner=poll.winner(),
            agreement=poll.agreement,
            settled=claim(fired, tally, void=Void.FILTER),
            stopped_by=cut or fired or AtMost(self.n),
            used=tally.finished,
        )

    @property
    def _score(self) -> Callable[[Sample[object]], float | None]:
        """In the units of the confidence: its scale, which is for votes, would cut it off."""
        given = self.confidence
        return given.score if isinstance(given, Confidence) else given


@dataclass(frozen=True)
class Consensus(Stop):
    """Stop when an answer has this share of the votes, or of their weight.

    Nothing is claimed. The first vote alone has all of it, hence `after`.

    Attributes:
        share: In (.5, 1].
        after: Draws that have to finish before it looks.
    """

    share: float
    after: int = field(kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a share that a runner-up can have, or that nobody can."""
        at_least_one("after", self.after)
        if not 0.5 < self.share <= 1:  # noqa: PLR2004 - a tie has .5
            raise UsageError("consensus", self.share, "give a share above 0.5, at most 1")

    @property
    def least(self) -> int:
        """As many as come first."""
        return self.after

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the leader has the share."""
        if tally.finished < self.after or not tally.counts:
            return None
        return self if self._missing(tally) <= _ROUNDING else None

    def soonest(self, tally: Tally) -> int:
        """When the leader would have the share, if it got all further votes."""
        wait = max(0 if tally.counts else 1, self.after - tally.finished)
        missing = self._missing(tally)
        if missing > _ROUNDING:
            gain = (1 - self.share) * tally.max_weight  # of a vote for the leader
            wait = max(wait, math.ceil((missing - _ROUNDING) / gain) if gain else tally.remaining)
        return min(tally.remaining, wait)

    def _missing(self, tally: Tally) -> float:
        """Votes that the leader is short of."""
        return max(0.0, self.share * math.fsum(tally.counts) - tally.leader)
