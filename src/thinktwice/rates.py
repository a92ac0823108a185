"""What a model costs by the kind of token, whatever the source of its prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from thinktwice.pricing import default_prices, list_prices
from thinktwice.sample import Usage

if TYPE_CHECKING:
    from thinktwice.price_file import PriceFile
    from thinktwice.protocols import PriceSource

_FEW: Final = 1000  # tokens: below the length from which any model charges more
_MANY: Final = 1_000_000


@dataclass(frozen=True)
class Rates:
    """What one model costs, in USD per million tokens.

    Attributes:
        input: Input tokens.
        output: Output tokens.
        cache_read: Input tokens read from the provider's cache.
        cache_write: Input tokens written to it.
        reasoning: The hidden part of the output.
        request: USD for each call, whatever its tokens.
        stepped: Long inputs have other rates than these, which are those of short ones.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    reasoning: Decimal
    request: Decimal
    stepped: bool


@dataclass(frozen=True)
class Quote:
    """The price of a model, and where it comes from.

    Attributes:
        name: As it was asked for: a model, or "provider/model".
        model: The model.
        provider: Who serves it, if that was said.
        rates: What it costs; None if it is unpriced.
        origin: "file", "list", or "unpriced".
        discount: What the file takes off the list price, as a part of it.
    """

    name: str
    model: str
    provider: str | None
    rates: Rates | None
    origin: str
    discount: Decimal


@dataclass(frozen=True)
class PriceList:
    """The list prices that are installed.

    Attributes:
        package: Its name and version.
        newest: Date of the latest change in it that is in force; the list is not older than that.
        age: Days since then.
    """

    package: str
    newest: date | None
    age: int | None


def quote(name: str, file: PriceFile | None = None) -> Quote:
    """Look up what a model costs.

    Args:
        name: A model, or "provider/model".
        file: Prices that come before those of the list.
    """
    prices = default_prices(file)
    head, _, tail = name.partition("/")
    # A slash may also be a part of the name, as in "meta-llama/llama-3": then it is no provider.
    for model, provider in ((tail, head), (name, None)) if tail else ((name, None),):
        rates = rates_of(prices, model, provider)
        if rates is not None:
            off = Decimal(0) if file is None else file.discount(model=model, provider=provider)
            origin = "file" if off is None else "list"
            return Quote(name, model, provider, rates, origin, off or Decimal(0))
    return Quote(name, name, None, None, "unpriced", Decimal(0))


def rates_of(source: PriceSource, model: str, provider: str | None = None) -> Rates | None:
    """The rates of a model, found out by pricing a few usages; None if it has no price.

    Args:
        source: Of the prices.
        model: The model.
        provider: Who serves it.
    """

    def cost(read: int = 0, written: int = 0, **parts: int) -> Decimal | None:
        usage = Usage(input_tokens=read, output_tokens=written, source="provider", **parts)
        return source.price(usage, model=model, provider=provider)

    fee = cost()
    many = cost(_MANY)
    probes = [
        cost(_FEW),
        cost(0, _FEW),
        cost(_FEW, cache_read_tokens=_FEW),
        cost(_FEW, cache_write_tokens=_FEW),
        cost(0, _FEW, reasoning_tokens=_FEW),
    ]
    found = [each for each in probes if each is not None]
    if fee is None or many is None or len(found) < len(probes):
        return None
    rates = [(each - fee) * _MANY / _FEW for each in found]
    return Rates(*rates, request=fee, stepped=many - fee != rates[0])


def price_list() -> PriceList | None:
    """What is known of the list prices that are installed; None if there are none."""
    if list_prices() is None:
        return None
    try:
        package = f"genai-prices {version('genai-prices')}"
    except PackageNotFoundError:  # vendored
        package = "genai-prices"
    today = datetime.now(UTC).date()
    begun = [day for day in _dates() if day <= today]
    newest = max(begun, default=None)
    return PriceList(package, newest, None if newest is None else (today - newest).days)


def _dates() -> list[date]:
    """From when on the prices of the list hold, where it says so."""
    from genai_prices.data_snapshot import get_snapshot

    models = (model for each in get_snapshot().providers for model in each.models)
    parts = (part for model in models if isinstance(model.prices, list) for part in model.prices)
    days = (getattr(part.constraint, "start_date", None) for part in parts)
    return [day for day in days if isinstance(day, date)]
