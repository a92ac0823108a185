"""Several draws at once: launched as room allows, handed over as they arrive."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice.errors import BudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from thinktwice.budget import Limit
    from thinktwice.ledger import Ledger
    from thinktwice.nursery import Nursery

X = TypeVar("X")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides about launching and ending; pure.

    Attributes:
        total: Draws at most.
        room: How many may be under way as things stand.
        until: Whether to end.
        wakes: Clock times at which to ask `until` again.
    """

    total: int
    room: Callable[[], int]
    until: Callable[[], bool] | None = None
    wakes: tuple[float, ...] = ()


class Draws(Generic[X]):
    """Iterates over what `work` returns, in order of arrival.

    Attributes:
        exhausted: The budget that ended the drawing, if one did.
        positions: Which of the prompts a sample was drawn from, by the sample's index.
    """

    def __init__(
        self, work: Callable[[int], Awaitable[X]], plan: Plan, nursery: Nursery, ledger: Ledger
    ) -> None:
        """Launch nothing yet: that begins with the iteration."""
        self.exhausted: Limit | None = None
        self.positions: dict[int, int] = {}
        self._work = work
        self._plan = plan
        self._nursery = nursery
        self._ledger = ledger
        self._launched = 0
        self._pending = 0
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
            if self._plan.until is not None and self._plan.until():
                raise StopAsyncIteration
            if self._ready:
                return self._ready.popleft()
            if (limit := self._ledger.exhausted) is not None:
                await self._cut(limit)
                continue
            self._launch()
            if not self._pending:
                raise StopAsyncIteration
            await self._wait()

    def _launch(self) -> None:
        plan = self._plan
        while (
            self._launched < plan.total and self.exhausted is None and self._pending < plan.room()
        ):
            self._nursery.start(self._one(self._launched))
            self._launched += 1
            self._pending += 1

    async def _one(self, position: int) -> None:
        try:
            self._ready.append(await self._work(position))
        except BudgetExceeded as error:
            self.exhausted = self.exhausted or error.limit
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or self._nursery.recalled(task):
                raise
            self._fatal = self._fatal or RuntimeError("a draw was cancelled from within")
        except StopAsyncIteration:  # it would pass for the end of the iteration
            self._fatal = self._fatal or RuntimeError("a draw raised StopAsyncIteration")
        except BaseException as error:  # noqa: BLE001 - raised again where the draws are awaited
            self._fatal = self._fatal or error
        finally:
            self._pending -= 1
            self._news.set()

    async def _cut(self, limit: Limit) -> None:
        self.exhausted = self.exhausted or limit
        if not self._pending:
            raise StopAsyncIteration
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
            self._timer = loop.call_at(min(times), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._news.set()
