"""Work that nobody awaits."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextvars import ContextVar

import pytest
from opentelemetry import trace

from thinktwice import Budget, UsageError, Vote, budget_scope, collect, solve, solve_sync
from thinktwice.scope import current_scope
from thinktwice.shadow.background import Background, in_background
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.threads import lasting_loop
from thinktwice.workflow import ledger_around

pytestmark = pytest.mark.usefixtures("silent_remarks")
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def sleeping(seconds, then=lambda: None):
    async def work():
        await asyncio.sleep(seconds)
        then()

    return work


class TestTasks:
    """Starting, waiting, ending."""

    def test_a_task_runs_on_while_its_starter_goes_on(self):
        """And `drain` waits for it."""
        ended: list[float] = []

        async def main():
            background = Background(2)
            assert background.start(sleeping(3, lambda: ended.append(clock())))
            assert (background.pending, ended) == (1, [])
            clock = asyncio.get_running_loop().time
            await background.drain()
            assert (background.pending, background.lost) == (0, 0)

        run_virtual(main())
        assert ended == [3]

    def test_more_than_the_most_are_not_started(self):
        """Until one has ended."""

        async def main():
            background = Background(2)
            assert background.start(sleeping(1))
            assert background.start(sleeping(2))
            assert not background.start(sleeping(3))
            await asyncio.sleep(1.5)
            assert background.start(sleeping(3))
            await background.drain()

        run_virtual(main())

    def test_drain_waits_for_what_is_under_way_when_it_is_called(self):
        """What comes later is for the next."""

        async def main():
            background = Background(9)
            background.start(sleeping(2))
            draining = asyncio.ensure_future(background.drain())
            await asyncio.sleep(1)
            background.start(sleeping(50))
            await draining
            assert asyncio.get_running_loop().time() == 2
            assert background.pending == 1
            background.cancel()
            await background.drain()
            await Background(1).drain()  # nothing: at once

        run_virtual(main())

    def test_whoever_gives_up_waiting_cancels_nothing(self):
        """It is not theirs."""
        ended: list[int] = []

        async def main():
            background = Background(9)
            background.start(sleeping(2, lambda: ended.append(1)))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(background.drain(), 1)
            await background.drain()

        run_virtual(main())
        assert ended == [1]

    def test_cancel_ends_what_is_under_way(self):
        """Once each, and it is counted."""

        async def main():
            background = Background(9)
            background.start(sleeping(50))
            background.start(sleeping(50))
            await asyncio.sleep(1)
            background.cancel()
            await background.drain()
            assert (background.pending, background.lost) == (0, 2)
            assert asyncio.get_running_loop().time() == 1

        run_virtual(main())

    def test_a_task_that_nobody_refers_to_is_not_collected(self):
        """An event loop alone would let it go."""
        ended: list[int] = []

        async def main():
            never = asyncio.get_running_loop().create_future()

            async def work():
                waiting.append(asyncio.get_running_loop().create_future())
                await waiting.pop()

            waiting: list[asyncio.Future[None]] = []
            background = Background(9)
            background.start(work)
            await asyncio.sleep(0)
            del background
            gc.collect()
            alive = [t for t in asyncio.all_tasks() if t.get_name() == "thinktwice-shadow"]
            ended.append(len(alive))
            for task in alive:
                task.cancel()
            never.cancel()

        run_virtual(main())
        assert ended == [1]


class TestLoops:
    """Whose loop it is."""

    def test_it_ends_with_its_loop(self):
        """`asyncio.run` cancels what is left, and that is counted."""
        background = Background(9)

        async def main():
            background.start(sleeping(50))
            await asyncio.sleep(0)
            background.start(sleeping(50))  # which does not even begin

        asyncio.run(main())
        assert (background.pending, background.lost) == (0, 2)
        assert background.join(0)

    def test_what_a_closed_loop_left_behind_keeps_its_place(self):
        """It can neither end nor be collected quietly, so there must not be ever more of it."""
        background = Background(1)

        async def main():
            return background.start(sleeping(50))

        for expected in (True, False):
            loop = asyncio.new_event_loop()
            try:
                assert loop.run_until_complete(main()) is expected
            finally:
                loop.close()
        assert (background.pending, background.lost) == (0, 1)
        assert background.join(0)
        gc.collect()  # quiet: warnings are errors here

    def test_without_a_loop_it_is_a_daemon_thread(self):
        """And `join` waits for it."""
        seen: list[threading.Thread] = []
        background = Background(9)
        assert background.start(sleeping(0.01, lambda: seen.append(threading.current_thread())))
        assert background.join(5)
        assert seen[0].daemon
        assert seen[0] is not threading.current_thread()

    def test_join_gives_up_in_time(self):
        """And says so."""
        background = Background(9)
        background.start(sleeping(50))
        assert not background.join(0.01)
        background.cancel()
        assert background.join(5)
        assert background.lost == 1

    def test_what_is_cancelled_before_it_begins_does_not_begin(self):
        """The thread may be busy."""
        background, ended, busy = Background(9), list[int](), threading.Event()
        lasting_loop().call_soon_threadsafe(busy.wait, 10)
        background.start(sleeping(0, lambda: ended.append(1)))
        background._tasks.copy().pop().cancel()
        busy.set()
        assert background.join(5)
        assert (ended, background.lost) == ([], 1)

    async def test_join_does_not_block_the_loop_that_it_waits_for(self):
        """It would wait for ever."""
        background = Background(9)
        background.start(sleeping(0))
        with pytest.raises(UsageError, match=r"await drain\(\)"):
            background.join()
        await background.drain()
        assert background.join()  # nothing to wait for

    async def test_drain_waits_for_other_loops_as_well(self):
        """One that is drained from anywhere."""
        background, ended = Background(9), list[int]()
        await asyncio.to_thread(background.start, sleeping(0.01, lambda: ended.append(1)))
        await background.drain()
        assert ended == [1]

    def test_the_private_loop_of_sync_code_is_not_used(self):
        """It ends with the request."""
        background, ended = Background(9), list[int]()

        async def sampler(prompt):
            background.start(sleeping(0.01, lambda: ended.append(1)))
            return "a"

        solve_sync("q", sampler=sampler, strategy=Vote(1))
        assert background.join(5)
        assert (ended, background.lost) == ([1], 0)


class TestContext:
    """What a task sees of where it was started."""

    async def test_it_is_a_copy_without_what_belongs_to_our_run(self):
        """Variables of the application are there; scope, ledger and results are not."""
        seen: list[object] = []
        background = Background(9)

        async def work():
            seen.extend([tenant.get(), current_scope(), ledger_around(), in_background.get()])
            tenant.set("me")
            await solve("q", sampler=ScriptedSampler(["b"]), strategy=Vote(1))

        async def sampler(prompt):
            background.start(work)
            return "a"

        tenant.set("acme")
        with budget_scope(Budget(calls=9)) as scope, collect() as results:
            await solve("q", sampler=sampler, strategy=Vote(1))
            await background.drain()
            assert not in_background.get()
        assert seen == ["acme", None, None, True]
        assert tenant.get() == "acme"
        assert len(results) == 1  # not that of the work
        assert scope.total.calls == 1

    async def test_it_is_outside_of_the_trace(self):
        """Whatever span was current."""
        background, parents = Background(9), list[object]()

        async def work():
            parents.append(trace.get_current_span().get_span_context().is_valid)

        with captured_spans(), trace.get_tracer("test").start_as_current_span("request") as on:
            background.start(work)
            await background.drain()
            assert trace.get_current_span() is on
        assert parents == [False]
