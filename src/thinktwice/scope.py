"""Where the calls below a sample or a verdict are booked.

A model call is booked before it is sent and settled once afterwards, wherever it comes from: a
sampler of ours, or a framework's callback deep inside a chain. The current scope is a context
variable, so that a judge, a nested run and a chain all find it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from thinktwice.account import Refusal
from thinktwice.booking import FREE, Booking, current_booking
from thinktwice.budget import Budget, Need
from thinktwice.errors import BudgetExceeded, RunError, UsageError
from thinktwice.ledger import Ledger
from thinktwice.limiter import Slots
from thinktwice.sample import Usage
from thinktwice.telemetry import NO_LEAF
from thinktwice.tokens import has_media, text_of, upper_bound_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
    from decimal import Decimal

    from thinktwice.account import Lease
    from thinktwice.entry import Role, Status, Total
    from thinktwice.limiter import Limiter
    from thinktwice.protocols import PriceSource
    from thinktwice.result import Result
    from thinktwice.telemetry import Recorder

_GONE = "the run has moved on without this sample: the call is not sent"

_scope: ContextVar[Scope | None] = ContextVar("thinktwice_scope", default=None)
_place: ContextVar[tuple[Scope, Slots] | None] = ContextVar("thinktwice_place", default=None)
_budgeted: ContextVar[Ledger | None] = ContextVar("thinktwice_ledger", default=None)
_collected: ContextVar[list[Result[object]] | None] = ContextVar("thinktwice_results", default=None)


class Scope:
    """A sample or a verdict in the making.

    Attributes:
        strategy: Name of the strategy that asked for it.
        role: What its calls are for.
        index: Index of the sample.
        ledger: Its own ledger, inside that of the run.
        limiters: Those that bind its calls, outermost first.
        nested: Results of the runs inside it.
        begun: It got its place: what it does may cost something.
    """

    def __init__(
        self,
        *,
        strategy: str,
        role: Role,
        index: int | None,
        ledger: Ledger,
        limiters: Sequence[Limiter],
        prices: PriceSource,
        recorder: Recorder,
        leases: Sequence[Lease] = (),
    ) -> None:
        """Open a scope.

        Args:
            strategy: Name of the strategy.
            role: What its calls are for.
            index: Index of the sample.
            ledger: The run's ledger.
            limiters: Those that bind its calls, outermost first.
            prices: What its calls cost.
            recorder: Writes its spans and metrics.
            leases: Held for its first calls.
        """
        self.strategy = strategy
        self.role: Role = role
        self.index = index
        self.ledger = Ledger(parent=ledger)
        self.limiters = limiters
        self.prices = prices
        self.recorder = recorder
        self.nested: list[Result[object]] = []
        self._leases = list(leases)
        self._bookings: list[Booking] = []
        self.begun = False
        self._ended = False
        self._outer = current_scope()
        self._loop = asyncio.get_running_loop()

    @property
    def gone(self) -> bool:
        """Nobody waits for it any more, or for the sample that its run works for."""
        return self._ended or (self._outer is not None and self._outer.gone)

    async def book(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        prompt: object = None,
        max_tokens: int | None = None,
        options: Mapping[str, object] | None = None,
        role: Role | None = None,
        emitted: bool = False,
    ) -> Booking:
        """Reserve the worst case of one model call, waiting while others may give some back.

        Args:
            model: The model that will be asked.
            provider: Who serves it.
            prompt: The input, to bound its tokens.
            max_tokens: Output tokens at most; None if nobody says.
            options: Settings of the call, for its span.
            role: What the call is for, if it is not what the scope is for.
            emitted: Somebody else opens a span for this call.

        Raises:
            BudgetExceeded: It does not fit, and nothing in flight could change that.
            RunError: The sample was given up meanwhile: nobody waits for the call.
        """
        if self.gone:
            raise RunError(_GONE)
        role = role or self.role
        need = self.worst_case(model, provider, prompt, max_tokens, role=role)
        lease = self._leases.pop() if self._leases else None
        if lease is None or lease.need != need:
            lease = await self._exchanged(lease, need)
        if self.gone:  # it ended while this waited, on behalf of a thread
            lease.release()
            raise RunError(_GONE)
        lease.wake()
        leaf = self.recorder.leaf(model, provider, options or {}, emitted=emitted)
        booking = Booking(self, lease, role=role, model=model, provider=provider, leaf=leaf)
        self._bookings.append(booking)
        return booking

    async def _exchanged(self, lease: Lease | None, need: Need) -> Lease:
        """Another lease in the place of the one held for the first call, which ends either way."""
        leases: list[Lease] = []
        try:
            got = self.ledger.reserve(need, instead=lease)
            if isinstance(got, Refusal):
                async with _Idle(self):  # whoever waits for money must not keep others from work
                    got = await self.ledger.acquire(need, instead=lease)
                    leases = got if isinstance(got, list) else []
        except BaseException:
            for each in (*leases, *([lease] if lease else [])):
                each.release()
            raise
        if isinstance(got, list):
            return got[0]
        if lease is not None:
            lease.release()
        raise BudgetExceeded(got)

    def book_from_thread(self, **call: object) -> Booking:
        """`book`, from a worker thread: what it would wait for happens on the run's own loop.

        Raises:
            BudgetExceeded: It does not fit.
            RunError: The sample was given up meanwhile.
        """
        if self.gone:
            raise RunError(_GONE)
        booking = self.book(**call)  # type: ignore[arg-type]
        try:
            future = asyncio.run_coroutine_threadsafe(booking, self._loop)
        except RuntimeError:  # the loop is closed
            booking.close()
            raise RunError(_GONE) from None
        return future.result()

    def working(self) -> _Working:
        """Hold a place in every limiter for a block, in place of one that the caller holds."""
        return _Working(self)

    def begin(self) -> None:
        """It got its place: what happens from now on may cost something."""
        self.begun = True

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None]:
        """Let another run work inside: it books its own calls, and needs the places held here."""
        self.release()
        if self.ledger.parent is not None:
            self.ledger.parent.uncount()
        inside = current_booking()
        if inside is not None and inside.scope is self:
            inside.withdraw()
        async with _Idle(self):
            yield

    def price(
        self, usage: Usage, model: str | None, provider: str | None, *, cached: bool = False
    ) -> Decimal | None:
        """USD of a call; None while unpriced."""
        if cached:
            return FREE
        if usage.source == "missing":
            return None
        try:
            return self.prices.price(usage, model=model, provider=provider)
        except Warning:  # one of ours, turned into an error by the caller's filters
            raise
        except Exception as error:
            remedy = f"its price() raised {type(error).__name__} for model {model!r}"
            raise UsageError("prices", self.prices, remedy) from error

    def worst_case(
        self,
        model: str | None,
        provider: str | None,
        prompt: object,
        max_tokens: int | None,
        *,
        role: Role,
        further: int = 0,
    ) -> Need:
        """The most that a call can take, as far as it is known and a cap makes it matter.

        Args:
            model: The model.
            provider: Who serves it.
            prompt: The input.
            max_tokens: Output tokens at most; None if nobody says.
            role: What the call is for.
            further: Input tokens that are not in the prompt yet.
        """
        kind = f"{role}:{model}"
        if not self.ledger.capped or max_tokens is None or has_media(prompt):
            return Need(kind=kind)
        inputs = upper_bound_tokens(text_of(prompt)) + further
        worst = Usage(input_tokens=inputs, output_tokens=max_tokens, source="estimated")
        cost = self.price(worst, model, provider)
        return Need(tokens=inputs + max_tokens, cost=cost, kind=kind)

    def forget(self, booking: Booking) -> None:
        """A booking is settled."""
        if booking in self._bookings:
            self._bookings.remove(booking)

    def hold(self, lease: Lease) -> None:
        """Keep a lease for the first call."""
        self._leases.append(lease)

    def release(self) -> None:
        """Give back what is held for the first calls: others, or none, took their place."""
        while self._leases:
            self._leases.pop().release()

    def end(self, status: Status, error: BaseException | None = None) -> Total:
        """Settle whatever is open, and add up.

        Calls that a framework never reported back on end as the scope does. A sample that was
        begun and reported no call at all counts as one, of unknown size.
        """
        self._ended = True
        for booking in tuple(self._bookings):
            booking.settle(status=status if status != "ok" else "cancelled", error=error)
        if self._leases and self.role == "sample" and self.begun:
            lease = self._leases.pop()
            alone = Booking(self, lease, role=self.role, model=None, provider=None, leaf=NO_LEAF)
            alone.settle(status=status, error=error)
        self.release()
        return self.ledger.total


class _Idle:
    """A block in which the places that the running code holds are lent to others."""

    __slots__ = ("_slots",)

    def __init__(self, scope: Scope) -> None:
        holder, slots = _place.get() or (None, None)
        self._slots = slots if holder is scope else None

    async def __aenter__(self) -> None:
        if self._slots is not None:
            self._slots.lend()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._slots is not None:  # one that is cancelled makes no further call
            cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
            await self._slots.regain(wanted=not cancelled)


class _Working:
    """A block that holds a place in every limiter, and lends those of the running code."""

    __slots__ = ("_idle", "_scope", "_slots", "_token")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._idle = _Idle(scope)
        self._slots = Slots(scope.limiters)

    async def __aenter__(self) -> None:
        await self._idle.__aenter__()
        self._token = _place.set((self._scope, self._slots))
        try:
            await self._slots.take()
        except BaseException as error:
            await self.__aexit__(type(error))
            raise
        self._scope.begin()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._slots.close()
        _place.reset(self._token)
        await self._idle.__aexit__(kind)


def current_scope() -> Scope | None:
    """The sample or verdict that the running code works for, if there is one."""
    return _scope.get()


def ledger_around() -> Ledger | None:
    """The innermost ledger that the running code spends from."""
    scope = _scope.get()
    return _budgeted.get() or (scope.ledger if scope else None)


def report(result: Result[object]) -> None:
    """Hand a finished result to the sample it belongs to, or to `collect`."""
    scope, collected = _scope.get(), _collected.get()
    if scope is not None:
        scope.nested.append(result)
    elif collected is not None:
        collected.append(result)


class entered:  # noqa: N801 - used as a function
    """Make a scope the current one for a block."""

    __slots__ = ("_scope", "_tokens")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> Scope:
        """Set the context variables."""
        self._tokens = _scope.set(self._scope), _budgeted.set(None)
        return self._scope

    def __exit__(self, *_: object) -> None:
        """Set them back."""
        scope, budgeted = self._tokens
        _budgeted.reset(budgeted)
        _scope.reset(scope)


@contextmanager
def budget_scope(budget: Budget) -> Generator[Ledger]:
    """Share one budget over all strategy calls of a block, sync and async, threads included.

    Threads need a copy of the context (`asyncio.to_thread` and both frameworks' executors make
    one).

    Args:
        budget: The caps; an enclosing scope binds too.

    Yields:
        The ledger: `remaining` says what is left.

    Raises:
        UsageError: It is no budget.
    """
    if not isinstance(budget, Budget):
        raise UsageError("budget", budget, "give Budget(calls=, tokens=, cost=, seconds=)")
    ledger = Ledger(budget, parent=ledger_around())
    token = _budgeted.set(ledger)
    try:
        yield ledger
    finally:
        _budgeted.reset(token)
        ledger.close()


@contextmanager
def collect() -> Generator[list[Result[object]]]:
    """Gather the results of the outermost strategies of a block."""
    results: list[Result[object]] = []
    token = _collected.set(results)
    try:
        yield results
    finally:
        _collected.reset(token)
