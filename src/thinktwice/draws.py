"""Several draws at once: launched as room allows, handed over as they arrive."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from thinktwice.errors import BudgetExceeded
from thinktwice.nursery import Nursery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from thinktwice.budget import Limit
    from thinktwice.ledger import Ledger

X = TypeVar("X")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides about launching and ending; pure.

    Attributes:
        total: Draws that are handed over at most.
        room: How many may be under way as things stand.
        until: Whether to end.
        wakes: Clock times at which to ask `until` again.
        hedging: When a draw is a straggler, and whether to launch another in its slot; None if
            stragglers are waited for.
        spares: Draws in flight when a cap is overrun may end: their next call ends them. Time
            recalls them all the same.
    """

    total: int
    room: Callable[[], int]
    until: Callable[[], bool] | None = None
    wakes: tuple[float, ...] = ()
    hedging: Hedging | None = None
    spares: bool = False


class Hedging(Protocol):
    """What decides about stragglers."""

    @property
    def patience(self) -> float | None:
        """Seconds after which a draw that begins now is a straggler; None if nobody can tell."""
        ...

    def take(self, fresh: int, *, long: bool) -> bool:
        """Whether another draw may have the slot of a straggler.

        Args:
            fresh: Draws under way that are no stragglers.
            long: It has taken at least twice the patience.
        """
        ...


class Draw:
    """One draw under way.

    Attributes:
        position: Which of the draws it is.
        hedge: It is one more than were asked for, as the one at its position straggles.
    """

    def __init__(self, position: int, hedging: Hedging | None, *, hedge: bool = False) -> None:
        """Launch it; it is no straggler before it has begun."""
        self.position = position
        self.hedge = hedge
        self.overdue: Callable[[Draw], bool] | None = None
        self._hedging = hedging
        self._timer: asyncio.TimerHandle | None = None

    def begun(self) -> None:
        """It has got its place: from now on it may be a straggler."""
        seconds = None if self._hedging is None else self._hedging.patience
        if seconds is not None and self._timer is None:
            self._set(seconds)

    def ended(self) -> None:
        """It has got its reply."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        # In a context of its own: loops keep timers that were cancelled, and what these hold.
        self._timer = loop.call_later(seconds, self._ring, seconds, context=Context())

    def _ring(self, seconds: float) -> None:
        if self.overdue is not None and self.overdue(self):
            self._set(seconds)  # to be looked at again


class Draws(Generic[X]):
    """Iterates over what `work` returns, in order of arrival.

    Attributes:
        exhausted: The budget that ended the drawing, if one did.
        positions: Which of the prompts a sample was drawn from, by the sample's index.
        hedges: Draws launched in the slots of stragglers.
    """

    def __init__(
        self, work: Callable[[Draw], Awaitable[X]], plan: Plan, nursery: Nursery, ledger: Ledger
    ) -> None:
        """Launch nothing yet: that begins with the iteration."""
        self.exhausted: Limit | None = None
        self.positions: dict[int, int] = {}
        self.hedges: int = 0
        self._work = work
        self._plan = plan
        self._nursery = nursery
        self._ledger = ledger
        self._launched = 0
        self._handed = 0
        self._pending = 0
        self._late: dict[Draw, int] = {}  # stragglers that keep their slots: how often it was late
        self._hedged: set[Draw] = set()
        self._behind: deque[int] = deque()
        self._ready: deque[X] = deque()
        self._fatal: BaseException | None = None
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def __aiter__(self) -> Draws[X]:
        """Itself."""
        return self

    async def __anext__(self) -> X:
        """The next arrival."""
        while True:
            if self._fatal is not None:
                raise self._fatal
            if self._handed == self._plan.total or (
                self._plan.until is not None and self._plan.until()
            ):
                raise StopAsyncIteration
            if self._ready:
                self._handed += 1
                return self._ready.popleft()
            if (limit := self._ledger.exhausted) is not None:
                await self._cut(limit)
                continue
            self._launch()
            if self._ready or self._fatal is not None:  # under eager tasks a draw may end at once
                continue
            if not self._pending:
                raise StopAsyncIteration
            await self._wait()

    def _launch(self) -> None:
        plan = self._plan
        while self.exhausted is None:
            taken = self._pending - len(self._hedged)
            if taken >= plan.room() and not self._give_up_a_slot():
                return
            if self._launched < plan.total:
                draw = Draw(self._launched, plan.hedging)
                self._launched += 1
            elif self._behind:
                draw = Draw(self._behind.popleft(), plan.hedging, hedge=True)
            else:
                return
            draw.overdue = self._overdue
            self._pending += 1
            self._nursery.start(self._one(draw))

    def _give_up_a_slot(self) -> bool:
        """Let another draw have the slot of a straggler, if there is one and that is allowed."""
        hedging = self._plan.hedging
        if hedging is None or not self._late:
            return False
        draw = next(iter(self._late))
        fresh = self._pending - len(self._late) - len(self._hedged)
        if not hedging.take(fresh, long=self._late[draw] > 1):
            return False
        del self._late[draw]
        self._hedged.add(draw)
        self._behind.append(draw.position)
        self.hedges += 1
        return True

    def _overdue(self, draw: Draw) -> bool:
        """Whether to ask again later: it keeps its slot so far."""
        if draw in self._hedged:
            return False
        self._late[draw] = self._late.get(draw, 0) + 1
        self._news.set()
        return True

    async def _one(self, draw: Draw) -> None:
        try:
            self._ready.append(await self._work(draw))
        except BudgetExceeded as error:
            if draw.hedge:
                self.hedges -= 1
            else:
                self.exhausted = self.exhausted or error.limit
        except asyncio.CancelledError:
            if _is_recalled():
                raise
            self._fatal = self._fatal or RuntimeError("a draw was cancelled from within")
        except StopAsyncIteration:  # it would pass for the end of the iteration
            self._fatal = self._fatal or RuntimeError("a draw raised StopAsyncIteration")
        except BaseException as error:  # noqa: BLE001 - raised again where the draws are awaited
            self._fatal = self._fatal or error
        finally:
            draw.ended()
            self._late.pop(draw, None)
            self._hedged.discard(draw)
            self._pending -= 1
            self._news.set()

    async def _cut(self, limit: Limit) -> None:
        self.exhausted = self.exhausted or limit
        if not self._pending:
            raise StopAsyncIteration
        if self._plan.spares and not self._ledger.out_of_time:
            await self._wait()
        else:
            await self._nursery.recall()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    async def _wait(self) -> None:
        self._news.clear()
        if self._timer is None:
            self._set_timer()
        await self._news.wait()

    def _set_timer(self) -> None:
        """Wake up at the next time that matters, if there is one."""
        loop = asyncio.get_running_loop()
        times = [time for time in self._plan.wakes if time > loop.time()]
        if (deadline := self._ledger.deadline) is not None:
            times.append(deadline)
        if times:
            self._timer = loop.call_at(min(times), self._ring, context=Context())

    def _ring(self) -> None:
        self._timer = None
        self._news.set()


def _is_recalled() -> bool:
    """Whether the running task is; apart, since its traceback must not lead back to the task."""
    task = asyncio.current_task()
    return task is None or Nursery.recalled(task)
