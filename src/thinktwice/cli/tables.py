"""Costs as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from thinktwice.cli.printing import console, show_table
from thinktwice.entry import dollars
from thinktwice.store.costs import By, Draws

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from rich.console import Console

    from thinktwice.store.costs import Costs, Group, Request

NAMELESS: Final = "(several, or not known)"
"""Of a group without a name."""
_DAYS: Final = 14
_OPTIONAL: Final = (
    *("tokens in", "tokens out", "calls", "not drawn", "wasted", "samples"),
    *("requests", "saved", "a request"),
)


def show(found: Costs) -> None:
    """Print it."""
    out = console()
    if found.first is None or found.last is None:
        out.print("no requests")
        return
    out.print(f"{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M %Z}\n")
    for line in _summary(found):
        out.print(Text(line))
    for by, groups in found.by.items():
        _show_groups(out, by, groups)
    if found.dearest:
        out.print()
        _show_dearest(out, found.dearest)


def _summary(found: Costs) -> list[str]:
    total = found.total
    unfinished = f", {found.unfinished:,} of them unfinished" if found.unfinished else ""
    tokens = f"{total.calls:,} calls, {total.input:,} tokens in, {total.output:,} out"
    requests = "1 request" if total.requests == 1 else f"{total.requests:,} requests"
    lines = [f"{dollars(total.cost)} for {requests}{unfinished}: {tokens}"]
    if total.unpriced:
        lines.append(f"calls without a known cost: {total.unpriced:,}, which the sum leaves out")
    if total.estimated:
        lines.append(f"{dollars(total.estimated)} of it is estimated: no provider reported it")
    if total.draws is not None and total.draws.launched:
        lines += _about(total.draws)
    return lines


def _about(draws: Draws) -> list[str]:
    wasted = f"{draws.wasted:,} of {draws.launched:,} samples wasted: {dollars(draws.wasted_cost)}"
    saved = (
        f"{draws.saved:,} samples not drawn since a rule stopped early: "
        f"about {dollars(draws.saved_cost)} saved"
    )
    return [wasted, saved] if draws.saved else [wasted]


def _show_groups(out: Console, by: By, groups: Sequence[Group]) -> None:
    kept = groups[-_DAYS:] if by is By.DAY else groups
    drawn = any(group.draws is not None and group.draws.launched for group in kept)
    columns = [by, "requests", "cost", "a request", "calls", "tokens in", "tokens out"]
    columns += ["samples", "wasted", "not drawn", "saved"] if drawn else []
    out.print()
    show_table(out, columns, [_cells(group, drawn=drawn) for group in kept], optional=_OPTIONAL)
    if len(kept) < len(groups):
        out.print(Text(f"and {len(groups) - len(kept)} days before: see --json"))


def _cells(group: Group, *, drawn: bool) -> list[str]:
    cells = [
        group.name or NAMELESS,
        f"{group.requests:,}",
        money(group.cost, group),
        money(group.cost / group.requests if group.requests else group.cost, group),
        f"{group.calls:,}",
        f"{group.input:,}",
        f"{group.output:,}",
    ]
    if drawn:
        draws = group.draws or Draws()
        cells += [f"{draws.launched:,}", f"{draws.wasted:,}"]
        cells += [f"{draws.saved:,}", dollars(draws.saved_cost)] if draws.saved else ["", ""]
    return cells


def money(cost: Decimal, group: Group | Request) -> str:
    """What is known; "unpriced" if nothing is, and marked if it is not all."""
    if group.unpriced and group.unpriced >= group.calls:
        return "unpriced"
    return f"{'>= ' if group.unpriced else ''}{dollars(cost)}"


def _show_dearest(out: Console, requests: Sequence[Request]) -> None:
    columns = ["dearest", "strategy", "began", "stopped by", "cost", "samples", "seconds"]
    rows = [_request_cells(each) for each in requests]
    show_table(out, columns, rows, left=4, optional=["began", "seconds", "strategy", "samples"])


def _ended(request: Request) -> str:
    """By what; an agent has no rule."""
    if request.seconds is None:
        return "unfinished"
    cancelled = "" if request.launched is None else "cancelled"
    return request.error or request.stopped_by or cancelled


def _request_cells(request: Request) -> list[str]:
    of = f"/{request.requested}" if request.requested else ""
    return [
        request.run,
        request.strategy,
        f"{request.started:%Y-%m-%d %H:%M}",
        _ended(request),
        money(request.cost, request),
        "" if request.launched is None else f"{request.launched}{of}",
        "" if request.seconds is None else f"{request.seconds:.2f}",
    ]
