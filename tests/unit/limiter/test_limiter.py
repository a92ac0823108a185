"""How many calls are in flight across everything that shares a limiter."""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import threading
from dataclasses import replace

import pytest

from tests.unit.limiter.calling import Clock, StatusError
from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Limiter,
    Usage,
    UsageError,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.limiter.pacing import MARGIN, next_ticket
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
ALL = Vote(4, stop=AtMost(4), prefer="latency")


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "8"])
def test_a_cap_that_makes_no_sense_is_refused(wrong: object):
    """It names the parameter."""
    with pytest.raises(UsageError, match="max_concurrency="):
        Limiter(wrong)  # type: ignore[arg-type]


def test_it_shows_its_setting():
    """As its constructor."""
    assert repr(Limiter(3)) == "Limiter(max_concurrency=3)"


def test_it_shows_its_rates():
    """Those that are set."""
    limiter = Limiter(requests_per_minute=60)
    assert repr(limiter) == "Limiter(max_concurrency=8, requests_per_minute=60)"


@pytest.mark.parametrize("wrong", [0, -1, math.inf, math.nan, True, "60"])
@pytest.mark.parametrize("rate", ["requests_per_minute", "tokens_per_minute"])
def test_a_rate_that_makes_no_sense_is_refused(rate: str, wrong: object):
    """It names the parameter."""
    with pytest.raises(UsageError, match=f"^{rate}="):
        Limiter(**{rate: wrong})


def test_first_come_first_served():
    """Whoever waits longest is next."""
    order: list[int] = []

    async def worker(limiter: Limiter, number: int) -> None:
        await limiter.acquire()
        order.append(number)
        await asyncio.sleep(1)
        limiter.release()

    async def main() -> None:
        limiter = Limiter(2)
        await asyncio.gather(*(worker(limiter, number) for number in range(6)))
        assert limiter.in_use == 0

    run_virtual(main())
    assert order == list(range(6))


def test_whoever_is_cancelled_in_line_takes_no_place():
    """Neither while waiting nor in the moment the place is handed over."""

    async def main() -> None:
        limiter = Limiter(1)
        await limiter.acquire()
        waiting = [asyncio.ensure_future(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        limiter.release()  # granted to the second, which is cancelled before it learns of it
        waiting[1].cancel()
        await waiting[2]
        assert limiter.in_use == 1
        limiter.release()
        assert limiter.in_use == 0

    run_virtual(main())


def test_runs_share_it():
    """The cap holds across runs, and also where it is below what each run asks for."""
    model = ScriptedSampler(["a"], seconds=[1, 2, 0.5])

    async def main() -> None:
        limiter = Limiter(3)
        await asyncio.gather(
            *(solve("q", sampler=model, strategy=ALL, limiter=limiter) for _ in range(4))
        )
        assert limiter.in_use == 0

    run_virtual(main())
    assert model.calls == 16
    assert model.most_in_flight == 3


def test_a_run_has_a_cap_of_its_own():
    """`max_concurrency` of the run, nested runs included."""
    model = ScriptedSampler(["a"], seconds=1)
    nested = Vote(3, of=Vote(3, stop=AtMost(3)), stop=AtMost(3), prefer="latency")
    run_virtual(solve("q", sampler=model, strategy=nested, max_concurrency=2))
    assert model.calls == 9
    assert model.most_in_flight == 2


def test_threads_and_loops_share_it():
    """Runs on several threads, each with an event loop of its own."""
    limiter, lock = Limiter(2), threading.Lock()
    in_flight, most = 0, 0

    async def ask(prompt: str) -> str:
        nonlocal in_flight, most
        with lock:
            in_flight += 1
            most = max(most, in_flight)
        await asyncio.sleep(0.002)
        with lock:
            in_flight -= 1
        return "a"

    def one() -> None:
        solve_sync("q", sampler=ask, strategy=ALL, limiter=limiter)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert most == 2
    assert limiter.in_use == 0


def test_a_waiter_whose_loop_is_gone_is_passed_over():
    """Its place goes to the next in line."""
    limiter = Limiter(1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(limiter.acquire())
    waiting = loop.create_task(limiter.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    limiter.release()
    assert limiter.in_use == 0
    del waiting
    gc.collect()  # and nothing is said when it is collected


class TestNestingDoesNotStarve:
    """One place, and runs inside runs."""

    def test_strategy_in_strategy(self):
        """Only the innermost calls take the place."""
        model = ScriptedSampler(["a"], seconds=1)
        nested = Vote(2, of=Vote(2, of=Vote(2)))
        result = run_virtual(solve("q", sampler=model, strategy=nested, max_concurrency=1))
        assert result.value == "a"
        assert model.most_in_flight == 1

    def test_a_plain_function_that_solves(self):
        """It is taken for a model call until a run starts inside it; then it lends its place."""
        model = ScriptedSampler(["a"], seconds=1)

        async def inner(prompt: str) -> object:
            return (await solve(prompt, sampler=model, strategy=Vote(2, stop=AtMost(2)))).value

        result = run_virtual(
            solve("q", sampler=inner, strategy=Vote(2, stop=AtMost(2)), max_concurrency=1)
        )
        assert result.value == "a"
        assert model.calls == 4
        assert len(result.ledger.entries) == 4
        assert model.most_in_flight == 1

    def test_a_sync_function_that_solves(self):
        """On a thread, with a private loop."""

        def inner(prompt: str) -> object:
            return solve_sync(prompt, sampler=lambda p: "a", strategy=Vote(2)).value

        limiter = Limiter(1)
        result = solve_sync("q", sampler=inner, strategy=Vote(2), limiter=limiter)
        assert result.value == "a"
        assert limiter.in_use == 0

    def test_two_limiters_in_either_order(self):
        """One run nests them in one order, another in the other: nobody waits in a ring."""
        model = ScriptedSampler(["a"], seconds=1)
        first, second = Limiter(1), Limiter(1)

        async def one(outer: Limiter, inner: Limiter) -> object:
            async def sampler(prompt: str) -> object:
                result = await solve(prompt, sampler=model, strategy=Vote(2), limiter=inner)
                return result.value

            return (await solve("q", sampler=sampler, strategy=Vote(1), limiter=outer)).value

        async def main() -> list[object]:
            pairs = [(first, second), (second, first)] * 3
            return await asyncio.gather(*(one(*pair) for pair in pairs))

        assert run_virtual(main()) == ["a"] * 6
        assert model.most_in_flight == 1
        assert first.in_use == second.in_use == 0


def test_an_abandoned_run_on_a_thread_keeps_no_place():
    """It ends after whoever asked for it is gone, and takes no place again."""
    go, inside = threading.Event(), threading.Event()
    limiter, ended = Limiter(1), threading.Event()

    def leaf(prompt: str) -> str:
        inside.set()
        go.wait(10)
        return "a"

    def sampler(prompt: str) -> object:
        try:
            return solve_sync(prompt, sampler=leaf, strategy=Vote(2, stop=AtMost(2))).value
        finally:
            ended.set()

    with pytest.raises(BudgetExceeded):
        solve_sync(
            "q", sampler=sampler, strategy=Vote(1), limiter=limiter, budget=Budget(seconds=0.05)
        )
    assert inside.is_set()
    go.set()
    assert ended.wait(10)
    assert limiter.in_use == 0


class TestFairness:
    """A request with many calls must not starve one with few."""

    def test_slots_go_round(self):
        """The one that came last and has one call is the next but one."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(1)
            calls = [clock.call(limiter, "large", 1) for _ in range(64)]
            await asyncio.gather(*calls, clock.call(limiter, "small", 1))
            assert limiter.in_use == limiter.waiting == 0

        run_virtual(main())
        assert clock.left.index(("small", 2)) == 2
        assert len(clock.left) == 65

    def test_rates_go_round(self):
        """Also where all slots are held by the calls of one request that wait for the rate."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(64, requests_per_minute=60 / MARGIN)
            calls = [clock.call(limiter, "large") for _ in range(64)]
            await asyncio.gather(*calls, clock.call(limiter, "small"))
            assert limiter.in_use == limiter.waiting == 0

        run_virtual(main())
        assert [name for name, _ in clock.left].index("small") <= 3
        assert clock.times == pytest.approx([0, *(second - 0.05 for second in range(1, 65))])

    def test_requests_are_outermost_runs(self):
        """Whatever is nested in them, and whatever their samples are."""
        order: list[str] = []

        async def model(prompt: str) -> str:
            order.append(prompt)
            await asyncio.sleep(1)
            return "a"

        async def main() -> None:
            limiter = Limiter(1)
            shared = {"sampler": model, "limiter": limiter, "max_concurrency": 99}
            many = Vote(32, stop=AtMost(32), of=Vote(2, stop=AtMost(2)), prefer="latency")
            large = asyncio.ensure_future(solve("large", strategy=many, **shared))
            await asyncio.sleep(0.5)
            await solve("small", strategy=Vote(1), **shared)
            large.cancel()
            await asyncio.wait([large])
            assert limiter.in_use == limiter.waiting == 0

        run_virtual(main())
        assert order.index("small") <= 2


class TestCongestion:
    """429s, and Retry-After."""

    def test_429s_of_calls_in_flight_together_halve_it_once(self):
        """And it recovers with successes."""
        limits: list[int] = []
        codes = [StatusError()] * 8 + ["a"] * 40
        model = ScriptedSampler(codes, seconds=1)
        limiter = Limiter(8)

        async def ask(prompt: object) -> object:
            try:
                return await model(prompt, options={})
            finally:
                limits.append(limiter._allowed)

        async def main() -> None:
            with pytest.raises(StatusError):
                await solve("q", sampler=ask, strategy=replace(ALL, n=8), limiter=limiter)
            assert limiter.congested
            assert limiter._allowed == 4
            strategy = Vote(32, stop=AtMost(32), prefer="latency")
            shared = {"sampler": ask, "limiter": limiter, "max_concurrency": 32}
            await solve("q", strategy=strategy, **shared)
            assert limiter._allowed == 8
            assert not limiter.congested

        run_virtual(main())
        assert limits[8:] == sorted(limits[8:])
        assert limits[8] == 4

    def test_a_storm_ends_and_is_forgotten(self):
        """Nothing but 429s: it goes on with one call at a time, and comes back afterwards."""
        limiter = Limiter(8, requests_per_minute=6000)
        storm = ScriptedSampler([StatusError()], seconds=0.1)

        async def main() -> None:
            for _ in range(5):
                with pytest.raises(StatusError):
                    await solve("q", sampler=storm, strategy=ALL, limiter=limiter)
            assert limiter._allowed == 1
            calm = ScriptedSampler(["a"], seconds=0.1)
            for _ in range(12):
                await solve("q", sampler=calm, strategy=ALL, limiter=limiter)
            assert not limiter.congested
            assert limiter.in_use == limiter.waiting == 0

        run_virtual(main())

    def test_the_rate_is_halved_too(self):
        """Calls leave at half the pace, and nothing that was in stock."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(9, requests_per_minute=60 / MARGIN)
            await asyncio.sleep(10)
            limiter.failed(next_ticket(), StatusError())
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(clock.call(limiter, "a", 100))

        run_virtual(main())
        assert clock.times == [12, 14, 16]

    def test_retry_after_pauses_it(self):
        """For all that share it, and no longer."""
        clock = Clock()

        async def main() -> None:
            limiter = Limiter(8)
            limiter.failed(next_ticket(), StatusError(429, 7))
            assert limiter.congested
            await asyncio.gather(*(clock.call(limiter, name, 1) for name in "abcde"))
            limiter.failed(next_ticket(), StatusError(503, 5))
            await clock.call(limiter, "f")
            assert limiter.in_use == limiter.waiting == 0

        run_virtual(main())
        assert clock.times == [7, 7, 7, 7, 8, 14]

    def test_a_pause_without_a_429_is_congestion_too(self):
        """As long as it lasts."""

        async def main() -> None:
            limiter = Limiter(8)
            limiter.failed(next_ticket(), StatusError(503, 5))
            seen = []
            for _ in range(3):
                seen.append(limiter.congested)
                await asyncio.sleep(2.5)
            assert seen == [True, True, False]
            assert limiter.open

        run_virtual(main())

    def test_a_wait_that_ends_after_the_deadline_does_not_hold_the_run(self):
        """It is cut off as any other; what is there is returned."""
        model = ScriptedSampler(["a", StatusError(429, 60), "a"], seconds=[1, 2])
        run = solve("q", sampler=model, strategy=Vote(5, stop=AtMost(5)), max_concurrency=2,
                    budget=Budget(seconds=9))  # fmt: skip
        result = run_virtual(run)
        assert result.value == "a"
        assert result.cut is not None
        assert (result.cut.kind, result.ledger.seconds) == ("seconds", 9)

    @pytest.mark.parametrize("error", [ConnectionError(), KeyError(), StatusError(500)])
    def test_other_errors_say_nothing_about_the_load(self, error: Exception):
        """Nothing is taken off."""
        limiter = Limiter(8)
        with pytest.raises(type(error)):
            run_virtual(
                solve("q", sampler=ScriptedSampler([error]), strategy=Vote(2), limiter=limiter)
            )
        assert not limiter.congested

    def test_a_judge_that_is_refused_counts_as_well(self):
        """Its calls share the limiter."""
        judge = ScriptedSampler([StatusError()])
        limiter = Limiter(8)
        strategy = BestOfN(2, verifier=Judge(judge, rubric="right"))
        run_virtual(solve("q", sampler=ScriptedSampler(["a"]), strategy=strategy, limiter=limiter))
        assert limiter.congested

    def test_one_slot_is_congested_too(self):
        """Though it cannot be halved."""
        limiter = Limiter(1)
        limiter.failed(next_ticket(), StatusError())
        assert limiter.congested
        for _ in range(4):
            limiter.succeeded(next_ticket())
        assert not limiter.congested


def test_calls_in_line_are_priced_by_what_has_been_learnt_meanwhile():
    """The guess for the first calls of a model does not hold up all that queued behind them."""

    async def ask(prompt: str) -> Completion[str]:
        await asyncio.sleep(0.5)
        return Completion(
            value=prompt, usage=Usage(input_tokens=50, output_tokens=50, source="provider")
        )

    async def main() -> float:
        limiter = Limiter(64, tokens_per_minute=6000)
        strategy = Vote(60, stop=AtMost(60), prefer="latency")
        result = await solve(
            "q", sampler=ask, strategy=strategy, limiter=limiter, max_concurrency=64
        )
        assert result.ledger.total.usage.total_tokens == 6000
        return result.ledger.seconds

    assert 55 < run_virtual(main()) < 75


def test_a_copy_is_the_same_limiter():
    """Whatever holds one can be copied, and shares its places."""
    limiter = Limiter(2)
    assert copy.copy(limiter) is limiter
    assert copy.deepcopy({"limiter": limiter})["limiter"] is limiter
