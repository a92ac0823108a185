"""What another rule would have done, in words."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from thinktwice.cli.printing import console
from thinktwice.entry import dollars

if TYPE_CHECKING:
    from thinktwice.diversity import Estimate
    from thinktwice.policy.whatif import WhatIf
    from thinktwice.stop import Stop


def show(found: WhatIf, rule: Stop) -> None:
    """Print it."""
    out = console()
    for line in _lines(found, rule):
        out.print(Text(line), soft_wrap=True)


def _lines(found: WhatIf, rule: Stop) -> list[str]:
    lines = [f"{rule!r} on {found.replayed:,} votes that were drawn in full"]
    if found.samples and found.cost and found.recorded_samples and found.recorded_cost:
        lines += [
            f"samples a vote  {found.samples}, drawn {found.recorded_samples.value:.2f}",
            f"cost a vote     {_money(found.cost)}, paid {_money(found.recorded_cost)}",
        ]
    if found.changed:
        value, low, high = found.changed
        between = f"{100 * (low or 0):.1f} % to {100 * (high or 1):.1f} %"
        lines.append(f"another answer  {100 * value:.1f} % of them ({between})")
    return lines + _left_out(found)


def _left_out(found: WhatIf) -> list[str]:
    lines: list[str] = []
    if found.censored:
        lines.append(
            f"left out: {found.censored:,} votes that their own rule could stop early: what these "
            "would have gone on to say is not known. observe(explore=0.02) draws a share in full"
        )
    if found.cut:
        lines.append(f"left out: {found.cut:,} votes that a budget or an error cut short")
    if found.too_short:
        lines.append(f"left out: {found.too_short:,} votes with fewer samples than that")
    return lines


def _money(cost: Estimate) -> str:
    if cost.low is None or cost.high is None:
        return dollars(Decimal(cost.value))
    low, high = (dollars(Decimal(max(0.0, end))) for end in (cost.low, cost.high))
    return f"{dollars(Decimal(cost.value))} ({low} to {high})"
