"""List prices of hosted models, from the `genai-prices` package."""

from __future__ import annotations

import importlib.util
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from thinktwice.errors import UsageError
from thinktwice.pricing.saved import current_snapshot

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

    from thinktwice.sample import Usage

MILLION: Final = Decimal(1_000_000)
ZERO: Final = Decimal(0)
INSTALL: Final = "pip install thinktwice[prices]"


_PATH: Final = re.compile(r"^(.*/)?publishers/[^/]+/models/|^models/")
"""What Google writes before the name of a model."""


def without_path(model: str) -> str:
    """The name of a model alone."""
    return _PATH.sub("", model)


class Billed(NamedTuple):
    """Tokens of one call by rate; they do not overlap."""

    plain: int
    read: int
    write: int
    output: int

    @property
    def input(self) -> int:
        """All of the input."""
        return self.plain + self.read + self.write


def billed(usage: Usage) -> Billed | None:
    """Split the tokens by rate; None while the input or the output is not known."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    read, write = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    plain = usage.input_tokens - read - write
    if plain < 0:
        # The cached part cannot exceed the whole: this provider counts its input without it.
        plain = usage.input_tokens
    return Billed(plain, read, write, usage.output_tokens)


_PROVIDERS = {
    "x_ai": "x-ai",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure_openai": "azure",
    "azure_ai": "azure",
    "gcp.gen_ai": "google",
}
"""Names that telemetry and frameworks use where the price list has another."""


_TIERED_BY = ("service_tier", "processing", "speed")
"""What the list tells prices of one model apart by; "batch" is a way of processing there."""


class GenaiPrices:
    """List prices of hosted models, from the `genai-prices` package and without network access.

    Covers tiers by length of the input, prices that changed on a date or change by the hour, fees
    per request, and what service tiers cost (`Usage.tier`), as far as the list has them; where it
    does not, the standard price counts. It does not know your discounts: put `PriceTable` before
    it. The package is imported at the first price, which takes about half a second: `load` does it
    ahead of time.
    """

    def __init__(self) -> None:
        """Check that the package is there.

        Raises:
            UsageError: It is not installed.
        """
        if importlib.util.find_spec("genai_prices") is None:
            raise UsageError("prices", "GenaiPrices()", f"run `{INSTALL}` first")
        self._snapshot: DataSnapshot | None = None
        self._models: dict[tuple[str, str | None], _Found | None] = {}
        self._rates: dict[int, _Rates] = {}

    def __repr__(self) -> str:
        """The constructor."""
        return "GenaiPrices()"

    def __reduce__(self) -> tuple[type[GenaiPrices], tuple[()]]:
        """Copy and pickle without what was looked up."""
        return GenaiPrices, ()

    def load(self) -> None:
        """Import the package and its data now (blocks for about half a second, once)."""
        self._current()

    def price(self, usage: Usage, *, model: str | None, provider: str | None) -> Decimal | None:
        """USD of one call at today's list price; None for an unknown model or unknown tokens."""
        tokens = billed(usage)
        if tokens is None or model is None:
            return None
        found = self._find(self._current(), model, provider)
        if found is None:
            return None
        rates = self._rates_of(found[1], usage.tier)
        if not rates.known:  # nothing is listed: either there is nothing to pay, or nobody knows
            return ZERO if found[1].id.endswith(":free") else None
        return rates.of(tokens, usage.reasoning_tokens or 0)

    def name(self, model: str, provider: str | None) -> tuple[str, str] | None:
        """The provider and the model whose price counts, as the list has them; None for none."""
        found = self._find(self._current(), model, provider)
        return None if found is None else (found[0], found[1].id)

    def _current(self) -> DataSnapshot:
        snapshot = current_snapshot()
        if snapshot is not self._snapshot:  # the user's updater may replace it at any time
            self._models, self._rates, self._snapshot = {}, {}, snapshot
        return snapshot

    def _find(self, prices: DataSnapshot, model: str, provider: str | None) -> _Found | None:
        """Look the model up; looking is slow (about 0.1 ms), so misses are kept as well."""
        asked = (model, provider)
        if asked in self._models:
            return self._models[asked]
        known = None if provider is None else _PROVIDERS.get(provider.lower(), provider)
        name = without_path(model)
        try:
            server, info = prices.find_provider_model(name, None, known, None)
            found = self._models[asked] = server.id, info
        except LookupError:
            found = self._models[asked] = None
        return found

    def _rates_of(self, model: ModelInfo, tier: str | None) -> _Rates:
        if tier is not None and getattr(model, "price_variants", None):
            context: dict[str, str] = dict.fromkeys(_TIERED_BY, tier)
            return _Rates.within(model.get_prices(datetime.now(UTC), context))
        prices = model.prices
        current = model.get_prices(datetime.now(UTC)) if isinstance(prices, list) else prices
        rates = self._rates.get(id(current))  # the snapshot keeps it alive, so ids stay unique
        if rates is None:
            rates = self._rates[id(current)] = _Rates.within(current)
        return rates


_Found: TypeAlias = "tuple[str, ModelInfo]"
_Rate: TypeAlias = "Decimal | TieredPrices | None"


class _Rates(NamedTuple):
    """One entry of the price list: the rates that our counts can meet, USD per million tokens.

    Read once per model, since the package's own calculation works its units out anew at each call
    (0.1 to 0.4 ms, against a few microseconds here).
    """

    input: _Rate
    output: _Rate
    read: _Rate
    write: _Rate
    reasoning: _Rate
    request: Decimal  # per call, already in USD

    @classmethod
    def within(cls, price: ModelPrice) -> _Rates:
        """Take the rates out of a price of the package."""
        read, write = price.cache_read_mtok, price.cache_write_mtok
        reasoning = getattr(price, "output_reasoning_mtok", None)  # newer than the oldest supported
        fee = getattr(price, "requests_kcount", None)
        return cls(
            price.input_mtok,
            price.output_mtok,
            price.input_mtok if read is None else read,
            price.input_mtok if write is None else write,
            price.output_mtok if reasoning is None else reasoning,
            fee / 1000 if isinstance(fee, Decimal) else ZERO,
        )

    @property
    def known(self) -> bool:
        """Whether the list says anything; a model that has one rate does not bill the other."""
        return not (self.input is None and self.output is None and not self.request)

    def of(self, tokens: Billed, reasoning: int) -> Decimal:
        """USD of one call."""
        size = tokens.input  # a tier holds for the whole request, by the length of its input
        reasoning = min(reasoning, tokens.output)
        total = ZERO
        for count, rate in (
            (tokens.plain, self.input),
            (tokens.read, self.read),
            (tokens.write, self.write),
            (tokens.output - reasoning, self.output),
            (reasoning, self.reasoning),
        ):
            if count and rate is not None:
                total += count * (rate if isinstance(rate, Decimal) else _tier(rate, size))
        return total / MILLION + self.request


def _tier(rate: TieredPrices, size: int) -> Decimal:
    passed = [tier.price for tier in rate.tiers if size > tier.start]
    return passed[-1] if passed else rate.base


def listed_tiers() -> frozenset[str]:
    """The service tiers that any model of the list has a price of."""
    if importlib.util.find_spec("genai_prices") is None:
        return frozenset()
    models = (model for each in current_snapshot().providers for model in each.models)
    variants = (each for model in models for each in getattr(model, "price_variants", None) or ())
    named = {each.when[key] for each in variants for key in _TIERED_BY if key in each.when}
    return frozenset(named) - {"default"}
