"""Prices as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

from thinktwice.cli.printing import console, show_table
from thinktwice.errors import UsageError
from thinktwice.pricing.file import PriceFile, check_tier
from thinktwice.pricing.phoenix import write_prices
from thinktwice.pricing.rates import price_list, quote
from thinktwice.pricing.saved import VARIABLE
from thinktwice.pricing.updates import update_prices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal
    from pathlib import Path

    from thinktwice.pricing.phoenix import Written
    from thinktwice.pricing.rates import PriceList, Quote
    from thinktwice.pricing.updates import Update

_MOST_SHOWN: Final = 20


@dataclass(frozen=True)
class Prices:
    """What the command has found out.

    Attributes:
        models: What they cost, in USD per million tokens.
        list: The list prices that are looked up; None if there are none.
        phoenix: What was written there.
        update: What an update has brought, if one was asked for.
    """

    models: Sequence[Quote]
    list: PriceList | None
    phoenix: Sequence[Written]
    update: Update | None


def look_up(
    models: Sequence[str],
    file: Path | None,
    *,
    tier: str | None,
    phoenix: str | None,
    update: bool,
    source: str | None,
) -> Prices:
    """Do what the options of the command say.

    Raises:
        UsageError: They do not go together, or what they name does not do its part.
    """
    if source is not None and not update:
        raise UsageError("from", source, "it is where --update fetches from: give that as well")
    own = None if file is None else PriceFile(file, tier=tier)
    if own is None and tier is not None:
        check_tier(tier, {})
    if not all(map(str.strip, models)):
        raise UsageError("models", list(models), "give names, such as gpt-5 or openai/gpt-5")
    names = models or (() if own is None else own.models)
    if not names and not update:
        raise UsageError("models", [], "name some, or give a file that has some: --file")
    fetched = update_prices(source) if update else None
    found = [quote(name, own, tier=tier) for name in names]
    written = [] if phoenix is None else write_prices(phoenix, found)
    return Prices(found, price_list(), written, fetched)


def show(found: Prices) -> None:
    """Print it."""
    out = console()
    for line in _news(found.update):
        out.print(Text(line), soft_wrap=True)
    if not found.models:
        return
    columns = ["model", "price from", "input", "output", "cache read", "cache write", "reasoning"]
    show_table(out, columns, [_cells(each) for each in found.models], left=2)
    for line in _notes(found):
        out.print(Text(line), soft_wrap=True)


def _cells(quote: Quote) -> list[str]:
    rates = quote.rates
    if rates is None:
        return [quote.name, "unpriced", *[""] * 5]
    off = f" less {_plain(100 * quote.discount)} %" if quote.discount else ""
    kinds = (rates.input, rates.output, rates.cache_read, rates.cache_write, rates.reasoning)
    return [quote.name, quote.origin + off, *map(_plain, kinds)]


def _notes(found: Prices) -> list[str]:
    lines = ["USD per million tokens"]
    for each in found.models:
        rates = each.rates
        if each.near:
            near = ", ".join(each.near)
            lines.append(f"{each.name}: there is no price under this name, but under {near}")
        if each.standard:
            lines.append(f"{each.name}: no price of this tier is known, so it is the standard one")
        if rates is not None and rates.stepped:
            lines.append(f"{each.name}: long inputs have another rate")
        if rates is not None and rates.request:
            lines.append(f"{each.name}: and ${_plain(rates.request)} for each call")
    lines.append(_about(found.list))
    return lines + [
        f"Phoenix: {each.name} {each.done}{each.remark and f' ({each.remark})'}"
        for each in found.phoenix
    ]


def _about(found: PriceList | None) -> str:
    if found is None:
        return "no list prices: pip install 'thinktwice[prices]'"
    name = f"list prices: {found.package}"
    if found.fetched is not None:
        name = f"list prices: fetched {found.fetched:%Y-%m-%d %H:%M} UTC from {found.url}"
    if found.newest is None or found.age is None:
        return name
    days = "1 day" if found.age == 1 else f"{found.age} days"
    return f"{name}, latest change in it {found.newest}, {days} ago"


def _news(update: Update | None) -> list[str]:
    """What is another now, and what has to be done for it to count."""
    if update is None:
        return []
    lines = [
        f"fetched {update.models} models from {update.url} at {update.at:%Y-%m-%d %H:%M} UTC",
        f"latest change in it {update.newest}",
        f"{len(update.changed)} of another price, {len(update.added)} new, {len(update.gone)} gone",
    ]
    for each in update.changed[:_MOST_SHOWN]:
        other = "" if each.before != each.after else " (in another tier, or at another time)"
        lines.append(f"  {each.model}: {each.before} -> {each.after}{other}")
    if (rest := len(update.changed) - _MOST_SHOWN) > 0:
        lines.append(f"  and {rest} more: --json has them")
    lines.append(f"saved in {update.path}; with {VARIABLE}=1 prices are looked up in it")
    return lines


def _plain(amount: Decimal) -> str:
    """Without the zeros behind the last digit."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
