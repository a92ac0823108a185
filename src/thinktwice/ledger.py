"""The append-only record of what was spent, and how it keeps to its budget.

A call reserves its worst case before it is sent and settles once afterwards. Reserving and settling
are synchronous and atomic over a ledger and all ledgers around it, so that concurrent calls on any
number of threads and event loops cannot pass a cap between them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from thinktwice.account import NO_CAPS, Account, now
from thinktwice.bill import bill
from thinktwice.budget import Need
from thinktwice.entry import ZERO, Total, dollars
from thinktwice.lease import Lease, Refusal, Slot, Sums
from thinktwice.sample import NO_USAGE
from thinktwice.tables import html_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from thinktwice.budget import Budget, Kind, Level, Limit
    from thinktwice.entry import Entry, Role
    from thinktwice.lease import Shared
    from thinktwice.sample import Usage

_LOOK_AGAIN: Final = 0.02
"""Seconds until what others have given back is seen."""


class Ledger:
    """Append-only record of every call of a run and of all runs below it, and the caps on them.

    Thread-safe. Iterate `entries`; read `total`, `by_role`, `reported`, `estimated`, `remaining`.

    Attributes:
        name: Of a step of a workflow; else None.
    """

    name: str | None = None

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        parent: Ledger | None = None,
        implied: bool = False,
        shared: Shared | None = None,
    ) -> None:
        """Open a ledger.

        Args:
            budget: Its caps; none by default.
            parent: The ledger around it, whose caps bind too and which records the same entries.
            implied: The caps are defaults, which nobody asked for.
            shared: Counts what others spend from the same budget.
        """
        self.budget = budget or NO_CAPS
        self.parent = parent
        self._account = Account(self.budget, parent._account if parent else None, shared)
        self._ended: float | None = None
        self._implied = implied

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every call so far, in the order in which they ended."""
        with self._account.lock:
            return tuple(slot.entry for slot in self._account.slots)

    @property
    def total(self) -> Total:
        """Everything: reported, estimated and unknown."""
        return Total.of(self.entries)

    @property
    def reported(self) -> Total:
        """The calls whose tokens the provider reported."""
        return Total.of(e for e in self.entries if e.usage.source == "provider")

    @property
    def estimated(self) -> Total:
        """The calls whose tokens are an estimate of ours, an upper bound where one is known."""
        return Total.of(e for e in self.entries if e.usage.source == "estimated")

    @property
    def by_role(self) -> Mapping[Role, Total]:
        """Totals by what the calls were for."""
        entries = self.entries
        roles: dict[Role, None] = dict.fromkeys(entry.role for entry in entries)
        return {role: Total.of(e for e in entries if e.role == role) for role in roles}

    @property
    def started(self) -> float:
        """When it was opened, on the event loop's clock."""
        return self._account.started

    @property
    def seconds(self) -> float:
        """Wall-clock time from the opening of the ledger until its run ended, or until now."""
        return (self._ended if self._ended is not None else now()) - self.started

    @property
    def deadline(self) -> float | None:
        """When the first of the time caps around here ends, on the event loop's clock."""
        return self._account.ends

    @property
    def remaining(self) -> Mapping[Kind, Decimal | float]:
        """What is left of each cap that is set here or around here.

        Reservations are taken off, and what is set apart for others.
        """
        with self._account.lock:
            return self._account.left(now() if self._ended is None else self._ended)

    @property
    def enforcement(self) -> Mapping[Kind, Level]:
        """How each cap that is set here was kept: exact, reserved or estimated."""
        kept: dict[Kind, Level] = {}
        if self.budget.calls is not None:
            kept["calls"] = "exact"
        if self.budget.seconds is not None:
            kept["seconds"] = "exact"
        return {**kept, **self._account.levels}

    @property
    def exhausted(self) -> Limit | None:
        """The cap, here or around here, that a call has overrun or that time has reached."""
        return next((limit for each in self._account.bound if (limit := each.ended_by())), None)

    @property
    def out_of_time(self) -> bool:
        """The time of a cap here or around here is up."""
        ends = self._account.ends
        return ends is not None and now() >= ends

    @property
    def expiring(self) -> Limit:
        """The time cap, here or around here, that ends first; there is one where `deadline` is."""
        timed = [each for each in self._account.bound if each.budget.seconds is not None]
        return min(timed, key=lambda each: each.started + (each.budget.seconds or 0)).limit(
            "seconds"
        )

    @property
    def strict(self) -> bool:
        """A budget here or around here refuses calls whose worst case is not known."""
        return any(each.budget.strict for each in self._account.chain)

    @property
    def capped(self) -> bool:
        """A cap on tokens or money binds here, so that the worst case of a call matters."""
        return self._account.capped

    @property
    def sized(self) -> bool:
        """The worst case of a call matters here: to such a cap, or to a quota, which counts it."""
        return self._account.sized

    @property
    def step_around(self) -> str | None:
        """Name of the innermost step of a workflow that this belongs to, if there is one."""
        each: Ledger | None = self
        while each is not None and each.name is None:
            each = each.parent
        return None if each is None else each.name

    def bound_by(self, limit: Limit) -> bool:
        """The limit is one of this ledger's or of one around it."""
        return limit.owner in self._account.chain

    def reserve(self, *needs: Need, instead: Lease | None = None) -> list[Lease] | Refusal:
        """Hold the worst case of several calls, all or none.

        Args:
            needs: What to hold.
            instead: A lease to give up for it, if it fits.

        Raises:
            UsageError: A strict budget, and the worst case of a call is not known.
        """
        return self._account.reserve(needs, instead)

    def witness(self, kind: str, *, instead: Lease | None = None) -> tuple[Lease, Limit | None]:
        """Hold a call that is on its way already, at the size of such calls: nothing refuses it.

        Args:
            kind: Of calls of one size.
            instead: A lease to give up for it.

        Returns:
            What it holds, and the cap that it does not fit into.
        """
        usage, cost = self._account.sizes.typical(kind) or (NO_USAGE, ZERO)
        need = Need(tokens=usage.total_tokens or 0, cost=cost or ZERO, kind=kind)
        got = self._account.reserve((need,), instead)
        if not isinstance(got, Refusal):
            return got[0], None
        if instead is not None:
            instead.release()
        return self._account.hold_anyway(need), got.limit

    def hear(self) -> None:
        """Note that nobody could refuse a call: of the caps, only that on time is kept exactly."""
        self._account.hear()

    async def acquire(self, *needs: Need, instead: Lease | None = None) -> list[Lease] | Limit:
        """Like `reserve`, waiting while a call in flight may still give something back."""
        got = self._account.reserve(needs, instead)
        if not isinstance(got, Refusal):
            return got
        if instead is not None:
            instead.rest()  # its holder waits: nobody should wait for it
        try:
            while isinstance(got, Refusal):
                changed = self._account.change()
                got = self._account.reserve(needs, instead)
                if isinstance(got, Refusal):
                    if not got.may_pass:
                        return got.limit
                    await self._some_change(changed)
            return got
        finally:
            if instead is not None:
                instead.wake()

    async def _some_change(self, changed: asyncio.Event) -> None:
        """Wait for a settlement; nobody tells of those of others."""
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _LOOK_AGAIN if self._account.beside else None)

    def typical(self, kind: str) -> tuple[Usage, Decimal | None] | None:
        """Usage and cost of the 95th percentile of the calls of a kind; None before the first."""
        return self._account.sizes.typical(kind)

    def uncount(self) -> None:
        """Lift a default cap on calls: a run works inside a sampler that was taken for one call."""
        with self._account.lock:
            if self._implied:
                self.budget = self._account.budget = replace(self.budget, calls=None)

    def make_room(self, calls: int) -> None:
        """Raise a default cap on calls, for a draw in the place of one that straggles."""
        with self._account.lock:
            if self._implied and self.budget.calls is not None:
                raised = replace(self.budget, calls=self.budget.calls + calls)
                self.budget = self._account.budget = raised

    def note(self, entry: Entry) -> None:
        """Record, here and around here, what no budget is asked for: the run of a tool."""
        slot = Slot(entry)
        with self._account.lock:
            for account in self._account.chain:
                account.slots.append(slot)

    @property
    def uncounted(self) -> Sums:
        """What calls of unknown size or price were charged on top: all that they held."""
        with self._account.lock:
            return Sums() + self._account.uncounted

    def carry(self, counted: Sums, uncounted: Sums, *, seconds: float) -> None:
        """Count towards the caps here what was spent before, elsewhere: it is no entry.

        Args:
            counted: Calls, tokens and money.
            uncounted: What was charged on top, as in `uncounted`.
            seconds: Wall-clock time before; negative where the clock has stood still.
        """
        with self._account.lock:
            self._account.charge(counted, uncounted)
            self._account.started -= seconds

    def forget(self) -> None:
        """Drop the entries, and keep what they took of the caps: for one that is never closed."""
        with self._account.lock:
            self._account.slots.clear()

    def close(self) -> None:
        """Stop the clock: the run is over."""
        self._ended = now()

    def __getstate__(self) -> tuple[Budget, tuple[Entry, ...], float, Mapping[Kind, Level]]:
        """Pickle and copy what it recorded; what binds it to a process stays behind."""
        return self.budget, self.entries, self.seconds, dict(self._account.levels)

    def __setstate__(
        self, state: tuple[Budget, tuple[Entry, ...], float, Mapping[Kind, Level]]
    ) -> None:
        """A record without the ledgers around it: nobody reserves from it any more."""
        self.budget, entries, seconds, levels = state
        self.parent, self._implied = None, False
        self._account = Account(self.budget, None)
        self._account.slots.extend(map(Slot, entries))
        self._account.levels.update(levels)
        for entry in entries:
            tokens, cost = entry.usage.total_tokens or 0, entry.cost or ZERO
            self._account.spent.add(Sums(int(entry.called), tokens, cost))
        self._ended = self._account.started + seconds

    def __repr__(self) -> str:
        """One line without content."""
        return f"<{type(self).__name__}: {self}>"

    def __str__(self) -> str:
        """Calls, tokens, money, wall-clock seconds."""
        return bill(self.total, seconds=self.seconds, caps=NO_CAPS)

    def to_html(self) -> str:
        """A table by role, for notebooks."""
        rows = (
            (
                role,
                f"{total.calls or total.tools}",
                f"{total.usage.input_tokens or 0:,}",
                f"{total.usage.output_tokens or 0:,}",
                dollars(total.cost),
            )
            for role, total in self.by_role.items()
        )
        return html_table(rows, head=("role", "calls", "input", "output", "cost"))

    def _repr_html_(self) -> str:
        return self.to_html()
