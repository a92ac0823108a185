"""What a model call costs, and the most that it can take of a budget."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from thinktwice.budget import Need
from thinktwice.entry import ZERO
from thinktwice.errors import TypeOf, UsageError
from thinktwice.sample import NO_USAGE, Usage
from thinktwice.texts import has_media, text_of
from thinktwice.tokens import upper_bound_tokens

if TYPE_CHECKING:
    from thinktwice.entry import Role
    from thinktwice.protocols import PriceSource
    from thinktwice.scope import Scope


def cost_of(
    usage: Usage,
    model: str | None,
    provider: str | None,
    *,
    prices: PriceSource,
    cached: bool = False,
) -> Decimal | None:
    """USD of a call; None while unpriced.

    Args:
        usage: Its tokens.
        model: The model.
        provider: Who serves it.
        prices: What models cost.
        cached: It was answered from a cache.

    Raises:
        UsageError: The caller's prices raised, or gave no amount of money.
    """
    if cached or usage == NO_USAGE:
        return ZERO
    try:
        found = prices.price(usage, model=model, provider=provider)
    except Warning:  # one of ours, turned into an error by the caller's filters
        raise
    except Exception as error:
        if usage.source == "missing":  # only what is free has a price then
            return None
        remedy = f"its price() raised {type(error).__name__} for model {model!r}"
        raise UsageError("prices", prices, remedy) from error
    if found is not None and not _is_money(found):
        given = found if isinstance(found, Decimal) else TypeOf(found)
        remedy = f"its price() gave {given!r} for model {model!r}: give a Decimal from 0, or None"
        raise UsageError("prices", prices, remedy)
    return found


def _is_money(found: object) -> bool:
    if isinstance(found, Decimal):
        return found.is_finite() and found >= 0
    return isinstance(found, int) and found >= 0


def worst_case(
    scope: Scope,
    prompt: object,
    max_tokens: int | None,
    *,
    model: str | None,
    provider: str | None,
    role: Role,
    further: int = 0,
) -> Need:
    """The most that a call can take, as far as it is known and a cap or a quota makes it matter.

    Args:
        scope: The sample or verdict that would make it.
        prompt: The input.
        max_tokens: Output tokens at most; None if nobody says.
        model: The model.
        provider: Who serves it.
        role: What the call is for.
        further: Input tokens that are not in the prompt yet.

    Raises:
        UsageError: The caller's prices raised.
    """
    kind = f"{role}:{model}"
    if not scope.ledger.sized or max_tokens is None or has_media(prompt):
        return Need(kind=kind)
    inputs = upper_bound_tokens(text_of(prompt)) + further
    worst = Usage(input_tokens=inputs, output_tokens=max_tokens, source="estimated")
    cost = cost_of(worst, model, provider, prices=scope.prices)
    return Need(tokens=inputs + max_tokens, cost=cost, kind=kind)
