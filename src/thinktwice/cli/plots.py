"""Plots as SVG: stacked bars, and dots with lines through their means.

Places across are percentages, so that a plot fits any screen while its text keeps its size.
"""

from __future__ import annotations

import math
from collections import defaultdict
from html import escape
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from thinktwice.store.pictures import Bar, Dot

HEIGHT: Final = 230
_COLOURS: Final = 6  # the page has so many; the rest share the last
_WIDEST: Final = 8.0  # of a bar, in percent
_ROOM: Final = 90  # characters below the axis, so that names stay apart
_BINS: Final = 10
_LEVELS: Final = 4
_OTHERS: Final = "others"
_LEAST: Final = 1e-12  # what a store tells apart, in USD

# Writes a value, with the digits that a step of some size wants.
Number: TypeAlias = "Callable[[float, float], str]"


class Mean(NamedTuple):
    """Requests of about one agreement: its mean, that of their cost, and how many they are."""

    agreement: float
    cost: float
    requests: int


def palette(weights: Mapping[str, float]) -> dict[str, int]:
    """A colour for each name, the heaviest first; the lightest share one as "others"."""
    ranked = sorted(weights, key=lambda name: (-weights[name], name))
    return {name: min(at, _COLOURS - 1) for at, name in enumerate(ranked)}


def legend(colours: Mapping[str, int]) -> str:
    """Names beside their colours."""
    shown: dict[int, str] = {}
    for name, colour in colours.items():
        shown[colour] = _OTHERS if colour in shown else name
    items = (
        f'<span><i class="c{colour}"></i>{escape(name)}</span>' for colour, name in shown.items()
    )
    return f'<p class="legend">{"".join(items)}</p>'


def bars(
    data: Sequence[Bar],
    colours: Mapping[str, int],
    *,
    number: Number,
    x: str,
    about: str,
    skip: int = 0,
    whole: bool = False,
) -> str:
    """Stacked bars from left to right.

    Args:
        data: They.
        colours: Of their parts.
        number: Writes a height.
        x: What the horizontal axis is.
        about: The plot in words, for those who do not see it.
        skip: Characters that the names below the axis leave out at their start.
        whole: Heights are whole numbers.
    """
    levels = ticks(max((sum(bar.parts.values()) for bar in data), default=0), whole=whole)
    top, wide = levels[-1], 100 / max(1, len(data))
    across = min(wide * 0.8, _WIDEST)
    drawn: list[str] = []
    for at, bar in enumerate(data):
        base = 0.0
        for part in sorted(bar.parts, key=lambda name: colours[name]):
            height = bar.parts[part] / top * HEIGHT
            base += height
            said = escape(f"{bar.name}: {part}, {number(bar.parts[part], bar.parts[part] / 10)}")
            drawn.append(
                f'<rect class="c{colours[part]}" x="{(at + 0.5) * wide - across / 2:.3f}%" '
                f'y="{HEIGHT - base:.2f}" width="{across:.3f}%" height="{height:.2f}">'
                f"<title>{said}</title></rect>"
            )
    names = _names([bar.name[skip:] for bar in data], wide)
    return _svg(about, [*_levels(levels, number), *drawn, *names, _below(x)])


def dots(
    data: Sequence[Dot],
    colours: Mapping[str, int],
    *,
    number: Number,
    x: str,
    about: str,
) -> str:
    """Requests by agreement and cost, with the means of each strategy along the agreement.

    Args:
        data: They.
        colours: Of strategies.
        number: Writes a cost.
        x: What the horizontal axis is.
        about: The plot in words, for those who do not see it.
    """
    levels = ticks(_almost_all([dot.cost for dot in data]))
    top = levels[-1]
    drawn = [
        f'<circle class="dot c{colours[dot.strategy]}" cx="{dot.agreement * 100:.1f}%" '
        f'cy="{_height(dot.cost, top):.1f}" r="3"><title>'
        f"{escape(dot.strategy)}: agreement {dot.agreement:.2f}, {number(dot.cost, dot.cost / 10)}"
        "</title></circle>"
        for dot in data
    ]
    for strategy in dict.fromkeys(dot.strategy for dot in data):
        found = means([dot for dot in data if dot.strategy == strategy])
        drawn += _line(strategy, found, colours[strategy], top, number)
    names = [_text(f"{at * 25}%", HEIGHT + 18, f"{at / 4:g}") for at in range(5)]
    return _svg(about, [*_levels(levels, number), *drawn, *names, _below(x)])


def _line(
    strategy: str, found: Sequence[Mean], colour: int, top: float, number: Number
) -> Iterable[str]:
    """Through the means of a strategy, on a lighter ground so that it stands out of its dots."""
    points = [(f"{each.agreement * 100:.1f}%", f"{_height(each.cost, top):.1f}") for each in found]
    for kind in ("halo", f"mean l{colour}"):
        for (x1, y1), (x2, y2) in pairwise(points):
            yield f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'
    for (x, y), mean in zip(points, found, strict=True):
        cost = number(mean.cost, mean.cost / 10)
        about = f"{mean.requests:,} of agreement {mean.agreement:.2f}"
        said = f"{strategy}: {cost} on average, {about}"
        yield (
            f'<circle class="at c{colour}" cx="{x}" cy="{y}" r="4.5">'
            f"<title>{escape(said)}</title></circle>"
        )


def means(data: Iterable[Dot]) -> list[Mean]:
    """Of each tenth of the agreement that has requests."""
    tenths: defaultdict[int, list[Dot]] = defaultdict(list)
    for dot in data:
        tenths[min(int(dot.agreement * _BINS), _BINS - 1)].append(dot)
    return [
        Mean(fmean(dot.agreement for dot in some), fmean(dot.cost for dot in some), len(some))
        for _, some in sorted(tenths.items())
    ]


def ticks(value: float, *, whole: bool = False) -> list[float]:
    """Round numbers from 0 to the value or little above it, about four steps apart.

    Args:
        value: The highest.
        whole: Steps are whole numbers.
    """
    if value < _LEAST:
        return [0.0, 1.0]
    step = max(_round(value / _LEVELS), 1.0) if whole else _round(value / _LEVELS)
    step = math.ceil(step) if whole else step
    return [at * step for at in range(math.ceil(value / step * (1 - 1e-9)) + 1)]


def _round(value: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, at least the value."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def _almost_all(costs: Sequence[float]) -> float:
    """So that one dear request does not press all others onto the axis."""
    ranked = sorted(costs)
    return ranked[math.ceil(0.99 * len(ranked)) - 1] if ranked else 0.0


def _height(value: float, top: float) -> float:
    return HEIGHT * (1 - min(1.0, value / top))


def _levels(levels: Sequence[float], number: Number) -> Iterable[str]:
    step, top = levels[1], levels[-1]
    for level in levels:
        y = HEIGHT * (1 - level / top)
        yield f'<line class="level" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text("-8", y + 4, number(level, step), "end")


def _names(names: Sequence[str], wide: float) -> Iterable[str]:
    """Below the axis, as many as there is room for; on a narrow screen half of them."""
    longest = max(map(len, names), default=0)
    every = math.ceil(len(names) * (longest + 2) / _ROOM)
    for at, name in enumerate(names):
        if at % every == 0:
            kind = "minor" if at // every % 2 else ""
            yield _text(f"{(at + 0.5) * wide:.2f}%", HEIGHT + 18, name, kind=kind)


def _below(text: str) -> str:
    return _text("50%", HEIGHT + 36, text)


def _text(x: str, y: float, text: str, anchor: str = "middle", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(about: str, inside: Iterable[str]) -> str:
    return (
        f'<div class="plot"><svg height="{HEIGHT}" role="img" aria-label="{escape(about)}">'
        f"{''.join(inside)}</svg></div>"
    )
