"""Blocking code from async code, and async code from blocking code."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from contextvars import ContextVar

import pytest

from thinktwice.threads import awaits_threads, in_thread, lasting_loop, run_sync

name: ContextVar[str] = ContextVar("name", default="unset")


def raises(error: BaseException):
    raise error


class TestInThread:
    """A blocking call, awaited."""

    async def test_it_returns_what_the_call_returns(self):
        """From another thread, which does not keep the interpreter from exiting."""
        thread = await in_thread(threading.current_thread)
        assert thread is not threading.current_thread()
        assert thread.daemon

    async def test_it_raises_what_the_call_raises(self):
        """As it is."""
        with pytest.raises(KeyError):
            await in_thread(lambda: raises(KeyError("x")))

    async def test_stop_iteration_cannot_pass_through_a_future(self):
        """So it becomes a RuntimeError, and nobody hangs."""
        with pytest.raises(RuntimeError, match="StopIteration"):
            await in_thread(lambda: raises(StopIteration()))

    async def test_the_context_goes_along(self):
        """And what is set there does not come back."""
        name.set("caller")

        def work() -> str:
            seen = name.get()
            name.set("thread")
            return seen

        assert await in_thread(work) == "caller"
        assert name.get() == "caller"

    async def test_a_cancelled_caller_does_not_wait_and_the_end_is_told_late(self):
        """The call runs on; its value arrives at `late`, once."""
        go, ended = threading.Event(), threading.Event()
        told: list[tuple[object, object]] = []

        def late(value: object, error: object) -> None:
            told.append((value, error))
            ended.set()

        def work() -> str:
            go.wait(10)
            return "x"

        task = asyncio.ensure_future(in_thread(work, late=late))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == []
        assert not awaits_threads(asyncio.get_running_loop())
        go.set()
        assert ended.wait(10)
        assert told == [("x", None)]

    async def test_an_end_that_meets_the_cancel_is_not_lost(self):
        """The call has ended, and its caller is cancelled before it learns of that."""
        told: list[object] = []
        ended = threading.Event()
        task = asyncio.ensure_future(
            in_thread(ended.set, late=lambda value, error: told.append((value, error)))
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended.wait(10)
        while not _ended():
            time.sleep(0.001)  # noqa: ASYNC251 - the loop must not deliver yet
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == [(None, None)]

    def test_an_end_after_the_loop_is_late(self):
        """The loop has been closed meanwhile."""
        go, ended = threading.Event(), threading.Event()
        told: list[object] = []

        def late(value: object, error: object) -> None:
            told.append(value)
            ended.set()

        async def main() -> None:
            task = asyncio.ensure_future(in_thread(lambda: go.wait(10), late=late))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(main())
        go.set()
        assert ended.wait(10)
        assert told == [True]


def _ended() -> bool:
    """Whether no thread of ours is at work."""
    return all(each.name != "thinktwice" for each in threading.enumerate())


class TestRunSync:
    """A coroutine, run to its end from blocking code."""

    def test_without_a_loop_it_runs_here(self):
        """On a private loop in this thread."""

        async def main() -> threading.Thread:
            return threading.current_thread()

        assert run_sync(main) is threading.current_thread()

    async def test_inside_a_running_loop_it_runs_beside(self):
        """On a thread of its own, with a copy of the context, and errors come back."""
        name.set("caller")

        async def main() -> tuple[str, threading.Thread]:
            return name.get(), threading.current_thread()

        seen, thread = run_sync(main)
        assert seen == "caller"
        assert thread is not threading.current_thread()

        async def broken() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError):
            run_sync(broken)

    def test_an_error_is_told_without_how_the_loop_was_looked_for(self):
        """Its traceback has no other error in it."""

        async def broken() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError) as raised:
            run_sync(broken)
        assert raised.value.__context__ is None

    async def test_an_interrupt_while_waiting_cancels_the_run(self):
        """Ctrl-C in a notebook: the run is cancelled, cleans up, and the interrupt goes on."""
        started, cleaned = threading.Event(), threading.Event()

        async def main() -> None:
            try:
                started.set()
                await asyncio.sleep(60)
            finally:
                cleaned.set()

        def press() -> None:
            started.wait(10)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            threading.Thread(target=press, daemon=True).start()
            with pytest.raises(KeyboardInterrupt):
                run_sync(main)
        finally:
            signal.signal(signal.SIGINT, before)
        assert cleaned.wait(10)

    def test_an_interrupt_without_a_loop_cancels_the_run(self):
        """The same where the private loop runs in this thread."""
        cleaned = threading.Event()

        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.call_soon(signal.raise_signal, signal.SIGINT)
            try:
                await asyncio.sleep(60)
            finally:
                cleaned.set()

        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs may ignore it
        try:
            with pytest.raises(KeyboardInterrupt):
                run_sync(main)
        finally:
            signal.signal(signal.SIGINT, before)
        assert cleaned.is_set()


class TestLastingLoop:
    """A loop for what outlives the code that runs."""

    async def test_the_running_one(self):
        """The caller's."""
        assert lasting_loop() is asyncio.get_running_loop()

    def test_without_one_it_is_that_of_a_daemon_thread(self):
        """One a process, which goes on."""
        loop = lasting_loop()
        future = asyncio.run_coroutine_threadsafe(self.thread(), loop)
        thread = future.result(10)
        assert thread.daemon
        assert thread is not threading.current_thread()
        assert lasting_loop() is loop
        assert loop.is_running()

    def test_a_private_loop_is_none(self):
        """It ends with the code that runs on it."""

        async def main():
            return lasting_loop(), asyncio.get_running_loop()

        lasting, private = run_sync(main)
        assert lasting is not private
        assert lasting is lasting_loop()

    async def test_nor_is_one_beside_a_running_one(self):
        """Which has a thread of its own."""

        async def main():
            return lasting_loop(), asyncio.get_running_loop()

        lasting, private = run_sync(main)
        assert lasting not in {private, asyncio.get_running_loop()}
        assert lasting.is_running()

    @staticmethod
    async def thread():
        return threading.current_thread()
