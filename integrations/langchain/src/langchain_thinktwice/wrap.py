"""The doors: `vote`, `best_of_n` and `with_strategy`."""

from __future__ import annotations

from copy import copy
from dataclasses import is_dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    Unpack,
    overload,
)

from langchain_thinktwice.settings import Counting, Launching, Settings, WithResult
from langchain_thinktwice.shadow.runnable import wrapped
from langchain_thinktwice.verifiers import as_verifier
from thinktwice import BestOfN, Settled, UsageError, Vote
from thinktwice.answers import awaited_key

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from langchain_core.runnables import Runnable

    from langchain_thinktwice.runnable import StrategyRunnable
    from thinktwice import Sample, Stop, Strategy
    from thinktwice.launch import Preference
    from thinktwice.protocols import Verifier
    from thinktwice.selection import Selection

    Key: TypeAlias = str | Callable[[Any], Hashable | None]
    Judging: TypeAlias = Verifier[object] | Callable[[Any], object] | Runnable[Any, object]

I = TypeVar("I")  # noqa: E741 - input
O = TypeVar("O")  # noqa: E741 - output

SETTLED: Final = Settled()


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
        strategy = with_key(strategy, key)
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **settings)


def with_key(strategy: Strategy, key: Key | None) -> Strategy:
    """A copy of the strategy with another key.

    Raises:
        UsageError: No key has that name, or the strategy cannot be copied.
    """
    if not is_dataclass(strategy):
        raise UsageError("key", key, f"set it on the strategy itself: {strategy!r} is no dataclass")
    awaited_key(key)  # which says if no key has that name
    keyed = copy(strategy)
    object.__setattr__(keyed, "key", key)  # not replace(): some take what they are made of by place
    return keyed


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
    verifier: Judging | None = None,
    key: Key | None = None,
    stop: Stop | None = None,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weights: Literal["score", "rank"] = "score",
    select: Literal["weighted"] | Selection = "weighted",
    include_result: Literal[False] = False,
    **settings: Unpack[Launching],
) -> StrategyRunnable[I, O]: ...


@overload
def best_of_n(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    verifier: Judging | None = None,
    key: Key | None = None,
    stop: Stop | None = None,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weights: Literal["score", "rank"] = "score",
    select: Literal["weighted"] | Selection = "weighted",
    include_result: Literal[True],
    **settings: Unpack[Launching],
) -> StrategyRunnable[I, WithResult[O]]: ...


def best_of_n(
    runnable: Runnable[I, O],
    n: int = 8,
    *,
    verifier: Judging | None = None,
    key: Key | None = None,
    stop: Stop | None = None,
    prefer: Preference | float = "balanced",
    equivalent: Callable[[Hashable, Hashable], bool] | None = None,
    weights: Literal["score", "rank"] = "score",
    select: Literal["weighted"] | Selection = "weighted",
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
            `RunnableVerifier` for one that needs the input as well. None will do with a selection
            that needs no scores.
        key: What answers are told apart by, as in `vote`.
        stop: When to stop early; by default at the first pass of an exact verifier.
        prefer: As in `vote`.
        equivalent: Whether two answers are the same one.
        weights: How an inexact verifier's scores add up, as they are or by rank.
        select: "weighted", or another way to choose: `BestOfMajority(alpha)`, `Knockout(judge)`.
        include_result: Return `{"value": ..., "result": ...}`, in the manner of `include_raw`.
        **settings: See `Launching` and `Settings`.

    Returns:
        A Runnable with the same input and output types.

    Raises:
        UsageError: As `with_strategy`.
    """
    judge = None if verifier is None else as_verifier(verifier)
    launching, others = _apart(settings)
    strategy = BestOfN(
        n,
        verifier=judge,
        key=key,
        stop=stop,
        prefer=prefer,
        equivalent=equivalent,
        weights=weights,
        select=select,
        **launching,
    )
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **others)


_OF_STRATEGIES: Final = frozenset(Counting.__annotations__) - frozenset(Settings.__annotations__)


def _apart(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a strategy, and those of the wrapper around it."""
    launching = {name: each for name, each in settings.items() if name in _OF_STRATEGIES}
    others = {name: each for name, each in settings.items() if name not in _OF_STRATEGIES}
    return launching, others
