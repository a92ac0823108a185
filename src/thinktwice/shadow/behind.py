"""Running a strategy behind a request, and comparing its answer with what the user got."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from thinktwice.answers import awaited_key
from thinktwice.errors import ThinktwiceError
from thinktwice.result import Outcome, Result
from thinktwice.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from thinktwice.entry import Total
    from thinktwice.protocols import Verifier
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.shadow.comparison import Spend

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Behind(Generic[T]):
    """A request that a shadow follows.

    Attributes:
        strategy: What to run behind it.
        single: Tells what the user got and what it took; called later, behind the request.
        run: Runs a strategy on the request once more, whose input nobody else may change.
    """

    strategy: Strategy
    single: Callable[[], tuple[Sample[T], Spend]]
    run: Callable[[Strategy], Awaitable[Result[T]]]

    async def changed(self, single: Sample[T], result: Result[T]) -> bool | None:
        """Whether the strategy has another answer; None if neither way gave one."""
        before, after = await awaited_key(self.strategy.key)(single.value), result.answer
        if before is None or after is None:
            return None if before is after else True
        same: Callable[[Hashable, Hashable], bool] | None
        same = getattr(self.strategy, "equivalent", None)
        return not (before == after or (same is not None and same(before, after)))

    async def scores(
        self, verifier: Verifier[object], single: Sample[T], result: Result[T], *, changed: bool
    ) -> tuple[float, float] | str:
        """What a verifier says of both answers, or the outcome of a verdict without a score.

        The strategy's answer is judged if it is another one; none at all scores 0.
        """
        others = [result.winner] if changed and result.winner is not None else []
        judging = await self.run(Judging((single, *others), verifier))
        scores: list[float] = []
        for verdict in judging.verdicts:
            if verdict.score is None:
                return verdict.outcome
            scores.append(verdict.score)
        if not changed:
            return scores[0], scores[0]
        return scores[0], scores[1] if others else 0.0


def booked(
    run: Callable[[Strategy], Awaitable[Result[T]]], spend: Callable[[Total], None]
) -> Callable[[Strategy], Awaitable[Result[T]]]:
    """The same, telling what each run took, however it ends.

    A Python warning that the caller's filters turn into an error is none here.
    """

    async def run_booked(strategy: Strategy) -> Result[T]:
        try:
            result = await run(strategy)
        except BaseException as error:
            had = _result_on(error)
            if had is None:
                raise
            spend(had.ledger.total)
            if not isinstance(error, Warning):
                raise
            return cast("Result[T]", had)
        spend(result.ledger.total)
        return result

    return run_booked


def _result_on(error: BaseException) -> Result[object] | None:
    """What a run had when it ended in an exception."""
    if isinstance(error, ThinktwiceError):
        return error.result
    return getattr(error, "thinktwice_result", None)


@dataclass(frozen=True)
class Judging(Strategy):
    """Draw nothing, and judge the answers that were given.

    Attributes:
        answers: What was drawn elsewhere.
        verifier: What judges.
    """

    answers: tuple[Sample[object], ...]
    verifier: Verifier[object]

    @property
    def calls(self) -> int | None:
        """Those of judging each."""
        return len(self.answers) * getattr(self.verifier, "calls", 0) or None

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """One verdict each, by their order."""
        for index, sample in enumerate(self.answers):
            await run.verify(replace(sample, index=index), self.verifier)  # type: ignore[arg-type] - a sample of anything
        return Outcome(winner=None)
