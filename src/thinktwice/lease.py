"""What one call holds of the accounts around it, from its reservation to its settlement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from thinktwice.entry import ZERO
from thinktwice.sample import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from thinktwice.account import Account
    from thinktwice.budget import Limit, Need
    from thinktwice.entry import Entry
    from thinktwice.sizes import Sizes


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

    def __add__(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)


class Shared(Protocol):
    """Counts what others spend as well, in this process and elsewhere; made by `Quota`.

    A ticket is what it gives for a hold: whatever it finds it by.

    Attributes:
        name: Of the quota.
        renews_at: When it starts anew, if ever.
        sizes: Of its calls so far, as far as this process has made them.
    """

    @property
    def name(self) -> str:
        """Of the quota."""
        ...

    @property
    def renews_at(self) -> datetime | None:
        """When it starts anew, if ever."""
        ...

    @property
    def sizes(self) -> Sizes:
        """Of its calls so far, as far as this process has made them."""
        ...

    def totals(self) -> tuple[Sums, Sums]:
        """What was spent, and what is held."""
        ...

    def exchange(
        self, needs: Sequence[Need], holds: Sequence[Sums], *, instead: object, force: bool
    ) -> Sequence[object] | None:
        """Hold for several calls, all or none; None where others were faster.

        Args:
            needs: Their worst cases.
            holds: What to hold for them.
            instead: A ticket to give up for it, or None.
            force: Hold it whatever the cap says.
        """
        ...

    def settle(self, ticket: object, spent: Sums) -> None:
        """A call was made."""
        ...

    def correct(self, ticket: object, change: Sums) -> None:
        """A call that was settled turned out otherwise."""
        ...

    def release(self, ticket: object) -> None:
        """No call was made."""
        ...


@dataclass
class Slot:
    """The place of an entry, which an abandoned call fills anew when it ends after all.

    Attributes:
        entry: The call, as far as it is known.
        late: It has ended after all.
    """

    entry: Entry
    late: bool = False


@dataclass(frozen=True)
class Refusal:
    """A reservation that does not fit.

    Attributes:
        limit: The cap in the way.
        may_pass: A call in flight may still give something back.
    """

    limit: Limit
    may_pass: bool


class Lease:
    """What one call holds of every account around it, until it is settled or released, once."""

    __slots__ = ("_account", "_done", "_holds", "_live", "_slot", "_tickets", "need")

    def __init__(
        self, account: Account, need: Need, holds: list[Sums], tickets: Mapping[Account, object]
    ) -> None:
        """Made by `Account.reserve`, which holds the lock."""
        self.need = need
        self._account = account
        self._holds = holds
        self._tickets = tickets  # of those accounts that are shared
        self._live = True
        self._done = False
        self._slot: Slot | None = None
        for each, hold in self._pairs():
            each.take(hold)

    @property
    def open(self) -> bool:
        """Neither settled nor released yet."""
        return not self._done

    def fits(self, need: Need) -> bool:
        """Take it for another call, if it holds of every cap what that one needs.

        So it does where caps count calls alone, until the time of one of them is up.
        """
        if need != self.need:
            if self._account.capped or need.calls != self.need.calls:
                return False
            if any(each.ended_by() is not None for each in self._account.bound):
                return False
            self.need = need
        return True

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
                if (shared := account.shared) is not None:
                    taken = self._sum(account, hold, entry, billed=billed)
                    shared.settle(self._tickets[account], taken)
                    shared.sizes.add(self.need.kind, entry)
            self._account.sizes.add(self.need.kind, entry)
            self._account.notify()
            return entry

    def settle_late(self, entry: Entry) -> None:
        """Replace the estimate of an abandoned call by what it turned out to cost, once."""
        with self._account.lock:
            if self._slot is None or self._slot.late or self._slot.entry.status != "abandoned":
                return
            self._slot.late = True
            ended = self._estimated(entry) if entry.status == "ok" else entry
            before, self._slot.entry = self._slot.entry, replace(ended, status="abandoned")
            for account, hold in self._pairs():
                account.charge(*self._spending(account, hold, before, billed=True), sign=-1)
                self._charge(account, hold, self._slot.entry, billed=True)
                if (shared := account.shared) is not None:
                    change = self._sum(account, hold, self._slot.entry, billed=True)
                    change.add(self._sum(account, hold, before, billed=True), -1)
                    shared.correct(self._tickets[account], change)
            self._account.notify()

    def release(self) -> None:
        """Give everything back: the call was not sent."""
        with self._account.lock:
            if not self._done:
                self._finish()
                for account, ticket in self._tickets.items():
                    if account.shared is not None:
                        account.shared.release(ticket)
                self._account.notify()

    def tickets(self) -> Mapping[Account, object]:
        """What it has of accounts that are shared; the lock is held."""
        return {} if self._done else self._tickets

    def restore(self, tickets: Mapping[Account, object]) -> None:
        """Take other tickets for the same holds; the lock is held."""
        self._tickets = tickets

    def holds(self) -> Mapping[Account, Sums]:
        """What it holds of which account; the lock is held."""
        return {} if self._done else dict(self._pairs())

    def give_up(self) -> None:
        """Let go in favour of other leases, which have its tickets; the lock is held."""
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
            account.free(hold, live=self._live)

    def _estimated(self, entry: Entry) -> Entry:
        if entry.usage.source != "missing" or entry.cached:
            return entry
        if self.need.tokens:
            usage = Usage(output_tokens=self.need.tokens, source="estimated")
            return replace(entry, usage=usage, cost=self.need.cost)
        typical = self._account.typical(self.need.kind)
        if typical is None:
            return entry
        usage, cost = self._bounded(replace(typical[0], source="estimated"), typical[1])
        return replace(entry, usage=usage, cost=cost)

    def _bounded(self, usage: Usage, cost: Decimal | None) -> tuple[Usage, Decimal | None]:
        """No more than what a call of unknown size holds of the caps of its own request."""
        for account, hold in self._pairs():
            if account.shared is not None or self.need.tokens is not None:
                continue
            if account.budget.tokens is not None and (usage.total_tokens or 0) > hold.tokens:
                usage = Usage(output_tokens=hold.tokens, source="estimated")
            if account.budget.money is not None and cost is not None:
                cost = min(cost, hold.cost)
        return usage, cost

    def _spending(
        self, account: Account, hold: Sums, entry: Entry, *, billed: bool
    ) -> tuple[Sums, Sums]:
        """What the entry takes of a cap as counted, and what it held where nobody counted.

        But not of a call of unknown size that failed, nor, of what others spend from as well, of
        one that was cancelled: a probe must not take all there is of a day.
        """
        tokens, cost = entry.usage.total_tokens, entry.cost
        lost = entry.status == "error" or (account.shared is not None and entry.status != "ok")
        if tokens is None:
            tokens = hold.tokens if billed and not (lost and self.need.tokens is None) else 0
        if cost is None:
            cost = hold.cost if billed and not (lost and self.need.cost is None) else ZERO
        counted = Sums(self.need.calls, entry.usage.total_tokens or 0, entry.cost or ZERO)
        return counted, Sums(0, tokens - counted.tokens, cost - counted.cost)

    def _sum(self, account: Account, hold: Sums, entry: Entry, *, billed: bool) -> Sums:
        counted, uncounted = self._spending(account, hold, entry, billed=billed)
        return counted + uncounted

    def _charge(self, account: Account, hold: Sums, entry: Entry, *, billed: bool) -> None:
        if entry.status == "ok" and entry.usage.total_tokens is None:  # nobody counted it
            account.levels.update(dict.fromkeys(account.levels.keys() - {"calls"}, "estimated"))
        account.charge(*self._spending(account, hold, entry, billed=billed))
        account.close_if_overrun()
