"""How many calls are in flight across everything that shares a limiter."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from thinktwice import Budget, BudgetExceeded, Limiter, UsageError, Vote, solve, solve_sync
from thinktwice.limiter import Slots
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual

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


def test_slots_taken_after_closing_are_given_back():
    """As when a thread takes them while the loop gives up on it."""

    async def main() -> None:
        limiter = Limiter(1)
        slots = Slots([limiter])
        slots.close()
        await slots.take()
        assert limiter.in_use == 0

    run_virtual(main())
