"""Tasks that end with the block they were started in, each cancelled once at the most."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType


_started: WeakSet[asyncio.Task[object]] = WeakSet()
_recalled: WeakSet[asyncio.Task[object]] = WeakSet()


class Nursery:
    """Like `asyncio.TaskGroup`, but a loser that is being cancelled is not cancelled again.

    A second cancel would break an awaiting `finally` block of the caller's code.
    `asyncio.TaskGroup` sends one to every unfinished task when its own task is cancelled, also to
    those that it is already waiting for.
    """

    def __init__(self) -> None:
        """Start with no tasks."""
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order, so that runs repeat
        self._cancelled: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Nothing to set up."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Recall whatever still runs."""
        await self.recall()

    @staticmethod
    def recalled(task: asyncio.Task[object]) -> bool:
        """Whether somebody but the task itself cancelled it: its nursery, or whoever started it."""
        return task not in _started or task in _recalled

    @staticmethod
    def recalls(task: asyncio.Task[object] | None) -> bool:
        """Whether it is the nursery that cancelled a task which it had started."""
        return task is not None and task in _started and task in _recalled

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Start a task; it must keep its exceptions to itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        _started.add(task)
        task.add_done_callback(self._tasks.pop)

    async def recall(self) -> None:
        """Cancel what still runs, once each, and wait until its own clean-up has ended."""
        for task in self._tasks:
            if task not in self._cancelled:
                _recalled.add(task)
                task.cancel()
                self._cancelled.add(task)
        interrupted: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                interrupted = error  # they have had their cancel: go on waiting, then pass it on
        self._cancelled.clear()  # their tracebacks lead back here
        if interrupted is not None:
            raise interrupted


def recalled() -> bool:
    """Whether the running task was cancelled, and not something inside that it waited for."""
    task = asyncio.current_task()
    if task is None or (task.cancelling() and Nursery.recalled(task)):
        return True
    while task.uncancel():  # it cancelled itself: go on without
        pass
    return False
