"""Majority vote over the answers of independent samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from thinktwice import launch
from thinktwice.ballot import Ballot, LaunchOrder
from thinktwice.errors import UsageError
from thinktwice.remarks import ALL_DIFFERENT, FAST_DIFFER, UNWEIGHTED, all_different
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, Settled, Stop, Tally, with_certain
from thinktwice.stop.claim import Void, claim
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_draws,
    check_flags,
    check_inside,
    check_stop,
    check_vary,
    nested_calls,
    nested_draws,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice.budget import Limit
    from thinktwice.launch import Preference
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.vary import Vary

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
            whose calls cannot be recalled, "balanced" is "cost". "shortest" is "latency" for those
            who want the answers that come first (short-m@k, arXiv:2505.17813): with
            `stop=AtMost(m)` the first m of n decide.
        count: "arrival" counts samples as they arrive; "launch" in the order in which they were
            launched, which latencies that depend on the answer cannot bias. Arrival becomes launch
            by itself where requests of the sampler have shown such latencies.
        hedge: Launch another sample in the slot of one that takes over 2.5 times the median, for at
            most 5 % more calls. Never with "cost", "shortest" or `count="launch"`, nor over a sync
            sampler.
        warm_first: Launch one call, and the others when it has finished: where the provider caches
            prompts, these then read a long prompt from the cache.
        vary: Draw from several prompts, temperatures or samplers, in seeded random order.
        equivalent: Whether two answers are the same one; by default, when they are equal.
        weight: Weight of a sample's vote, in [0, 1]; all 1 by default. A `Confidence` or a function
            of the sample; None where it does not know, which weighs as much as the mean so far.
        of: The strategy inside: each vote is then a run of it.

    Raises:
        UsageError: n below 1, a rule that can never fire, or another unusable parameter.
    """

    n: int
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    stop: Stop = field(default=Settled(), kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    count: Literal["arrival", "launch"] = field(default="arrival", kw_only=True)
    hedge: bool = field(default=True, kw_only=True)
    warm_first: bool = field(default=False, kw_only=True)
    vary: Vary | None = field(default=None, kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)
    weight: Callable[[Sample[object]], float | None] | None = field(default=None, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        check_stop(self.stop, self.n, scored=False)
        launch.tau_of(self.prefer)
        if self.count not in ("arrival", "launch"):
            raise UsageError("count", self.count, "give 'arrival' or 'launch'")
        if self.count == "launch" and self.prefer == "shortest":
            remedy = "count on arrival: 'shortest' wants the answers that come first"
            raise UsageError("count", self.count, remedy)
        check_flags(hedge=self.hedge, warm_first=self.warm_first)
        check_vary(self.vary)
        check_inside(self.of)
        check_callables(key=self.key, equivalent=self.equivalent, weight=self.weight)

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw."""
        return nested_calls(self.n, self.of)

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, count, and stop as soon as the rule allows."""
        same = run.group_by(self.equivalent)
        run.weigh = None if self.weight is None else self._weight
        ballot: Ballot[T] = Ballot(self.n, equivalent=same, weighted=self.weight is not None)
        explores = self._explores(run)
        rule = with_certain(AtMost(self.n) if explores else self.stop)
        order: LaunchOrder[T] | None = LaunchOrder() if self._in_launch_order(run) else None
        counted = ballot.tally()

        def tally() -> Tally:
            return replace(counted, seconds=run.seconds) if rule.wakes else counted

        pace = launch.Pace(
            rule=rule,
            tally=tally,
            tau=launch.tau_of(self.prefer, recallable=run.recallable),
            warm_first=self.warm_first,
            waiting=(lambda: 0) if order is None else order.__len__,
        )
        hedging = self.hedge and order is None and launch.hedges(self.prefer, pace.tau)
        async with run.draws(
            self.n,
            in_flight=pace.in_flight,
            until=pace.over,
            wakes=rule.wakes,
            needed=pace.needed if hedging else None,
            vary=self.vary,
        ) as samples:
            async for sample, _ in samples:
                for each in (sample,) if order is None else order.after(sample):
                    ballot.add(each, weight=run.weighed(each))
                    counted = ballot.tally()
                    if pace.over():
                        break
        if order is not None and run.exhausted is not None:
            for each in order.rest():  # nothing more will come before them, and they are paid for
                ballot.add(each, weight=run.weighed(each))
            counted = ballot.tally()
        if explores and run.exhausted is not None:
            ballot, rule = self._as_usual(run, same, in_order=order is not None)
            counted = ballot.tally(run.seconds)
        return self._outcome(run, ballot, tally(), rule, in_order=order is not None)

    def _explores(self, run: Run[P, T]) -> bool:
        """Whether it goes on to n though its rule may fire; told to whoever replays it."""
        whole = isinstance(self.stop, AtMost) and self.stop.n >= self.n
        explores = not whole and self.prefer != "shortest" and run.explores(self.calls)
        run.exhaustive, run.selection = whole or explores, "votes"
        return explores

    def _as_usual(
        self, run: Run[P, T], same: Callable[[Hashable, Hashable], bool] | None, *, in_order: bool
    ) -> tuple[Ballot[T], Stop]:
        """The ballot under its own rule, of samples that were drawn until a budget ended it."""
        rule = with_certain(self.stop)
        ballot: Ballot[T] = Ballot(self.n, equivalent=same, weighted=self.weight is not None)
        for sample in sorted(run.samples, key=lambda s: s.index) if in_order else run.samples:
            if rule.fired(ballot.tally()) is not None:
                break
            ballot.add(sample, weight=run.weighed(sample))
        return ballot, rule

    def _outcome(
        self, run: Run[P, T], ballot: Ballot[T], final: Tally, rule: Stop, *, in_order: bool
    ) -> Outcome[T]:
        if all_different(run.samples):
            run.warn(ALL_DIFFERENT, aloud=self.key is None)
        if self.weight is not None and ballot.unweighted:
            run.warn(UNWEIGHTED, aloud=True)
        fired = rule.fired(final) if final.remaining else None
        late = run.out_of_time and not run.explored  # else its own rule had fired in time
        cut = run.exhausted if final.remaining and (fired is None or late) else None
        if not in_order and rule.counts_only and cut is None and self.prefer != "shortest":
            self._look_for_association(run, final, rule)
        return Outcome(
            winner=ballot.winner(),
            agreement=ballot.agreement,
            settled=claim(fired, final, void=self._void(run, cut)),
            stopped_by=cut or fired or AtMost(self.n),
            used=final.finished,
        )

    def _in_launch_order(self, run: Run[P, T]) -> bool:
        """As asked for, or because arrival is known to depend on the answer."""
        if self.count == "launch":
            return True
        found = self.prefer != "shortest" and run.history.association.found
        if found and launch.tau_of(self.prefer, recallable=run.recallable) < 1:
            run.warn(FAST_DIFFER, aloud=True)
            return True
        return False

    def _look_for_association(self, run: Run[P, T], final: Tally, rule: Stop) -> None:
        """Let later runs know whether fast answers differ from slow ones."""
        if self.weight is not None or run.hedges or len(run.samples) != len(final.history):
            return

        def over(finished: int, leader: int, runner_up: int) -> bool:
            votes = (leader, runner_up) if runner_up else (leader,)
            return rule.fired(Tally(self.n, votes, finished)) is not None

        seconds = [sample.seconds for sample in run.samples]
        run.history.association.add(final.history, seconds, over=over)

    def _weight(self, sample: Sample[object]) -> float | None:
        """Of a vote; a sample that abstains has none."""
        if self.weight is None or sample.answer is None:
            return 1.0
        try:
            return self.weight(sample)
        except Exception as error:
            remedy = f"it raised {type(error).__name__}: return a number from 0 to 1"
            raise UsageError("weight", self.weight, remedy) from error

    def _void(self, run: Run[P, T], cut: Limit | None) -> str | None:
        """Why nothing is claimed about the full vote."""
        known = (
            (self.equivalent is not None, Void.EQUIVALENT),
            (self.weight is not None, Void.WEIGHTS),
            (self.prefer == "shortest", Void.FIRST),
            (run.hedges > 0, Void.HEDGE),
            (cut is not None, Void.BUDGET),
        )
        first = next((reason for applies, reason in known if applies), None)
        return first or (self.vary and self.vary.void(self.n))
