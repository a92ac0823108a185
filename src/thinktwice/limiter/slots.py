"""A place in each of several limiters, which may be lent to what runs inside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from thinktwice.account import now

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from thinktwice.booking import Booking
    from thinktwice.limiter import Limiter
    from thinktwice.scope import Scope


class Slots:
    """A place in each of several limiters."""

    def __init__(self, limiters: Sequence[Limiter], request: Hashable = None) -> None:
        """Hold nothing yet.

        Args:
            limiters: Where.
            request: On whose behalf; requests take turns.
        """
        # One order for all, whoever nests in whom: nobody waits in a ring.
        self._limiters = limiters
        if len(limiters) > 1:
            self._limiters = sorted(limiters, key=lambda limiter: limiter.serial)
        self._request = request
        self._taken: list[Limiter] = []
        self._borrowers = 0
        self._closed = False

    async def take(self) -> float:
        """Wait for a place in each; the seconds that it took."""
        since = None
        for limiter in self._limiters:
            if not limiter.take_free():
                since = now() if since is None else since
                await limiter.acquire(self._request)
            self._taken.append(limiter)
        if self._closed:  # given up by another thread meanwhile
            self._give()
        return 0.0 if since is None else max(0.0, now() - since)

    def lend(self) -> None:
        """Give the places to others until `regain` or `take_over`."""
        self._borrowers += 1
        self._give()

    async def regain(self, *, wanted: bool) -> float:
        """Take the places again once nobody borrows them, if they are still wanted.

        Returns:
            The seconds that it took.
        """
        self._borrowers -= 1
        if wanted and not self._borrowers and not self._closed:
            return await self.take()
        return 0.0

    def take_over(self, inside: Slots, *, wanted: bool) -> None:
        """Like `regain`, with the places of a call inside, which has ended: there is no waiting."""
        self._borrowers -= 1
        if wanted and not self._borrowers:
            own, inside._taken[:] = list(inside._taken), ()
            for limiter in own:
                (self if limiter in self._limiters else inside)._taken.append(limiter)
            if self._closed:  # by another thread, before or meanwhile
                self._give()

    def close(self) -> None:
        """Give back what is held, for good."""
        self._closed = True
        self._give()

    def _give(self) -> None:
        with suppress(IndexError):  # until none is left, also where two threads do this
            while True:
                self._taken.pop().release()


class Held:
    """A block that holds a place in each of several limiters, outside of any run."""

    def __init__(self, limiters: Sequence[Limiter]) -> None:
        """Hold nothing yet."""
        self._slots = Slots(limiters)

    async def __aenter__(self) -> None:
        """Wait for the places."""
        await self._slots.take()

    async def __aexit__(self, *_: object) -> None:
        """Give them back."""
        self._slots.close()


_place: ContextVar[tuple[Scope, Slots] | None] = ContextVar("thinktwice_place", default=None)


class Idle:
    """A block in which the places that the running code holds are lent to others."""

    __slots__ = ("_scope", "_slots")

    def __init__(self, scope: Scope) -> None:
        """Find the places that the code of a scope holds, if it does."""
        holder, slots = _place.get() or (None, None)
        self._scope = scope
        self._slots = slots if holder is scope else None

    async def __aenter__(self) -> None:
        """Lend them."""
        if self._slots is not None:
            self._slots.lend()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for them."""
        if self._slots is not None:
            self._scope.queued += await self._slots.regain(wanted=not _cancelled(kind))


class Working:
    """A block that holds a place in every limiter, in place of those of the running code."""

    __slots__ = ("_booking", "_outer", "_scope", "_slots", "_token")

    def __init__(
        self, scope: Scope, booking: Booking | None = None, also: Sequence[Limiter] = ()
    ) -> None:
        """Hold nothing yet.

        Args:
            scope: Whose limiters they are.
            booking: The call that is made inside, if it is one; it leaves when the rates allow it.
            also: Further limiters to hold a place in.
        """
        holder, slots = _place.get() or (None, None)
        self._scope = scope
        self._booking = booking
        self._outer = slots if holder is scope else None
        limiters = [*dict.fromkeys((*scope.limiters, *also))] if also else scope.limiters
        self._slots = Slots(limiters, scope.request)

    async def __aenter__(self) -> None:
        """Wait for the places."""
        if self._outer is not None:
            self._outer.lend()
        self._token = _place.set((self._scope, self._slots))
        try:
            queued = await self._slots.take()
            if self._booking is None:
                self._scope.queued += queued
            else:
                self._booking.queued += queued
                if not self._booking.passage.leave_at_once():
                    await self._booking.leave()
        except BaseException as error:
            await self.__aexit__(type(error))
            raise
        self._scope.begin()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give them up, or back to the running code if nothing else inside it works."""
        _place.reset(self._token)
        if self._outer is not None:
            self._outer.take_over(self._slots, wanted=not _cancelled(kind))
        self._slots.close()


def _cancelled(kind: type[BaseException] | None) -> bool:
    """Whoever is cancelled makes no further call."""
    return kind is not None and issubclass(kind, asyncio.CancelledError)
