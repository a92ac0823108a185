"""The entry points: run a strategy over a sampler, and return the answer with its bill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from thinktwice.budget import DEFAULT_SECONDS, Budget
from thinktwice.errors import UsageError
from thinktwice.executing import executed
from thinktwice.limiter import DEFAULT_CONCURRENCY, Limiter
from thinktwice.pricing.table import default_prices, load_list_prices
from thinktwice.run import Run
from thinktwice.sampling import as_sources
from thinktwice.scope import current_scope
from thinktwice.shadow import answered
from thinktwice.state import Setting
from thinktwice.strategy import Strategy
from thinktwice.threads import in_thread, run_sync
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.executing import OnExhausted
    from thinktwice.pricing.table import Price
    from thinktwice.progress import Watcher
    from thinktwice.protocols import Options, PriceSource, Prompting, Sampler
    from thinktwice.result import Result
    from thinktwice.sampling import Source
    from thinktwice.shadow import Shadow

P = TypeVar("P")
T = TypeVar("T")


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
        return await executed(run, strategy, on_exhausted)


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
