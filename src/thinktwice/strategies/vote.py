"""Majority vote over the answers of independent samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from thinktwice import launch
from thinktwice.ballot import Ballot
from thinktwice.errors import UsageError
from thinktwice.remarks import ALL_DIFFERENT, all_different
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, Settled, Stop, claim, with_certain
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_draws,
    check_inside,
    check_stop,
    nested_draws,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice.launch import Preference
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.tally import Tally

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Vote(Strategy):
    """Draw up to n samples and return the most frequent answer (self-consistency).

    Wang et al. 2022, arXiv:2203.11171. Cost: at most n samples, and by default as few as settle the
    vote: 3 of 16 where the samples agree, 8 to 10 where they do not. It helps where the right
    answer is the most frequent one, and makes things worse where a wrong one is.

    Attributes:
        n: Samples at the most.
        key: What votes are counted by: None for the default of the type, a name such as "number",
            or a callable of the value whose None abstains.
        stop: When to stop early; `AtMost(n)` draws all n.
        prefer: "cost" starts a call only if it will certainly be needed, so that nothing is
            discarded; "latency" starts all at once; "balanced" starts a call if it will be
            needed with a chance of a half. A number in [0, 1] is that chance. Over a sync sampler,
            whose calls cannot be recalled, "balanced" is "cost".
        equivalent: Whether two answers are the same one; by default, when they are equal.
        weight: Weight of a sample's vote, in [0, 1]; all 1 by default.
        of: The strategy inside: each vote is then a run of it.

    Raises:
        UsageError: n below 1, a rule that can never fire, or another unusable parameter.
    """

    n: int
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    stop: Stop = field(default=Settled(), kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)
    weight: Callable[[Sample[object]], float] | None = field(default=None, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        check_stop(self.stop, self.n, scored=False)
        launch.tau_of(self.prefer)
        check_inside(self.of)
        check_callables(key=self.key, equivalent=self.equivalent, weight=self.weight)

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw."""
        if self.of is None:
            return self.n
        return None if self.of.calls is None else self.n * self.of.calls

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, count, and stop as soon as the rule allows."""
        ballot: Ballot[T] = Ballot(
            self.n, equivalent=self.equivalent, weighted=self.weight is not None
        )
        rule = with_certain(self.stop)
        tau = launch.tau_of(self.prefer, recallable=run.recallable)

        counted = ballot.tally()

        def tally() -> Tally:
            return replace(counted, seconds=run.seconds) if rule.wakes else counted

        def in_flight() -> int:
            return launch.in_flight(tally(), rule, tau=tau)

        def over() -> bool:
            return rule.fired(tally()) is not None

        async with run.draws(self.n, in_flight=in_flight, until=over, wakes=rule.wakes) as samples:
            async for sample, _ in samples:
                ballot.add(sample, weight=self._weight(sample))
                counted = ballot.tally()
        final = tally()
        if all_different(run.samples):
            run.warn(ALL_DIFFERENT, aloud=self.key is None)
        fired = rule.fired(final) if final.remaining else None
        cut = run.exhausted if final.remaining and (fired is None or run.out_of_time) else None
        return Outcome(
            winner=ballot.winner(),
            agreement=ballot.agreement,
            settled=claim(fired, final, void=self._void(cut=cut is not None)),
            stopped_by=cut or fired or AtMost(self.n),
            used=final.finished,
        )

    def _weight(self, sample: Sample[object]) -> float:
        """Of a vote; a sample that abstains has none."""
        if self.weight is None or sample.answer is None:
            return 1.0
        try:
            return self.weight(sample)
        except Exception as error:
            remedy = f"it raised {type(error).__name__}: return a number from 0 to 1"
            raise UsageError("weight", self.weight, remedy) from error

    def _void(self, *, cut: bool) -> str | None:
        """Why nothing is claimed about the full vote."""
        if cut:
            return "a budget cut"
        if self.weight is not None:
            return "weights"
        return "equivalent=" if self.equivalent is not None else None
