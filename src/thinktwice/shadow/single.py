"""The request of a user of `solve`: the single sample at once, whatever runs behind it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice.answers import awaited_key
from thinktwice.errors import ThinktwiceError, UsageError
from thinktwice.result import Outcome, Result
from thinktwice.shadow.behind import Behind
from thinktwice.shadow.comparison import Spend
from thinktwice.shadow.shadow import Shadow
from thinktwice.stop import AtMost
from thinktwice.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from thinktwice.limiter import Limiter
    from thinktwice.run import Run

P = TypeVar("P")
T = TypeVar("T")

_ONE: Final = AtMost(1)


class Single(Strategy):
    """Draw one sample and return it, whatever it is: what there is without a strategy.

    A sample that abstains is returned as well, and no key can fail it.
    """

    def __init__(self, strategy: Strategy) -> None:
        """The single sample in the place of a strategy."""
        answer = awaited_key(strategy.key)

        async def answer_or_none(value: object) -> Hashable | None:
            try:
                return await answer(value)
            except ThinktwiceError:  # the strategy will say it, behind the request
                return None

        self.key = answer_or_none

    @property
    def draws(self) -> int:
        """One."""
        return 1

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw it."""
        sample = await run.sample()
        return Outcome(winner=sample if sample.error is None else None, stopped_by=_ONE)


async def answered(
    prompt: P,
    *,
    shadow: Shadow,
    strategy: Strategy,
    run: Callable[[P, Strategy, Sequence[Limiter]], Awaitable[Result[T]]],
    limiters: Sequence[Limiter],
) -> Result[T]:
    """Answer a request by the single sample, and let a shadow follow it.

    Args:
        prompt: The input.
        shadow: Chooses whether to follow.
        strategy: To run behind the request.
        run: Runs a strategy on an input within limiters, with all else that `solve` was given.
        limiters: Of the request.

    Raises:
        UsageError: It is no shadow.
        Exception: As `solve`.
    """
    if not isinstance(shadow, Shadow):
        raise UsageError("shadow", shadow, "make a Shadow(share) once, keep it, and pass it here")
    kept = shadow.chosen(lambda: (deepcopy(prompt),))
    result = await run(prompt, Single(strategy), limiters)
    if kept is None:
        return result

    def behind() -> Behind[T]:
        assert result.winner is not None  # noqa: S101 - else it had raised
        sample = replace(result.winner, value=deepcopy(result.winner.value))
        spend = Spend.of(result.ledger.total, result.ledger.seconds)
        beside = shadow.beside(limiters)
        return Behind(
            strategy=strategy,
            single=lambda: (sample, spend),
            run=lambda other: run(kept[0], other, beside),
        )

    shadow.follow(behind)
    return result
