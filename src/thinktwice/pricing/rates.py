"""What a model costs by the kind of token, whatever the source of its prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

from thinktwice.pricing.saved import current_snapshot, installed_version, newest, saved_list
from thinktwice.pricing.table import default_prices, list_prices
from thinktwice.sample import Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from thinktwice.pricing.file import PriceFile
    from thinktwice.pricing.listed import GenaiPrices
    from thinktwice.protocols import PriceSource

_SHOWN: Final = 3
_FEW: Final = 1000  # tokens: below the length from which any model charges more
_MANY: Final = 1_000_000
_STANDARD: Final = (
    "default"  # the name of that tier, which no file and no list has another price of
)


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
        near: Names that have a price, where it has none: it at a provider, or others like it.
        standard: No other price is known of the tier that was asked for than the standard one.
    """

    name: str
    model: str
    provider: str | None
    rates: Rates | None
    origin: str
    discount: Decimal
    near: tuple[str, ...] = ()
    standard: bool = False


@dataclass(frozen=True)
class PriceList:
    """The list prices that are looked up.

    Attributes:
        package: Name and version of the package that is installed.
        newest: Date of the latest change in it that is in force; the list is not older than that.
        age: Days since then.
        fetched: When it was fetched; None of the one that comes with the package.
        url: Where from.
    """

    package: str
    newest: date | None
    age: int | None
    fetched: datetime | None = None
    url: str | None = None


def quote(name: str, file: PriceFile | None = None, *, tier: str | None = None) -> Quote:
    """Look up what a model costs.

    Args:
        name: A model, or "provider/model".
        file: Prices that come before those of the list.
        tier: The service tier of the call; the standard one by default.
    """
    prices = default_prices(file)
    for model, provider in _readings(name):
        rates = rates_of(prices, model, provider, tier=tier)
        if rates is not None:
            off = Decimal(0) if file is None else file.discount(model=model, provider=provider)
            origin = "file" if off is None else "list"
            usual = rates if tier is None else rates_of(prices, model, provider, tier=_STANDARD)
            standard = tier is not None and rates == usual
            return Quote(name, model, provider, rates, origin, off or Decimal(0), (), standard)
    near = _near(name, () if file is None else file.models)
    return Quote(name, name, None, None, "unpriced", Decimal(0), near)


def _readings(name: str) -> Iterable[tuple[str, str | None]]:
    """Model and provider: a slash may also be a part of the name, as in "meta-llama/llama-3"."""
    head, _, tail = name.partition("/")
    return ((tail, head), (name, None)) if tail else ((name, None),)


def _near(name: str, own: tuple[str, ...]) -> tuple[str, ...]:
    """What has a price: the name with a provider before it, or else names written like it."""
    listed = list_prices()
    if listed is None:
        return _alike(name, own)[:_SHOWN]
    providers = current_snapshot().providers
    serving = (each.id for each in providers if _serves(listed, each.id, name))
    if found := tuple(f"{each}/{name}" for each in serving):
        return found[:_SHOWN]
    ids = {model.id for each in providers for model in each.models}
    ids.update(f"{each.id}/{model.id}" for each in providers for model in each.models)
    # Some have a price only where the provider is said.
    near = (each for each in _alike(name, {*own, *ids}) if each in own or _is_priced(listed, each))
    return tuple(islice(near, _SHOWN))


def _serves(listed: GenaiPrices, provider: str, model: str) -> bool:
    found = listed.name(model, provider)
    return found is not None and found[0] == provider and bool(rates_of(listed, model, provider))


def _is_priced(listed: GenaiPrices, name: str) -> bool:
    return any(rates_of(listed, model, provider) for model, provider in _readings(name))


def _alike(name: str, known: Collection[str]) -> tuple[str, ...]:
    return tuple(get_close_matches(name.lower(), sorted(known), n=4 * _SHOWN, cutoff=0.7))


def rates_of(
    source: PriceSource, model: str, provider: str | None = None, *, tier: str | None = None
) -> Rates | None:
    """The rates of a model, found out by pricing a few usages; None if it has no price.

    Args:
        source: Of the prices.
        model: The model.
        provider: Who serves it.
        tier: The service tier of the call; the standard one by default.
    """

    def cost(read: int = 0, written: int = 0, **parts: int) -> Decimal | None:
        usage = Usage(
            input_tokens=read, output_tokens=written, source="provider", tier=tier, **parts
        )
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
    """What is known of the list prices that are looked up; None if there are none."""
    if list_prices() is None:
        return None
    package = f"genai-prices {installed_version()}".strip()
    today, saved = datetime.now(UTC).date(), saved_list()
    changed = newest(current_snapshot().providers, today)
    return PriceList(
        package=package,
        newest=changed,
        age=None if changed is None else (today - changed).days,
        fetched=None if saved is None else saved.at,
        url=None if saved is None else saved.url,
    )
