"""How many programs run at a time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from thinktwice.sandbox.places import PLACES, in_place


async def test_no_more_run_than_there_are_cores() -> None:
    """The others wait for a place."""
    lock, running, most = threading.Lock(), 0, 0
    full = threading.Event()

    def program() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == PLACES.max_concurrency:
                full.set()
        full.wait(10)
        with lock:
            running -= 1

    count = 3 * PLACES.max_concurrency
    await asyncio.gather(*(in_place(program, lambda: None) for _ in range(count)))
    assert most == PLACES.max_concurrency
    assert PLACES.in_use == 0


async def test_one_that_nobody_waits_for_is_told_and_leaves_its_place() -> None:
    """Once, and the caller need not wait."""
    ended, told = threading.Event(), list[str]()

    def cancel() -> None:
        told.append("cancel")
        ended.set()

    task = asyncio.create_task(in_place(lambda: ended.wait(20), cancel))
    await asyncio.sleep(0.05)
    assert PLACES.in_use == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (told, PLACES.in_use) == (["cancel"], 0)
