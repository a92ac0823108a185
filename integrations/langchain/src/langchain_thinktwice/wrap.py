"""The doors: `vote`, `best_of_n` and `with_strategy`."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from langchain_thinktwice.shadowed import wrapped
from langchain_thinktwice.verifiers import as_verifier
from thinktwice import BestOfN, Settled, UsageError, Vote

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from langchain_core.runnables import Runnable

    from langchain_thinktwice.runnable import StrategyRunnable
    from thinktwice import Budget, Limiter, Price, Result, Sample, Stop, Strategy
    from thinktwice.launch import Preference
    from thinktwice.protocols import Options, PriceSource, Verifier
    from thinktwice.shadow import Shadow
    from thinktwice.vary import Vary

    Key: TypeAlias = str | Callable[[Any], Hashable | None]
    Judging: TypeAlias = Verifier[object] | Callable[[Any], object] | Runnable[Any, object]

I = TypeVar("I")  # noqa: E741 - input
O = TypeVar("O")  # noqa: E741 - output

SETTLED: Final = Settled()


class WithResult(TypedDict, Generic[O]):
    """What comes out with `include_result=True`.

    Attributes:
        value: The answer, None where all samples abstained.
        result: Samples, agreement, and what was paid for.
    """

    value: O | None
    result: Result[O]


class Settings(TypedDict, total=False):
    """What every wrapper takes, as `thinktwice.solve` does.

    Attributes:
        budget: Hard caps of one call of the wrapper; a request can tighten them.
        options: Settings of every model call ("temperature", "seed", ...), or a function of the
            sample's index. They reach a model, or the one model of a chain.
        prices: USD per million tokens by model, over the list prices.
        max_concurrency: Samples in flight at most; `config["max_concurrency"]` binds as well, for
            all calls of a batch together.
        limiter: A cap shared with other requests.
        on_exhausted: What to do when a budget cuts the run short: return the best answer so far,
            or raise `BudgetExceeded`.
        require_budget: Refuse to run without a budget.
        repeatable: Running the Runnable many times does no harm, though it is or has a graph, a
            tool or a message history.
        configurable_prefix: Of the keys that a request may set in `configurable`; give nested
            wrappers different ones to address them apart.
        shadow: A share of the requests, or a `Shadow`: callers get what the Runnable itself
            returns, and the strategy runs behind such a share; see `runnable.shadow.report`.
        name: Of its runs, in traces.
    """

    budget: Budget | None
    options: Options | Callable[[int], Options] | None
    prices: Mapping[str, Price] | PriceSource | None
    max_concurrency: int
    limiter: Limiter | None
    on_exhausted: Literal["best", "raise"]
    require_budget: bool
    repeatable: bool
    configurable_prefix: str
    shadow: Shadow | float | None
    name: str | None


class Launching(Settings, total=False):
    """What `vote` and `best_of_n` take besides, about the launching of samples.

    Attributes:
        hedge: Launch another sample in the slot of one that is late; True by default.
        warm_first: Launch one sample, and the others when it has finished, so that these find the
            prompt in the provider's cache.
        vary: Draw from several prompts or temperatures; functions get the input of the Runnable.
    """

    hedge: bool
    warm_first: bool
    vary: Vary | None


class Counting(Launching, total=False):
    """What `vote` takes besides.

    Attributes:
        count: "arrival" or "launch": the order in which votes are counted.
    """

    count: Literal["arrival", "launch"]


@overload
def with_strategy(
    runnable: Runnable[I, O],
    strategy: Strategy,
    *,
    key: Key | None = None,
    include_result: Literal[False] = False,
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, O]: ...


@overload
def with_strategy(
    runnable: Runnable[I, O],
    strategy: Strategy,
    *,
    key: Key | None = None,
    include_result: Literal[True],
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, WithResult[O]]: ...


def with_strategy(
    runnable: Runnable[I, O],
    strategy: Strategy,
    *,
    key: Key | None = None,
    include_result: bool = False,
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, Any]:
    """Run a strategy over a Runnable: the same input and output types, better answers.

    Args:
        runnable: A model, a chain, or whatever else has no side effects.
        strategy: What to draw and which of it to return.
        key: What answers are told apart by, in place of the strategy's own.
        include_result: Return `{"value": ..., "result": ...}`, in the manner of `include_raw`.
        **settings: See `Settings`.

    Returns:
        A Runnable. A message that it returns has a summary in `response_metadata["thinktwice"]`.

    Raises:
        UsageError: A parameter makes no sense, the Runnable acts or remembers, or options would
            not reach a model.
    """
    if key is not None:
        strategy = _with_key(strategy, key)
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **settings)


def _with_key(strategy: Strategy, key: Key) -> Strategy:
    if not is_dataclass(strategy):
        raise UsageError("key", key, f"set it on the strategy itself: {strategy!r} is no dataclass")
    return cast("Strategy", replace(cast("Any", strategy), key=key))


@overload
def vote(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    key: Key | None = None,
    stop: Stop = SETTLED,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weight: Callable[[Sample[object]], float] | None = None,
    include_result: Literal[False] = False,
    **settings: Unpack[Counting],
) -> StrategyRunnable[I, O]: ...


@overload
def vote(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    key: Key | None = None,
    stop: Stop = SETTLED,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weight: Callable[[Sample[object]], float] | None = None,
    include_result: Literal[True],
    **settings: Unpack[Counting],
) -> StrategyRunnable[I, WithResult[O]]: ...


def vote(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    key: Key | None = None,
    stop: Stop = SETTLED,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weight: Callable[[Sample[object]], float] | None = None,
    include_result: bool = False,
    **settings: Unpack[Counting],
) -> StrategyRunnable[I, Any]:
    """Sample a Runnable up to n times and return the most frequent answer (self-consistency).

    Costs at most n samples, and by default as few as settle the vote.

    Args:
        runnable: A model, a chain, or whatever else has no side effects.
        n: Samples at the most.
        key: What votes are counted by: None for the default of the output's type (a message counts
            by its tool calls, else by its text), a name such as "number", or a callable.
        stop: When to stop early.
        prefer: "cost", "balanced" or "latency": how many samples to have in flight.
        equivalent: Whether two answers are the same one.
        weight: Weight of a sample's vote, in [0, 1].
        include_result: Return `{"value": ..., "result": ...}`, in the manner of `include_raw`.
        **settings: See `Counting`, `Launching` and `Settings`.

    Returns:
        A Runnable with the same input and output types.

    Raises:
        UsageError: As `with_strategy`.
    """
    launching, others = _apart(settings)
    strategy = Vote(
        n,
        key=key,
        stop=stop,
        prefer=prefer,
        equivalent=equivalent,
        weight=weight,
        **launching,
    )
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **others)


@overload
def best_of_n(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    verifier: Judging,
    key: Key | None = None,
    stop: Stop | None = None,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weights: Literal["score", "rank"] = "score",
    include_result: Literal[False] = False,
    **settings: Unpack[Launching],
) -> StrategyRunnable[I, O]: ...


@overload
def best_of_n(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    verifier: Judging,
    key: Key | None = None,
    stop: Stop | None = None,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weights: Literal["score", "rank"] = "score",
    include_result: Literal[True],
    **settings: Unpack[Launching],
) -> StrategyRunnable[I, WithResult[O]]: ...


def best_of_n(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    verifier: Judging,
    key: Key | None = None,
    stop: Stop | None = None,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weights: Literal["score", "rank"] = "score",
    include_result: bool = False,
    **settings: Unpack[Launching],
) -> StrategyRunnable[I, Any]:
    """Sample a Runnable up to n times, have each sample judged, and return the best.

    Costs at most n samples and n verdicts; with an exact verifier it stops at the first pass.

    Args:
        runnable: A model, a chain, or whatever else has no side effects.
        n: Samples at the most.
        verifier: A verifier of `thinktwice`, a callable of the output, or a Runnable of it that
            returns bool (pass or fail), a number in [0, 1] (a score) or a `Verdict`. See
            `RunnableVerifier` for one that needs the input as well.
        key: What answers are told apart by, as in `vote`.
        stop: When to stop early; by default at the first pass of an exact verifier.
        prefer: As in `vote`.
        equivalent: Whether two answers are the same one.
        weights: How an inexact verifier's scores add up, as they are or by rank.
        include_result: Return `{"value": ..., "result": ...}`, in the manner of `include_raw`.
        **settings: See `Launching` and `Settings`.

    Returns:
        A Runnable with the same input and output types.

    Raises:
        UsageError: As `with_strategy`.
    """
    judge = as_verifier(verifier)
    launching, others = _apart(settings)
    strategy = BestOfN(
        n,
        verifier=judge,
        key=key,
        stop=stop,
        prefer=prefer,
        equivalent=equivalent,
        weights=weights,
        **launching,
    )
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **others)


_OF_STRATEGIES: Final = frozenset(Counting.__annotations__) - frozenset(Settings.__annotations__)


def _apart(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a strategy, and those of the wrapper around it."""
    launching = {name: each for name, each in settings.items() if name in _OF_STRATEGIES}
    others = {name: each for name, each in settings.items() if name not in _OF_STRATEGIES}
    return launching, others
