"""Making model calls on the account of a run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice.account import now
from thinktwice.budget import Limit, Need
from thinktwice.costing import cost_of, worst_case
from thinktwice.entry import ZERO
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.sample import Sample, Usage
from thinktwice.sampling import as_source
from thinktwice.scope import HEARD, current_scope
from thinktwice.texts import text_of
from thinktwice.tokens import estimate_usage

if TYPE_CHECKING:
    from thinktwice.booking import Booking
    from thinktwice.entry import Role
    from thinktwice.ledger import Lease
    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Completion
    from thinktwice.sampling import Source
    from thinktwice.scope import Scope

P = TypeVar("P")
T = TypeVar("T")

_BLANK: Final = Sample[object](index=0, value="", text="")
_BYTES_PER_TOKEN: Final = 6  # of a candidate that is yet to be written: about 4 in English


async def call_in(scope: Scope, source: Source[P, T], prompt: P, options: Options) -> Completion[T]:
    """Call a sampler in its scope: one that is a model call is booked, others book their own.

    Raises:
        BudgetExceeded: It does not fit.
        Exception: Whatever the sampler raises.
    """
    if source.leaf:
        return await complete(scope, source, prompt, options)
    async with scope.working():
        refuse_overrun(scope, source)
        scope.since = now()
        return await source.complete(prompt, options)


def refuse_overrun(scope: Scope, source: Source[P, T]) -> None:
    """Begin nothing more where calls are only heard of, once a cap is overrun.

    Raises:
        BudgetExceeded: It is.
    """
    if not source.refusable and (limit := scope.ledger.exhausted) is not None:
        scope.release()
        raise BudgetExceeded(limit)


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
        prompt=source.read(prompt),
        max_tokens=source.output_cap(options),
        options=options,
        role=role,
        emitted=source.emitted,
        leaving=False,
    )
    booking.sampler = source.function
    if booking.captures:
        booking.ask(source.read(prompt))
    try:
        async with scope.working(booking):
            return await _sent(booking, source, prompt, options)
    finally:
        if not booking.begun:  # it was not sent: it costs nothing
            booking.withdraw()


async def _sent(
    booking: Booking, source: Source[P, T], prompt: P, options: Options
) -> Completion[T]:
    try:
        with booking:
            completion = await source.complete(prompt, options, booking.late)
    except asyncio.CancelledError as error:
        if booking.begun:  # else it queued for a replica
            booking.settle(status="cancelled" if source.recallable else "abandoned", error=error)
        raise
    except BaseException as error:
        if booking.begun:  # else there was no replica to send it to
            booking.settle(status="error", error=error)
        raise
    usage = completion.usage
    if usage is None and booking.scope.ledger.capped:  # a cap must bind even where nobody counts
        text = _text(completion)
        usage = estimate_usage(source.read(prompt), text, completion.model or source.model)
    booking.answered([completion])
    booking.tell([completion.finish_reason], response_id=completion.response_id)
    booking.settle(
        usage=usage,
        model=completion.model,
        provider=completion.provider,
        cached=completion.cached,
    )
    return completion


def _text(completion: Completion[object]) -> str:
    return completion.text if completion.text is not None else text_of(completion.value)


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
    if scope is None:
        return await source.complete(prompt, options or {})
    with scope.numbered():
        if source.leaf:
            return await complete(scope, source, prompt, options or {}, role=role)
        return await source.complete(prompt, options or {})


def check_called(sampler: object, name: str = "sampler") -> None:
    """Refuse what `call` cannot call, where a verifier is made.

    Args:
        sampler: What was given.
        name: Of the parameter.

    Raises:
        UsageError: It is not callable.
    """
    if not callable(sampler):
        remedy = "pass a callable of the prompt; an adapter makes one of a framework's model"
        raise UsageError(name, sampler, remedy)


async def reserve(
    scope: Scope,
    source: Source[P, T],
    prompt: P,
    options: Options,
    verifier: object = None,
    *,
    wait: bool = True,
) -> list[Lease]:
    """Hold what a sample may cost before it is drawn, and what judging it may cost.

    A sample whose calls report themselves holds a place for the first of them.

    Args:
        scope: The sample.
        source: What is sampled.
        prompt: The input.
        options: Settings of the call.
        verifier: Judges the sample.
        wait: Wait while something in flight could make room.

    Returns:
        What is held for each call that judges it; nothing without a verifier that makes calls.

    Raises:
        BudgetExceeded: It does not fit, and nothing in flight could change that.
    """
    need, cap = Need(tokens=0, cost=ZERO), source.output_cap(options)
    if source.leaf:
        read = source.read(prompt)
        need = worst_case(
            scope, read, cap, model=source.model, provider=source.provider, role="sample"
        )
    elif not source.refusable:
        need = Need(kind=f"{scope.role}:{HEARD}")  # of unknown size: one goes first
    needs = [need]
    if calls := getattr(verifier, "calls", 0):
        needs += [_share(scope, need, verifier, prompt, cap)] * calls
    got = await scope.ledger.acquire(*needs) if wait else scope.ledger.reserve(*needs)
    if not isinstance(got, list):
        raise BudgetExceeded(got if isinstance(got, Limit) else got.limit)
    scope.hold(got[0])
    for share in got[1:]:
        share.rest()  # its draw is what makes progress: while that waits, this gives nothing back
    return got[1:]


def _share(scope: Scope, sample: Need, verifier: object, prompt: object, cap: int | None) -> Need:
    """What to keep back for a call that judges a sample, so that money is left to choose with.

    The worst case, where the verifier tells what its calls would read. Else judging is taken to be
    as large as the sample, at the judge's own price, until a judgement has been seen.
    """
    judge = getattr(verifier, "sampler", None)
    source = as_source(judge) if callable(judge) else None
    if source is not None and source.leaf and scope.ledger.capped:
        worst = _worst_judgement(scope, source, verifier, prompt, cap)
        if worst is not None:
            return worst
    seen = scope.ledger.typical(f"verify:{source.model if source else None}")
    if seen is not None:
        return Need(tokens=seen[0].total_tokens or 0, cost=seen[1] or ZERO)
    tokens = sample.tokens or 0
    usage = Usage(input_tokens=tokens, output_tokens=0, source="estimated")
    cost = None
    if source is not None:
        cost = cost_of(usage, source.model, source.provider, prices=scope.prices)
    return Need(tokens=tokens, cost=cost or sample.cost or ZERO)


def _worst_judgement(
    scope: Scope, judge: Source[object, object], verifier: object, prompt: object, cap: int | None
) -> Need | None:
    """The most that judging can take; None if nobody knows. A strict budget refuses what is not."""
    request = getattr(verifier, "request", None)
    reads, written = prompt, 0
    if callable(request):
        reads, written = request(_BLANK, prompt=prompt), (cap or 0) * _BYTES_PER_TOKEN
    most = judge.output_cap(getattr(verifier, "options", None) or {})
    worst = worst_case(
        scope,
        reads,
        most,
        model=judge.model,
        provider=judge.provider,
        role="verify",
        further=written,
    )
    known = callable(request) and cap is not None and worst.tokens is not None
    return worst if known or (scope.ledger.strict and worst.tokens is None) else None
