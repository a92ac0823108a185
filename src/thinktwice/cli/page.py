"""Costs as one page that needs nothing else: no script, no network."""

from __future__ import annotations

import math
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Final

from thinktwice.cli.plots import bars, dots, legend, palette
from thinktwice.entry import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thinktwice.store.costs import Costs, Group
    from thinktwice.store.pictures import Bar, Dot, Pictures

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #6b7785; --line: #e3e8ee;
  --paper: #ffffff; --card: #f6f8fa;
  --c0: #2f6fde; --c1: #e08a1e; --c2: #2a9d6f; --c3: #c2418c; --c4: #7a5cd6; --c5: #8a949e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #93a0ad; --line: #2c3540;
  --paper: #12171d; --card: #1a212a; --c0: #6ea2ff; --c1: #f0a94a; --c2: #4cc795; --c3: #e577b5;
  --c4: #a58cf2; --c5: #78838f; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 980px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .2rem; }
p { margin: .2rem 0; } .soft, .legend { color: var(--soft); font-size: .87rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .8rem;
  margin: 1.2rem 0; }
.cards div { background: var(--card); border-radius: 8px; padding: .7rem .9rem; }
.cards b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.legend span { margin-right: 1.1em; white-space: nowrap; }
.legend i { display: inline-block; width: .75em; height: .75em; border-radius: 2px;
  margin-right: .4em; }
svg { width: 100%; height: auto; } svg line { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 11px; } circle { fill-opacity: .35; }
.mean { fill: none; stroke: var(--ink); stroke-width: 2; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .87rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
"""
_STYLE_OF_COLOURS: Final = "".join(
    f".c{at} {{ fill: var(--c{at}); background: var(--c{at}); }}\n" for at in range(6)
)


def page(found: Costs, pictures: Pictures) -> str:
    """The page as HTML."""
    body = "<p>No requests.</p>" if found.first is None else _body(found, pictures)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What thinktwice spent</title><style>{_STYLE}{_STYLE_OF_COLOURS}</style></head>"
        f"<body><h1>What thinktwice spent</h1>{body}</body></html>\n"
    )


def _body(found: Costs, pictures: Pictures) -> str:
    parts = [
        f'<p class="soft">{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M}</p>',
        _cards(found),
        _over_time(pictures),
        _by_agreement(pictures.by_agreement),
        _stops(pictures.stops),
        *(_table(by, groups) for by, groups in found.by.items() if by != "day"),
    ]
    return "".join(parts)


def _cards(found: Costs) -> str:
    total = found.total
    mean = total.cost / total.requests if total.requests else total.cost
    cards = [
        (dollars(total.cost), "spent"),
        (f"{total.requests:,}", "requests"),
        (dollars(mean), "a request"),
    ]
    if (draws := total.draws) is not None and draws.launched:
        cards.append((dollars(draws.wasted_cost), f"wasted, on {draws.wasted:,} samples"))
        cards.append((f"≈ {dollars(draws.saved_cost)}", "saved by stopping early"))
    if total.unpriced:
        cards.append((f"{total.unpriced:,}", "unpriced calls, left out"))
    inside = "".join(f"<div><b>{escape(b)}</b>{escape(text)}</div>" for b, text in cards)
    return f'<div class="cards">{inside}</div>'


def _over_time(pictures: Pictures) -> str:
    colours = _weighed(pictures.over_time)
    plot = bars(pictures.over_time, colours, number=_dollars, x=pictures.unit)
    return _plot("Cost over time", f"USD a {pictures.unit}, by strategy", colours, plot)


def _by_agreement(data: Sequence[Dot]) -> str:
    if not data:
        return ""
    colours = palette(Counter(dot.strategy for dot in data))
    plot = dots(data, colours, number=_dollars, x="agreement: the answer's share of the votes")
    about = f"the newest {len(data):,} requests; the line is the mean of each tenth"
    return _plot("Cost of an answer against its agreement", about, colours, plot)


def _stops(data: Sequence[Bar]) -> str:
    if not data:
        return ""
    colours = _weighed(data)
    plot = bars(data, colours, number=lambda count, _: f"{count:,.0f}", x="samples used")
    about = "requests by samples used, and by what ended them"
    return _plot("Where samples stop", about, colours, plot)


def _plot(title: str, about: str, colours: Mapping[str, int], plot: str) -> str:
    return f'<h2>{title}</h2><p class="soft">{about}</p>{legend(colours)}{plot}'


def _table(by: str, groups: Iterable[Group]) -> str:
    rows = "".join(
        f"<tr><td>{escape(group.name or '(several, or not known)')}</td><td>{group.requests:,}</td>"
        f"<td>{dollars(group.cost)}</td><td>{group.calls:,}</td><td>{group.input:,}</td>"
        f"<td>{group.output:,}</td><td>{group.unpriced or ''}</td></tr>"
        for group in groups
    )
    heads = ("requests", "cost", "calls", "tokens in", "tokens out", "unpriced")
    head = "".join(f"<th>{name}</th>" for name in (f"By {by}", *heads))
    return f"<h2>By {by}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _weighed(data: Sequence[Bar]) -> dict[str, int]:
    weights: dict[str, float] = {}
    for bar in data:
        for part, height in bar.parts.items():
            weights[part] = weights.get(part, 0.0) + height
    return palette(weights)


def _dollars(value: float, scale: float) -> str:
    """With enough digits to tell values on such a scale apart."""
    digits = max(2, 2 - math.floor(math.log10(scale))) if scale > 0 else 2
    return f"${value:,.{digits}f}"
