"""Who is next, of several requests."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.limiter.waiting import FairQueue, Waiter
from thinktwice.testing import run_virtual


def queue_of(requests: str) -> tuple[FairQueue, list[Waiter]]:
    """A line of callers, by the letters of their requests."""
    queue, waiters = FairQueue(), [Waiter(request) for request in requests]
    for waiter in waiters:
        queue.push(waiter)
    return queue, waiters


def drained(queue: FairQueue) -> list[Waiter]:
    order = []
    while (first := queue.peek()) is not None:
        assert queue.pop() is first
        order.append(first)
    assert queue.pop() is None
    return order


async def test_requests_take_turns():
    """And are served in order each."""
    queue, waiters = queue_of("aaaab")
    assert len(queue) == 5
    order = drained(queue)
    assert [waiter.request for waiter in order] == list("abaaa")
    assert [waiter for waiter in order if waiter.request == "a"] == waiters[:4]
    assert not queue


async def test_who_leaves_is_not_served():
    """Once or twice makes no difference, and a request without callers has no turn."""
    queue, waiters = queue_of("aab")
    for waiter in (waiters[2], waiters[0], waiters[0]):
        queue.discard(waiter)
    assert drained(queue) == [waiters[1]]


@given(requests=st.text("abcd", max_size=40), leaving=st.sets(st.integers(0, 39)))
def test_nobody_waits_for_more_than_one_turn_of_each_other(requests: str, leaving: set[int]):
    """Between two turns of a request no other has two."""

    async def main() -> None:
        queue, waiters = queue_of(requests)
        for number in leaving & set(range(len(waiters))):
            queue.discard(waiters[number])
        stay = [w for number, w in enumerate(waiters) if number not in leaving]
        order = drained(queue)
        assert sorted(map(id, order)) == sorted(map(id, stay))
        turns = [waiter.request for waiter in order]
        for first, request in enumerate(turns):
            later = turns[first + 1 :]
            between = later[: later.index(request)] if request in later else []
            assert len(set(between)) == len(between)

    run_virtual(main())


async def test_a_caller_that_has_gone_gets_nothing():
    """It is cancelled; who grants learns of it."""
    waiter = Waiter(None)
    task = asyncio.ensure_future(waiter.wait())
    await asyncio.sleep(0)
    task.cancel()
    assert not waiter.grant()
    assert not waiter.granted
    await asyncio.wait([task])


async def test_a_caller_whose_loop_is_gone_gets_nothing():
    """It will never go on."""
    loop = asyncio.new_event_loop()

    async def made() -> Waiter:
        return Waiter(None)

    waiter = await asyncio.to_thread(loop.run_until_complete, made())
    loop.close()
    assert not waiter.grant()


async def test_from_another_thread():
    """The caller goes on on its own loop."""
    waiter = Waiter(None)
    assert await asyncio.to_thread(waiter.grant)
    assert waiter.granted
    await asyncio.wait_for(waiter.wait(), 5)
