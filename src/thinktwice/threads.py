"""Calling blocking code from async code, and async code from blocking code."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()
_private: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


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
    return _Beside(make).run() if _is_running() else asyncio.run(_privately(make))


def _is_running() -> bool:
    """Whether a loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _privately(make: Callable[[], Coroutine[object, object, T]]) -> T:
    _private.add(asyncio.get_running_loop())
    return await make()


class _LoopThread:
    """A daemon thread that runs an event loop, started when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="thinktwice-background", daemon=True
                )
                self._thread.start()
            return self._loop


_loop_thread = _LoopThread()


def lasting_loop() -> asyncio.AbstractEventLoop:
    """An event loop for what outlives the code that runs.

    The running one; where none runs, or it is one of `run_sync`, which ends with that code, one on
    a daemon thread, which never keeps the interpreter from exiting.
    """
    with suppress(RuntimeError):
        running = asyncio.get_running_loop()
        if running not in _private:
            return running
    return _loop_thread.loop()


class _Beside(Generic[T]):
    """A run on a thread of its own, for which this one waits."""

    def __init__(self, make: Callable[[], Coroutine[object, object, T]]) -> None:
        self.make = make
        self.ended: tuple[T | None, BaseException | None] = (None, None)
        self.task: asyncio.Task[object] | None = None
        self.interrupted = False

    def run(self) -> T:
        thread = threading.Thread(
            target=copy_context().run, args=(self.target,), name="thinktwice-sync", daemon=True
        )
        try:
            thread.start()
            thread.join()
        except BaseException:  # KeyboardInterrupt while waiting: end the run like a cancelled one
            self.interrupt()
            if thread.is_alive():  # until it has cleaned up; a second interrupt does not wait
                thread.join()
            raise
        value, error = self.ended
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def target(self) -> None:
        try:
            self.ended = (asyncio.run(self.main()), None)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self.ended = (None, error)

    async def main(self) -> T:
        self.task = asyncio.current_task()
        if self.task is not None and self.interrupted:
            self.task.cancel()
        return await _privately(self.make)

    def interrupt(self) -> None:
        self.interrupted = True
        if self.task is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                self.task.get_loop().call_soon_threadsafe(self.task.cancel)
