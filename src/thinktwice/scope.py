"""Where the calls below a sample or a verdict are booked.

A model call is booked before it is sent and settled once afterwards, wherever it comes from: a
sampler of ours, or a framework's callback deep inside a chain. The scope of the running code is
found by `current_scope`: a judge, a nested run and a chain all find it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from thinktwice.advance import Advance
from thinktwice.booking import Booking, current_booking
from thinktwice.costing import worst_case
from thinktwice.errors import RunError
from thinktwice.ledger import Ledger
from thinktwice.limiter.passage import first_size
from thinktwice.limiter.slots import Idle, Working
from thinktwice.sample import NO_USAGE
from thinktwice.telemetry import NO_LEAF
from thinktwice.workflow import current_scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from thinktwice.account import Lease
    from thinktwice.budget import Limit, Need
    from thinktwice.entry import Role, Status, Total
    from thinktwice.limiter import Limiter
    from thinktwice.protocols import PriceSource
    from thinktwice.result import Result
    from thinktwice.telemetry import Recorder

HEARD: Final = "heard of"
"""In the kinds of calls that nobody could refuse."""

_GONE = "the run has moved on without this sample: the call is not sent"

_numbered: ContextVar[tuple[Scope, int] | None] = ContextVar("thinktwice_number", default=None)


class Scope:
    """A sample or a verdict in the making.

    Attributes:
        run: Random name of the run that asked for it, as in its spans.
        strategy: Name of the strategy that asked for it.
        role: What its calls are for.
        index: Index of the sample.
        ledger: Its own ledger, inside that of the run.
        limiters: Those that bind its calls, outermost first.
        nested: Results of the runs inside it.
        begun: It got its place: what it does may cost something.
        request: The ledger of the outermost run: on whose behalf it waits for limiters.
        queued: Seconds that it waited for limiters, of which no entry knows yet.
        since: When what it draws by was called, on the clock of `now`.
        distinct: No other draw gets its answer, also where that comes from a cache.
        on_overrun: Told when a call is on its way that does not fit into the budget.
        silent: It has ended, and reported no call at all.
        remarks: What it gives reason to say; without content.
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
        on_begun: Callable[[], None] | None = None,
        ordinal: int = 0,
        run: str = "",
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
            on_begun: Called when it gets its place.
            ordinal: How many scopes of this role and index came before it in its run.
            run: Random name of the run.
        """
        self.on_begun = on_begun
        self.run = run
        self.strategy = strategy
        self.role: Role = role
        self.index = index
        self.ledger = Ledger(parent=ledger)
        self.limiters = limiters
        self.prices = prices
        self.recorder = recorder
        self.nested: list[Result[object]] = []
        self._advance = Advance(self.ledger, leases)
        self._bookings: list[Booking] = []
        self.begun = False
        self._ended = False
        self._given_up: Booking | None = None
        self._joined = False
        self._ordinal = ordinal
        self._calls = 0
        self.since: float | None = None
        self.distinct = False
        self.on_overrun: Callable[[Limit], None] | None = None
        self.silent = False
        self.remarks: list[str] = []
        self._outer = outer = current_scope()
        self._around = f"{outer.path}/" if outer is not None and outer.path else ""
        self.request: Ledger = ledger if outer is None else outer.request
        self.queued = 0.0
        self._loop = asyncio.get_running_loop()

    @property
    def draws(self) -> bool:
        """It is a draw: the answer that its calls are made for."""
        return self.role in ("sample", "repair")

    @property
    def path(self) -> str:
        """Where it stands in its request, such as "sample:3/verify:0/sample:2".

        It is the same whenever the request is repeated, and another for each sample and verdict.
        """
        index = "" if self.index is None else self.index
        ordinal = f".{self._ordinal}" if self._ordinal else ""
        caller, number = _numbered.get() or (None, 0)
        call = f"#{number}" if caller is self and number else ""
        return f"{self._around}{self.role}:{index}{ordinal}{call}"

    @contextmanager
    def numbered(self) -> Generator[None]:
        """A call among several of the same input, such as one of a judge that is asked thrice."""
        token = _numbered.set((self, self._calls))
        self._calls += 1
        try:
            yield
        finally:
            _numbered.reset(token)

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
        emitted: bool | None = None,
        leaving: bool = True,
    ) -> Booking:
        """Reserve the worst case of one model call, waiting while others may give some back.

        Then wait until the rates of the limiters let it go.

        Args:
            model: The model that will be asked.
            provider: Who serves it.
            prompt: The input, to bound its tokens.
            max_tokens: Output tokens at most; None if nobody says.
            options: Settings of the call, for its span.
            role: What the call is for, if it is not what the scope is for.
            emitted: Whether somebody else opens a span for this call; None to find out.
            leaving: It leaves at once; else whoever books it holds its places in the limiters by
                `working`, and waits for the rates there.

        Raises:
            BudgetExceeded: It does not fit, and nothing in flight could change that.
            RunError: The sample was given up meanwhile: nobody waits for the call.
        """
        if self.gone:
            raise RunError(_GONE)
        role = role or self.role
        need = worst_case(self, prompt, max_tokens, model=model, provider=provider, role=role)
        lease = self._advance.fitting(need) or await self._exchanged(need)
        if self.gone:  # it ended while this waited, on behalf of a thread
            lease.release()
            raise RunError(_GONE)
        lease.wake()
        leaf = self.recorder.leaf(model, provider, options or {}, emitted=emitted)
        booking = Booking(
            self,
            lease,
            role=role,
            model=model,
            provider=provider,
            leaf=leaf,
            size=first_size(self.limiters, prompt, max_tokens),
        )
        self._bookings.append(booking)
        if leaving:
            await self._leave(booking)
        return booking

    async def _exchanged(self, need: Need) -> Lease:
        return await self._advance.exchanged(need, self)

    async def _leave(self, booking: Booking) -> None:
        booking.queued, self.queued = self.queued, 0.0
        try:
            await booking.leave()
        except BaseException:
            booking.withdraw()
            raise
        if self.gone:  # on behalf of a thread, as above
            booking.withdraw()
            raise RunError(_GONE)
        booking.sent()

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

    def witness(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        options: Mapping[str, object] | None = None,
        emitted: bool | None = None,
    ) -> Booking:
        """Book a call that nobody can hold up or refuse, as a framework reports it: see `book`.

        It does not wait for limiters. One that does not fit into the budget overruns it, which ends
        the run; `on_overrun` may end the sample. From any thread; also after the sample was given
        up, since it is paid for all the same.
        """
        if self._given_up is not None:  # late, and booked as it was given up
            booking, self._given_up = self._given_up, None
            booking.model, booking.provider = model, provider
            return booking
        lease, limit = self._advance.witness(f"{self.role}:{HEARD}")
        leaf = self.recorder.leaf(model, provider, options or {}, emitted=emitted)
        booking = Booking(
            self, lease, role=self.role, model=model, provider=provider, leaf=leaf, size=0
        )
        booking.begun = True
        booking.sent()
        self._bookings.append(booking)
        if limit is not None and self.on_overrun is not None:
            self.on_overrun(limit)
        return booking

    def working(self, booking: Booking | None = None, also: Sequence[Limiter] = ()) -> Working:
        """Hold a place in every limiter for a block, in place of one that the caller holds.

        Args:
            booking: The call that is made inside, if it is one: its latency starts when the rates
                of the limiters have let it go.
            also: Further limiters to hold a place in.
        """
        return Working(self, booking, also)

    def resting(self) -> AbstractContextManager[None]:
        """It waits for the request of another draw, which must not wait for what this one holds."""
        return self._advance.resting()

    def join(self, *, counted: bool) -> None:
        """Its answer came in the request of another draw.

        Args:
            counted: It is a call that took nothing more; else nobody knows what it took.
        """
        self._joined = counted
        self.set_apart()

    def set_apart(self) -> None:
        """No other draw gets its answer, though it did not ask for one."""
        self.distinct = True
        if self._outer is not None:
            self._outer.set_apart()

    def begin(self) -> None:
        """It got its place: what happens from now on may cost something."""
        if not self.begun:
            self.begun = True
            if self.on_begun is not None:
                self.on_begun()

    def provisional(self) -> list[Lease]:
        """What it holds for a call of its own, and gives up when a run begins inside it.

        The default cap of its run goes already: that took the sample for one call.
        """
        if self.ledger.parent is not None:
            self.ledger.parent.uncount()
        inside = current_booking()
        own = [inside.lease] if inside is not None and inside.scope is self else []
        return [*self._advance.leases, *own]

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None]:
        """Let another run work inside: it books its own calls, and needs the places held here."""
        self.release()
        if self.ledger.parent is not None:
            self.ledger.parent.uncount()
        inside = current_booking()
        if inside is not None and inside.scope is self:
            inside.withdraw()
        async with Idle(self):
            yield

    def forget(self, booking: Booking) -> None:
        """A booking is settled."""
        if booking in self._bookings:
            self._bookings.remove(booking)

    def hold(self, lease: Lease) -> None:
        """Keep a lease for the first call."""
        self._advance.leases.append(lease)

    def release(self) -> None:
        """Give back what is held for the first calls: others, or none, took their place."""
        self._advance.release()

    def end(self, status: Status, error: BaseException | None = None) -> Total:
        """Settle whatever is open, and add up.

        Calls that a framework never reported back on end as the scope does. A sample that was
        begun and reported no call at all counts as one, of unknown size.
        """
        self._ended = True
        for booking in tuple(self._bookings):
            booking.settle(status=status if status != "ok" else "cancelled", error=error)
        lease = self._advance.take() if self.draws and self.begun else None
        if lease is not None:
            self.silent = True
            alone = Booking(self, lease, role=self.role, model=None, provider=None, leaf=NO_LEAF)
            alone.settle(status=status, error=error, usage=NO_USAGE if self._joined else None)
            self._given_up = alone if status == "abandoned" else None
        self.release()
        return self.ledger.total
