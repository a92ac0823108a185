"""Tasks that end with their block."""

from __future__ import annotations

import asyncio

import pytest

from thinktwice.nursery import Nursery
from thinktwice.testing import run_virtual


def test_leaving_the_block_cancels_once_and_waits_for_the_clean_up():
    """A task that cleans up for a while is given that while."""
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(3)
            log.append(f"clean at {asyncio.get_running_loop().time():g}")

    async def main() -> None:
        async with Nursery() as nursery:
            nursery.start(work())
            await asyncio.sleep(1)
        log.append("left")

    run_virtual(main())
    assert log == ["clean at 4", "left"]


def test_a_second_recall_does_not_cancel_again():
    """Whoever is being recalled has had its cancel."""
    cancels = 0

    async def work() -> None:
        nonlocal cancels
        for _ in range(2):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                cancels += 1

    async def main() -> None:
        async with Nursery() as nursery:
            nursery.start(work())
            await asyncio.sleep(1)
            first = asyncio.ensure_future(nursery.recall())
            await asyncio.sleep(1)
            await nursery.recall()
            await first

    run_virtual(main())
    assert cancels == 1


def test_a_cancelled_caller_waits_and_passes_the_cancel_on():
    """However often it is cancelled."""
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(2)
            cleaned.set()

    async def caller() -> None:
        async with Nursery() as nursery:
            nursery.start(work())
            await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.ensure_future(caller())
        for _ in range(3):
            await asyncio.sleep(0.5)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned.is_set()

    run_virtual(main())


def test_an_exception_of_the_block_leaves_as_it_is():
    """No exception group for a single cause."""

    async def main() -> None:
        async with Nursery() as nursery:
            nursery.start(asyncio.sleep(10))
            raise KeyError("x")

    with pytest.raises(KeyError):
        run_virtual(main())
