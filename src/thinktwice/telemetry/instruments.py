"""The metrics: exact totals even where traces are sampled."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics

from thinktwice.telemetry.attributes import (
    CURRENCY,
    MODEL,
    ROLE,
    STRATEGY,
    TOKEN_TYPE,
    USAGE_SOURCE,
)
from thinktwice.telemetry.providers import VERSION

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry
    from thinktwice.ledger import Ledger


_SECONDS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_DOLLARS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10)


class Instruments:
    """The metrics."""

    def __init__(self, meters: metrics.MeterProvider) -> None:
        """Make them; once a provider."""
        meter = metrics.get_meter("thinktwice", VERSION, meters)
        self.duration: Histogram = meter.create_histogram(
            "thinktwice.strategy.duration",
            "s",
            "Wall-clock time of a strategy run.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.strategy_cost: Histogram = meter.create_histogram(
            "thinktwice.strategy.cost",
            "{USD}",
            "Cost of a strategy run.",
            explicit_bucket_boundaries_advisory=_DOLLARS,
        )
        self.tokens: Counter = meter.create_counter("thinktwice.tokens", "{token}", "Tokens.")
        self.cost: Counter = meter.create_counter("thinktwice.cost", "{USD}", "Cost of calls.")
        self.samples: Counter = meter.create_counter("thinktwice.samples", "{sample}", "Samples.")
        self.unpriced: Counter = meter.create_counter(
            "thinktwice.calls.unpriced", "{call}", "Calls whose cost is not known."
        )

    def add_run(self, strategy: str, ledger: Ledger) -> None:
        """How long a run took and what it cost."""
        self.duration.record(ledger.seconds, {STRATEGY: strategy})
        if (cost := ledger.total.cost) is not None:
            self.strategy_cost.record(float(cost), {STRATEGY: strategy})

    def add_call(self, strategy: str, entry: Entry, context: Context | None) -> None:
        """Tokens and cost of one call.

        Args:
            strategy: Name of the strategy that it is made for.
            entry: How it ended.
            context: Where its span is current, so that exemplars lead there; None for what is
                current now.
        """
        attributes: dict[str, AttributeValue] = {STRATEGY: strategy, ROLE: entry.role}
        if entry.model:
            attributes[MODEL] = entry.model
        counts = {"input": entry.usage.input_tokens, "output": entry.usage.output_tokens}
        source = {USAGE_SOURCE: entry.usage.source}
        for kind, count in counts.items():
            if count:
                self.tokens.add(count, {**attributes, TOKEN_TYPE: kind, **source}, context)
        if entry.cost is None:
            self.unpriced.add(1, attributes, context)
        else:
            self.cost.add(float(entry.cost), {**attributes, CURRENCY: "USD"}, context)


@lru_cache(maxsize=4)
def instruments_of(meters: metrics.MeterProvider) -> Instruments:
    """Those of a provider, made once."""
    return Instruments(meters)
