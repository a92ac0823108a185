"""The entry points: run a strategy over a sampler, and return the answer with its bill."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from thinktwice import remarks, telemetry
from thinktwice.budget import DEFAULT_SECONDS, Budget, Limit
from thinktwice.errors import AllSamplesFailed, BudgetExceeded, UsageError, attach
from thinktwice.limiter import DEFAULT_CONCURRENCY, Limiter
from thinktwice.pricing import default_prices, load_list_prices
from thinktwice.result import Outcome, Result
from thinktwice.run import Run
from thinktwice.sampling import as_sources
from thinktwice.scope import current_scope
from thinktwice.shadow import answered
from thinktwice.state import Setting
from thinktwice.stop import AtMost
from thinktwice.strategy import Strategy
from thinktwice.threads import in_thread, run_sync
from thinktwice.workflow import ledger_around, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.pricing import Price
    from thinktwice.progress import Watcher
    from thinktwice.protocols import Options, PriceSource, Prompting, Sampler
    from thinktwice.sampling import Source
    from thinktwice.shadow import Shadow

P = TypeVar("P")
T = TypeVar("T")

OnExhausted = Literal["best", "raise"]


async def solve(
    prompt: P,
    *,
    sampler: Sampler[P, T] | Mapping[str, Sampler[P, T]],
    strategy: Strategy,
    budget: Budget | None = None,
    options: Options | Callable[[int], Options] | None = None,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    limiter: Limiter | Sequence[Limiter] | None = None,
    prices: Mapping[str, Price] | PriceSource | None = None,
    prompting: Prompting[P] | None = None,
    on_exhausted: OnExhausted = "best",
    require_budget: bool = False,
    shadow: Shadow | None = None,
    progress: Watcher | None = None,
) -> Result[T]:
    """Run a strategy over a sampler.

    Args:
        prompt: The input, whatever the sampler takes.
        sampler: What is sampled: a callable of the prompt, or of the prompt and `options`, async or
            sync; or several by name. A sync one runs on threads, which cannot be recalled.
        strategy: What to draw and which of it to return.
        budget: Hard caps; by default the strategy's own number of calls. Without a cap on time
            anywhere it is 600 seconds. Those of enclosing runs and of `budget_scope` bind too.
        options: Settings of every call ("temperature", "seed", "max_tokens", ...), or a function of
            the sample's index; the sampler must take `options`.
        max_concurrency: Calls in flight at most, nested runs included.
        limiter: A cap shared with other requests, or several.
        prices: USD per million tokens by model, over the list prices.
        prompting: How the input is edited, for strategies that do.
        on_exhausted: What to do when a budget cuts the run short: return the best answer so far, or
            raise `BudgetExceeded`, which carries it.
        require_budget: Refuse to run without a budget.
        shadow: Draw one sample and return it at once, even one that abstains; run the strategy
            behind a share of the requests, to see what it would change.
        progress: Called with a `Progress` for each sample, each verdict and the decision, and
            awaited if that can be; keep it short, since the draw goes on after it.

    Returns:
        The answer, the samples, and what was paid for. `value` is None where all abstained.

    Raises:
        UsageError: A parameter makes no sense; names it.
        BudgetExceeded: There was no answer when a budget ended the run.
        AllSamplesFailed: Every sample failed, of several causes. Of one type of cause, an exception
            of that type is raised itself, with the result as its `thinktwice_result`.
    """
    _check(strategy, budget, on_exhausted, require_budget=require_budget, prompting=prompting)
    if progress is not None and not callable(progress):
        raise UsageError("progress", progress, "give a function of a Progress, or None")
    if shadow is not None:
        outer = current_scope()
        around = outer.prices if outer and prices is None else prices

        async def once(given: P, chosen: Strategy, limiters: Sequence[Limiter]) -> Result[T]:
            return await solve(
                given,
                sampler=sampler,
                strategy=chosen,
                budget=budget,
                options=options,
                max_concurrency=max_concurrency,
                limiter=limiters,
                prices=around,
                prompting=prompting,
                on_exhausted=on_exhausted,
                require_budget=require_budget,
            )

        return await answered(
            prompt, shadow=shadow, strategy=strategy, run=once, limiters=_several(limiter)
        )
    if strategy.of is not None:
        sampler = _inside(strategy.of, sampler, prompting)
    sources = as_sources(sampler)
    _check_options(options, sources)
    outer = current_scope()
    own = Limiter(max_concurrency)
    setting: Setting[P] = Setting(
        strategy=strategy.name,
        key=strategy.key,
        options=options,
        limiters=(*_several(limiter), own),
        prices=outer.prices if outer and prices is None else default_prices(prices),
        prompting=prompting,
        progress=progress,
    )
    if prices is None and outer is None and any(s.model or not s.leaf for s in sources.values()):
        await _read_list_prices()
    caps = _in_time(budget or _default_budget(strategy, sources))
    run = Run(prompt, sources=sources, setting=setting, budget=caps, implied=budget is None)
    _note_nesting(run, strategy, sources)
    async with AsyncExitStack() as stack:
        if outer is not None:
            await stack.enter_async_context(outer.lent())
        return await _executed(run, strategy, on_exhausted)


def solve_sync(
    prompt: P,
    *,
    sampler: Sampler[P, T] | Mapping[str, Sampler[P, T]],
    strategy: Strategy,
    budget: Budget | None = None,
    options: Options | Callable[[int], Options] | None = None,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    limiter: Limiter | Sequence[Limiter] | None = None,
    prices: Mapping[str, Price] | PriceSource | None = None,
    prompting: Prompting[P] | None = None,
    on_exhausted: OnExhausted = "best",
    require_budget: bool = False,
    shadow: Shadow | None = None,
    progress: Watcher | None = None,
) -> Result[T]:
    """`solve`, for code that is not async; works where an event loop is already running, too.

    A sync sampler runs on threads, which cannot be recalled: calls still under way when the run has
    decided are abandoned, and settle late into their ledger entry. What is run in a shadow is run
    on a daemon thread.
    """
    return run_sync(
        lambda: solve(
            prompt,
            sampler=sampler,
            strategy=strategy,
            budget=budget,
            options=options,
            max_concurrency=max_concurrency,
            limiter=limiter,
            prices=prices,
            prompting=prompting,
            on_exhausted=on_exhausted,
            require_budget=require_budget,
            shadow=shadow,
            progress=progress,
        )
    )


def _check(
    strategy: Strategy,
    budget: Budget | None,
    on_exhausted: OnExhausted,
    *,
    require_budget: bool,
    prompting: object,
) -> None:
    if on_exhausted not in ("best", "raise"):
        raise UsageError("on_exhausted", on_exhausted, "give 'best' or 'raise'")
    if require_budget and budget is None and ledger_around() is None:
        raise UsageError("budget", budget, "this run requires one: give budget=Budget(...)")
    if not isinstance(budget, Budget | None):
        raise UsageError("budget", budget, "give Budget(calls=, tokens=, cost=, seconds=)")
    if not isinstance(strategy, Strategy):
        raise UsageError("strategy", strategy, "give a strategy such as Vote(8)")
    if prompting is not None and not callable(getattr(prompting, "revise", None)):
        raise UsageError("prompting", prompting, "give an object with revise() and extend()")


async def _executed(run: Run[P, T], strategy: Strategy, on_exhausted: OnExhausted) -> Result[T]:
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


def _inside(
    inner: Strategy,
    sampler: Sampler[P, T] | Mapping[str, Sampler[P, T]],
    prompting: Prompting[P] | None,
) -> Sampler[P, T] | Mapping[str, Sampler[P, T]]:
    over = inner.over(sampler)
    over.prompting = prompting  # it gets the same input
    return over


def _several(limiter: Limiter | Sequence[Limiter] | None) -> Sequence[Limiter]:
    if limiter is None:
        return ()
    several = (limiter,) if isinstance(limiter, Limiter) else limiter
    if not isinstance(several, Sequence) or not all(isinstance(e, Limiter) for e in several):
        raise UsageError("limiter", limiter, "give a Limiter, or a list of them")
    return several


def _default_budget(strategy: Strategy, sources: Mapping[str, Source[P, T]]) -> Budget:
    """No more calls than the strategy can mean, and ten minutes."""
    counted = ledger_around() is None and all(source.leaf for source in sources.values())
    return Budget(calls=strategy.calls if counted else None)


def _in_time(budget: Budget) -> Budget:
    """The budget with an end: ten minutes, where neither it nor one around it has one."""
    around = ledger_around()
    if budget.seconds is not None or (around is not None and around.deadline is not None):
        return budget
    return replace(budget, seconds=DEFAULT_SECONDS)


def _check_options(
    options: Options | Callable[[int], Options] | None, sources: Mapping[str, Source[P, T]]
) -> None:
    if not options:
        return
    if not callable(options) and not isinstance(options, Mapping):
        raise UsageError("options", options, "give a mapping of settings, or a function of one")
    for source in sources.values():
        if not source.takes_options:
            remedy = (
                f"the sampler {source.name!r} takes the prompt alone, so they would be dropped: "
                "give it a parameter `options`"
            )
            named = options if callable(options) else sorted(options)  # values may be secret
            raise UsageError("options", named, remedy)


async def _read_list_prices() -> None:
    """Once a process, beside the event loop, and before the clock of a run starts."""
    if not load_list_prices.cache_info().currsize:
        await in_thread(load_list_prices)


def _note_nesting(run: Run[P, T], strategy: Strategy, sources: Mapping[str, Source[P, T]]) -> None:
    inside = max(source.draws for source in sources.values())
    own = strategy.draws
    if strategy.of is not None and own is not None:
        own //= strategy.of.draws or 1
    if inside > 1 and own is not None and own > 1:
        run.warn(f"a strategy inside a strategy: up to {own} x {inside} = {own * inside} draws")
