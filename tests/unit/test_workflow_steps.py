"""The steps of a workflow: their shares, beside each other and again."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from decimal import Decimal

import pytest

from tests.unit.workflow_cases import EIGHT, NINE, TWO, model, run, spend, tokens
from thinktwice import (
    AtMost,
    Budget,
    BudgetExceeded,
    UsageError,
    Vote,
)
from thinktwice.account import Refusal
from thinktwice.budget import Need
from thinktwice.entry import Entry
from thinktwice.sample import Usage
from thinktwice.testing import run_virtual
from thinktwice.workflow import budget_scope, ledger_around

pytestmark = pytest.mark.usefixtures("silent_remarks")


class TestShares:
    """What a step gets."""

    def test_by_weight_of_what_is_left_and_unspent_calls_roll_over(self):
        """A weight of 1 in 4 gets a quarter; the last gets all that the others have left."""
        with budget_scope(Budget(calls=20), steps={"read": 1, "solve": 2, "check": 1}) as budget:
            with budget.step("read") as step:
                assert step.remaining == {"calls": 5}
                spend(step, 2)
            with budget.step("solve") as step:
                assert step.remaining == {"calls": 12}
                spend(step, 12)
            with budget.step("check") as step:
                assert step.remaining == {"calls": 6}
        assert budget.remaining == {"calls": 6}
        assert {name: step.total.calls for name, step in budget.steps.items()} == {
            "read": 2,
            "solve": 12,
            "check": 0,
        }

    @pytest.mark.parametrize(
        ("cap", "weights", "shares"),
        [
            (10, [1, 1, 1], [3, 4, 3]),
            (10, [1, 1, 8], [1, 1, 8]),
            (10, [1, 1, 1, 97], [1, 1, 1, 7]),
            (5, [97, 1, 1, 1], [2, 1, 1, 1]),
            (3, [1, 1, 1, 1], [1, 1, 1, 0]),
            (7, [0.5, 0.25, 0.25], [4, 2, 1]),
            (1, [1000, 1], [1, 0]),
        ],
    )
    def test_no_call_is_lost_to_rounding(self, cap: int, weights: list, shares: list):
        """And each step has one, as long as there are so many."""
        names = [str(number) for number in range(len(weights))]
        with budget_scope(Budget(calls=cap), steps=dict(zip(names, weights))) as budget:  # noqa: B905
            got = []
            for name in names:
                with budget.step(name) as step:
                    got.append(step.remaining["calls"])
                    spend(step, int(step.remaining["calls"]))
        assert got == shares
        assert sum(got) == cap

    def test_money_is_exact(self):
        """Decimal all the way; the last step gets what rounding took off."""
        with budget_scope(Budget(cost="0.10"), steps={"a": 1, "b": 1, "c": 1}) as budget:
            for name, share in (("a", "0.0333333"), ("b", "0.0333333"), ("c", "0.0333334")):
                with budget.step(name) as step:
                    assert step.budget.cost == Decimal(share)
                    spend(step, cost=Decimal(share))
        assert budget.remaining == {"cost": 0}

    def testtokens(self):
        """Whole ones."""
        with budget_scope(Budget(tokens=1000), steps={"a": 1, "b": 2}) as budget:
            with budget.step("a") as step:
                assert step.remaining == {"tokens": 333}
            with budget.step("b") as step:
                assert step.remaining == {"tokens": 1000}

    def test_a_slow_step_does_not_take_the_time_of_later_ones(self):
        """Its share is of the time that is left; it is cut there, with its best so far."""

        async def main() -> None:
            slow = model(seconds=4)
            with budget_scope(Budget(seconds=60), steps={"a": 1, "b": 2, "c": 3}) as budget:
                with budget.step("a"):
                    cut = await run("q", sampler=slow, strategy=EIGHT, max_concurrency=1)
                assert (cut.value, len(cut.samples)) == ("a", 2)
                assert cut.cut is not None
                assert cut.ledger.seconds == 10
                with budget.step("b") as step:
                    assert step.remaining == {"seconds": 20}
                    await asyncio.sleep(5)
                with budget.step("c") as step:
                    assert step.remaining == {"seconds": 45}

        run_virtual(main())

    def test_where_nothing_is_capped_there_is_nothing_to_share(self):
        """A step is then a ledger of what it spent."""
        with budget_scope(steps={"a": 1, "b": 1}) as budget, budget.step("a") as step:
            assert step.remaining == {}
            spend(step, 3)
        assert budget.steps["a"].total.calls == 3

    def test_of_the_caps_around_it_as_well(self):
        """What is left is the least of all."""
        with (
            budget_scope(Budget(calls=8)),
            budget_scope(Budget(calls=100, tokens=50), steps={"a": 1, "b": 1}) as budget,
            budget.step("a") as step,
        ):
            assert step.remaining == {"calls": 4, "tokens": 25}

    def test_a_step_that_is_passed_by_leaves_its_share(self):
        """Where the condition stands inside it."""
        with budget_scope(Budget(calls=9), steps={"a": 1, "b": 1, "c": 1}) as budget:
            for name in ("a", "b"):
                with budget.step(name):
                    pass
            with budget.step("c") as step:
                assert step.remaining == {"calls": 9}

    async def test_when_nothing_is_left_a_step_gets_nothing(self):
        """Its runs are refused, and say which cap it was."""
        with budget_scope(Budget(calls=1), steps={"a": 1, "b": 1}) as budget:
            with budget.step("a"):
                await run("q", sampler=model(), strategy=TWO)
            with budget.step("b") as step:
                assert step.remaining == {"calls": 0}
                with pytest.raises(BudgetExceeded, match="budget of 0 calls"):
                    await run("q", sampler=model(), strategy=TWO)

    async def test_a_step_cannot_overrun(self):
        """A run is cut at the share, and returns its best so far."""
        with budget_scope(Budget(calls=10), steps={"a": 1, "b": 4}) as budget:
            with budget.step("a") as step:
                result = await run("q", sampler=model(), strategy=EIGHT)
            assert (result.value, len(result.samples)) == ("a", 2)
            assert result.cut is not None
            assert step.bound_by(result.cut)
            with budget.step("b"):
                result = await run("q", sampler=model(), strategy=EIGHT)
            assert result.cut is None

    def test_a_call_of_unknown_size_takes_its_share_and_no_more(self):
        """The first one is a probe: it holds all that is left of its step, not of the others'."""
        with budget_scope(Budget(tokens=900, cost=9), steps={"a": 1, "b": 1, "c": 1}) as budget:
            with budget.step("a") as first:
                first.reserve(Need())
                with Elsewhere(budget, "b") as second:
                    assert second.remaining == {"tokens": 300, "cost": Decimal(3)}
                    spend(second, usage=Usage(output_tokens=9, source="provider"), cost=Decimal(1))
            assert budget.enforcement["tokens"] == "estimated"

    def test_an_overrun_closes_the_step_and_no_other(self):
        """What nobody foresaw is taken from what is left for later steps."""
        with budget_scope(Budget(tokens=300), steps={"a": 1, "b": 2}) as budget:
            with budget.step("a") as step:
                spend(step, usage=Usage(output_tokens=160, source="provider"))
                refused = step.reserve(Need())
                assert isinstance(refused, Refusal)
                assert (refused.limit.allowed, refused.limit.overrun) == (100, 60)
            with budget.step("b") as step:
                assert step.remaining == {"tokens": 140}
                assert step.exhausted is None


class Elsewhere:
    """A step that is under way on a thread of its own, which has no copy of the context."""

    def __init__(self, budget, name: str) -> None:
        self._step, self._begun, self._end = budget.step(name), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._step as self._ledger:
            self._begun.set()
            self._end.wait(10)

    def __enter__(self):
        self._thread.start()
        assert self._begun.wait(10)
        return self._ledger

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)


class TestAtTheSameTime:
    """Steps beside each other."""

    def test_each_has_its_share_from_the_moment_it_begins(self):
        """However much another takes meanwhile."""

        async def part(name: str, pause: float) -> tuple[int, int]:
            with budget.step(name) as step:
                share = step.remaining["calls"]
                await asyncio.sleep(pause)
                result = await run("q", sampler=model(seconds=1), strategy=NINE)
            return int(share), len(result.samples)

        async def main() -> None:
            nonlocal budget
            with budget_scope(Budget(calls=12), steps={"a": 3, "b": 2, "c": 1}) as budget:
                parts = (part("a", 5), part("b", 0), part("c", 2))
                assert await asyncio.gather(*parts) == [(6, 6), (4, 4), (2, 2)]

        budget = None
        run_virtual(main())

    async def test_calls_beside_a_step_cannot_take_its_share(self):
        """They get what is not set apart, and the limit says what is."""
        with budget_scope(Budget(calls=4), steps={"a": 3, "b": 1}) as budget:
            with Elsewhere(budget, "a") as step:
                assert (step.remaining, budget.remaining) == ({"calls": 3}, {"calls": 1})
                beside = await run("q", sampler=model(), strategy=EIGHT)
                assert len(beside.samples) == 1
                assert str(beside.cut) == "budget of 4 calls used up (1 spent, 3 set apart)"
            again = await run("q", sampler=model(), strategy=EIGHT)
            assert len(again.samples) == 3

    def test_a_refused_call_waits_for_what_a_step_leaves(self):
        """As long as a call in flight may still give something back."""

        async def main() -> None:
            with budget_scope(Budget(tokens=100), steps={"a": 1, "b": 1}) as budget:
                with budget.step("a") as step:
                    (lease,) = step.reserve(Need(tokens=30))  # type: ignore[misc]
                    beside = asyncio.ensure_future(budget.acquire(Need(tokens=60)))
                    await asyncio.sleep(1)
                    assert not beside.done()
                    lease.settle(Entry(role="sample", status="ok", usage=tokens(10)))
                assert isinstance(await beside, list)

        run_virtual(main())

    def test_a_step_entered_at_the_same_time_is_one(self):
        """A fan-out shares the step's share; it ends with the last of them."""

        async def one(seconds: float) -> None:
            with budget.step("read") as step:
                ledgers.append(step)
                await asyncio.sleep(seconds)
                spend(step)

        async def main() -> None:
            nonlocal budget
            with budget_scope(Budget(calls=8), steps={"read": 1, "solve": 1}) as budget:
                await asyncio.gather(*(one(seconds) for seconds in (1, 2, 3)))
                with budget.step("solve") as step:
                    assert step.remaining == {"calls": 5}

        budget, ledgers = None, []
        run_virtual(main())
        assert len({id(each) for each in ledgers}) == 1
        assert ledgers[0].seconds == 3

    def test_a_step_entered_inside_itself_is_one(self):
        """As where a function of the step calls another."""
        with budget_scope(Budget(calls=8), steps={"a": 1, "b": 1}) as budget:
            with budget.step("a") as outer, budget.step("a") as inner:
                assert inner is outer
                spend(inner)
            with budget.step("b") as step:
                assert step.remaining == {"calls": 7}

    def test_from_threads(self):
        """Every share is set apart under one lock: they add up to the cap."""
        names = [str(number) for number in range(6)]
        begin, end = threading.Barrier(6), threading.Barrier(6)
        shares: list[int] = []

        def work(name: str) -> None:
            begin.wait(10)
            with budget.step(name) as step:
                shares.append(int(step.remaining["calls"]))
                end.wait(10)

        with budget_scope(Budget(calls=31), steps=dict.fromkeys(names, 1)) as budget:
            with ThreadPoolExecutor(6) as pool:
                for done in [pool.submit(copy_context().run, work, name) for name in names]:
                    done.result()
            assert budget.remaining == {"calls": 31}
        assert sum(shares) == 31
        assert set(shares) == {5, 6}


class TestAgain:
    """A step that comes back."""

    def test_it_goes_on_with_its_share(self):
        """A loop over it does not take more than it was to have."""
        with budget_scope(Budget(calls=20), steps={"read": 1, "solve": 3}) as budget:
            for left in (5, 3, 1):
                with budget.step("read") as step:
                    assert step.remaining == {"calls": left}
                    spend(step, min(left, 2))
            with budget.step("solve") as step:
                assert step.remaining == {"calls": 15}

    def test_as_far_as_others_have_not_spent_it(self):
        """What it left unspent was there for them."""
        with budget_scope(Budget(calls=8, tokens=80), steps={"a": 1, "b": 1}) as budget:
            with budget.step("a") as step:
                spend(step, usage=tokens(10))
            with budget.step("b") as step:
                spend(step, 5, usage=tokens(10))
            with budget.step("a") as step:
                assert step.remaining == {"calls": 2, "tokens": 20}
                assert budget.remaining == {"calls": 0, "tokens": 0}
            assert str(step).startswith("a: 1 of 4 calls, 10 of 40 tokens")

    def test_while_another_has_it_set_apart_it_stays_there(self):
        """Coming back takes nothing from a step that is under way."""
        with budget_scope(Budget(calls=8), steps={"a": 1, "b": 1}) as budget:
            with budget.step("a") as step:
                spend(step)
            with Elsewhere(budget, "b") as other, budget.step("a") as step:
                assert (step.remaining, other.remaining) == ({"calls": 0}, {"calls": 7})
                spend(other, 7)
                assert isinstance(step.reserve(Need()), Refusal)
            assert budget.total.calls == 8

    def test_its_clock_stands_still_in_between(self):
        """Its time is the time inside."""

        async def main() -> None:
            with budget_scope(Budget(seconds=40), steps={"a": 1, "b": 3}) as budget:
                for left in (10, 7):
                    with budget.step("a") as step:
                        assert step.remaining == {"seconds": left}
                        await asyncio.sleep(3)
                    await asyncio.sleep(10)
                assert step.seconds == 6

        run_virtual(main())

    def test_in_a_loop_of_unknown_length_a_share_is_of_what_is_left(self):
        """So it never runs dry at once; of a known length, each round can get the same."""
        with budget_scope(Budget(calls=27)):
            got = []
            for _ in range(3):
                with budget_scope(share=1 / 3) as part:
                    got.append(part.remaining["calls"])
                    spend(part, int(part.remaining["calls"]))
        assert got == [9, 6, 4]
        with budget_scope(Budget(calls=10)):
            got = []
            for rest in (3, 2, 1):
                with budget_scope(share=1 / rest) as part:
                    got.append(part.remaining["calls"])
                    spend(part, int(part.remaining["calls"]))
        assert got == [3, 4, 3]

    def test_a_share_is_divided_into_steps_of_its_own(self):
        """Rounds that plan and act."""
        with budget_scope(Budget(calls=16)) as budget:
            for plan, act in ((2, 6), (2, 5)):
                with budget_scope(share=0.5, steps={"plan": 1, "act": 3}) as part:
                    with part.step("plan") as step:
                        assert step.remaining == {"calls": plan}
                        spend(step, plan)
                    with part.step("act") as step:
                        assert step.remaining == {"calls": act}
            assert budget.total.calls == 4

    def test_a_step_is_divided_by_a_scope_inside_it(self):
        """Of what the step has left."""
        with (
            budget_scope(Budget(calls=16), steps={"a": 1, "b": 1}) as budget,
            budget.step("a") as outer,
            budget_scope(steps={"x": 1, "y": 3}) as inside,
            inside.step("x") as step,
        ):
            assert step.remaining == {"calls": 2}
            assert (outer.remaining, budget.remaining) == ({"calls": 6}, {"calls": 8})


class TestEnds:
    """Nothing stays behind."""

    async def test_an_exception_in_a_step(self):
        """What it has not spent is there again."""
        with budget_scope(Budget(calls=6), steps={"a": 1, "b": 1}) as budget:
            with pytest.raises(KeyError), budget.step("a"):
                raise KeyError
            assert ledger_around() is budget
            assert budget.remaining == {"calls": 6}

    @pytest.mark.parametrize("strategy", [EIGHT, Vote(3, of=TWO)], ids=["plain", "nested"])
    def test_a_step_that_is_cancelled_in_the_middle(self, strategy: Vote):
        """Calls in flight are recalled and booked, and its share is given back."""

        async def work() -> None:
            with budget.step("a"):
                await run("q", sampler=asked, strategy=strategy)

        async def main() -> None:
            nonlocal budget
            with budget_scope(Budget(calls=40, tokens=4000), steps={"a": 1, "b": 1}) as budget:
                task = asyncio.ensure_future(work())
                await asyncio.sleep(1.5)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()
                total = budget.total
                assert total.calls == asked.calls > 0
                assert budget.remaining["calls"] == 40 - total.calls
                with budget.step("b") as step:
                    assert step.remaining["calls"] == 40 - total.calls

        budget, asked = None, model(seconds=1)
        run_virtual(main())
        assert asked.in_flight == 0

    async def test_an_async_generator_that_is_closed_elsewhere(self):
        """A step whose block ends in another context gives its share back all the same."""

        async def stream():
            with budget.step("a"):
                yield 1
                yield 2

        with budget_scope(Budget(calls=6), steps={"a": 1, "b": 1}) as budget:
            values = stream()
            assert await anext(values) == 1
            assert budget.remaining == {"calls": 3}
            closing = copy_context().run(asyncio.ensure_future, values.aclose())
            with suppress(ValueError):  # of the context variable, which belongs to the other one
                await closing
            assert budget.remaining == {"calls": 6}


class TestPlace:
    """Where a step begins."""

    def test_an_unknown_step_is_refused_with_the_known_ones(self):
        """A misspelt one, and one of a scope that has none."""
        with budget_scope(Budget(calls=2), steps={"read": 1, "solve": 1}) as budget:
            with pytest.raises(UsageError, match=r"^name='reed': .* are read, solve$"):
                budget.step("reed").__enter__()
            with budget.step("read") as step, pytest.raises(UsageError, match="declare them"):
                step.step("solve").__enter__()

    async def test_a_step_begins_directly_in_its_workflow(self):
        """Inside another step, a scope or a run its calls would have two lines of ledgers."""

        async def sampler(prompt: object) -> str:
            with budget.step("b"):
                return "never"

        with budget_scope(Budget(calls=9), steps={"a": 1, "b": 1}) as budget:
            with budget.step("a"), pytest.raises(UsageError, match="inside another"):
                budget.step("b").__enter__()
            with budget_scope(share=0.5), pytest.raises(UsageError, match="inside another"):
                budget.step("b").__enter__()
            with pytest.raises(UsageError, match="inside another"):
                await run("q", sampler=sampler, strategy=TWO)
            assert "b" not in budget.steps
            assert budget.remaining["calls"] == 9 - budget.total.calls

    def test_a_thread_without_the_context_can_begin_one(self):
        """It has the object, and its calls are in the books."""
        with (
            budget_scope(Budget(calls=8), steps={"a": 1}) as budget,
            Elsewhere(budget, "a") as step,
        ):
            spend(step)
        assert budget.total.calls == 1

    @pytest.mark.parametrize("prefer", ["cost", "latency"])
    async def test_a_workflow_inside_a_sampler(self, prefer: str):
        """What its sample holds for one call of its own is the workflow's to share."""
        asked = model()

        async def workflow(prompt: str) -> object:
            with budget_scope(Budget(calls=4), steps={"a": 1, "b": 1}) as budget:
                for name in ("a", "b"):
                    with budget.step(name):
                        result = await run(prompt, sampler=asked, strategy=TWO)
                return result.value

        strategy = Vote(2, stop=AtMost(2), prefer=prefer)
        result = await run("q", sampler=workflow, strategy=strategy)
        assert result.value == "a"
        assert asked.calls == result.ledger.total.calls == 8
        with budget_scope(Budget(calls=8, tokens=8000)):
            result = await run("q", sampler=workflow, strategy=strategy)
        assert result.value == "a"
        assert asked.calls == 16
