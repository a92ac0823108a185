"""The metrics: exact totals even where traces are sampled."""

from __future__ import annotations

import threading
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from opentelemetry import metrics, trace
from opentelemetry.context import Context

from thinktwice.telemetry.attributes import (
    CURRENCY,
    ERROR_TYPE,
    MODEL,
    ROLE,
    SCHEMA_URL,
    STATUS,
    STRATEGY,
    TOKEN_TYPE,
    USAGE_SOURCE,
)
from thinktwice.telemetry.harmless import harmless
from thinktwice.telemetry.providers import VERSION, once_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.util.types import AttributeValue

    from thinktwice.entry import Entry
    from thinktwice.ledger import Ledger
    from thinktwice.telemetry.describing import Attributes


class Series:
    """The attributes of one kind of count; equal to itself alone, which is looked up quickly."""

    __slots__ = ("attributes",)

    def __init__(self, attributes: Attributes) -> None:
        """Of these attributes."""
        self.attributes = attributes


Amount: TypeAlias = int | Decimal
Count: TypeAlias = "tuple[Counter, Amount, Series]"

_NOWHERE: Final = trace.set_span_in_context(trace.INVALID_SPAN, Context())
_SECONDS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_DOLLARS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10)


class Instruments:
    """The metrics."""

    def __init__(self, meters: metrics.MeterProvider) -> None:
        """Make them; once a provider."""
        meter = metrics.get_meter("thinktwice", VERSION, meters, SCHEMA_URL)
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

    @harmless
    def add_run(self, strategy: str, ledger: Ledger, error: BaseException | None = None) -> None:
        """How long a run took and what it cost, and the type of what it raised."""
        attributes = {STRATEGY: strategy}
        if error is not None:
            attributes[ERROR_TYPE] = type(error).__qualname__
        self.duration.record(ledger.seconds, attributes)
        if (cost := ledger.total.cost) is not None:
            self.strategy_cost.record(float(cost), attributes)

    def counted(self, strategy: str, entry: Entry) -> Sequence[Count]:
        """What one call, made for a strategy, adds to which counters."""
        usage, cost = entry.usage, entry.cost
        unpriced, priced, read, written = _of_call(strategy, entry.role, entry.model, usage.source)
        counts: list[Count] = [
            (self.unpriced, 1, unpriced) if cost is None else (self.cost, cost, priced)
        ]
        if usage.input_tokens:
            counts.append((self.tokens, usage.input_tokens, read))
        if usage.output_tokens:
            counts.append((self.tokens, usage.output_tokens, written))
        return counts

    def drawn(self, strategy: str, status: str) -> Count:
        """What a draw adds, by how it ended."""
        return self.samples, 1, _of_sample(strategy, status)


@lru_cache(maxsize=256)
def _of_call(
    strategy: str, role: str, model: str | None, source: str
) -> tuple[Series, Series, Series, Series]:
    """Without a price and with one, tokens read and written."""
    base: dict[str, AttributeValue] = {STRATEGY: strategy, ROLE: role}
    if model:
        base[MODEL] = model
    attributes = {**base, USAGE_SOURCE: source}
    return (
        Series(base),
        Series({**attributes, CURRENCY: "USD"}),
        Series({**attributes, TOKEN_TYPE: "input"}),
        Series({**attributes, TOKEN_TYPE: "output"}),
    )


@lru_cache(maxsize=256)
def _of_sample(strategy: str, status: str) -> Series:
    return Series({STRATEGY: strategy, STATUS: status})


class Counts:
    """What a run counts: the first of each kind at once, and the others together when it ends.

    The first one is the exemplar, as one call is. Adding to a counter takes the SDK longer than all
    else that it does for a call. Thread-safe; after the end all is counted at once.
    """

    def __init__(self, *, together: bool) -> None:
        """Count nothing yet.

        Args:
            together: There is an end; else all is counted at once.
        """
        self._together = together
        self._lock = threading.Lock()
        self._sums: dict[tuple[Counter, Series], Amount] = {}

    def add(self, counts: Sequence[Count], on: Context | None) -> None:
        """Count something.

        Args:
            counts: Where, how much, and of what kind.
            on: Where its span is current, so that the exemplar leads there; None for what is
                current now.
        """
        new: list[Count] = []
        with self._lock:
            sums = self._sums
            for count in counts:
                counter, amount, series = count
                known = sums.get((counter, series))
                if known is not None:
                    sums[counter, series] = known + amount
                    continue
                if self._together:
                    sums[counter, series] = amount - amount
                new.append(count)
        for counter, amount, series in new:
            _count(counter, amount, series, on)

    def end(self) -> None:
        """Count the rest; it is of no one call, and so no exemplar."""
        with self._lock:
            sums, self._sums, self._together = self._sums, {}, False
        for (counter, series), amount in sums.items():
            if amount:
                _count(counter, amount, series, _NOWHERE)


@harmless
def _count(counter: Counter, amount: Amount, series: Series, on: Context | None) -> None:
    counter.add(amount if isinstance(amount, int) else float(amount), series.attributes, on)


@once_each
def instruments_of(meters: metrics.MeterProvider) -> Instruments:
    """Those of a provider, made once."""
    return Instruments(meters)
