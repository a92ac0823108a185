"""One budget over the calls of a block, what is visible of it, and its results."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from decimal import Decimal

import pytest

from tests.unit.workflow_cases import EIGHT, TWO, model, run, spend, tokens
from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    BudgetExceeded,
    Ledger,
    ThinktwiceWarning,
    UsageError,
    Vote,
    remarks,
    solve_sync,
)
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.verifiers import Judge
from thinktwice.workflow import budget_scope, collect, ledger_around

pytestmark = pytest.mark.usefixtures("silent_remarks")


class TestBudgetScope:
    """One budget over several runs."""

    async def test_runs_share_it(self):
        """The second gets what the first has left."""
        with budget_scope(Budget(calls=3)) as ledger:
            await run("q", sampler=model(), strategy=TWO)
            assert ledger.remaining == {"calls": 1}
            second = await run("q", sampler=model(), strategy=TWO)
            assert len(second.samples) == 1
            assert second.value == "a"
            assert second.cut is not None
            assert ledger.bound_by(second.cut)
            with pytest.raises(BudgetExceeded):
                await run("q", sampler=model(), strategy=TWO)
        assert ledger.total.calls == 3

    async def test_runs_at_once_share_it(self):
        """First come, first served; whoever got a call has an answer, what they drew is the cap."""
        with budget_scope(Budget(calls=11)) as ledger:
            runs = [run("q", sampler=model(), strategy=EIGHT) for _ in range(3)]
            first, second, third = await asyncio.gather(*runs, return_exceptions=True)
        assert (len(first.samples), len(second.samples)) == (8, 3)
        assert first.value == second.value == "a"
        assert second.cut is not None
        assert isinstance(third, BudgetExceeded)
        assert ledger.total.calls == 11

    async def test_scopes_nest(self):
        """Each binds, and records what happens inside it."""
        with budget_scope(Budget(calls=5)) as outer:
            with budget_scope(Budget(calls=9)) as inner:
                await run("q", sampler=model(), strategy=TWO)
                assert inner.remaining == {"calls": 3}
            assert ledger_around() is outer
        assert (outer.total.calls, inner.total.calls) == (2, 2)
        assert ledger_around() is None

    async def test_inside_a_sampler(self):
        """It lies within the run's own ledger."""
        asked = model()

        async def sampler(prompt: str) -> object:
            with budget_scope(Budget(calls=1)):
                return (await run(prompt, sampler=asked, strategy=TWO)).value

        result = await run("q", sampler=sampler, strategy=TWO)
        assert asked.calls == 2
        assert len(result.ledger.entries) == 2

    async def test_a_strategy_inside_a_strategy_and_its_judge(self):
        """Whatever calls a model, the call is in it."""
        asked, judge = model(), ScriptedSampler(['{"reason": "", "score": 5}'])
        inner = BestOfN(2, verifier=Judge(judge, rubric="right"), prefer="cost")
        with budget_scope(Budget(calls=8)) as ledger:
            result = await run("q", sampler=asked, strategy=Vote(3, stop=AtMost(3), of=inner))
        assert result.value == "a"
        assert asked.calls + judge.calls == ledger.total.calls == 8

    def test_a_thread_with_a_copy_of_the_context(self):
        """As executors of frameworks make one."""
        with budget_scope(Budget(calls=2)) as ledger:
            run = copy_context().run
            thread = threading.Thread(
                target=lambda: run(solve_sync, "q", sampler=lambda p: "a", strategy=Vote(2))
            )
            thread.start()
            thread.join(10)
        assert ledger.remaining["calls"] == 1  # one vote was enough, as one more could not matter

    async def test_to_thread_beside_the_loop(self):
        """Sync runs on threads and async ones on the loop, at the same time."""

        def sync() -> object:
            return solve_sync("q", sampler=lambda p: "a", strategy=EIGHT).value

        with budget_scope(Budget(calls=13)) as ledger:
            on_threads = [asyncio.to_thread(sync) for _ in range(2)]
            on_loop = run("q", sampler=model(), strategy=EIGHT)
            results = await asyncio.gather(*on_threads, on_loop, return_exceptions=True)
        assert ledger.total.calls == 13
        assert "a" in results

    def test_a_pool_of_threads(self):
        """Each task with a copy of its own."""
        with budget_scope(Budget(calls=9)) as ledger, ThreadPoolExecutor(4) as pool:

            def ask() -> None:
                with suppress(BudgetExceeded):
                    solve_sync("q", sampler=lambda p: "a", strategy=EIGHT)

            for done in [pool.submit(copy_context().run, ask) for _ in range(4)]:
                done.result()
        assert ledger.total.calls == 9

    async def test_a_sync_run_inside_a_running_loop(self):
        """Its private loop is on another thread; the scope goes there with it."""
        with budget_scope(Budget(calls=3)) as ledger:
            solve_sync("q", sampler=lambda p: "a", strategy=TWO)
            await run("q", sampler=model(), strategy=TWO)
        assert ledger.total.calls == 3

    def test_one_that_is_left_elsewhere_says_what_to_do(self):
        """A web service opens and closes a sync dependency in a context each."""
        scope = budget_scope(Budget(calls=3))
        copy_context().run(scope.__enter__)
        with pytest.raises(UsageError, match="an async dependency"):
            copy_context().run(scope.__exit__, None, None, None)
        assert ledger_around() is None

    def test_one_that_is_left_elsewhere_hides_no_error(self, monkeypatch):
        """It goes on as what it is, such as a 404 of a web service; a warning says the rest."""
        monkeypatch.setattr(remarks, "_told", set())
        scope, error = budget_scope(Budget(calls=3)), ValueError("of the endpoint")
        copy_context().run(scope.__enter__)
        with pytest.warns(ThinktwiceWarning, match="left in another context.*an async dependency"):
            swallowed = copy_context().run(scope.__exit__, ValueError, error, None)
        assert not swallowed

    async def test_a_stream_that_nobody_reads_on_ends_anywhere(self):
        """Its generator is closed by whoever cleans up, in another context."""

        async def stream():
            with budget_scope(Budget(calls=9)) as ledger:
                yield ledger
                yield ledger

        reading = stream()
        ledger = await anext(reading)
        await asyncio.create_task(reading.aclose(), context=contextvars.Context())
        assert ledger.remaining == {"calls": 9}

    async def test_one_of_a_generator_that_was_broken_off_binds_nothing_more(self):
        """Its generator has ended in another context, and the caller's has the scope still."""

        async def stream():
            with budget_scope(Budget(calls=2)) as ledger:
                yield ledger

        with budget_scope(Budget(calls=9)) as around:
            reading = stream()
            inside = await anext(reading)
            await asyncio.create_task(reading.aclose(), context=contextvars.Context())
            result = await run("q", sampler=model(), strategy=EIGHT)
        assert len(result.samples) == around.total.calls == 8
        assert inside.total.calls == 0
        assert ledger_around() is None

    def test_one_of_a_generator_that_is_closed_inside_a_later_one(self):
        """The later one stays; after it, neither is there."""

        def stream():
            with budget_scope(Budget(calls=9)) as ledger:
                yield ledger

        reading = stream()
        next(reading)
        with budget_scope(Budget(calls=3)) as later:
            reading.close()
            assert ledger_around() is later
        assert ledger_around() is None

    def test_one_of_a_generator_that_is_left_behind_by_an_earlier_one(self):
        """It sets the context back to the earlier one, which has ended."""

        def stream():
            with budget_scope(Budget(calls=9)) as ledger:
                yield ledger

        with budget_scope(Budget(calls=3)):
            reading = stream()
            next(reading)
        reading.close()
        assert ledger_around() is None

    async def test_a_task_that_outlives_its_scope_spends_from_it(self):
        """A request that answers at once, and works on, gets past no budget."""

        async def later():
            await left.wait()
            return await run("q", sampler=model(), strategy=EIGHT)

        left = asyncio.Event()
        with budget_scope(Budget(calls=3)) as ledger:
            task = asyncio.create_task(later())
        left.set()
        assert len((await task).samples) == ledger.total.calls == 3

    def test_a_sync_sampler_that_runs_a_strategy(self):
        """A run on a thread of a run."""

        def sampler(prompt: str) -> object:
            return solve_sync(prompt, sampler=lambda p: "a", strategy=TWO).value

        with budget_scope(Budget(calls=5)) as ledger:
            result = solve_sync("q", sampler=sampler, strategy=Vote(4, stop=AtMost(4)))
        assert result.value == "a"
        assert ledger.total.calls == 5

    def test_its_time_runs_from_its_beginning(self):
        """Over all runs of the block."""

        async def main() -> None:
            one_by_one = {"strategy": Vote(3, stop=AtMost(3)), "max_concurrency": 1}
            with budget_scope(Budget(seconds=2.5)):
                await run("q", sampler=model(seconds=1), strategy=Vote(1))
                second = await run("q", sampler=model(seconds=1), **one_by_one)
                assert len(second.samples) == 1
                assert second.cut is not None
                assert second.ledger.seconds == 1.5

        run_virtual(main())

    def test_what_remains_of_its_time_stands_still_when_it_is_over(self):
        """It says what was left, and not what would be."""

        async def main() -> None:
            with budget_scope(Budget(seconds=5)) as ledger:
                await asyncio.sleep(2)
            await asyncio.sleep(2)
            assert ledger.remaining == {"seconds": 3}

        run_virtual(main())

    @pytest.mark.parametrize(
        ("parameter", "arguments"),
        [
            ("budget", {}),
            ("budget", {"budget": 5}),
            ("budget", {"budget": {"calls": 5}, "steps": {"a": 1}}),
            ("share", {"share": 0}),
            ("share", {"share": 1.5}),
            ("share", {"share": True}),
            ("share", {"share": "half"}),
            ("share", {"share": 0.5, "budget": Budget(calls=5)}),
            ("steps", {"steps": {}}),
            ("steps", {"steps": ["a"]}),
            ("steps", {"steps": {"a": 0}}),
            ("steps", {"steps": {"a": float("inf")}}),
            ("steps", {"steps": {"a": "1"}}),
            ("steps", {"steps": {1: 1}}),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused_by_name(self, parameter: str, arguments: dict):
        """And no scope is left behind."""
        with pytest.raises(UsageError, match=f"^{parameter}="), budget_scope(**arguments):
            raise AssertionError("it must not begin")
        assert ledger_around() is None


class TestVisible:
    """What is left, for people and for backends."""

    def test_one_line_each(self):
        """What was spent of what."""

        async def main() -> None:
            caps = Budget(calls=8, tokens=1000, cost="0.5", seconds=8)
            with budget_scope(caps, steps={"read": 1, "solve": 3}) as budget:
                with budget.step("read") as step:
                    await asyncio.sleep(1.25)
                    spend(step, usage=tokens(15), cost=Decimal("0.015"))
                line = "1 of 2 calls, 15 of 250 tokens, $0.0150 of $0.1250, 1.2 of 2.0 s"
                assert str(step) == f"read: {line}"
                assert repr(step) == f"<BudgetScope: read: {line}>"
                line = "1 of 8 calls, 15 of 1,000 tokens, $0.0150 of $0.5000, 1.2 of 8.0 s"
                assert str(budget) == line

        run_virtual(main())

    def test_without_caps(self):
        """It reads as any ledger does."""
        with budget_scope(steps={"a": 1}) as budget, budget.step("a"):
            pass
        assert str(budget) == str(Ledger())
        assert str(budget.steps["a"]) == f"a: {Ledger()}"

    async def test_in_spans(self):
        """The step of a run, and what was left around it when it ended."""
        with captured_spans() as spans, budget_scope(Budget(calls=9), steps={"a": 2, "b": 1}) as w:
            with w.step("a"):
                await run("q", sampler=model(), strategy=Vote(1, of=TWO))
            await run("q", sampler=model(), strategy=TWO)
        runs = [span.attributes for span in spans if span.name == "invoke_workflow Vote"]
        steps = [each.get("thinktwice.step") for each in runs]
        left = [each["thinktwice.budget.calls.remaining"] for each in runs]
        assert list(zip(steps, left, strict=True)) == [("a", 4), ("a", 4), (None, 5)]

    def test_a_copy_is_a_plain_record(self):
        """Of what was spent; nobody can spend from it."""
        with budget_scope(Budget(calls=9), steps={"a": 1}) as budget, budget.step("a") as step:
            spend(step, 2)
        for each in (budget, step):
            for again in (pickle.loads(pickle.dumps(each)), copy.deepcopy(each)):  # noqa: S301 - ours
                assert type(again) is Ledger
                assert (again.total.calls, again.budget) == (2, each.budget)


class TestCollect:
    """The outermost results of a block."""

    async def test_outermost_ones(self):
        """Those inside a sample are in the result of the run around them."""
        with collect() as results:
            await run("q", sampler=model(), strategy=Vote(2, of=Vote(2)))
            await run("q", sampler=model(), strategy=Vote(1))
        assert [len(result.nested) for result in results] == [len(results[0].samples), 0]
        await run("q", sampler=model(), strategy=Vote(1))
        assert len(results) == 2

    async def test_runs_without_an_answer_as_well(self):
        """What they paid is in their result."""
        failing = ScriptedSampler([KeyError("x")])
        with collect() as results, pytest.raises(KeyError):
            await run("q", sampler=failing, strategy=Vote(2))
        assert [result.ledger.total.calls for result in results] == [2]

    async def test_blocks_nest(self):
        """What an inner block gathers is in the outer one, too."""
        with collect() as outer:
            await run("q", sampler=model(), strategy=Vote(1))
            with collect() as inner:
                await run("q", sampler=model(), strategy=TWO)
        assert [len(result.samples) for result in outer] == [1, 2]
        assert inner == outer[1:]

    async def test_inside_a_sampler(self):
        """It gathers there, and the results are nested in the run around all the same."""
        gathered: list[int] = []

        async def sampler(prompt: str) -> object:
            with collect() as results:
                value = (await run(prompt, sampler=model(), strategy=TWO)).value
            gathered.append(len(results))
            return value

        result = await run("q", sampler=sampler, strategy=TWO)
        assert gathered == [1, 1]
        assert len(result.nested) == 2


def test_a_share_of_nothing_is_refused():
    """A forgotten scope around it would mean no cap at all."""
    with pytest.raises(UsageError, match="no budget around here"), budget_scope(share=0.5):
        pass
