"""A run from its first draw to its result, or to the exception that carries what was paid for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from thinktwice import remarks, telemetry
from thinktwice.budget import Limit
from thinktwice.errors import AllSamplesFailed, BudgetExceeded, UsageError, attach
from thinktwice.result import Outcome, Result
from thinktwice.stop import AtMost
from thinktwice.workflow import report

if TYPE_CHECKING:
    from thinktwice.run import Run
    from thinktwice.strategy import Strategy

P = TypeVar("P")
T = TypeVar("T")

OnExhausted = Literal["best", "raise"]


async def executed(run: Run[P, T], strategy: Strategy, on_exhausted: OnExhausted) -> Result[T]:
    """Let a strategy draw and decide, within the span of its run.

    Args:
        run: Nothing is drawn yet.
        strategy: Decides.
        on_exhausted: As in `solve`.

    Returns:
        The result, which is reported to whatever is around.

    Raises:
        BudgetExceeded: As in `solve`.
        AllSamplesFailed: As in `solve`.
        Exception: What the strategy raises, or the samples for one type of cause; it carries what
            was paid for as its `thinktwice_result`.
    """
    attributes = telemetry.strategy_attributes(strategy.name, run.id, strategy.draws)
    name = f"invoke_workflow {strategy.name}"
    counting = run.recorder.counting(strategy.name, run.ledger)
    with run.recorder.span(name, "CHAIN", attributes) as on, counting:
        run.recorder.say_prompt(on, run.prompt)
        try:
            outcome = await _outcome(run, strategy)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):  # it did not fail
                on.set_attribute(telemetry.STATUS, "cancelled")
            partial = _result(run, Outcome(winner=None), failed=True)
            attach(error, partial)
            report(partial)  # type: ignore[arg-type] - a list of results of anything
            raise
        finally:
            run.ledger.close()
            telemetry.describe_run(on, run.ledger, run.samples, run.launched)
            telemetry.describe_drawing(
                on, exhaustive=run.exhaustive, explored=run.explored, selection=run.selection
            )
        result = _result(run, outcome, raising=on_exhausted == "raise")
        telemetry.describe_result(on, result)
        run.recorder.say_answer(on, result.value)
        await run.tell_decided(result)
        report(result)  # type: ignore[arg-type] - a list of results of anything
        if outcome.winner is None:
            _raise_if_nothing(run, result)
        elif result.cut is not None and on_exhausted == "raise":
            raise BudgetExceeded(result.cut, result)  # type: ignore[arg-type] - as above
        _say(run, result)
        return result


def _say(run: Run[P, T], result: Result[T]) -> None:
    """Issue the Python warnings; one that is turned into an error carries what was paid for."""
    for message in run.aloud:
        try:
            remarks.tell_once(message)
        except Warning as error:
            attach(error, result)
            raise


async def _outcome(run: Run[P, T], strategy: Strategy) -> Outcome[T]:
    try:
        outcome = await strategy(run)
        if not isinstance(outcome, Outcome):
            raise UsageError("strategy", strategy, "its __call__ must return an Outcome")
        return outcome
    except BudgetExceeded as error:
        if run.exhausted is None:
            raise
        offered = run.offered or Outcome(winner=None)
        return replace(offered, stopped_by=error.limit)


def _result(
    run: Run[P, T], outcome: Outcome[T], *, failed: bool = False, raising: bool = False
) -> Result[T]:
    samples = tuple(sorted(run.samples, key=lambda sample: sample.index))
    winner = outcome.winner
    if run.exhausted is not None:
        run.exhausted = run.exhausted.as_it_ended()
    stopped_by = outcome.stopped_by or run.exhausted
    if isinstance(stopped_by, Limit):
        stopped_by = stopped_by.as_it_ended()
    if run.cut_inside is not None and isinstance(stopped_by, AtMost | None):
        stopped_by = run.cut_inside  # all was drawn, and not all of it as it was meant to be
    said = remarks.remarks(
        samples,
        answered=winner is not None,
        cut=isinstance(stopped_by, Limit) and not raising,
        cost_capped=run.ledger.budget.money is not None,
        capped=run.ledger.capped,
        cut_inside=run.cut_inside is not None,
        replayed=run.replayed,
        unheard=run.unheard,
    )
    for remark in () if failed else said:  # an exception says it all
        run.warn(remark, aloud=True)
    return Result(
        value=winner.value if winner else None,
        answer=winner.answer if winner else None,
        winner=winner,
        samples=samples,
        launched=run.launched,
        hedges=run.hedges,
        used=len(samples) if outcome.used is None else outcome.used,
        verdicts=tuple(run.verdicts[index] for index in sorted(run.verdicts)),
        agreement=outcome.agreement,
        settled=outcome.settled,
        stopped_by=stopped_by,
        ledger=run.ledger,
        nested=tuple(run.nested),
        composed=outcome.composed,
        shares=outcome.shares,
        changes=outcome.changes,
        warnings=tuple(run.warnings),
    )


def _raise_if_nothing(run: Run[P, T], result: Result[T]) -> None:
    """Raise why there is no answer; all abstaining is none of these."""
    causes = [sample.error for sample in result.samples if sample.error is not None]
    if len(causes) < len(result.samples):
        return
    if run.exhausted is not None:
        raise BudgetExceeded(run.exhausted, result)  # type: ignore[arg-type] - a result of anything
    if not causes:
        return
    if len({type(cause) for cause in causes}) == 1:
        attach(causes[0], result)
        raise causes[0]
    raise AllSamplesFailed(causes, result)  # type: ignore[arg-type] - as above
