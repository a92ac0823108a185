"""Callers in line, from any event loop, and a fair order among them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Waiter:
    """One caller in line, on whichever loop it runs.

    Attributes:
        request: On whose behalf it waits.
        amount: What it waits for, as it was priced last.
        granted: It was told that it got it.
    """

    __slots__ = ("_future", "_price", "amount", "granted", "loop", "request")

    def __init__(self, request: Hashable, price: Callable[[], float] = lambda: 1.0) -> None:
        """Get in line, on the running loop."""
        self.loop = asyncio.get_running_loop()
        self.request = request
        self._price = price
        self.amount = 0.0
        self.granted = False
        self._future: asyncio.Future[None] = self.loop.create_future()

    def priced(self) -> float:
        """What it waits for, by what is known now."""
        self.amount = self._price()
        return self.amount

    async def wait(self) -> None:
        """Until it is granted."""
        await self._future

    def grant(self) -> bool:
        """Hand over what it waits for; False if it has gone, or its loop has."""
        if self._future.done():
            return False
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        try:
            if here is self.loop:
                self._wake()
            else:
                self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        self.granted = True
        return True

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class FairQueue:
    """First come, first served within a request; requests take turns."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        """Nobody waits."""
        # Lists, since they are small: a request waits with few calls at a time.
        self._lines: OrderedDict[Hashable, list[Waiter]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def push(self, waiter: Waiter) -> None:
        """Let it wait."""
        self._lines.setdefault(waiter.request, []).append(waiter)

    def peek(self) -> Waiter | None:
        """The next in turn, if anybody waits."""
        return next((line[0] for line in self._lines.values()), None)

    def pop(self) -> Waiter | None:
        """Take the next in turn out; its request is the last to have its turn again."""
        if not self._lines:
            return None
        request, line = self._lines.popitem(last=False)
        waiter = line.pop(0)
        if line:
            self._lines[request] = line
        return waiter

    def discard(self, waiter: Waiter) -> None:
        """Take one out, if it is still there: it was served, or passed over."""
        line = self._lines.get(waiter.request, [])
        with suppress(ValueError):
            line.remove(waiter)
            if not line:
                del self._lines[waiter.request]
