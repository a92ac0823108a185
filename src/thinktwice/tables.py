"""Small tables of words, for terminals and notebooks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def listed(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A line for each fact: its name, and what is to be said of it."""
    facts = list(facts)
    width = max((len(name) for name, _ in facts), default=0)
    return (f"{name:{width}}  {text}" for name, text in facts)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row: the first column is words, the others are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([f"{first:{widths[0]}}", *cells])


def html_table(
    rows: Iterable[Sequence[str]], *, head: Sequence[str] = (), named: bool = False
) -> str:
    """Rows as HTML; what stands in them is escaped.

    Args:
        rows: The cells.
        head: Names of the columns.
        named: The first cell of each row is its name.
    """
    lines = [_row(head, names=len(head))] if head else []
    lines += (_row(row, names=int(named)) for row in rows)
    return f"<table>{''.join(lines)}</table>"


def _row(cells: Sequence[str], *, names: int) -> str:
    tags = ("th" if at < names else "td" for at in range(len(cells)))
    made = (f"<{tag}>{html.escape(cell)}</{tag}>" for tag, cell in zip(tags, cells, strict=True))
    return f"<tr>{''.join(made)}</tr>"
