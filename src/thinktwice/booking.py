"""One model call on its way through a ledger."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from thinktwice.account import now
from thinktwice.entry import Entry
from thinktwice.errors import UsageError, http_status, status_of
from thinktwice.sample import Completion, Usage, sound

if TYPE_CHECKING:
    from types import TracebackType

    from thinktwice.account import Lease
    from thinktwice.entry import Role, Status
    from thinktwice.scope import Scope
    from thinktwice.telemetry import Leaf

FREE: Final = Decimal(0)

_current: ContextVar[Booking | None] = ContextVar("thinktwice_booking", default=None)


def current_booking() -> Booking | None:
    """The model call that the running code is inside of, if there is one."""
    return _current.get()


class Booking:
    """One model call: reserved, sent, and settled once."""

    def __init__(
        self,
        scope: Scope,
        lease: Lease,
        *,
        role: Role,
        model: str | None,
        provider: str | None,
        leaf: Leaf,
    ) -> None:
        """Made by `Scope.book`."""
        self.model = model
        self.provider = provider
        self.scope = scope
        self._role: Role = role
        self._lease = lease
        self._leaf = leaf
        self._lock = threading.Lock()
        self._started = now()
        self.begun = False

    def __enter__(self) -> None:
        """The block in which the call is under way: its latency starts here."""
        self._started = now()
        self.begun = True
        self._token = _current.set(self)
        self._span = self._leaf.current()
        self._span.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """It has ended; `settle` says how."""
        self._span.__exit__(kind, error, trace)
        _current.reset(self._token)

    def withdraw(self) -> None:
        """It is no model call after all: it was not sent, or a run inside it books its own."""
        self.scope.forget(self)
        self._lease.release()
        self._leaf.discard()

    def settle(
        self,
        *,
        status: Status = "ok",
        usage: Usage | None = None,
        model: str | None = None,
        provider: str | None = None,
        cached: bool = False,
        error: BaseException | None = None,
    ) -> Entry:
        """Record how the call ended. Synchronous, so that no cancellation can come between.

        The first time counts. A call that was abandoned meanwhile settles late: its estimate gives
        way to what it cost.

        Args:
            status: How it ended.
            usage: Tokens, as the provider reports them.
            model: The model that answered, if it is not the one that was asked for.
            provider: Who served it.
            cached: It was answered from a cache and cost nothing.
            error: What it raised.
        """
        unpriced: Exception | None = None
        try:
            entry = self._entry(status, usage, model, provider, error, cached=cached)
        except Exception as raised:  # noqa: BLE001 - the call is paid for: book it first
            unpriced = raised
            known = _usable(usage)
            entry = Entry(role=self._role, status=status, usage=known, sample=self.scope.index)
        with self._lock:  # a thread that ends late may come between
            if not self._lease.open:  # abandoned before, or settled twice: the lease knows
                self._lease.settle_late(entry)
                return entry
            # An HTTP status says that the provider refused the call: it bills nothing for that.
            entry = self._lease.settle(entry, billed=error is None or http_status(error) is None)
        self.scope.forget(self)
        self._leaf.end(entry, error=error)
        self.scope.recorder.count_call(self.scope.strategy, entry)
        if unpriced is not None:
            raise unpriced
        return entry

    def late(self, completion: Completion[object] | None, error: BaseException | None) -> None:
        """Record how an abandoned call of a sampler ended, if that is known."""
        if completion is not None and completion.usage is not None:
            self.settle(
                usage=completion.usage,
                model=completion.model,
                provider=completion.provider,
                cached=completion.cached,
                error=error,
            )

    def _entry(
        self,
        status: Status,
        usage: Usage | None,
        model: str | None,
        provider: str | None,
        error: BaseException | None,
        *,
        cached: bool,
    ) -> Entry:
        model, provider = model or self.model, provider or self.provider
        known = Usage() if usage is None else sound(usage)
        seconds = max(0.0, now() - self._started)  # before prices, which may have to be loaded
        cost = self.scope.price(known, model, provider, cached=cached)
        return Entry(
            role=self._role,
            status=status,
            usage=Usage(input_tokens=0, output_tokens=0, source="provider") if cached else known,
            cost=cost,
            seconds=seconds,
            model=model,
            provider=provider,
            sample=self.scope.index,
            cached=cached,
            error=None if error is None else status_of(error),
        )


def _usable(usage: Usage | None) -> Usage:
    """The usage, if it may be added up at all."""
    try:
        return Usage() if usage is None else sound(usage)
    except UsageError:
        return Usage()
