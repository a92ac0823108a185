"""Rows as CSV, as Markdown, and as a picture."""

from __future__ import annotations

import csv
import os
import platform
from collections import defaultdict
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING

from arms import PEERS
from measure import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

CLEAN = (
    "| peer | arm | right % | $ per 1,000 | mean ms | requests | samples | tokens | p95 ms "
    "| p99 ms | in flight | broken off |"
)
COLOURS = {
    "by hand": "#777777",
    "thinktwice": "#d62728",
    "its-hub": "#1f77b4",
    "DSPy": "#2ca02c",
    "optillm": "#9467bd",
    "AdaptiveConsistency": "#ff7f0e",
}
MARKERS = "osD^vP*Xh<"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """All columns of all rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        for row in rows:
            writer.writerow(
                f"{value:.4g}" if isinstance(value, float) else value
                for value in asdict(row).values()
            )


def versions() -> str:
    """A line on what was measured, when, and on what."""
    names = ", ".join(peer.version for peer in PEERS if not peer.missing)
    today = datetime.now(UTC).strftime("%d %B %Y")
    return (
        f"{names}; Python {platform.python_version()}, "
        f"{platform.system()}, {os.cpu_count()} cores; {today}."
    )


def fill(page: Path, name: str, text: str) -> None:
    """Put a text between the marks of its name on a page."""
    before, begin, rest = page.read_text("utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if begin and end:
        page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", "utf-8")


def mean(rows: Sequence[Row]) -> list[Row]:
    """The mean over pools of each arm that all pools had."""
    arms: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        arms[row.peer, row.arm].append(row)
    pools = len({row.pool for row in rows})
    return [_mean(own) for own in arms.values() if len(own) == pools and own[0].questions]


def _mean(rows: Sequence[Row]) -> Row:
    averaged = {
        field.name: fmean(getattr(row, field.name) for row in rows)
        for field in fields(Row)
        if field.type == "float"
    }
    most = max(row.peak for row in rows)
    return replace(rows[0], pool="mean", peak=most, note="", **averaged)


def clean(rows: Sequence[Row]) -> str:
    """A Markdown table of what was measured where nothing went wrong."""
    return _table(CLEAN, map(_clean, rows))


def _clean(row: Row) -> str:
    if not row.questions:
        return f"| {row.peer} | {row.arm} | {row.note} |" + " |" * 9
    return (
        f"| {row.peer} | {row.arm} | {row.right:.0f} | {row.usd:.3f} | {1000 * row.seconds:.0f} "
        f"| {row.requests:.1f} | {row.samples:.1f} | {row.tokens:,.0f} | {1000 * row.p95:.0f} "
        f"| {1000 * row.p99:.0f} | {row.peak} | {row.disconnected:.1f} |"
    )


def rough(rows: Sequence[Row]) -> str:
    """A Markdown table: share answered and mean seconds, for all that went wrong."""
    names = list(dict.fromkeys(row.scenario for row in rows))
    arms: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in rows:
        cell = f"{row.answered:.0f} %, {row.seconds:.2f} s" if row.questions else row.note
        arms[row.peer, row.arm][row.scenario] = cell
    lines = (
        "| " + " | ".join([*arm, *(cells.get(name, "") for name in names)]) + " |"
        for arm, cells in arms.items()
    )
    return _table("| " + " | ".join(["peer", "arm", *names]) + " |", lines)


def _table(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *lines])


def plot(path: Path, rows: Sequence[Row]) -> None:
    """Wall time against money; an arm is a point, its peer the colour."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    with rc_context({"font.size": 9}):
        figure = Figure(figsize=(7, 5.6), layout="constrained")
        axes = figure.add_subplot()
        own: dict[str, Iterator[str]] = defaultdict(lambda: iter(MARKERS))
        for row in filter(lambda row: row.questions, rows):
            axes.scatter(
                row.usd,
                1000 * row.seconds,
                color=COLOURS[row.peer],
                marker=next(own[row.peer]),
                label=f"{row.peer}: {row.arm} ({row.right:.0f} %)",
                s=45,
            )
        axes.set(xscale="log", yscale="log")
        axes.set(title=f"{rows[0].pool}, n = 16", xlabel="dollars per 1,000 questions")
        axes.set(ylabel="mean wall time of a question, ms")
        axes.grid(which="both", alpha=0.2)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        figure.legend(loc="outside lower center", ncols=2, title="(right answers)", fontsize=8)
        figure.savefig(path)
