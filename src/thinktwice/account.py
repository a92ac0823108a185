"""The bookkeeping under a ledger: what is spent, what is held, and who waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from thinktwice.budget import Budget, Limit
from thinktwice.entry import ZERO
from thinktwice.errors import UsageError
from thinktwice.sample import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from thinktwice.budget import Kind, Level, Need
    from thinktwice.entry import Entry

NO_CAPS: Final = Budget()
_HISTORY: Final = 64
_PERCENTILE: Final = 0.95


def now() -> float:
    """Seconds on the running event loop's clock (which tests may drive), else the monotonic one."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


@dataclass
class Sums:
    """Calls, tokens and money, spent or held."""

    calls: int = 0
    tokens: int = 0
    cost: Decimal = ZERO

    def add(self, other: Sums, sign: int = 1) -> None:
        """Add or, with a sign of -1, take off."""
        self.calls += sign * other.calls
        self.tokens += sign * other.tokens
        if other.cost:
            self.cost += sign * other.cost


@dataclass
class Slot:
    """The place of an entry, which an abandoned call fills anew when it ends after all."""

    entry: Entry


@dataclass(frozen=True)
class Refusal:
    """A reservation that does not fit.

    Attributes:
        limit: The cap in the way.
        may_pass: A call in flight may still give something back.
    """

    limit: Limit
    may_pass: bool


class Account:
    """What one ledger counts. All accounts of a family share a lock, which every change holds.

    Attributes:
        budget: The caps.
        chain: This account and those around it, outwards.
        bound: Those of them that have a cap: the others only keep entries.
        slots: The entries.
        spent: Settled; what nobody counted at the size of its reservation.
        uncounted: The part of it that nobody counted.
        held: Reserved and not settled.
        live: Leases whose holders make progress.
        closed: The cap that a call has overrun.
        levels: How caps were kept so far.
        started: When it was opened, on the clock of `now`.
    """

    def __init__(self, budget: Budget, parent: Account | None) -> None:
        """Open an account inside another."""
        self.budget = budget
        self.chain: tuple[Account, ...] = (self, *parent.chain) if parent else (self,)
        self.bound: tuple[Account, ...] = parent.bound if parent else ()
        if budget is not NO_CAPS and budget != NO_CAPS:
            self.bound = (self, *self.bound)
        self.lock: threading.Lock = parent.lock if parent else threading.Lock()
        self.slots: list[Slot] = []
        self.spent = Sums()
        self.uncounted = Sums()
        self.held = Sums()
        self.live = 0
        self.closed: Limit | None = None
        self.levels: dict[Kind, Level] = {}
        # The account of a sample starts with its run, to spare the clock.
        self.started = parent.started if parent and budget is NO_CAPS else now()
        self.capped: bool = (
            budget.tokens is not None
            or budget.money is not None
            or (parent is not None and parent.capped)
        )
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = (
            parent._waiters if parent else []
        )
        self._history: dict[str, deque[tuple[Usage, Decimal | None]]] = (
            parent._history if parent else {}
        )

    def caps(self) -> Iterable[tuple[Kind, Decimal, Decimal, Decimal]]:
        """Each cap that is set, but time: kind, allowed, spent, held."""
        budget, spent, held = self.budget, self.spent, self.held
        if budget.calls is not None:
            yield "calls", Decimal(budget.calls), Decimal(spent.calls), Decimal(held.calls)
        if budget.tokens is not None:
            yield "tokens", Decimal(budget.tokens), Decimal(spent.tokens), Decimal(held.tokens)
        if budget.money is not None:
            yield "cost", budget.money, spent.cost, held.cost

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

    def limit(self, kind: Kind, overrun: Decimal | float = 0) -> Limit:
        """Describe one cap as it stands."""
        allowed = getattr(self.budget, kind)
        if kind == "seconds":
            spent = round(now() - self.started, 3)
            return Limit(kind=kind, allowed=allowed, spent=spent, owner=self)
        uncounted = getattr(self.uncounted, kind)
        return Limit(
            kind=kind,
            allowed=allowed,
            spent=getattr(self.spent, kind) - uncounted,
            uncounted=uncounted,
            overrun=overrun,
            owner=self,
        )

    def ended_by(self) -> Limit | None:
        """The own cap that has been overrun or whose time is up."""
        if self.closed is not None:
            return self.closed
        seconds = self.budget.seconds
        if seconds is not None and now() >= self.started + seconds:
            return self.limit("seconds")
        return None

    def typical(self, kind: str) -> tuple[Usage, Decimal | None] | None:
        """Usage and cost of the 95th percentile of the calls of a kind; None before the first."""
        seen = self._history.get(kind)
        if not seen:
            return None
        ranked = sorted(seen, key=lambda each: each[0].total_tokens or 0)
        return ranked[min(len(ranked) - 1, int(_PERCENTILE * len(ranked)))]

    def remember(self, kind: str, entry: Entry) -> None:
        """Learn from a call what calls of its kind take; the lock is held."""
        if entry.usage.source == "provider" and not entry.cached:
            seen = self._history.setdefault(kind, deque(maxlen=_HISTORY))
            seen.append((entry.usage, entry.cost))

    def reserve(self, needs: tuple[Need, ...], instead: Lease | None) -> list[Lease] | Refusal:
        """Hold all needs in every account of the chain, or none."""
        with self.lock:
            given_up: Mapping[Account, Sums] = instead.holds() if instead is not None else {}
            holds: list[list[Sums]] = [[] for _ in needs]
            for account in self.bound:
                extra = Sums()
                if account in given_up:
                    extra.add(given_up[account], -1)
                for need, hold in zip(needs, holds, strict=True):
                    sums = account.hold(need, extra)
                    if isinstance(sums, Refusal):
                        return sums
                    hold.append(sums)
                    extra.add(sums)
            if instead is not None:
                instead.give_up()
            return [Lease(self, need, hold) for need, hold in zip(needs, holds, strict=True)]

    def hold(self, need: Need, extra: Sums) -> Sums | Refusal:
        """What a call would hold here, beside what else is asked for; the lock is held."""
        if (limit := self.ended_by()) is not None:
            return Refusal(limit, may_pass=False)
        sums = Sums(need.calls)
        budget, spent, held = self.budget, self.spent, self.held
        if budget.calls is not None and (
            spent.calls + held.calls + extra.calls + need.calls > budget.calls
        ):
            return self._refusal("calls")
        if budget.tokens is not None:
            left = budget.tokens - spent.tokens - held.tokens - extra.tokens
            sums.tokens = self._tokens(need, left)
            if sums.tokens > left or (left <= 0 and need.tokens is None):
                return self._refusal("tokens")
        if budget.money is not None:
            money = budget.money - spent.cost - held.cost - extra.cost
            sums.cost = self._cost(need, money)
            if sums.cost > money or (money <= 0 and need.cost is None):
                return self._refusal("cost")
        return sums

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
        typical = self.typical(need.kind)
        tokens = typical[0].total_tokens if typical else None
        return left if tokens is None else tokens

    def _cost(self, need: Need, left: Decimal) -> Decimal:
        if need.cost is not None:
            self.levels.setdefault("cost", "reserved")
            return need.cost
        self._estimate("cost")
        typical = self.typical(need.kind)
        cost = typical[1] if typical else None
        return left if cost is None else cost

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

    def _refusal(self, kind: Kind) -> Refusal:
        return Refusal(self.limit(kind), may_pass=self.live > 0)


class Lease:
    """What one call holds of every account around it, until it is settled or released, once."""

    __slots__ = ("_account", "_done", "_holds", "_live", "_slot", "need")

    def __init__(self, account: Account, need: Need, holds: list[Sums]) -> None:
        """Made by `Account.reserve`, which holds the lock."""
        self.need = need
        self._account = account
        self._holds = holds
        self._live = True
        self._done = False
        self._slot: Slot | None = None
        for each, hold in self._pairs():
            each.held.add(hold)
            each.live += 1

    @property
    def open(self) -> bool:
        """Neither settled nor released yet."""
        return not self._done

    def settle(self, entry: Entry, *, billed: bool = True) -> Entry:
        """Record the call and free what it did not use. The first settlement counts.

        A call that ended without its usage known (recalled, or lost on the way) is charged what it
        held, as an estimate from above. A call that came out above its reservation and above
        the cap closes the budget.

        Args:
            entry: The call.
            billed: It may have been billed; False if the provider refused it.

        Returns:
            The entry as recorded.
        """
        with self._account.lock:
            if self._done:
                return self._slot.entry if self._slot else entry
            if billed and entry.status != "ok":
                entry = self._estimated(entry)
            elif not billed and entry.usage.source == "missing":
                entry = replace(entry, usage=NO_USAGE, cost=ZERO)
            self._finish()
            self._slot = Slot(entry)
            for account in self._account.chain:
                account.slots.append(self._slot)
            for account, hold in self._pairs():
                self._charge(account, hold, entry, billed=billed)
            self._account.remember(self.need.kind, entry)
            self._account.notify()
            return entry

    def settle_late(self, entry: Entry) -> None:
        """Replace the estimate of an abandoned call by what it turned out to cost."""
        with self._account.lock:
            if self._slot is None or self._slot.entry.status != "abandoned":
                return
            before, self._slot.entry = self._slot.entry, replace(entry, status="abandoned")
            for account, hold in self._pairs():
                account.charge(*self._spending(hold, before, billed=True), sign=-1)
                self._charge(account, hold, self._slot.entry, billed=True)
            self._account.notify()

    def release(self) -> None:
        """Give everything back: the call was not sent."""
        with self._account.lock:
            if not self._done:
                self._finish()
                self._account.notify()

    def holds(self) -> Mapping[Account, Sums]:
        """What it holds of which account; the lock is held."""
        return {} if self._done else dict(self._pairs())

    def give_up(self) -> None:
        """Let go in favour of other leases; the lock is held."""
        if not self._done:
            self._finish()

    def rest(self) -> None:
        """Say that the holder waits and makes no progress."""
        with self._account.lock:
            if not self._done and self._live:
                self._live = False
                for account in self._account.bound:
                    account.live -= 1
                self._account.notify()

    def wake(self) -> None:
        """Take `rest` back."""
        with self._account.lock:
            if not self._done and not self._live:
                self._live = True
                for account in self._account.bound:
                    account.live += 1

    def _pairs(self) -> Iterable[tuple[Account, Sums]]:
        return zip(self._account.bound, self._holds, strict=True)

    def _finish(self) -> None:
        self._done = True
        for account, hold in self._pairs():
            account.held.add(hold, -1)
            account.live -= self._live

    def _estimated(self, entry: Entry) -> Entry:
        if entry.usage.source != "missing" or entry.cached:
            return entry
        if self.need.tokens:
            usage = Usage(output_tokens=self.need.tokens, source="estimated")
            return replace(entry, usage=usage, cost=self.need.cost)
        typical = self._account.typical(self.need.kind)
        if typical is not None:
            return replace(entry, usage=replace(typical[0], source="estimated"), cost=typical[1])
        return entry

    def _spending(self, hold: Sums, entry: Entry, *, billed: bool) -> tuple[Sums, Sums]:
        """What the entry takes of a cap as counted, and what it held where nobody counted.

        But not of a failed call of unknown size: a probe that fails must not take all there is.
        """
        tokens, cost = entry.usage.total_tokens, entry.cost
        failed = entry.status == "error"
        if tokens is None:
            tokens = hold.tokens if billed and not (failed and self.need.tokens is None) else 0
        if cost is None:
            cost = hold.cost if billed and not (failed and self.need.cost is None) else ZERO
        counted = Sums(self.need.calls, entry.usage.total_tokens or 0, entry.cost or ZERO)
        return counted, Sums(0, tokens - counted.tokens, cost - counted.cost)

    def _charge(self, account: Account, hold: Sums, entry: Entry, *, billed: bool) -> None:
        if entry.status == "ok" and entry.usage.total_tokens is None:  # nobody counted it
            account.levels.update(dict.fromkeys(account.levels.keys() - {"calls"}, "estimated"))
        account.charge(*self._spending(hold, entry, billed=billed))
        account.close_if_overrun()
