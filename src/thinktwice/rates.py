"""What a model costs by the kind of token, whatever the source of its prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from thinktwice.pricing import default_prices, list_prices
from thinktwice.sample import Usage
from thinktwice.saved_prices import current_snapshot, installed_version, newest, saved_list

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
        near: Names that are like it and have a price, where it has none.
    """

    name: str
    model: str
    provider: str | None
    rates: Rates | None
    origin: str
    discount: Decimal
    near: tuple[str, ...] = ()


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
    head, _, tail = name.partition("/")
    # A slash may also be a part of the name, as in "meta-llama/llama-3": then it is no provider.
    for model, provider in ((tail, head), (name, None)) if tail else ((name, None),):
        rates = rates_of(prices, model, provider, tier=tier)
        if rates is not None:
            off = Decimal(0) if file is None else file.discount(model=model, provider=provider)
            origin = "file" if off is None else "list"
            return Quote(name, model, provider, rates, origin, off or Decimal(0))
    near = _near(name, () if file is None else file.models)
    return Quote(name, name, None, None, "unpriced", Decimal(0), near)


def _near(name: str, own: tuple[str, ...]) -> tuple[str, ...]:
    """Names that are written like it."""
    known = set(own)
    if list_prices() is not None:
        for each in current_snapshot().providers:
            known.update(model.id for model in each.models)
            known.update(f"{each.id}/{model.id}" for model in each.models)
    return tuple(get_close_matches(name.lower(), sorted(known), n=3, cutoff=0.7))


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
