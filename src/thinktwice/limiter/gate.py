"""Letting calls leave no faster than rates allow, and not at all while a server wants a pause."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from thinktwice.account import now
from thinktwice.limiter.pacing import Bucket, Share, Stopwatch
from thinktwice.limiter.waiting import FairQueue, Waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

_SLOWEST: Final = 1 / 16  # of a rate, however often it was halved: nothing could recover else
_TICK: Final = 0.001  # timers are no finer: a wait of less would ring early, and again


class Gate:
    """The rates of a limiter, and who waits for them. Thread-safe, usable from any event loop.

    Attributes:
        open: Every call may leave at once: there are no rates, and nothing pauses it.
    """

    def __init__(self, share: Share, requests: float | None, tokens: float | None) -> None:
        """Allow the rates in full.

        Args:
            share: How much of the rates is allowed.
            requests: A minute.
            tokens: A minute.
        """
        self._share = share
        self._requests = None if requests is None else Bucket.of_requests(requests)
        self._tokens = None if tokens is None else Bucket.of_tokens(tokens)
        self._unpaced = requests is None and tokens is None
        self.open = self._unpaced
        self._paused = 0.0
        self._watch = Stopwatch()
        self._line = FairQueue()
        self._bells: dict[asyncio.AbstractEventLoop, _Bell] = {}
        # Reentrant: a caller whose loop was closed leaves when it is garbage collected, which may
        # be in the middle of anything.
        self._lock = threading.RLock()

    @property
    def waiting(self) -> int:
        """Callers in line."""
        return len(self._line)

    @property
    def paused(self) -> bool:
        """The server asked to be left alone for a time that is not over."""
        if not self._paused:
            return False
        with self._lock:
            self._advance(now())
            return self._paused > 0

    def pass_through(self, tokens: float) -> bool:
        """Leave now, if nothing is in the way and nobody waits."""
        with self._lock:
            self._advance(now())
            if self._line or self._delay(tokens):
                return False
            self._pay(1, tokens)
            return True

    async def wait(self, tokens: Callable[[], float], request: Hashable) -> float:
        """Wait for the turn of a call, and leave.

        Args:
            tokens: That the call is expected to take, as far as is known when its turn comes.
            request: On whose behalf it is made.

        Returns:
            The tokens that it was charged.
        """
        waiter = Waiter(request, tokens)
        with self._lock:
            self._line.push(waiter)
            self._expect(waiter.loop)
        try:
            await waiter.wait()
            return waiter.amount
        except BaseException:
            with self._lock:
                self._line.discard(waiter)
                if waiter.granted:
                    self._refund(1, waiter.amount)
            raise
        finally:
            with self._lock:
                self._unexpect(waiter.loop)

    def refund(self, requests: int, tokens: float) -> None:
        """Give back what a call did not take; a negative number of tokens takes more."""
        with self._lock:
            self._refund(requests, tokens)

    def pause(self, seconds: float) -> None:
        """Let nobody leave for so long."""
        with self._lock:
            self._advance(now())
            self._paused = max(self._paused, seconds)
            self.open = self._unpaced and not self._paused

    def drain(self) -> None:
        """Let nobody leave ahead of the rates: a server said that they were too much."""
        with self._lock:
            self._advance(now())
            for bucket in (self._requests, self._tokens):
                if bucket is not None:
                    bucket.take(max(0.0, bucket.level))

    def _refund(self, requests: int, tokens: float) -> None:
        self._advance(now())
        self._pay(-requests, -tokens)
        self._let_through()

    def _advance(self, at: float) -> None:
        passed = self._watch.passed(at)
        if self._paused:
            self._paused = max(0.0, self._paused - passed)
            self.open = self._unpaced and not self._paused
        for bucket in (self._requests, self._tokens):
            if bucket is not None:
                bucket.fill(passed, self._pace)

    @property
    def _pace(self) -> float:
        return max(_SLOWEST, self._share.value)

    def _pay(self, requests: int, tokens: float) -> None:
        if self._requests is not None:
            self._requests.take(requests)
        if self._tokens is not None:
            self._tokens.take(tokens)

    def _delay(self, tokens: float) -> float:
        """Seconds until a call could leave, if it were the next."""
        delay = self._paused
        if self._requests is not None:
            delay = max(delay, self._requests.wait(1, self._pace))
        if self._tokens is not None:
            delay = max(delay, self._tokens.wait(tokens, self._pace))
        return delay

    def _let_through(self) -> None:
        while (first := self._line.peek()) is not None and not self._delay(first.priced()):
            waiter = self._line.pop()
            if waiter is None:
                return
            if waiter.grant():
                self._pay(1, waiter.amount)
            elif waiter.loop.is_closed():
                self._bells.pop(waiter.loop, None)

    # Any loop may stop before the others: each that has callers in line has a timer of its own, and
    # whichever rings first lets through whoever is next.

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        bell = self._bells.setdefault(loop, _Bell())
        bell.callers += 1
        if bell.timer is None:
            self._set(loop, bell)

    def _unexpect(self, loop: asyncio.AbstractEventLoop) -> None:
        bell = self._bells.get(loop)
        if bell is None:
            return
        bell.callers -= 1
        if not bell.callers:
            del self._bells[loop]
            if bell.timer is not None:
                bell.timer.cancel()

    def _set(self, loop: asyncio.AbstractEventLoop, bell: _Bell) -> None:
        first = self._line.peek()
        if first is not None:
            delay = max(_TICK, self._delay(first.priced()))
            bell.timer = loop.call_later(delay, self._ring, loop, loop.time() + delay)

    def _ring(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        with self._lock:
            # It is due, whatever the clock says: one that stands still would hold everybody up.
            self._advance(max(due, now()))
            self._let_through()
            bell = self._bells.get(loop)
            if bell is not None:
                bell.timer = None
                self._set(loop, bell)


@dataclass
class _Bell:
    """A timer on one loop, for the callers in line there."""

    callers: int = 0
    timer: asyncio.TimerHandle | None = None
