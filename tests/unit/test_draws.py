"""Several draws at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from thinktwice import Budget, BudgetExceeded, Limit
from thinktwice.draws import Draws, Plan
from thinktwice.entry import Entry
from thinktwice.ledger import Ledger
from thinktwice.nursery import Nursery
from thinktwice.sample import Usage
from thinktwice.testing import run_virtual

LIMIT = Limit(kind="calls", allowed=1, spent=1)
Work = Callable[[int], Awaitable[int]]


def after(*seconds: float) -> Work:
    """Draws that take so long, and return their number."""

    async def work(number: int) -> int:
        await asyncio.sleep(seconds[number])
        return number

    return work


def drawn(
    work: Work, budget: Budget | None = None, *, overrun: float | None = None, **plan: object
):
    """What arrives, with the time of arrival, and the draws afterwards.

    A call of 7 tokens settles at the time of `overrun`.
    """

    async def main():
        ledger = Ledger(budget)
        if overrun is not None:
            asyncio.get_running_loop().call_later(overrun, spend, ledger)
        async with Nursery() as nursery:
            numbered = lambda draw: work(draw.position)  # noqa: E731
            draws = Draws(numbered, Plan(**plan), nursery, ledger)  # type: ignore[arg-type]
            clock = asyncio.get_running_loop().time
            got = [(each, clock()) async for each in draws]
        return got, draws

    return run_virtual(main())


def spend(ledger: Ledger) -> None:
    """Book a call that nobody could refuse."""
    lease, _ = ledger.witness("heard of")
    lease.settle(Entry(role="sample", status="ok", usage=Usage(input_tokens=3, output_tokens=4)))


def test_in_order_of_arrival():
    """As soon as each is there."""
    got, draws = drawn(after(3, 1, 2), total=3, room=lambda: 9)
    assert got == [(1, 1), (2, 2), (0, 3)]
    assert draws.exhausted is None


def test_no_more_at_once_than_there_is_room():
    """The next is launched when one has arrived."""
    got, _ = drawn(after(3, 1, 1, 1), total=4, room=lambda: 2)
    assert got == [(1, 1), (2, 2), (0, 3), (3, 3)]


def test_until_says_so():
    """What is in flight is then left to the nursery."""
    seen: list[int] = []

    async def work(number: int) -> int:
        await asyncio.sleep(number + 1)
        seen.append(number)
        return number

    got, _ = drawn(work, total=5, room=lambda: 5, until=lambda: len(seen) >= 2)
    assert [number for number, _ in got] == [0]  # the second told `until` before it was handed over
    assert seen == [0, 1]


def test_until_is_asked_again_at_its_times():
    """Without an arrival."""

    def late() -> bool:
        return asyncio.get_running_loop().time() >= 2

    got, _ = drawn(after(1, 50), total=2, room=lambda: 2, until=late, wakes=(2.0,))
    assert got == [(0, 1)]


def test_a_budget_that_refuses_ends_the_launching():
    """What is in flight still arrives."""

    async def work(number: int) -> int:
        if number == 1:
            raise BudgetExceeded(LIMIT)
        await asyncio.sleep(5)
        return number

    got, draws = drawn(work, total=3, room=lambda: 2)
    assert got == [(0, 5)]
    assert draws.exhausted is LIMIT


def test_a_deadline_recalls_what_is_in_flight():
    """What had arrived before stands."""
    got, draws = drawn(after(1, 50, 50), Budget(seconds=2), total=3, room=lambda: 3)
    assert got == [(0, 1)]
    assert draws.exhausted.kind == "seconds"


def test_an_overrun_recalls_what_is_in_flight():
    """What has arrived at the same time stands."""
    got, draws = drawn(after(2, 3, 50), Budget(tokens=5), overrun=1, total=4, room=lambda: 3)
    assert got == [(0, 2)]
    assert draws.exhausted.kind == "tokens"


def test_an_overrun_spares_what_its_next_call_ends():
    """It may return; nothing more is launched."""
    got, draws = drawn(
        after(2, 3, 6), Budget(tokens=5), overrun=1, total=4, room=lambda: 3, spares=True
    )
    assert got == [(0, 2), (1, 3), (2, 6)]
    assert draws.exhausted.kind == "tokens"


def test_time_recalls_what_an_overrun_has_spared():
    """When it is up."""
    got, draws = drawn(
        after(2, 3, 50),
        Budget(tokens=5, seconds=9),
        overrun=1,
        total=3,
        room=lambda: 3,
        spares=True,
    )
    assert got == [(0, 2), (1, 3)]
    assert draws.exhausted.kind == "tokens"


class Odd(BaseException):
    """No `Exception`, as test frameworks and signals raise it."""


@pytest.mark.parametrize("error", [KeyError("x"), Odd()])
def test_an_exception_is_raised_where_the_draws_are_awaited(error: BaseException):
    """Unwrapped, and the others are recalled."""
    recalled: list[int] = []

    async def work(number: int) -> int:
        if number == 1:
            raise error
        try:
            await asyncio.sleep(50)
        finally:
            recalled.append(number)
        return number

    with pytest.raises(type(error)) as caught:
        drawn(work, total=3, room=lambda: 3)
    assert caught.value is error
    assert recalled == [0, 2]


def test_nothing_to_draw():
    """Ends at once."""
    assert drawn(after(), total=0, room=lambda: 3)[0] == []
    assert drawn(after(1), total=1, room=lambda: 0)[0] == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_draws_that_end_at_once_under_eager_tasks():
    """They are handed over all the same."""

    async def work(number: int) -> int:
        return number

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        async with Nursery() as nursery:
            plan = Plan(total=5, room=lambda: 2)
            draws = Draws(lambda draw: work(draw.position), plan, nursery, Ledger())
            return [each async for each in draws]

    assert run_virtual(main()) == list(range(5))
