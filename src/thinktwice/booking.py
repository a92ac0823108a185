"""One model call on its way through a ledger."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from thinktwice.account import Refusal, now
from thinktwice.budget import Need
from thinktwice.costing import cost_of
from thinktwice.entry import ZERO, Entry
from thinktwice.errors import UsageError, status_of
from thinktwice.limiter.failures import is_unbilled
from thinktwice.limiter.passage import Passage
from thinktwice.sample import Completion, Usage, sound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from thinktwice.account import Lease
    from thinktwice.entry import Role, Status
    from thinktwice.scope import Scope
    from thinktwice.telemetry import Leaf

_current: ContextVar[Booking | None] = ContextVar("thinktwice_booking", default=None)


def current_booking() -> Booking | None:
    """The model call that the running code is inside of, if there is one."""
    return _current.get()


class Booking:
    """One model call: reserved, sent, and settled once.

    Attributes:
        scope: The sample or verdict it belongs to.
        model: The model that is asked.
        provider: Who serves it.
        passage: Its way through the rates of the limiters.
        queued: Seconds that it waited for limiters.
        begun: It was sent, or is being sent.
        sampler: What is called, where that is known.
    """

    def __init__(
        self,
        scope: Scope,
        lease: Lease,
        *,
        role: Role,
        model: str | None,
        provider: str | None,
        leaf: Leaf,
        size: int = 0,
    ) -> None:
        """Made by `Scope.book`.

        Args:
            scope: The sample or verdict it belongs to.
            lease: What it holds of the budget.
            role: What it is for.
            model: The model that is asked.
            provider: Who serves it.
            leaf: Its span.
            size: Tokens that limiters take it for before they know the model.
        """
        self.model = model
        self.provider = provider
        self.scope = scope
        self.passage = Passage(scope.limiters, model)
        self.sampler: object = None
        self.queued = 0.0
        self._size = size
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

    async def leave(self) -> None:
        """Wait until the rates of the limiters let it go."""
        if waited := await self.passage.leave(self.scope.request, self._size):
            self.queued += waited
            self._started = now()

    @property
    def lease(self) -> Lease:
        """What it holds of the budget."""
        return self._lease

    def restart(self, waited: float) -> None:
        """Start its latency anew: so far it has waited for limiters.

        Args:
            waited: Seconds for their rates; those for their slots are in the scope's.
        """
        self.queued += self.scope.queued + waited
        self.scope.queued = 0.0
        self._started = now()

    def count_refused(self, error: Exception) -> bool:
        """Book what was sent so far as a call that a server refused: the next try is another call.

        Returns:
            Whether the budget has a call left for it.
        """
        scope = self.scope
        if scope.ledger.parent is not None:
            scope.ledger.parent.make_room(1)
        leases = scope.ledger.reserve(Need(tokens=0, cost=ZERO))
        if isinstance(leases, Refusal):
            return False
        around = self._leaf.around  # beside the call that follows it
        leaf = scope.recorder.leaf(self.model, self.provider, {}, around=around)
        refused = Booking(
            scope, leases[0], role=self._role, model=self.model, provider=self.provider, leaf=leaf
        )
        refused.passage.mute()
        refused._started = self._started
        refused.settle(status="error", error=error)
        self._started = now()
        return True

    @property
    def captures(self) -> bool:
        """Prompt and completion are wanted on its span."""
        return self._leaf.captures

    def ask(self, prompt: object) -> None:
        """Keep what is asked, for its span: a text, or messages. Only where that is captured."""
        self._leaf.ask(prompt)

    def hear(self, replies: Sequence[object], finish_reasons: Sequence[str | None] = ()) -> None:
        """Keep what was answered, likewise; see `Leaf.hear`."""
        self._leaf.hear(replies, finish_reasons)

    def answered(self, completions: Sequence[Completion[object]]) -> None:
        """Keep what a sampler returned, by each choice, likewise."""
        if self.captures:
            said = [each.value if each.text is None else each.text for each in completions]
            self.hear(said, [each.finish_reason for each in completions])

    def tell(
        self,
        finish_reasons: Sequence[str | None] = (),
        *,
        response_id: str | None = None,
        choices: int = 1,
    ) -> None:
        """Keep what the provider said of its response, for its span; see `Leaf.tell`."""
        self._leaf.tell(finish_reasons, response_id=response_id, choices=choices)

    def sent(self) -> None:
        """Nothing holds it up any more: its span begins."""
        self._leaf.begin()

    def withdraw(self) -> None:
        """It is no model call after all: it was not sent, or a run inside it books its own."""
        self.scope.forget(self)
        self._lease.release()
        self._leaf.discard()
        self.passage.withdraw()

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
            entry = self._lease.settle(entry, billed=error is None or not is_unbilled(error))
        self.scope.forget(self)
        self.passage.ended(entry.status, entry.usage.total_tokens, error, cached=entry.cached)
        self.scope.recorder.count_call(self.scope.strategy, entry, self._leaf)
        self._leaf.end(entry, error=error)
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
        prices = self.scope.prices
        cost = cost_of(known, model, provider, prices=prices, cached=cached)
        if cost is None and model != self.model:  # a dated name, of the one that was asked for
            cost = cost_of(known, self.model, provider, prices=prices, cached=cached)
        return Entry(
            role=self._role,
            status=status,
            usage=Usage(input_tokens=0, output_tokens=0, source="provider") if cached else known,
            cost=cost,
            seconds=seconds,
            queued=self.queued,
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
