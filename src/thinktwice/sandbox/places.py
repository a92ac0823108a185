"""How many programs run at a time, and how one that nobody waits for any more is ended."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice.limiter import Limiter
from thinktwice.limiter.slots import Held
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PLACES: Final = Limiter(
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)
"""As many programs at a time as there are cores, in all sandboxes on this machine together: with
more they would make each other late, and be taken for slow."""


async def in_place(run: Callable[[], T], cancel: Callable[[], None]) -> T:
    """Wait for a place, and run a program there, on a thread.

    Args:
        run: Blocks until the program has ended.
        cancel: Makes `run` end it and return at once; called when this call is cancelled.
    """
    async with Held([PLACES]):
        try:
            return await in_thread(run)
        except asyncio.CancelledError:
            cancel()
            raise
