"""What was spent, in words: one line for people, without content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.entry import dollars

if TYPE_CHECKING:
    from thinktwice.budget import Budget
    from thinktwice.entry import Total


def bill(total: Total, *, seconds: float, caps: Budget) -> str:
    """Calls, tokens, money and wall-clock seconds; and of how much, where that is capped.

    Args:
        total: What was spent.
        seconds: Wall-clock time.
        caps: What was allowed.
    """
    calls = f"{total.calls} launched"
    if caps.calls is not None:
        calls = f"{total.calls} of {caps.calls} calls"
    spent = money(total)
    if caps.money is not None:
        spent += f" of {dollars(caps.money)}"
    took = f"{seconds:.1f}"
    if caps.seconds is not None:
        took += f" of {caps.seconds:.1f}"
    return f"{calls}, {_tokens(total, caps)}, {spent}, {took} s"


def money(total: Total) -> str:
    """The cost, and how many calls it leaves out."""
    cost = dollars(total.cost)
    if total.unpriced and total.cost is not None:
        cost += f" + {total.unpriced} unpriced"
    return cost


def _tokens(total: Total, caps: Budget) -> str:
    tokens = total.usage.total_tokens
    counted = "tokens unknown" if tokens is None and total.calls else f"{tokens or 0:,} tokens"
    if caps.tokens is None:
        return counted
    return f"{counted.removesuffix(' tokens')} of {caps.tokens:,} tokens"
