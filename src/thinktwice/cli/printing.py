"""To a terminal in colour, to a pipe as plain lines."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed import DataclassInstance

_GAP: Final = 2
_WIDE: Final = 500  # a line in a pipe is not broken
_FULL: Final = "█"
_PARTS: Final = " ▏▎▍▌▋▊▉"
_NARROWEST: Final = 6  # of a column of words


def console() -> Console:
    """Of the standard output."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=_WIDE)


def as_json(data: DataclassInstance) -> str:
    """A dataclass for machines: money is a number of USD, times are ISO 8601."""
    return json.dumps(_named(asdict(data)), indent=2, default=_plain)


def _named(value: object) -> object:
    """With the names of estimates and their like, which `json` would write as lists."""
    match value:
        case dict():
            return {name: _named(each) for name, each in cast("dict[str, object]", value).items()}
        case list() | tuple():
            each = [_named(each) for each in cast("Sequence[object]", value)]
            names: Sequence[str] | None = getattr(cast("object", value), "_fields", None)
            return each if names is None else dict(zip(names, each, strict=True))
        case _:
            return value


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def show_table(
    out: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    left: int = 1,
    optional: Sequence[str] = (),
) -> None:
    """Print aligned columns, with nothing around them; words are cut, and numbers are not.

    Args:
        out: Where to.
        columns: Their heads.
        rows: Their cells.
        left: How many columns are words; the others are numbers.
        optional: Columns that are left out, in this order, while the terminal is too narrow.
    """
    # Names are anybody's: never read as markup.
    texts = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    for row in texts:
        row[:left] = [_cut(words, out.width // 2) for words in row[:left]]
    kept = _fitting(columns, texts, optional, out.width)
    _narrow(columns, texts, kept, left=left, width=out.width)
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
    for at in kept:
        made.add_column(columns[at], justify="left" if at < left else "right", no_wrap=True)
    for row in texts:
        made.add_row(*(row[at] for at in kept))
    out.print(made)


def _cut(words: Text, width: int) -> Text:
    """In the middle: names of one family begin alike, and differ at the end."""
    if words.cell_len <= width:
        return words
    begin = (width - 1) // 2
    made = words[:begin] + Text("…", words.style) + words[len(words) - (width - 1 - begin) :]
    made.truncate(width, overflow="ellipsis")  # some characters are two cells wide
    return made


def _widths(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    return [
        max([len(name), *(row[at].cell_len for row in rows)]) for at, name in enumerate(columns)
    ]


def _fitting(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], optional: Sequence[str], width: int
) -> list[int]:
    """Which columns there is room for."""
    wide = _widths(columns, rows)
    kept = list(range(len(columns)))
    for name in optional:
        if sum(wide[at] + _GAP for at in kept) - _GAP <= width:
            break
        kept = [at for at in kept if columns[at] != name]
    return kept


def _narrow(
    columns: Sequence[str],
    rows: Sequence[list[Text]],
    kept: Sequence[int],
    *,
    left: int,
    width: int,
) -> None:
    """Cut words to what the numbers leave them; the first column, which says what it is, last."""
    wide = _widths(columns, rows)
    over = sum(wide[at] + _GAP for at in kept) - _GAP - width
    for at in [each for each in reversed(kept) if each < left] if over > 0 else ():
        room = min(wide[at], max(_NARROWEST, len(columns[at]), wide[at] - over))
        over -= wide[at] - room
        for row in rows:
            row[at] = _cut(row[at], room)


def bar(begin: float, end: float, width: int) -> str:
    """A bar over a line of so many characters.

    Args:
        begin: Where it begins, as a share of the line.
        end: Where it ends.
        width: Of the line.
    """
    start = min(max(0.0, begin), 1.0) * width
    length = min(max(0.0, end), 1.0) * width - int(start)
    whole = int(length)
    rest = _PARTS[int((length - whole) * 8)].strip()
    return " " * int(start) + (_FULL * whole + rest or _PARTS[1])
