"""Prices as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from thinktwice.cli.printing import console, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from thinktwice.phoenix import Written
    from thinktwice.rates import PriceList, Quote


@dataclass(frozen=True)
class Prices:
    """What the command has found out.

    Attributes:
        models: What they cost, in USD per million tokens.
        list: The list prices that are installed; None if there are none.
        phoenix: What was written there.
    """

    models: Sequence[Quote]
    list: PriceList | None
    phoenix: Sequence[Written]


def show(found: Prices) -> None:
    """Print it."""
    out = console()
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
    for quote in found.models:
        rates = quote.rates
        if rates is not None and rates.stepped:
            lines.append(f"{quote.name}: long inputs have another rate")
        if rates is not None and rates.request:
            lines.append(f"{quote.name}: and ${_plain(rates.request)} for each call")
    lines.append(_about(found.list))
    return lines + [
        f"Phoenix: {each.name} {each.done}{each.remark and f' ({each.remark})'}"
        for each in found.phoenix
    ]


def _about(found: PriceList | None) -> str:
    if found is None:
        return "no list prices: pip install 'thinktwice[prices]'"
    if found.newest is None or found.age is None:
        return f"list prices: {found.package}"
    days = "1 day" if found.age == 1 else f"{found.age} days"
    return f"list prices: {found.package}, latest change in it {found.newest}, {days} ago"


def _plain(amount: Decimal) -> str:
    """Without the zeros behind the last digit."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
