"""What is held of a budget for the first calls of a scope, before they are booked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from thinktwice.account import Refusal
from thinktwice.errors import BudgetExceeded
from thinktwice.limiter.slots import Idle

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from thinktwice.account import Lease
    from thinktwice.budget import Limit, Need
    from thinktwice.ledger import Ledger
    from thinktwice.scope import Scope


class Advance:
    """Leases for the first calls of a scope; the calls after them reserve on their own.

    A draw is reserved before it begins, so that none begins that could not make its call.

    Attributes:
        leases: What is held.
    """

    __slots__ = ("_ledger", "_shared", "leases")

    def __init__(self, ledger: Ledger, leases: Sequence[Lease]) -> None:
        """Hold what was reserved already.

        Args:
            ledger: Of the scope.
            leases: Held in the books of a sample, which the calls of this scope are not of.
        """
        self.leases = list(leases)
        self._shared = bool(leases)
        self._ledger = ledger

    def take(self) -> Lease | None:
        """One of them, if there is one left."""
        return self.leases.pop() if self.leases else None

    def release(self) -> None:
        """Give back what is held: others, or none, took the place of the first calls."""
        while self.leases:
            self.leases.pop().release()

    @contextmanager
    def resting(self) -> Generator[None]:
        """Its holder waits for the request of another, which must not wait for what is held."""
        leases = tuple(self.leases)
        for lease in leases:
            lease.rest()
        try:
            yield
        finally:
            for lease in leases:
                lease.wake()

    def fitting(self, need: Need) -> Lease | None:
        """The next of them, for a call that it fits; None if that takes `exchanged`."""
        if self.leases and not self._shared and self.leases[-1].fits(need):
            return self.leases.pop()
        return None

    async def exchanged(self, need: Need, scope: Scope) -> Lease:
        """Another lease in the place of the next of them, if there is one, which ends either way.

        Args:
            need: What the call takes at the most.
            scope: Lends its places in limiters to others while it waits.

        Raises:
            BudgetExceeded: It does not fit, and nothing in flight could change that.
        """
        held, leases = self.take(), list["Lease"]()
        try:
            got = self._ledger.reserve(need, instead=held)
            if isinstance(got, Refusal):
                async with Idle(scope):  # whoever waits for money must not keep others from work
                    got = await self._ledger.acquire(need, instead=held)
                    leases = got if isinstance(got, list) else []
        except BaseException:
            for each in (*leases, *([held] if held else [])):
                each.release()
            raise
        if isinstance(got, list):
            return got[0]
        if held is not None:
            held.release()
        raise BudgetExceeded(got)

    def witness(self, kind: str) -> tuple[Lease, Limit | None]:
        """What a call has that is on its way already, and the cap that it does not fit into.

        Args:
            kind: Of calls of one size.
        """
        held = self.take()
        if held is None or self._shared:  # it is to be in the books of this scope
            lease, limit = self._ledger.witness(kind, instead=held)
        else:
            lease, limit = held, self._ledger.exhausted
        self._ledger.hear()
        return lease, limit
