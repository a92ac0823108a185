"""How many calls may be in flight across everything that shares a limiter."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CONCURRENCY = 8

_serials = itertools.count()


class Limiter:
    """A cap on concurrent calls. Thread-safe, and usable from any event loop.

    First come, first served. Only calls of models hold a slot; a sample in which another run starts
    lends its slot until that run has ended, so nested runs cannot starve each other.
    """

    def __init__(self, max_concurrency: int = DEFAULT_CONCURRENCY) -> None:
        """Make a limiter.

        Args:
            max_concurrency: Calls in flight at most.

        Raises:
            UsageError: Fewer than 1.
        """
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
            raise UsageError("max_concurrency", max_concurrency, "give a whole number")
        if max_concurrency < 1:
            raise UsageError("max_concurrency", max_concurrency, "at least 1 call must be allowed")
        self.max_concurrency = max_concurrency
        self.serial = next(_serials)
        self._free = max_concurrency
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    @property
    def in_use(self) -> int:
        """Slots taken at the moment."""
        return self.max_concurrency - self._free

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        with self._lock:
            free = self._free > 0 and not self._waiting
            self._free -= free
            return free

    async def acquire(self) -> None:
        """Take a slot, waiting for one if need be."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            waiter = _Waiter()
            self._waiting.append(waiter)
        try:
            await waiter.granted.wait()
        except BaseException:
            self._leave(waiter)
            raise

    def release(self) -> None:
        """Give a slot back, to the next in line if there is one."""
        with self._lock:
            while self._waiting:
                if self._waiting.popleft().grant():
                    return
            self._free += 1

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            if not waiter.has_slot:
                with suppress(ValueError):  # passed over, as its loop was gone
                    self._waiting.remove(waiter)
                return
        self.release()  # granted while being cancelled: pass it on

    def __repr__(self) -> str:
        """Show the setting and the state."""
        return f"Limiter(max_concurrency={self.max_concurrency})"


class _Waiter:
    """One caller in line, on whichever loop it runs."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.granted = asyncio.Event()
        self.has_slot = False

    def grant(self) -> bool:
        """Hand over a slot; False if the caller's loop is gone."""
        try:
            self.loop.call_soon_threadsafe(self.granted.set)
        except RuntimeError:
            return False
        self.has_slot = True
        return True


class Slots:
    """A place in each of several limiters."""

    def __init__(self, limiters: Sequence[Limiter]) -> None:
        """Hold nothing yet."""
        # One order for all, whoever nests in whom: nobody waits in a ring.
        self._limiters = limiters
        if len(limiters) > 1:
            self._limiters = sorted(limiters, key=lambda limiter: limiter.serial)
        self._taken: list[Limiter] = []
        self._borrowers = 0
        self._closed = False

    async def take(self) -> None:
        """Wait for a place in each."""
        for limiter in self._limiters:
            if not limiter.take_free():
                await limiter.acquire()
            self._taken.append(limiter)
        if self._closed:  # given up by another thread meanwhile
            self._give()

    def lend(self) -> None:
        """Give the places to others until `regain`."""
        self._borrowers += 1
        self._give()

    async def regain(self, *, wanted: bool) -> None:
        """Take the places again once nobody borrows them, if they are still wanted."""
        self._borrowers -= 1
        if wanted and not self._borrowers and not self._closed:
            await self.take()

    def close(self) -> None:
        """Give back what is held, for good."""
        self._closed = True
        self._give()

    def _give(self) -> None:
        with suppress(IndexError):  # until none is left, also where two threads do this
            while True:
                self._taken.pop().release()
