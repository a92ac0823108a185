"""Costs as one page that needs nothing else: no script, no network."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from html import escape
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from thinktwice.cli.plots import bars, dots, legend, means, palette
from thinktwice.cli.style import STYLE
from thinktwice.cli.tables import NAMELESS, money
from thinktwice.entry import dollars
from thinktwice.store.costs import By
from thinktwice.store.pictures import MOST_DOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thinktwice.store.costs import Costs, Group
    from thinktwice.store.pictures import Bar, Dot, Pictures

MARK: Final = '<meta name="generator" content="thinktwice">'
"""At the head of every page, by which it is known again."""
_YEAR: Final = len("2026-")
_LARGE: Final = 10  # USD: cents say nothing any more
_NO_PRICE: Final = (
    "<p>No call has a known cost, so there is none to draw: "
    "<code>thinktwice prices</code> says which models have a price.</p>"
)


def page(found: Costs, pictures: Pictures) -> str:
    """The page as HTML."""
    body = "<p>No requests.</p>" if found.first is None else _body(found, pictures)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{MARK}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What thinktwice spent</title><style>{STYLE}</style></head>"
        f"<body><main><h1>What thinktwice spent</h1>{body}</main></body></html>\n"
    )


def _body(found: Costs, pictures: Pictures) -> str:
    zone = f"{found.last:%Z}"
    parts = [
        f'<p class="soft">{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} {zone}</p>',
        _cards(found),
        _bought(found.total),
        *(_of_costs(pictures, zone) if found.total.cost else [_NO_PRICE]),
        _stops(pictures.stops),
        *(_table(by, groups, found.total) for by, groups in found.by.items()),
    ]
    return "".join(parts)


def _cards(found: Costs) -> str:
    total = found.total
    mean = total.cost / total.requests if total.requests else total.cost
    least = "≥\u00a0" if total.unpriced else ""
    cards = [
        (least + _short(total.cost), "spent"),
        (f"{total.requests:,}", "request" if total.requests == 1 else "requests"),
        (least + _short(mean), "a request"),
    ]
    if (draws := total.draws) is not None and draws.launched:
        cards.append((_short(draws.wasted_cost), f"wasted, on {draws.wasted:,} samples"))
    if draws is not None and draws.saved:
        cards.append((f"≈\u00a0{_short(draws.saved_cost)}", "saved by stopping early"))
    if total.unpriced:
        cards.append((f"{total.unpriced:,}", "calls without a known cost, left out"))
    inside = "".join(f"<div><b>{escape(b)}</b>{escape(text)}</div>" for b, text in cards)
    return f'<div class="cards">{inside}</div>'


def _bought(total: Group) -> str:
    """One bar: what was spent to some end, what was wasted, and what was saved."""
    draws = total.draws
    if draws is None or not draws.saved_cost:
        return ""
    full = total.cost + draws.saved_cost
    parts = {
        "spent on answers": (total.cost - draws.wasted_cost, 0),
        "wasted": (draws.wasted_cost, 3),
        "not spent, since a rule stopped early": (draws.saved_cost, 2),
    }
    parts = {name: part for name, part in parts.items() if part[0]}
    inside = "".join(
        f'<i class="c{colour}" style="width:{cost / full:.2%}" title="{name}: {_short(cost)}"></i>'
        for name, (cost, colour) in parts.items()
    )
    saved = f"{100 * draws.saved_cost / full:.0f} %"
    return (
        f"<h2>What was not spent</h2><p class='soft'>all samples of every request would have cost "
        f"about {_short(full)}; stopping early saved {saved} of it</p>"
        f"{legend({name: colour for name, (_, colour) in parts.items()})}"
        f'<div class="split" role="img" aria-label="{saved} saved">{inside}</div>'
    )


def _of_costs(pictures: Pictures, zone: str) -> Iterable[str]:
    """Each strategy has the same colour in both plots."""
    colours = palette(_weights(pictures.over_time))
    yield _over_time(pictures, colours, zone)
    if pictures.by_agreement:
        yield _by_agreement(pictures.by_agreement, colours)


def _over_time(pictures: Pictures, colours: Mapping[str, int], zone: str) -> str:
    unit = pictures.unit
    about = f"USD {'an' if unit == 'hour' else 'a'} {unit}, by strategy"
    plot = bars(
        pictures.over_time,
        colours,
        number=_dollars,
        x=f"{unit} ({zone})",
        about=f"Cost over time: {about}",
        skip=0 if unit == "month" else _YEAR,
    )
    return _plot(f"Cost over time{_foremost(pictures.over_time)}", about, colours, plot)


def _by_agreement(data: Sequence[Dot], colours: Mapping[str, int]) -> str:
    shown = {name: colours[name] for name in colours if name in {dot.strategy for dot in data}}
    newest = f" (the newest {len(data):,})" if len(data) == MOST_DOTS else ""
    about = (
        f"USD of a request, the dearest at the top edge{newest}; lines go through the means of a "
        "strategy"
    )
    axis = "agreement: the answer's share of the votes"
    plot = dots(data, shown, number=_dollars, x=axis, about=f"Cost by agreement: {about}")
    return _plot(f"Cost of an answer against its agreement{_ends(data)}", about, shown, plot)


def _stops(data: Sequence[Bar]) -> str:
    if not data:
        return ""
    colours = palette(_weights(data))
    about = "requests by how many samples they used, and by what ended them"
    plot = bars(
        data,
        colours,
        number=lambda count, _: f"{count:,.0f}",
        x="samples used",
        about=f"Where samples stop: {about}",
        whole=True,
    )
    return _plot(f"Where samples stop: {_half(data)}", about, colours, plot)


def _foremost(data: Sequence[Bar]) -> str:
    """What most of the cost is of, if there is a choice."""
    weights = _weights(data)
    name = max(weights, key=weights.__getitem__)
    share = weights[name] / sum(weights.values())
    return f": {name} is {100 * share:.0f} % of it" if len(weights) > 1 else ""


def _ends(data: Sequence[Dot]) -> str:
    """What the most frequent strategy costs where its samples differ most, and least."""
    ((name, _),) = Counter(dot.strategy for dot in data).most_common(1)
    found = means(dot for dot in data if dot.strategy == name)
    if len(found) == 1:
        return ""
    low, high = (f"{dollars(Decimal(e.cost))} at {e.agreement:.2f}" for e in (found[0], found[-1]))
    return f": {name} costs {low}, {high}"


def _half(data: Sequence[Bar]) -> str:
    """By where half of the requests have stopped."""
    counts = [sum(bar.parts.values()) for bar in data]
    at = next(at for at, sofar in enumerate(accumulate(counts)) if 2 * sofar >= sum(counts))
    return f"half of the requests used {data[at].name} or fewer"


def _plot(title: str, about: str, colours: Mapping[str, int], plot: str) -> str:
    return (
        f"<section><h2>{escape(title)}</h2><p class='soft'>{about}</p>"
        f"{legend(colours)}{plot}</section>"
    )


def _table(by: By, groups: Sequence[Group], total: Group) -> str:
    """Days are many, and in a plot already: they are folded up."""
    heads = ("requests", "cost", "a request", "calls", "tokens in", "tokens out")
    head = "".join(f'<th scope="col">{name}</th>' for name in (by, *heads))
    rows = "".join(_row(group, total.cost) for group in groups)
    table = (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    if by is By.DAY:
        return f"<details><summary>By day</summary>{table}</details>"
    return f"<h2>By {by}</h2>{table}"


def _row(group: Group, total: Decimal) -> str:
    share = group.cost / total if total else 0
    mean = group.cost / group.requests if group.requests else group.cost
    cells = (
        f"{group.requests:,}",
        money(group.cost, group).replace(">= ", "≥\u00a0"),
        money(mean, group).replace(">= ", "≥\u00a0"),
        f"{group.calls:,}",
        f"{group.input:,}",
        f"{group.output:,}",
    )
    return (
        f'<tr><th scope="row">{escape(group.name or NAMELESS)}'
        f'<i class="c0" style="width:{share:.1%}" title="{share:.1%} of the cost"></i></th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    )


def _weights(data: Sequence[Bar]) -> dict[str, float]:
    weights: Counter[str] = Counter()
    for bar in data:
        weights.update(bar.parts)
    return dict(weights)


def _short(cost: Decimal) -> str:
    """For reading at a glance."""
    return f"${cost:,.2f}" if cost >= 1 or not cost else dollars(cost)


def _dollars(value: float, step: float) -> str:
    """With enough digits to tell values apart that differ by a step."""
    digits = max(2, 1 - math.floor(math.log10(step))) if step > 0 else 2
    digits = 0 if step >= _LARGE else digits
    return f"${value:,.{digits}f}"
