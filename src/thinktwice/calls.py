"""Making model calls on the account of a run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from thinktwice.booking import FREE
from thinktwice.budget import Need
from thinktwice.errors import BudgetExceeded
from thinktwice.sample import Usage
from thinktwice.sampling import as_source
from thinktwice.scope import current_scope
from thinktwice.tokens import estimate_usage, text_of

if TYPE_CHECKING:
    from thinktwice.entry import Role
    from thinktwice.ledger import Lease
    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Completion
    from thinktwice.sampling import Source
    from thinktwice.scope import Scope

P = TypeVar("P")
T = TypeVar("T")


async def complete(
    scope: Scope, source: Source[P, T], prompt: P, options: Options, *, role: Role | None = None
) -> Completion[T]:
    """Make one model call and book it in a scope.

    Raises:
        BudgetExceeded: It does not fit.
        Exception: Whatever the sampler raises.
    """
    booking = await scope.book(
        model=source.model,
        provider=source.provider,
        prompt=prompt,
        max_tokens=source.output_cap(options),
        options=options,
        role=role,
    )
    try:
        async with scope.working():
            with booking.sent():
                completion = await source.complete(prompt, options, booking.late)
    except asyncio.CancelledError as error:
        booking.settle(status="cancelled" if source.recallable else "abandoned", error=error)
        raise
    except Exception as error:
        booking.settle(status="error", error=error)
        raise
    usage = completion.usage
    if usage is None and scope.ledger.capped:  # a cap must bind even where nobody counts
        text = completion.text if completion.text is not None else text_of(completion.value)
        usage = estimate_usage(prompt, text, completion.model or source.model)
    booking.settle(
        usage=usage,
        model=completion.model,
        provider=completion.provider,
        cached=completion.cached,
    )
    return completion


async def call(
    sampler: Sampler[P, T], prompt: P, *, role: Role, options: Options | None = None
) -> Completion[T]:
    """Call a model from inside a verifier or a strategy, on the account of the current run.

    Outside a run it just calls the sampler.

    Args:
        sampler: What to call.
        prompt: Its input.
        role: What the call is for.
        options: Settings of the call.

    Raises:
        BudgetExceeded: The budget does not afford it.
    """
    source = as_source(sampler)
    scope = current_scope()
    if scope is None or not source.leaf:
        return await source.complete(prompt, options or {})
    return await complete(scope, source, prompt, options or {}, role=role)


async def reserve(
    scope: Scope, source: Source[P, T], prompt: P, options: Options, verifier: object = None
) -> Lease | None:
    """Hold what a sample may cost before it is drawn, and what judging it may cost.

    A sample whose calls report themselves holds a place for the first of them.

    Returns:
        What is held for judging; None without a verifier that makes calls.

    Raises:
        BudgetExceeded: It does not fit, and nothing in flight could change that.
    """
    need = Need(tokens=0, cost=FREE)
    if source.leaf:
        cap = source.output_cap(options)
        model, provider = source.model, source.provider
        need = scope.worst_case(model, provider, prompt, cap, role="sample")
    needs = [need]
    if calls := getattr(verifier, "calls", 0):
        judge = getattr(verifier, "sampler", None)
        needs.append(_share(scope, need, calls, judge))
    got = await scope.ledger.acquire(*needs)
    if not isinstance(got, list):
        raise BudgetExceeded(got)
    scope.hold(got[0])
    return got[1] if len(got) > 1 else None


def _share(scope: Scope, sample: Need, calls: int, judge: object) -> Need:
    """What to keep back for judging a sample, so that there is always money left to choose with.

    Judging reads what the sample read and wrote, and writes less: it is taken to be as large as the
    sample, at the judge's own price, until a judgement has been seen.
    """
    source = as_source(judge) if callable(judge) else None
    seen = scope.ledger.typical(f"verify:{source.model if source else None}")
    if seen is not None:
        return Need(calls=calls, tokens=seen[0].total_tokens or 0, cost=seen[1] or FREE)
    tokens = sample.tokens or 0
    usage = Usage(input_tokens=tokens, output_tokens=0, source="estimated")
    cost = scope.price(usage, source.model, source.provider) if source else None
    return Need(calls=calls, tokens=tokens, cost=cost or sample.cost or FREE)
