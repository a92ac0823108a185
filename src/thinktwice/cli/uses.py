"""Quotas as a table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from rich.text import Text

from thinktwice.cli.printing import console, show_table
from thinktwice.entry import dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.quota.report import Use

_COLUMNS: Final = ("quota", "calls", "tokens", "cost", "held", "starts anew (UTC)")
_OPTIONAL: Final = ("held", "tokens", "calls")
_MOST: Final = 100


def show(found: Sequence[Use]) -> None:
    """Print how much of each is used, of how much."""
    out = console()
    if not found:
        out.print(Text("no quotas: nothing has been counted there yet"))
        return
    shown = found if len(found) <= _MOST else sorted(found, key=_share, reverse=True)[:_MOST]
    show_table(out, _COLUMNS, [_cells(each) for each in shown], optional=_OPTIONAL)
    if len(shown) < len(found):
        out.print(Text(f"the {_MOST} that are used up most, of {len(found):,}: --json has all"))


def _share(use: Use) -> Decimal:
    """Of its caps that one which is used most; 0 of a period that has ended."""
    if use.ends is not None and use.ends <= datetime.now(UTC):
        return Decimal(0)
    spent = {"calls": use.spent.calls, "tokens": use.spent.tokens, "cost": use.spent.cost}
    return max(Decimal(spent[kind]) / cap if cap else Decimal(0) for kind, cap in use.caps.items())


def _cells(use: Use) -> list[str]:
    spent, caps = use.spent, use.caps
    return [
        use.name,
        _of(f"{spent.calls:,}", caps["calls"]),
        _of(f"{spent.tokens:,}", caps["tokens"]),
        _of(dollars(spent.cost), caps["cost"], money=True),
        f"{use.held.calls:,}" if use.held.calls else "",
        _when(use.ends),
    ]


def _of(spent: str, cap: Decimal | int | None, *, money: bool = False) -> str:
    if cap is None:
        return spent
    return f"{spent} of {dollars(Decimal(cap)) if money else f'{cap:,}'}"


def _when(ends: datetime | None) -> str:
    if ends is None:
        return "never"
    return "ended" if ends <= datetime.now(UTC) else f"{ends:%Y-%m-%d %H:%M}"
