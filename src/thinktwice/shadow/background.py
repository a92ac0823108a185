"""Work behind a request, which nobody awaits and which outlives the request."""

from __future__ import annotations

import asyncio
import atexit
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry import context as otel
from opentelemetry import trace

from thinktwice import exploring
from thinktwice.errors import UsageError
from thinktwice.threads import lasting_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_OURS: Final = "thinktwice"  # begins the name of each of our context variables

in_background: ContextVar[bool] = ContextVar("thinktwice_in_background", default=False)
"""Whether the running code is such work."""


class Background:
    """Tasks on the event loop that they are started from, or on a daemon thread's if there is none.

    A task gets a copy of the context without what belongs to a run of ours, and outside of the
    current trace. It ends with its event loop: `asyncio.run` and its like cancel it. What a loop
    that was closed without that has left behind is kept, since collecting it would be loud, and
    counts to the most that there may be. Thread-safe.

    Attributes:
        cancelled: Tasks that were cancelled.
    """

    def __init__(self, most: int) -> None:
        """Nothing is under way.

        Args:
            most: Tasks at the most.
        """
        self.cancelled = 0
        self._most = most
        self._tasks: set[_Task] = set()
        self._lock = threading.Lock()

    @property
    def pending(self) -> int:
        """Tasks that have not ended."""
        return len(self._alive())

    @property
    def lost(self) -> int:
        """Tasks that were cancelled, or left behind by a loop."""
        return self.cancelled + len(self._tasks) - self.pending

    def start(self, work: Callable[[], Coroutine[object, object, None]]) -> bool:
        """Start a task; False if there are too many.

        Args:
            work: Makes the coroutine, which must keep its exceptions to itself.
        """
        task = _Task(lasting_loop(), work, self._ended)
        with self._lock:
            if len(self._tasks) >= self._most:
                return False
            self._tasks.add(task)
        _under_way.add(task)
        task.start(detached())
        return True

    async def drain(self) -> None:
        """Wait for what is under way now."""
        ends = [asyncio.wrap_future(task.end) for task in self._alive()]
        try:
            if ends:
                await asyncio.wait(ends)
        finally:
            for end in ends:  # so that none reports back to a loop that has closed meanwhile
                end.cancel()

    def join(self, timeout: float | None = None) -> bool:
        """`drain` for code that is not async; False if the time was up first.

        Raises:
            UsageError: What is under way needs the event loop that runs in this thread.
        """
        tasks = self._alive()
        here = _running_loop()
        if any(task.loop is here for task in tasks):
            raise UsageError("timeout", timeout, "an event loop runs here: await drain()")
        return not wait([task.end for task in tasks], timeout).not_done

    def cancel(self) -> None:
        """Cancel what is under way, once each."""
        for task in self._alive():
            with suppress(RuntimeError):  # its loop has been closed meanwhile
                task.loop.call_soon_threadsafe(task.cancel)

    def _alive(self) -> list[_Task]:
        with self._lock:
            return [task for task in self._tasks if not task.loop.is_closed()]

    def _ended(self, task: _Task, *, cancelled: bool) -> None:
        _under_way.discard(task)
        with self._lock:
            self._tasks.discard(task)
            self.cancelled += cancelled


class _Task:
    """One piece of work."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[], Coroutine[object, object, None]],
        ended: _Ended,
    ) -> None:
        self.loop = loop
        self.end: Future[None] = Future()
        self.end.set_running_or_notify_cancel()  # whoever waits for it cannot cancel it
        self._work = work
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False

    def start(self, context: Context) -> None:
        if self.loop is _running_loop():
            self._begin(context)
        else:
            self.loop.call_soon_threadsafe(self._begin, context)

    def _begin(self, context: Context) -> None:
        if self._cancelled:
            self._finish(cancelled=True)
            return
        self._task = self.loop.create_task(self._work(), name="thinktwice-shadow", context=context)
        self._task.add_done_callback(lambda task: self._finish(cancelled=task.cancelled()))

    def cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _finish(self, *, cancelled: bool) -> None:
        self._ended(self, cancelled=cancelled)
        self.end.set_result(None)


class _Ended(Protocol):
    def __call__(self, task: _Task, *, cancelled: bool) -> None: ...


_under_way: Final = set[_Task]()  # an event loop alone keeps no task from being collected


@atexit.register
def _exit_quietly() -> None:
    """Nobody needs to hear that the interpreter ends tasks which nobody waits for."""
    for task in tuple(_under_way):
        if not task.loop.is_running():
            task.loop.set_exception_handler(_say_nothing)


def _say_nothing(*_: object) -> None:
    pass


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def detached() -> Context:
    """A copy of the current context without what belongs to a run of ours, outside of its trace."""
    context = Context()
    for variable, value in copy_context().items():
        if not variable.name.startswith(_OURS):
            context.run(variable.set, value)
    context.run(_leave)
    return context


def _leave() -> None:
    in_background.set(True)
    exploring.never()
    otel.attach(trace.set_span_in_context(trace.INVALID_SPAN))
