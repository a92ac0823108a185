"""Model calls outside of any strategy, on one account with the runs inside them.

An agent asks its model, a tool of it takes a vote, a judge is asked: a session knows what they
spend together, and caps it. Code enters it block by block, on whatever task or thread the next
calls are made.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice import telemetry
from thinktwice.account import Refusal, now
from thinktwice.budget import Need
from thinktwice.entry import ZERO, Spent
from thinktwice.errors import BudgetExceeded
from thinktwice.lease import Sums
from thinktwice.ledger import Ledger
from thinktwice.pricing.table import default_prices, load_list_prices
from thinktwice.result import Result
from thinktwice.scope import Scope
from thinktwice.threads import in_thread
from thinktwice.workflow import current_scope, entered, ledger_around, report

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence

    from thinktwice.account import Lease
    from thinktwice.budget import Budget, Limit
    from thinktwice.limiter import Limiter
    from thinktwice.pricing.table import Price
    from thinktwice.protocols import PriceSource

T = TypeVar("T")

_LEAST: Final = Need(tokens=1, cost=Decimal("1e-12"))


class Block(Scope):
    """What a block of a session books its calls in; it is no sample of anything."""

    _refused: tuple[Limit, int] | None = None  # and how many calls there were then

    @property
    def path(self) -> str:
        """That of what is around it."""
        return "" if self._outer is None else self._outer.path

    def check(self) -> None:
        """Refuse what came of it if its last call was refused: code around has made it up.

        Raises:
            BudgetExceeded: A cap here or around here refused a call, or ended a run inside, and no
                later call has succeeded.
        """
        if self._refused is None:
            return
        limit, before = self._refused
        if not any(entry.status == "ok" for entry in self.ledger.entries[before:]):
            raise BudgetExceeded(limit)

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None]:
        """As of any scope; a run inside that ends by a budget is refused."""
        with self._noting_refusals():
            async with super().lent():
                yield

    async def _exchanged(self, need: Need) -> Lease:
        with self._noting_refusals():
            return await super()._exchanged(need)

    @contextmanager
    def _noting_refusals(self) -> Generator[None]:
        try:
            yield
        except BudgetExceeded as error:
            if self.ledger.bound_by(error.limit):  # else it is the business of what is inside
                self._refused = error.limit, len(self.ledger.entries)
            raise


class Session:
    """Blocks of code that spend from one budget, though no strategy runs around them.

    In `budget_scope` strategies find their budget. In the blocks of a session the callbacks of a
    framework also find a `Scope`, to book plain model calls in. The budgets around the place where
    it is opened bind as well.

    Attributes:
        id: Random name, in its span.
        ledger: Caps and calls; those of `before` count, and are no entries.
        cut: The cap that ended it, once one has; see `ended`.
        around: The scope that it was opened in, or went on in last, if there is one.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        name: str = "session",
        prices: Mapping[str, Price] | PriceSource | None = None,
        limiter: Sequence[Limiter] = (),
        before: Spent | None = None,
        emitted: bool | None = None,
    ) -> None:
        """Open it; its clock starts.

        Args:
            budget: The caps.
            name: Of what it is for, in spans and metrics.
            prices: USD per million tokens by model, over the list prices.
            limiter: Caps shared with others; those of enclosing runs bind too.
            before: What it has spent already, in another process.
            emitted: Whether somebody else opens spans for it and its model calls; None to find out.
        """
        self.around = outer = current_scope()
        self.id = secrets.token_hex(8)
        self.name = name
        self.cut: Limit | None = None
        self.ledger = Ledger(budget, parent=ledger_around())
        self._before = before or Spent()
        self._listed = prices is None and outer is None
        self._prices = outer.prices if outer and prices is None else default_prices(prices)
        self._limiters = tuple(limiter)
        self._recorder = telemetry.Recorder()
        self._span = telemetry.Lasting(self._recorder, name, self.id, emitted=emitted)
        self._lock = threading.Lock()
        self._inside = 0
        self._left = now()
        if before is not None:
            counted = Sums(before.calls, before.tokens or 0, before.cost or ZERO)
            uncounted = Sums(0, before.uncounted_tokens, before.uncounted_cost)
            self.ledger.carry(counted, uncounted, seconds=before.seconds)

    @property
    def spent(self) -> Spent:
        """What it has spent so far, in all processes."""
        total = self._before.total + self.ledger.total
        return Spent.of(total, seconds=self.ledger.seconds, uncounted=self.ledger.uncounted)

    def ended(self, error: BudgetExceeded) -> BudgetExceeded | None:
        """End it where its budget, or one around it, refused a call or ran out.

        Returns:
            An error that has its ledger; None where the budget was of something inside, whose own
            business that is.
        """
        if not self.ledger.bound_by(error.limit):
            return None
        self.cut = self.cut or error.limit
        return BudgetExceeded(
            self.cut,
            Result[object](
                value=None,
                answer=None,
                winner=None,
                samples=(),
                launched=0,
                used=0,
                ledger=self.ledger,
                stopped_by=self.cut,
            ),
        )

    def check(self) -> None:
        """Refuse a model call before anything is done for it, if none fits any more.

        Raises:
            BudgetExceeded: A cap has ended it, or no call fits.
        """
        if self.cut is not None:
            raise BudgetExceeded(self.cut)
        got = self.ledger.reserve(_LEAST)
        if not isinstance(got, Refusal):
            got[0].release()
        elif not got.may_pass:
            raise BudgetExceeded(got.limit)

    async def work(
        self,
        call: Callable[[Scope], Awaitable[T]],
        *,
        slot: bool = False,
        recallable: bool = True,
        passthrough: tuple[type[Exception], ...] = (),
    ) -> T:
        """Run a block, cut off where the time of the budget ends.

        Args:
            call: The block; it gets the scope in which its model calls are booked, which is the
                current one as well.
            slot: It is a model call, and holds a place in the limiters.
            recallable: Cancelling it ends its calls; False for what runs on a thread.
            passthrough: What a framework raises to steer, which is no failure.

        Raises:
            BudgetExceeded: A call did not fit, or time is up; see `ended`. Also where code around
                the call made something up in its place.
        """
        if self._listed and not load_list_prices.cache_info().currsize:
            began = now()
            await in_thread(load_list_prices)  # once a process, and at nobody's expense
            self.ledger.carry(Sums(), Sums(), seconds=began - now())
        deadline = self.ledger.deadline
        if deadline is not None and now() >= deadline:  # a thread would start all the same
            raise BudgetExceeded(self.ledger.expiring)
        timer = asyncio.timeout_at(deadline)
        try:
            async with timer:
                return await self._worked(call, slot, recallable, passthrough)
        except TimeoutError:
            if not timer.expired():
                raise
            raise BudgetExceeded(self.ledger.expiring) from None

    async def _worked(
        self,
        call: Callable[[Scope], Awaitable[T]],
        slot: bool,  # noqa: FBT001 - as in `work`
        recallable: bool,  # noqa: FBT001
        passthrough: tuple[type[Exception], ...],
    ) -> T:
        outer, error = current_scope(), None
        scope, status = self._scope(outer), "ok"
        self._count(1)
        try:
            async with AsyncExitStack() as stack:
                if outer is not None:
                    await stack.enter_async_context(outer.lent())
                stack.enter_context(self._span.current())
                stack.enter_context(entered(scope))
                if slot:
                    await stack.enter_async_context(scope.working())
                value = await call(scope)
                scope.check()
                return value
        except BaseException as raised:
            error, status = raised, "error"
            if isinstance(raised, asyncio.CancelledError):
                status = "cancelled" if recallable else "abandoned"
            raise
        finally:
            scope.end(status, error)
            self._left_by(scope, error, failed=not isinstance(error, passthrough))

    def _left_by(self, scope: Scope, error: BaseException | None, *, failed: bool) -> None:
        for each in scope.nested:
            report(each)
        self._count(-1)
        if error is not None and not self._inside:  # perhaps for good: nobody may come back
            self._span.end(self.ledger, error if failed else None)

    def _scope(self, outer: Scope | None) -> Block:
        inherited = outer.limiters if outer else ()
        return Block(
            strategy=self.name,
            role="sample",
            index=None,
            ledger=self.ledger,
            limiters=tuple(dict.fromkeys([*inherited, *self._limiters])),
            prices=self._prices,
            recorder=self._recorder,
            run=self.id,
        )

    def _count(self, blocks: int) -> None:
        with self._lock:
            self._inside += blocks
            self._left = now()

    def resume(self) -> None:
        """Go on after a pause: the clock has stood still since the last block ended."""
        self.around = current_scope()
        with self._lock:
            if not self._inside:
                paused, self._left = now() - self._left, now()
                self.ledger.carry(Sums(), Sums(), seconds=-paused)

    def close(self) -> None:
        """Stop the clock, and end the span: no block follows."""
        self.ledger.close()
        self._span.end(self.ledger, None)
