"""What the doors take besides what is sampled and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thinktwice import Budget, Limiter, Price, Result
    from thinktwice.protocols import Options, PriceSource
    from thinktwice.shadow import Shadow
    from thinktwice.vary import Vary

O = TypeVar("O")  # noqa: E741 - output


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
        llm_spans: Open an OpenTelemetry span of our own for each model call: "auto" where no known
            tracer does, "always", or "never". Holds for wrappers inside as well. The environment
            variable THINKTWICE_LLM_SPANS decides over it, if it is set.
        native_n: Make samples that are launched together by one request for several choices, so
            that the prompt is paid for once: for a chat model alone, whose provider takes `n`.
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
    llm_spans: Literal["auto", "always", "never"]
    native_n: bool
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
