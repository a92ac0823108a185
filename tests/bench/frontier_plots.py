"""The pictures of `frontier.py`: frontiers of the rules, and where they stop.

Not a bench by itself: `frontier.py --plot FOLDER` draws them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from thinktwice.stop import AdaptiveConsistency, Certain, Lead, Settled, Stop, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

LINES: Final[Mapping[str, Mapping[str, object]]] = {
    "Bayes, these pools": {"color": "#999999", "linestyle": ":", "label": "limit: knows the pools"},
    "Bayes, the other pools": {
        "color": "#999999",
        "linestyle": "--",
        "label": "learnt on the other pools",
    },
    "ESC": {"color": "#7b5aa6", "marker": "s", "label": "ESC"},
    "Quorum": {"color": "#a6761d", "marker": "v", "label": "Quorum"},
    "Certificate": {"color": "#1b7837", "marker": "P", "label": "Certificate"},
    "Adaptive-Consistency, as published": {
        "color": "#d95f02",
        "linestyle": "--",
        "label": "Adaptive-Consistency, as published",
    },
    "Adaptive-Consistency": {"color": "#d95f02", "label": "Adaptive-Consistency"},
    "Lead": {"color": "#2b83ba", "marker": "o", "label": "Lead"},
    "Settled, by threshold": {"color": "#111111", "linewidth": 1.8, "label": "Settled"},
}
CALLS: Final = {16: (5, 12), 30: (6, 20)}
ACCURACY: Final = {16: (43.4, 44.4), 30: (43.6, 44.9)}


def draw(rows: Sequence[Mapping[str, object]], folder: Path) -> None:
    """Write both pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    look = {"svg.fonttype": "none", "svg.hashsalt": "frontier", "font.size": 9}
    with mpl.rc_context(look):
        _save(frontiers(rows), folder / "stop-frontier.svg")
        _save(boundaries(), folder / "stop-boundary.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def frontiers(rows: Sequence[Mapping[str, object]]) -> Figure:
    """Calls against overturned votes and against accuracy, for each n."""
    figure = Figure(figsize=(9.0, 7.2), layout="constrained")
    panels = figure.subplots(2, len(CALLS))
    for column, n in enumerate(CALLS):
        own = [row for row in rows if row["n"] == n]
        top, bottom = panels[0][column], panels[1][column]
        for family in LINES:
            _curve(top, own, family, "overturned")
            _curve(bottom, own, family, "accuracy")
        for axes, name in ((top, "overturned"), (bottom, "accuracy")):
            _mark(axes, own, name)
            axes.set_xlim(*CALLS[n])
            axes.grid(alpha=0.25)
        top.set(title=f"n = {n}", yscale="log", ylim=(0.03, 10))
        top.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        bottom.set(ylim=ACCURACY[n], xlabel="calls (mean)")
    panels[0][0].set_ylabel("votes overturned, %")
    panels[1][0].set_ylabel("accuracy, %")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _curve(axes: Axes, rows: Sequence[Mapping[str, object]], family: str, name: str) -> None:
    found = {(row["calls"], row[name]) for row in rows if row["family"] == family and row[name]}
    calls, values = zip(*sorted(found), strict=True)
    style = {"linewidth": 1.1, "markersize": 4, **LINES[family]}
    axes.plot(calls, values, **style)


def _mark(axes: Axes, rows: Sequence[Mapping[str, object]], name: str) -> None:
    """The risks that `Settled` is calibrated at."""
    for row in rows:
        if row["family"] == "Settled":
            at = (row["calls"], row[name])
            axes.plot(*at, marker="*", color="#111111", markersize=8)
            axes.annotate(
                f"{row['setting']}", at, textcoords="offset points", xytext=(5, 4), fontsize=8
            )


def boundaries() -> Figure:
    """The fewest votes of the leader with which a rule stops, by those of the runner-up."""
    rules: dict[Stop, tuple[str, str]] = {
        Certain(): ("#999999", "Certain()"),
        AdaptiveConsistency(0.95): ("#d95f02", "AdaptiveConsistency(0.95)"),
        Settled(0.05): ("#111111", "Settled(0.05)"),
        Lead(3): ("#2b83ba", "Lead(3)"),
    }
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, n in zip(panels, (16, 40), strict=True):
        for rule, (color, label) in rules.items():
            steps = [fewest(rule, n, runner_up) for runner_up in range(n // 2)]
            known = [(r, votes) for r, votes in enumerate(steps) if votes]
            axes.plot(*zip(*known, strict=True), color=color, label=label, marker=".")
        axes.plot([0, n / 2], [n, n / 2], color="#cccccc", linestyle="--", linewidth=1)
        axes.set(title=f"n = {n}", xlabel="votes of the runner-up", xlim=(-0.3, n / 2))
        axes.set_ylim(0, n * 0.62)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("votes of the leader that end it")
    panels[1].legend(loc="lower right")
    return figure


def fewest(rule: Stop, n: int, runner_up: int) -> int:
    """Votes of the leader, where all draws went to the two; 0 if it never stops there."""
    for leader in range(runner_up + 1, n - runner_up):
        counts = (leader, runner_up) if runner_up else (leader,)
        if rule.fired(Tally(n, counts, leader + runner_up)) is not None:
            return leader
    return 0
