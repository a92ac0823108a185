"""The bookkeeping under a ledger: what is spent, what is held, and who waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from thinktwice.budget import Budget, Limit
from thinktwice.entry import ZERO
from thinktwice.errors import UsageError
from thinktwice.lease import Lease, Refusal, Slot, Sums
from thinktwice.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thinktwice.budget import Kind, Level, Need
    from thinktwice.lease import Shared
    from thinktwice.sample import Usage

NO_CAPS: Final = Budget()
_NONE: Final = Sums()
_NO_TICKETS: Final[Mapping[Account, object]] = {}


def now() -> float:
    """Seconds on the running event loop's clock (which tests may drive), else the monotonic one."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


class Account:
    """What one ledger counts. All accounts of a family share a lock, which every change holds.

    Attributes:
        budget: The caps.
        slots: The entries.
        spent: Settled; what nobody counted at the size of its reservation.
        uncounted: The part of it that nobody counted.
        held: Reserved and not settled.
        live: Leases whose holders make progress.
        shares: Accounts inside this one that have a share of it set apart for them.
        is_share: It has, or had, such a share itself.
        closed: The cap that a call has overrun.
        shared: Counts what others spend from the same budget; None if it is nobody else's.
        sized: The worst case of a call matters, to a cap or to what others count.
        own: The part of `held` that is held by leases of this account.
        levels: How caps were kept so far.
        sizes: Of the calls so far, in all accounts of the family.
        started: When it was opened, on the clock of `now`.
    """

    def __init__(
        self, budget: Budget, parent: Account | None, shared: Shared | None = None
    ) -> None:
        """Open an account inside another."""
        self.budget = budget
        self.shared = shared
        self.own = Sums()
        # Without this account itself: a cycle would keep the whole request until it is collected.
        self._around: tuple[Account, ...] = parent.chain if parent else ()
        self._bound_around: tuple[Account, ...] = parent.bound if parent else ()
        self._has_caps = budget is not NO_CAPS and budget != NO_CAPS
        self.lock: threading.Lock = parent.lock if parent else threading.Lock()
        self.slots: list[Slot] = []
        self.spent = Sums()
        self.uncounted = Sums()
        self.held = Sums()
        self.live = 0
        self.shares: list[Account] = []
        self.is_share = False
        self.closed: Limit | None = None
        self.levels: dict[Kind, Level] = {}
        # The account of a sample starts with its run, to spare the clock.
        self.started = parent.started if parent and budget is NO_CAPS else now()
        self.capped: bool = (
            budget.tokens is not None
            or budget.money is not None
            or (parent is not None and parent.capped)
        )
        self.sized: bool = (
            self.capped or shared is not None or (parent is not None and parent.sized)
        )
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = (
            parent._waiters if parent else []
        )
        self.sizes: Sizes = parent.sizes if parent else Sizes()

    @property
    def chain(self) -> tuple[Account, ...]:
        """This account and those around it, outwards."""
        return (self, *self._around)

    @property
    def bound(self) -> tuple[Account, ...]:
        """Those of them that have a cap: the others only keep entries."""
        return (self, *self._bound_around) if self._has_caps else self._bound_around

    @property
    def beside(self) -> tuple[Account, ...]:
        """Those of them that others spend from, too."""
        return tuple(each for each in self.bound if each.shared)

    def caps(self) -> Iterable[tuple[Kind, Decimal, Decimal, Decimal]]:
        """Each cap that is set, but time: kind, allowed, spent, held."""
        self.refresh()
        budget, spent, held = self.budget, self.spent, self.held
        if budget.calls is not None:
            yield "calls", Decimal(budget.calls), Decimal(spent.calls), Decimal(held.calls)
        if budget.tokens is not None:
            yield "tokens", Decimal(budget.tokens), Decimal(spent.tokens), Decimal(held.tokens)
        if budget.money is not None:
            yield "cost", budget.money, spent.cost, held.cost

    def refresh(self) -> None:
        """Look up what others have spent and hold."""
        if self.shared is not None:
            self.spent, self.held = self.shared.totals()

    def typical(self, kind: str) -> tuple[Usage, Decimal | None] | None:
        """Of the calls of a kind in this family; else of those that others made."""
        families = (self.sizes, *(each.shared.sizes for each in self.bound if each.shared))
        return next((seen for each in families if (seen := each.typical(kind))), None)

    def take(self, hold: Sums) -> None:
        """A lease begins; the lock is held."""
        self.held.add(hold)
        self.own.add(hold)
        self.live += 1

    def free(self, hold: Sums, *, live: bool) -> None:
        """A lease ends; the lock is held."""
        self.held.add(hold, -1)
        self.own.add(hold, -1)
        self.live -= live

    @property
    def ends(self) -> float | None:
        """When the first of the time caps here and around here ends, on the clock of `now`."""
        return min(
            (
                each.started + each.budget.seconds
                for each in self.bound
                if each.budget.seconds is not None
            ),
            default=None,
        )

    def left(self, at: float, given_up: Iterable[Lease] = ()) -> dict[Kind, Decimal | float]:
        """What a call made here could still take of each cap; the lock is held.

        Args:
            at: The time, on the clock of `now`.
            given_up: Leases to leave out.
        """
        left: dict[Kind, Decimal | float] = {}
        given_back = [lease.holds() for lease in given_up]
        for account in self.bound:
            apart = account.apart(self.chain)
            for each in given_back:
                apart.add(each.get(account, _NONE), -1)
            for kind, cap, spent, held in account.caps():
                free = max(cap - spent - held - getattr(apart, kind), cap - cap)
                left[kind] = min(left.get(kind, free), free)
        if (ends := self.ends) is not None:
            left["seconds"] = max(0.0, ends - at)
        return left

    def apart(self, inside: Sequence[Account]) -> Sums:
        """What is set apart here for others than the accounts given; the lock is held."""
        apart = Sums()
        for share in self.shares:
            if share not in inside:
                apart.add(share.unspent())
        return apart

    def unspent(self) -> Sums:
        """What is neither spent nor held of the own caps; 0 where there is none."""
        left = {kind: max(cap - spent - held, ZERO) for kind, cap, spent, held in self.caps()}
        calls, tokens = int(left.get("calls", 0)), int(left.get("tokens", 0))
        return Sums(calls, tokens, left.get("cost", ZERO))

    def set_apart(self, budget: Budget) -> None:
        """Keep what the budget allows for this account alone; the lock is held.

        Whoever calls it has seen to it that so much is left around it.
        """
        self.budget, self.is_share = budget, True
        for account in self.chain[1:]:
            account.shares.append(self)
            if account.is_share:  # which is set apart itself, further out
                break

    def rejoin(self) -> None:
        """Leave what is unspent to whoever comes next; the lock is held."""
        for account in self.chain[1:]:
            if self in account.shares:
                account.shares.remove(self)
        self.notify()

    def charge(self, counted: Sums, uncounted: Sums, *, sign: int = 1) -> None:
        """Take off the caps, or give back, what a call was; the lock is held."""
        self.spent.add(counted, sign)
        self.spent.add(uncounted, sign)
        self.uncounted.add(uncounted, sign)

    def close_if_overrun(self) -> None:
        """Close it where a call came out above the cap; the lock is held."""
        budget, spent = self.budget, self.spent
        if self.closed is not None:
            return
        if budget.tokens is not None and spent.tokens > budget.tokens:
            self.closed = self.limit("tokens", spent.tokens - budget.tokens)
        elif budget.money is not None and spent.cost > budget.money:
            self.closed = self.limit("cost", spent.cost - budget.money)
        elif budget.calls is not None and spent.calls > budget.calls:
            self.closed = self.limit("calls", spent.calls - budget.calls)

    def limit(self, kind: Kind, overrun: Decimal | float = 0) -> Limit:
        """Describe one cap as it stands."""
        allowed = getattr(self.budget, kind)
        if kind == "seconds":
            spent = round(now() - self.started, 3)
            return Limit(kind=kind, allowed=allowed, spent=spent, owner=self)
        self.refresh()
        uncounted = getattr(self.uncounted, kind)
        return Limit(
            kind=kind,
            allowed=allowed,
            spent=getattr(self.spent, kind) - uncounted,
            uncounted=uncounted,
            overrun=overrun,
            apart=getattr(self.apart(()), kind),
            owner=self,
            quota=None if self.shared is None else self.shared.name,
            renews_at=None if self.shared is None else self.shared.renews_at,
        )

    def ended_by(self) -> Limit | None:
        """The own cap that has been overrun or whose time is up."""
        if self.closed is not None:
            return self.closed
        seconds = self.budget.seconds
        if seconds is not None and now() >= self.started + seconds:
            return self.limit("seconds")
        return None

    def reserve(self, needs: tuple[Need, ...], instead: Lease | None) -> list[Lease] | Refusal:
        """Hold all needs in every account of the chain, or none."""
        with self.lock:
            while True:
                holds = self._holds(needs, instead)
                if isinstance(holds, Refusal):
                    return holds
                tickets = self._tickets(needs, holds, instead)
                if tickets is None:  # others were faster: look again
                    continue
                if instead is not None:
                    instead.give_up()
                given = zip(needs, holds, tickets, strict=True)
                return [Lease(self, need, hold, ticket) for need, hold, ticket in given]

    def _holds(self, needs: tuple[Need, ...], instead: Lease | None) -> list[list[Sums]] | Refusal:
        """What each call would hold of each account."""
        given_up: Mapping[Account, Sums] = instead.holds() if instead is not None else {}
        holds: list[list[Sums]] = [[] for _ in needs]
        most: list[Sums | None] = [None] * len(needs)
        for account in self.bound:
            extra = account.apart(self.chain)
            if account in given_up:
                extra.add(given_up[account], -1)
            for need, hold, known in zip(needs, holds, most, strict=True):
                sums = account.hold(need, extra, known)
                if isinstance(sums, Refusal):
                    return sums
                hold.append(sums)
                extra.add(sums)
            if account.is_share:
                most = [hold[-1] for hold in holds]
        return holds

    def _tickets(
        self, needs: tuple[Need, ...], holds: list[list[Sums]], instead: Lease | None
    ) -> Sequence[Mapping[Account, object]] | None:
        """What each call gets of accounts that are shared; None where one has too little left."""
        if not self.beside:
            return [_NO_TICKETS] * len(needs)
        before = dict(instead.tickets()) if instead is not None else {}
        tickets: list[dict[Account, object]] = [{} for _ in needs]
        for account in self.beside:
            at, shared = self.bound.index(account), cast("Shared", account.shared)
            here = [hold[at] for hold in holds]
            got = shared.exchange(needs, here, instead=before.get(account), force=False)
            if got is None:
                if instead is not None:
                    instead.restore(_given_back(tickets, instead))
                return None
            for ticket, each in zip(tickets, got, strict=True):
                ticket[account] = each
        return tickets

    def hold(self, need: Need, extra: Sums, most: Sums | None = None) -> Sums | Refusal:
        """What a call would hold here; the lock is held.

        Args:
            need: Its worst case.
            extra: What else is asked for, or set apart for others.
            most: What it holds of a share inside this account: a call of unknown size takes the
                rest of its share, and not of all.
        """
        if (limit := self.ended_by()) is not None:
            return Refusal(limit, may_pass=False)
        self.refresh()
        sums = Sums(need.calls)
        budget, spent, held = self.budget, self.spent, self.held
        if budget.calls is not None and (
            spent.calls + held.calls + extra.calls + need.calls > budget.calls
        ):
            return self._refusal("calls", need.calls)
        if budget.tokens is not None:
            left = budget.tokens - spent.tokens - held.tokens - extra.tokens
            sums.tokens = self._tokens(need, left if most is None else min(left, most.tokens))
            if sums.tokens > left or (left <= 0 and need.tokens is None):
                return self._refusal("tokens", sums.tokens)
        if budget.money is not None:
            money = budget.money - spent.cost - held.cost - extra.cost
            sums.cost = self._cost(need, money if most is None else min(money, most.cost))
            if sums.cost > money or (money <= 0 and need.cost is None):
                return self._refusal("cost", sums.cost)
        return sums

    def hold_anyway(self, need: Need) -> Lease:
        """Hold a call that is on its way already, whatever the caps say."""
        with self.lock:
            hold = Sums(need.calls, need.tokens or 0, need.cost or ZERO)
            tickets: dict[Account, object] = {}
            for each in self.beside:
                shared = cast("Shared", each.shared)
                taken = shared.exchange([need], [hold], instead=None, force=True)
                tickets[each] = taken[0] if taken else None
            return Lease(self, need, [hold] * len(self.bound), tickets)

    def hear(self) -> None:
        """Note that nobody could refuse a call: of the caps, only that on time is kept exactly."""
        with self.lock:
            for account in self.bound:
                for kind, *_ in account.caps():
                    account.levels[kind] = "estimated"

    def change(self) -> asyncio.Event:
        """An event that the next settlement sets; to be asked for before looking."""
        changed = asyncio.Event()
        with self.lock:
            self._waiters.append((asyncio.get_running_loop(), changed))
        return changed

    def notify(self) -> None:
        """Wake everybody who waits; the lock is held."""
        if not self._waiters:
            return
        waiters, self._waiters[:] = tuple(self._waiters), ()
        for loop, changed in waiters:
            with suppress(RuntimeError):  # that loop is gone, and its waiter with it
                loop.call_soon_threadsafe(changed.set)

    def _tokens(self, need: Need, left: int) -> int:
        """The worst case; where it is not known, what such calls took, or all that is left."""
        if need.tokens is not None:
            self.levels.setdefault("tokens", "reserved")
            return need.tokens
        self._estimate("tokens")
        typical = self._sizes_here.typical(need.kind)
        tokens = typical[0].total_tokens if typical else None
        return left if tokens is None else tokens

    def _cost(self, need: Need, left: Decimal) -> Decimal:
        if need.cost is not None:
            self.levels.setdefault("cost", "reserved")
            return need.cost
        self._estimate("cost")
        typical = self._sizes_here.typical(need.kind)
        cost = typical[1] if typical else None
        return left if cost is None else cost

    @property
    def _sizes_here(self) -> Sizes:
        return self.sizes if self.shared is None else self.shared.sizes

    def _estimate(self, kind: Kind) -> None:
        if self.budget.strict:
            remedy = (
                f"a strict cap on {kind} needs the model, its max tokens"
                f"{' and its price' if kind == 'cost' else ''} to be known before a call is sent: "
                "give the sampler `model` and `max_tokens`, options={'max_tokens': ...} "
                "and prices={model: Price(...)}, or leave strict out"
            )
            raise UsageError("budget", self.budget, remedy)
        self.levels[kind] = "estimated"

    def _refusal(self, kind: Kind, needed: Decimal | int) -> Refusal:
        others = self.shared is not None and self.held != self.own
        limit = replace(self.limit(kind), needed=needed)
        return Refusal(limit, may_pass=self.live > 0 or others)


def _given_back(
    tickets: Sequence[dict[Account, object]], instead: Lease
) -> Mapping[Account, object]:
    """Give tickets back, and take anew what was given up for them."""
    held, restored = instead.holds(), dict(instead.tickets())
    for account in tickets[0]:
        shared = cast("Shared", account.shared)
        for each in tickets:
            shared.release(each[account])
        taken = shared.exchange([instead.need], [held[account]], instead=None, force=True)
        restored[account] = taken[0] if taken else None
    return restored
