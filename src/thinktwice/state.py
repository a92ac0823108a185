"""What a run knows: its input, its settings, what was drawn, and the books of all of it."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice import exploring, telemetry
from thinktwice.answers import awaited_key
from thinktwice.errors import BudgetExceeded, TypeOf, UsageError
from thinktwice.grouping import Grouping
from thinktwice.ledger import Ledger
from thinktwice.progress import Report
from thinktwice.scope import Scope, current_scope
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from thinktwice.account import Lease
    from thinktwice.budget import Budget, Limit
    from thinktwice.entry import Role, Status, Total
    from thinktwice.limiter import Limiter
    from thinktwice.progress import Watcher
    from thinktwice.protocols import Options, PriceSource, Prompting
    from thinktwice.result import Outcome, Result
    from thinktwice.sample import Sample, Verdict
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")

_DRAWN = frozenset({"sample", "repair"})


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[P]):
    """What is the same for all calls of a run.

    Attributes:
        strategy: Name of the strategy, for spans.
        key: What votes are counted by.
        options: Settings of every call, or of the call of an index.
        limiters: Caps on concurrency.
        prices: What calls cost.
        prompting: How the input is edited; by its type if None.
        progress: Told what happens.
    """

    strategy: str
    key: str | Callable[..., Hashable | None] | None
    options: Options | Callable[[int], Options] | None
    limiters: Sequence[Limiter]
    prices: PriceSource
    prompting: Prompting[P] | None = None
    progress: Watcher | None = None


class State(Generic[P, T]):
    """What a run knows, and what it opens for each thing that it does.

    Attributes:
        prompt: The input.
        id: Random name of this run, in its spans.
        recorder: Writes its spans and metrics.
        ledger: Caps and costs of this run, inside those around it.
        samples: Finished draws so far, in order of arrival.
        verdicts: What verifiers said last, by index of the sample.
        launched: Draws started.
        hedges: Those of them that were started in the slots of stragglers.
        replayed: Samples from a cache that keeps one for each draw.
        unheard: Samples of a framework that tells of its calls, and told of none.
        exhausted: The budget that ended the drawing, once one has.
        cut_inside: The budget, of this run or around it, that cut a run inside a sample short.
        warnings: What the caller should know.
        aloud: Those of them that become Python warnings.
        nested: Results of the runs inside this one's samples and verdicts.
        offered: The best answer so far, if the strategy left one.
        tally: Samples so far by answer, in order of first appearance.
        report: Tells whoever watches.
        max_concurrency: Calls in flight at most.
        exhaustive: All samples are drawn, whatever they answer; None where nobody knows.
        explored: They are since the run was chosen for that, and would not have been; False if it
            could have been chosen, None if not.
        selection: How the answer follows from the samples, where numbers of them say so: "votes",
            or what `BestOfN` weighs by.
        grouping: Which answers are the same one.
        weigh: What a sample's vote weighs, or what that follows from; None if all weigh the same.
    """

    def __init__(
        self,
        prompt: P,
        *,
        sources: Mapping[str, Source[P, T]],
        setting: Setting[P],
        budget: Budget | None,
        implied: bool = False,
    ) -> None:
        """Made by `solve`."""
        outer = current_scope()
        self.prompt = prompt
        self.id = secrets.token_hex(8)
        self.recorder = telemetry.Recorder()
        self.ledger = Ledger(budget, parent=ledger_around(), implied=implied)
        self.samples: list[Sample[T]] = []
        self.verdicts: dict[int, Verdict] = {}
        self.launched: int = 0
        self.hedges: int = 0
        self.replayed: int = 0
        self.unheard: int = 0
        self._next = 0
        self._outermost = outer is None
        self.exhaustive: bool | None = None
        self.explored: bool | None = None
        self.selection: str | None = None
        self.grouping = Grouping()
        self.weigh: Callable[[Sample[T]], float | None] | None = None
        self._weights: dict[int, float | None] = {}
        self.exhausted: Limit | None = None
        self.cut_inside: Limit | None = None
        self.warnings: list[str] = []
        self.aloud: list[str] = []
        self.nested: list[Result[object]] = []
        self.offered: Outcome[T] | None = None
        inherited = outer.limiters if outer else ()
        self._limiters = tuple(dict.fromkeys([*inherited, *setting.limiters]))
        self.max_concurrency = min(each.max_concurrency for each in self._limiters)
        self._sources = sources
        self._setting = setting
        self._key = awaited_key(setting.key)
        self.tally: list[int] = []
        self._checks: Counter[tuple[Role, int | None]] = Counter()
        self.report = Report(setting.progress, setting.strategy)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self.ledger.seconds

    def warn(self, message: str, *, aloud: bool = False) -> None:
        """Tell the caller something, once; it must hold no content.

        Args:
            message: For `result.warnings`.
            aloud: Also as a Python warning, once a process, when the run is over.
        """
        if message not in self.warnings:
            self.warnings.append(message)
            if aloud:
                self.aloud.append(message)

    def explores(self, calls: int | None) -> bool:
        """Whether to draw all samples though the rule might end the run before.

        Never inside another run, nor inside a budget that others spend from, nor where a cap on
        calls does not leave as many.

        Args:
            calls: That this takes; None if nobody knows.
        """
        left = self.ledger.remaining.get("calls")
        short = left is not None and (calls is None or left < calls)
        shared = not self._outermost or self.ledger.parent is not None
        self.explored = None if short or shared else exploring.chosen()
        if self.explored:
            self.warn(exploring.EXPLORED)
        return bool(self.explored)

    def group_by(
        self, equivalent: Callable[[Hashable, Hashable], bool] | None
    ) -> Callable[[Hashable, Hashable], bool] | None:
        """Say which answers are the same one; gives it back as one that is asked once of a pair."""
        same = None if equivalent is None else cache(equivalent)
        self.grouping = Grouping(same)
        return same

    def weighed(self, sample: Sample[T]) -> float | None:
        """What `weigh` says of a sample, which is asked once."""
        if self.weigh is None:
            return 1.0
        if sample.index not in self._weights:
            self._weights[sample.index] = self.weigh(sample)
        return self._weights[sample.index]

    async def tell_decided(self, result: Result[T]) -> None:
        """Tell whoever watches that the run is over."""
        winner = result.winner
        group = None if winner is None else self._group(winner)
        await self.report.of_decision(self, result, group)  # type: ignore[arg-type] - of anything

    def _group(self, sample: Sample[T]) -> int:
        """Ordinal of the answer among those seen; -1 abstains."""
        if sample.answer is None:
            return -1
        return self.grouping.place(sample.answer)

    def _count(self, sample: Sample[T]) -> int:
        """Take a sample into the tally."""
        group = self._group(sample)
        if group == len(self.tally):
            self.tally.append(0)
        if group >= 0:
            self.tally[group] += 1
        return group

    def _leaves(self, error: Exception, source: Source[P, T] | None) -> bool:
        """Whether an exception ends the run, and not the sample or the check alone."""
        if isinstance(error, BudgetExceeded):
            return self.ledger.bound_by(error.limit)
        return isinstance(error, (UsageError, *(source.passthrough if source else ())))

    def _end(self, scope: Scope, status: Status, error: BaseException | None) -> Total:
        self.nested.extend(scope.nested)
        cuts = [each.cut for each in scope.nested if each.cut is not None]
        self.cut_inside = next(filter(self.ledger.bound_by, cuts), self.cut_inside)
        for remark in scope.remarks:
            self.warn(remark, aloud=True)
        total = scope.end(status, error)
        if scope.draws:
            refused = isinstance(error, BudgetExceeded | asyncio.CancelledError) and not total.calls
            if refused or not scope.begun:  # it queued and was recalled, before anything was sent
                self.launched -= 1
            else:
                self.recorder.count_sample(self._setting.strategy, status)
        return total

    def _scope(
        self,
        role: Role,
        index: int | None,
        leases: Sequence[Lease] = (),
        on_begun: Callable[[], None] | None = None,
    ) -> Scope:
        ordinal = 0
        if role not in _DRAWN:
            ordinal = self._checks[role, index]
            self._checks[role, index] += 1
        return Scope(
            strategy=self._setting.strategy,
            role=role,
            index=index,
            ledger=self.ledger,
            limiters=self._limiters,
            prices=self._setting.prices,
            recorder=self.recorder,
            leases=leases,
            on_begun=on_begun,
            ordinal=ordinal,
            run=self.id,
        )

    def _options(self, options: Options | None, index: int) -> Options:
        common = self._setting.options
        base = common(index) if callable(common) else common
        if not isinstance(base, Mapping | None):
            raise UsageError(
                "options", TypeOf(base), "give a mapping of settings, or a function of one"
            )
        return {**(base or {}), **(options or {})}

    def _source(self, sampler: str | None) -> Source[P, T]:
        if sampler is None:
            return next(iter(self._sources.values()))
        try:
            return self._sources[sampler]
        except KeyError:
            remedy = f"this run has the samplers {', '.join(self._sources)}"
            raise UsageError("sampler", sampler, remedy) from None
