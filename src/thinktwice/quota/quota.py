"""Named budgets that many requests spend from."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from weakref import ref

from thinktwice.budget import Budget
from thinktwice.entry import ZERO
from thinktwice.errors import (
    RunError,
    ThinktwiceError,
    UsageError,
    is_encodable,
    is_number,
    status_of,
)
from thinktwice.lease import Sums
from thinktwice.quota.file import MEMORY
from thinktwice.quota.sqlite import HERE, SqliteStore
from thinktwice.quota.store import Amounts, Caps, Hold, QuotaStore
from thinktwice.remarks import tell_once
from thinktwice.sizes import Sizes
from thinktwice.workflow import BudgetScope, ledger_around

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from thinktwice.budget import Need
    from thinktwice.ledger import Ledger

Period: TypeAlias = Literal["hour", "day", "month"]

_LEASE_SECONDS: Final = 900.0  # longer than a run lasts by default
_MOST_REFUSED: Final = 1000  # so often nobody is faster
_REMEMBERED: Final = 1000  # quotas, each with the sizes of a few calls: some megabytes
_UNTOLD: Final = (
    "what a call took could not be written to the store of quotas: it is charged what it held when "
    "its time is up"
)


@dataclass(frozen=True)
class Quota:
    """A budget by name, of a user, a tenant or a whole application, on top of those of requests.

    Who spends from it opens `scope` around the request. Quotas nest, as all budgets do. A call is
    reserved in it before it is sent, so that it is never exceeded by any number of processes, as
    far as any [budget](budgets.md) is not.

    Attributes:
        name: What it is counted under: quotas of one name and one period in one store are one.
        budget: The caps, all requests of a period together; not on seconds.
        per: "hour", "day" or "month" of UTC, at the beginning of which it starts anew; None for
            never. A request counts in the period in which its scope is opened.
        store: Where it is counted; in the memory of this process by default.
        lease_seconds: After this time a call that has not ended is taken for lost, with its
            process: it is charged its worst case where that is known. One that ends after all is
            charged what it took.

    Raises:
        UsageError: A parameter makes no sense; names it.
    """

    name: str
    budget: Budget
    per: Period | None = None
    store: QuotaStore = field(default=HERE)
    lease_seconds: float = _LEASE_SECONDS

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not isinstance(self.name, str) or not self.name.strip() or not is_encodable(self.name):
            raise UsageError("name", self.name, "give a text, such as 'tenant:acme'")
        if not isinstance(self.budget, Budget) or Caps.of(self.budget) == Caps():
            raise UsageError("budget", self.budget, "give Budget(calls=, tokens=, cost=)")
        if self.budget.seconds is not None:
            remedy = "time is a matter of each request: give it the cap on seconds"
            raise UsageError("budget", self.budget, remedy)
        if self.per not in (None, "hour", "day", "month"):
            raise UsageError("per", self.per, "give 'hour', 'day' or 'month', or None for never")
        if not _is_store(self.store):
            raise UsageError(
                "store", self.store, "give SqliteStore(path), or a QuotaStore of yours"
            )
        if not is_number(self.lease_seconds) or not 0 < self.lease_seconds < math.inf:
            raise UsageError("lease_seconds", self.lease_seconds, "give seconds, above 0")

    @contextmanager
    def scope(self) -> Generator[BudgetScope]:
        """Let all strategy calls of a block spend from it, sync and async, threads included.

        Inside a scope of the same quota they count once.

        Yields:
            The ledger of the block; its `remaining` is that of the quota.

        Raises:
            RunError: The store fails, where a call is about to be made.
            UsageError: A scope of it is open around here, with another budget.
        """
        around, counting = ledger_around(), _Counting(self, self.window())
        if counting.is_open(around):
            scope = BudgetScope(None, parent=around)
        else:
            scope = BudgetScope(self.budget, parent=around, shared=counting)
        with scope.opened():
            yield scope

    @property
    def spent(self) -> Sums:
        """What was spent of it in the current period: calls, tokens, USD.

        Raises:
            RunError: The store fails.
        """
        return _Counting(self, self.window()).totals()[0]

    @property
    def counted_as(self) -> str:
        """Its name in the store, where a day and an hour of one user must not be mixed up."""
        return self.name if self.per is None else f"{self.name} per {self.per}"

    def window(self, at: datetime | None = None) -> int:
        """The UTC second in which the period ends; 0 for one without end."""
        if self.per is None:
            return 0
        hour = (at or datetime.now(UTC)).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self.per == "hour":
            ends = hour + timedelta(hours=1)
        elif self.per == "day":
            ends = hour.replace(hour=0) + timedelta(days=1)
        else:
            ends = (hour.replace(day=1, hour=0) + timedelta(days=31)).replace(day=1)
        return int(ends.timestamp())


class _Counting:
    """A quota as the ledger of a request counts in it."""

    def __init__(self, quota: Quota, window: int) -> None:
        self._quota = quota
        self._name = quota.counted_as
        self._window = window
        self._caps = Caps.of(quota.budget)
        self._store = _place_of(quota.store)
        self.sizes = _sizes_of(self._store, self._name)
        self._refused = 0  # in a row, though the totals had room: others were faster

    @property
    def name(self) -> str:
        return self._quota.name

    def is_open(self, ledger: Ledger | None) -> bool:
        """It counts already what is spent from a ledger."""
        while ledger is not None:
            other = ledger.shared if isinstance(ledger, BudgetScope) else None
            if isinstance(other, _Counting) and other._place == self._place:
                if other._caps != self._caps:
                    remedy = (
                        f"{self.name!r} is open around here with another budget: give both the same"
                    )
                    raise UsageError("budget", self._quota.budget, remedy)
                return True
            ledger = ledger.parent
        return False

    @property
    def _place(self) -> tuple[object, ...]:
        return self._store, self._name, self._window

    @property
    def renews_at(self) -> datetime | None:
        return datetime.fromtimestamp(self._window, UTC) if self._window else None

    def totals(self) -> tuple[Sums, Sums]:
        with _looked_up():
            spent, held = self._quota.store.totals(self._name, self._window)
        return spent.sums(), held.sums()

    def exchange(
        self, needs: Sequence[Need], holds: Sequence[Sums], *, instead: object, force: bool
    ) -> Sequence[object] | None:
        with _looked_up():
            got = self._quota.store.hold(
                self._name,
                self._window,
                _asked(needs, holds),
                caps=None if force else self._caps,
                instead=instead,
                seconds=self._quota.lease_seconds,
            )
        self._refused = 0 if got is not None else self._refused + 1
        if self._refused > _MOST_REFUSED:
            raise RunError("the store of quotas refuses what fits by its own totals")
        return got

    def settle(self, ticket: object, spent: Sums) -> None:
        self._told(ticket, Amounts.of(spent))

    def correct(self, ticket: object, change: Sums) -> None:
        del ticket  # it is settled
        self._told(None, Amounts.of(change))

    def release(self, ticket: object) -> None:
        try:
            self._quota.store.release(ticket)
        except Exception:  # noqa: BLE001 - of whatever store
            tell_once(_UNTOLD)

    def _told(self, ticket: object, spent: Amounts) -> None:
        """The call is paid for: a store that fails must not lose its answer."""
        try:
            self._quota.store.settle(self._name, self._window, ticket, spent)
        except Exception:  # noqa: BLE001 - of whatever store
            tell_once(_UNTOLD)


@contextmanager
def _looked_up() -> Generator[None]:
    """One error for the failures of all stores; the text of another's may be anything."""
    try:
        yield
    except ThinktwiceError:
        raise
    except Exception as error:
        raise RunError(f"the store of quotas failed: {status_of(error)}") from error


def _place_of(store: QuotaStore) -> object:
    """What it counts in: several stores of one file are one."""
    if isinstance(store, SqliteStore) and store.path != MEMORY:
        return os.path.realpath(store.path)
    try:
        place = ref(store)
        hash(place)
    except TypeError:
        return id(store)
    return place


@lru_cache(maxsize=_REMEMBERED)
def _sizes_of(place: object, name: str) -> Sizes:
    """Of the calls of a quota, for all its requests: only the first of them is a probe."""
    del place, name  # which it is remembered by
    return Sizes()


def _is_store(store: object) -> bool:
    methods = ("totals", "hold", "settle", "release")
    return not isinstance(store, type) and all(callable(getattr(store, m, None)) for m in methods)


def _asked(needs: Sequence[Need], holds: Sequence[Sums]) -> list[Hold]:
    """Of several calls, it is their sum that is rounded up: they fit where they fit unrounded."""
    asked: list[Hold] = []
    total, before = ZERO, 0
    for need, hold in zip(needs, holds, strict=True):
        total += hold.cost
        units = Amounts.of(Sums(cost=total)).cost
        amounts = Amounts(hold.calls, hold.tokens, units - before)
        asked.append(Hold(amounts, Amounts.of(_known(need))))
        before = units
    return asked


def _known(need: Need) -> Sums:
    """The worst case, as far as it is known: of the rest, a call holds all that there is."""
    return Sums(need.calls, need.tokens or 0, need.cost or ZERO)
