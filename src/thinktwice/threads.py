"""Calling blocking code from async code, and async code from blocking code."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


def awaits_threads(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether something on the loop waits for a thread of ours that is at work."""
    return _awaited.get(loop, 0) > 0


class _Errand(Generic[T]):
    """A blocking call on a thread of its own, which nobody may still wait for when it ends."""

    def __init__(self, late: Callable[[T | None, BaseException | None], None] | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.late = late
        self.lock = threading.Lock()
        self.abandoned = False
        self.ended: tuple[T | None, BaseException | None] | None = None

    def run(self, function: Callable[[], T]) -> None:
        try:
            self.finish(function(), None)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self.finish(None, error)

    def finish(self, value: T | None, error: BaseException | None) -> None:
        with self.lock:
            self.ended = (value, error)
            if not self.abandoned:
                try:
                    self.loop.call_soon_threadsafe(self.deliver)
                except RuntimeError:  # the loop is gone: late all the same
                    self.abandoned = True
            report = self.abandoned
        if report and self.late is not None:
            self.late(value, error)

    def deliver(self) -> None:
        if self.future.done() or self.ended is None:
            return
        value, error = self.ended
        if isinstance(error, StopIteration):  # a future cannot carry it
            error = RuntimeError("the call raised StopIteration")
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)  # type: ignore[arg-type]

    def abandon(self) -> None:
        with self.lock:
            self.abandoned = True
            ended = self.ended
        if ended is not None and self.late is not None:
            self.late(*ended)


async def in_thread(
    function: Callable[[], T],
    *,
    late: Callable[[T | None, BaseException | None], None] | None = None,
) -> T:
    """Await a blocking call, on a daemon thread with a copy of the current context.

    A thread cannot be interrupted: when the caller is cancelled the call is abandoned, runs on, and
    never keeps the interpreter from exiting.

    Args:
        function: The blocking call.
        late: Gets value and exception of a call that was abandoned, when it ends after all.
    """
    errand = _Errand(late)
    context = copy_context()
    thread = threading.Thread(
        target=context.run, args=(errand.run, function), name="thinktwice", daemon=True
    )
    thread.start()
    _awaited[errand.loop] = _awaited.get(errand.loop, 0) + 1
    try:
        return await errand.future
    except asyncio.CancelledError:
        errand.abandon()
        raise
    finally:
        _awaited[errand.loop] -= 1


def run_sync(make: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a coroutine to its end from blocking code, on a private event loop.

    Where a loop runs in this thread already (a notebook, say) the private one gets a thread of its
    own, with a copy of the current context; the running loop waits, as for any blocking call.

    Args:
        make: Makes the coroutine; it must not touch what is bound to the caller's loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    return _run_beside(make)


def _run_beside(make: Callable[[], Coroutine[object, object, T]]) -> T:
    ended: list[tuple[T | None, BaseException | None]] = []
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[object]]] = []

    async def main() -> T:
        task = asyncio.current_task()
        if task is not None:
            started.append((asyncio.get_running_loop(), task))
        return await make()

    def target() -> None:
        try:
            ended.append((asyncio.run(main()), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            ended.append((None, error))

    thread = threading.Thread(
        target=copy_context().run, args=(target,), name="thinktwice-sync", daemon=True
    )
    thread.start()
    try:
        thread.join()
    except BaseException:  # KeyboardInterrupt while waiting: end the run like a cancelled one
        for loop, task in started:
            loop.call_soon_threadsafe(task.cancel)
        raise
    value, error = ended[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
