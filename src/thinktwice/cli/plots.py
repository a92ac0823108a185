"""Plots as SVG: stacked bars, and dots with a line through their means."""

from __future__ import annotations

import math
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice.store.pictures import Bar, Dot

WIDTH: Final = 720
HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 34
_INSIDE: Final = WIDTH - _LEFT - _RIGHT
_TALL: Final = HEIGHT - _TOP - _BOTTOM
_COLOURS: Final = 6  # the page has so many; the rest share the last
_NAMES: Final = 8  # below the axis, so that they stay apart
_BINS: Final = 10
_OTHERS: Final = "others"
_LEAST: Final = 1e-12  # what a store tells apart, in USD

# Writes a value, with the digits that a scale of some height wants.
Number: TypeAlias = "Callable[[float, float], str]"


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
) -> str:
    """Stacked bars from left to right.

    Args:
        data: They.
        colours: Of their parts.
        number: Writes a height.
        x: What the horizontal axis is.
    """
    top = nice(max((sum(bar.parts.values()) for bar in data), default=0))
    wide = _INSIDE / max(1, len(data))
    drawn: list[str] = []
    for at, bar in enumerate(data):
        base = 0.0
        for part in sorted(bar.parts, key=lambda name: colours[name]):
            height = bar.parts[part] / top * _TALL
            y = _TOP + _TALL - base - height
            said = escape(f"{bar.name}: {part}, {number(bar.parts[part], bar.parts[part])}")
            drawn.append(
                f'<rect class="c{colours[part]}" x="{_LEFT + at * wide + wide * 0.1:.2f}" '
                f'y="{y:.2f}" width="{wide * 0.8:.2f}" height="{height:.2f}">'
                f"<title>{said}</title></rect>"
            )
            base += height
    every = math.ceil(len(data) / _NAMES)
    names = [
        _text(_LEFT + (at + 0.5) * wide, HEIGHT - 18, bar.name)
        for at, bar in enumerate(data)
        if at % every == 0
    ]
    return _svg([*_levels(top, number), *drawn, *names, _text(_LEFT + _INSIDE / 2, HEIGHT - 3, x)])


def dots(
    data: Sequence[Dot],
    colours: Mapping[str, int],
    *,
    number: Number,
    x: str,
) -> str:
    """Requests by agreement and cost, with the mean cost of each tenth of the agreement.

    Args:
        data: They.
        colours: Of strategies.
        number: Writes a cost.
        x: What the horizontal axis is.
    """
    top = nice(_almost_all([dot.cost for dot in data]))
    drawn = [
        f'<circle class="c{colours[dot.strategy]}" cx="{_LEFT + dot.agreement * _INSIDE:.1f}" '
        f'cy="{_height(dot.cost, top):.1f}" r="3"><title>'
        f"{escape(f'{dot.strategy}: agreement {dot.agreement:.2f}, {number(dot.cost, dot.cost)}')}"
        "</title></circle>"
        for dot in data
    ]
    ends = ((_LEFT + at * _INSIDE, _height(mean, top)) for at, mean in means(data))
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in ends)
    names = [_text(_LEFT + at / 4 * _INSIDE, HEIGHT - 18, f"{at / 4:g}") for at in range(5)]
    line = f'<polyline class="mean" points="{path}"/>'
    return _svg(
        [*_levels(top, number), *drawn, line, *names, _text(_LEFT + _INSIDE / 2, HEIGHT - 3, x)]
    )


def means(data: Sequence[Dot]) -> list[tuple[float, float]]:
    """Mean agreement and mean cost of each tenth that has requests."""
    counts: Counter[int] = Counter()
    shares: Counter[int] = Counter()
    costs: Counter[int] = Counter()
    for dot in data:
        tenth = min(int(dot.agreement * _BINS), _BINS - 1)
        counts[tenth] += 1
        shares[tenth] += dot.agreement  # type: ignore[assignment] - a Counter adds anything up
        costs[tenth] += dot.cost  # type: ignore[assignment]
    return [(shares[at] / counts[at], costs[at] / counts[at]) for at in sorted(counts)]


def nice(value: float) -> float:
    """The end of an axis: 1, 2, 2.5 or 5 times a power of ten, at least the value."""
    if value < _LEAST:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def _almost_all(costs: Sequence[float]) -> float:
    """So that one dear request does not press all others onto the axis."""
    ranked = sorted(costs)
    return ranked[math.ceil(0.99 * len(ranked)) - 1] if ranked else 0.0


def _height(value: float, top: float) -> float:
    return _TOP + _TALL * (1 - min(1.0, value / top))


def _levels(top: float, number: Number) -> list[str]:
    lines: list[str] = []
    for at in range(5):
        y = _TOP + _TALL * (1 - at / 4)
        lines.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(_LEFT - 6, y + 4, number(top * at / 4, top), "end"))
    return lines


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(inside: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(inside)}</svg>'
