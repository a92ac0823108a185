"""Calls leave no faster than rates allow, whatever clocks and event loops do."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from tests.unit.limiter.calling import Clock, StatusError
from thinktwice import Budget, Limiter, Vote, solve, solve_sync
from thinktwice.limiter import gate
from thinktwice.limiter.pacing import MARGIN, next_ticket
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
ALL = Vote(4, stop=AtMost(4), prefer="latency")


class TestRates:
    """Requests and tokens a minute."""

    def test_calls_leave_evenly(self):
        """However many slots are free; a slot is held while a call waits."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(9, requests_per_minute=60 / MARGIN)
            await asyncio.gather(*(clock.call(limiter, "a", 5) for _ in range(4)))

        run_virtual(main())
        assert clock.times == [0, 0.95, 1.95, 2.95]

    def test_an_idle_time_saves_nothing_up(self):
        """A provider that counts by the second would see a burst."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(9, requests_per_minute=60 / MARGIN)
            await clock.call(limiter, "a")
            await asyncio.sleep(1000)
            await asyncio.gather(*(clock.call(limiter, "a") for _ in range(3)))

        run_virtual(main())
        assert clock.times == [0, 1000, 1000.95, 1001.95]

    def test_tokens(self):
        """A call is charged what such calls took, and corrected when it has ended."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(1, tokens_per_minute=6000 / MARGIN)  # 100 a second, 316 in stock
            for tokens in (300, 300, 1000, 100):
                await clock.call(limiter, "a", 1, tokens)
            # 16 are left and 100 more have come when the second is charged 300, the mean. So is the
            # third, which leaves a debt of 600; the fourth is charged 533 and needs full stock.
            assert limiter.charge("m", 0) == pytest.approx(1700 / 4)

        run_virtual(main())
        assert clock.times == [0, 2.84, 5.84, 16]

    def test_a_call_larger_than_the_stock_goes_when_that_is_full(self):
        """And the next one waits for all that it took."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(9, tokens_per_minute=6000 / MARGIN)
            await asyncio.gather(*(clock.call(limiter, "a", 99, 1000) for _ in range(2)))

        run_virtual(main())
        assert clock.times == [0, 10]

    def test_within_a_run(self):
        """Its waiting is no latency; it is in the entry, in the total, and on the spans."""
        model = ScriptedSampler(["a"], seconds=2)
        limiter = Limiter(9, requests_per_minute=60 / MARGIN)
        with captured_spans() as spans:
            result = run_virtual(solve("q", sampler=model, strategy=ALL, limiter=limiter))
        entries = result.ledger.entries
        assert [entry.seconds for entry in entries] == [2] * 4
        assert [entry.queued for entry in entries] == pytest.approx([0, 0.95, 1.95, 2.95])
        assert [sample.seconds for sample in result.samples] == [2] * 4
        assert result.ledger.total.queued == pytest.approx(5.85)
        waits = [
            span.attributes["thinktwice.queue_seconds"]
            for span in spans
            if span.name == "thinktwice.sample"
        ]
        assert waits == pytest.approx([0, 0.95, 1.95, 2.95])

    def test_a_call_that_was_recalled_in_line_takes_nothing(self):
        """Neither a place nor a turn, and it counts as not launched."""
        model = ScriptedSampler(["a"], seconds=0.1)
        limiter = Limiter(9, requests_per_minute=60 / MARGIN)

        async def main() -> None:
            budget = Budget(seconds=1.5)
            result = await solve("q", sampler=model, strategy=ALL, limiter=limiter, budget=budget)
            assert (result.launched, model.calls, result.ledger.total.calls) == (2, 2, 2)
            assert limiter.in_use == limiter.waiting == 0
            await solve("q", sampler=model, strategy=Vote(1), limiter=limiter)
            assert asyncio.get_running_loop().time() == pytest.approx(1.95 + 0.1)

        run_virtual(main())

    def test_a_call_whose_sample_runs_a_strategy_is_charged_for_its_calls_alone(self):
        """It was taken for a call until then."""
        model = ScriptedSampler(["a"])
        limiter = Limiter(9, requests_per_minute=60 / MARGIN)

        async def inner(prompt: str) -> object:
            return (await solve(prompt, sampler=model, strategy=Vote(1))).value

        async def main() -> None:
            for _ in range(3):
                await solve("q", sampler=inner, strategy=Vote(1), limiter=limiter)
            assert asyncio.get_running_loop().time() < 3

        run_virtual(main())
        assert model.calls == 3


class TestClocks:
    """That stand still, jump, or start anew."""

    async def test_a_clock_that_stands_still_holds_nobody_up(self, monkeypatch):
        """The timers of the loop ring all the same."""
        monkeypatch.setattr(gate, "now", lambda: 5.0)
        limiter = Limiter(9, requests_per_minute=60 * 100 / MARGIN)
        async with asyncio.timeout(5):
            await asyncio.gather(*(limiter.leave(None, 0, number) for number in range(20)))
        assert limiter.waiting == 0

    async def test_a_clock_that_jumps_grants_no_burst(self, monkeypatch):
        """An hour ahead is worth what is in stock at the most."""
        at = [0.0]
        monkeypatch.setattr(gate, "now", lambda: at[0])
        limiter = Limiter(99, requests_per_minute=60 * 10)
        waiting = [asyncio.ensure_future(limiter.leave(None, 0)) for _ in range(20)]
        for jump in (0.0, 3600.0, 7200.0, 5.0, 3600.0):
            at[0] = jump
            limiter.refund(0, 0)
            await asyncio.sleep(0)
        gone = sum(each.done() for each in waiting)
        assert 1 <= gone <= 8
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        assert limiter.waiting == 0

    def test_a_clock_that_starts_anew(self):
        """As that of another event loop: a pause goes on for what was left of it at the most."""
        clock = Clock()
        limiter = Limiter(9, requests_per_minute=60 / MARGIN)

        async def first() -> None:
            await asyncio.sleep(10_000)
            limiter.failed(next_ticket(), StatusError(429, 30))
            await asyncio.sleep(10)

        run_virtual(first())
        run_virtual(clock.call(limiter, "a"))
        assert clock.times == [30]


class TestLoops:
    """Several of them, some of which end."""

    def test_a_caller_whose_loop_is_gone_is_passed_over_by_the_rates(self):
        """Its turn goes to the next, and the others have timers of their own."""
        limiter = Limiter(9, requests_per_minute=60 * 15)
        gone = asyncio.new_event_loop()
        gone.run_until_complete(limiter.leave(None, 0))
        tasks = [gone.create_task(limiter.leave(None, 0)) for _ in range(3)]
        gone.run_until_complete(asyncio.sleep(0))
        gone.close()
        assert limiter.waiting == 3

        async def others() -> None:
            async with asyncio.timeout(5):
                await asyncio.gather(*(limiter.leave(None, 0) for _ in range(4)))

        asyncio.run(others())
        assert limiter.waiting == 0
        del tasks
        gc.collect()

    def test_rates_hold_over_threads(self):
        """Each with a loop of its own."""
        limiter, lock = Limiter(99, requests_per_minute=60 * 100), threading.Lock()
        left: list[float] = []

        async def ask(prompt: str) -> str:
            with lock:
                left.append(time.monotonic())
            return "a"

        def one() -> None:
            solve_sync("q", sampler=ask, strategy=ALL, limiter=limiter)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert len(left) == 32
        assert left[-1] - left[0] > 0.2  # 32 at 95 a second, a few of them at once
        assert limiter.in_use == limiter.waiting == 0
