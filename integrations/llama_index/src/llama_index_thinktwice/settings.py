"""What the doors take besides what is sampled and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice import Budget, Limiter, Price
    from thinktwice.progress import Watcher
    from thinktwice.protocols import PriceSource
    from thinktwice.shadow import Shadow


class Settings(TypedDict, total=False):
    """What every door takes, as `thinktwice.solve` does.

    Attributes:
        budget: Hard caps of one request.
        prices: USD per million tokens by model, over the list prices.
        max_concurrency: Samples in flight at most.
        limiter: A cap shared with other requests.
        on_exhausted: What to do when a budget cuts the run short: return the best answer so far,
            or raise `BudgetExceeded`.
        require_budget: Refuse to run without a budget.
        llm_spans: Open an OpenTelemetry span of our own for each LLM call: "auto" where no known
            tracer does, "always", or "never". The environment variable THINKTWICE_LLM_SPANS
            decides over it, if it is set.
        shadow: A share of the requests, or a `Shadow`: callers get a single sample, and the
            strategy runs behind such a share.
        progress: Called with a `Progress` for each sample, each verdict and the decision.
    """

    budget: Budget | None
    prices: Mapping[str, Price] | PriceSource | None
    max_concurrency: int
    limiter: Limiter | None
    on_exhausted: Literal["best", "raise"]
    require_budget: bool
    llm_spans: Literal["auto", "always", "never"]
    shadow: Shadow | float | None
    progress: Watcher | None
