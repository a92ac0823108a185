"""Running strategies over what LlamaIndex has."""

from __future__ import annotations

import asyncio

import pytest
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver, blocking, either

from thinktwice import Budget, BudgetExceeded, Limiter, UsageError, Vote, budget_scope
from thinktwice.history import History
from thinktwice.shadow import Shadow
from thinktwice.stop import AtMost

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def full(n: int) -> Vote:
    return Vote(n, stop=AtMost(n), hedge=False)


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("budget", 5),
            ("limiter", 8),
            ("max_concurrency", 0),
            ("on_exhausted", "stop"),
            ("llm_spans", True),
            ("require_budget", "yes"),
            ("prices", 5),
            ("progress", 5),
            ("shadow", 2),
            ("options", {"temperature": 1}),
            ("api_key", "sk-secret"),
        ],
    )
    def test_that_make_no_sense_are_refused_when_the_door_is_made(self, name, value):
        """By their name; a value that may be secret is not shown."""
        with pytest.raises(UsageError, match=name) as caught:
            Solver(Vote(3), **{name: value})
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("strategy", [None, Vote, "vote"])
    def test_no_strategy(self, strategy):
        """The error says what one is."""
        with pytest.raises(UsageError, match=r"Vote\(8\)"):
            Solver(strategy)

    def test_a_key_that_does_not_exist(self):
        """Is found before anything is drawn."""
        with pytest.raises(UsageError, match="key"):
            Solver(Vote(3, key="nmber"))

    def test_a_strict_budget_cannot_be_kept_where_calls_are_only_heard_of(self):
        """And can where they are booked."""
        budget = Budget(tokens=100, strict=True)
        with pytest.raises(UsageError, match="StrategyLLM"):
            Solver(Vote(3), budget=budget)
        assert Solver(Vote(3), budget=budget, refuses=True).budget == budget

    async def test_a_strict_budget_around(self):
        """Is as much of a promise."""
        drawing = AsyncDrawing(lambda _: asyncio.sleep(0, "a"), History())
        with (
            budget_scope(Budget(tokens=100, strict=True)),
            pytest.raises(UsageError, match="strict"),
        ):
            await Solver(Vote(3)).solve("q", drawing)

    async def test_reach_the_run(self):
        """All that `solve` takes."""
        told, limiter = [], Limiter(1)
        solver = Solver(full(2), limiter=limiter, progress=told.append, max_concurrency=3)
        await solver.solve("q", AsyncDrawing(lambda _: asyncio.sleep(0, "a"), History()))
        assert [each.kind for each in told] == ["sample", "sample", "decided"]

    async def test_shadow(self):
        """Callers get a single sample; the report tells of the others."""
        shadow = Shadow(1.0)
        solver = Solver(full(3), shadow=shadow)
        drawn = []

        async def draw(prompt):
            drawn.append(prompt)
            return "a"

        result = await solver.solve("q", AsyncDrawing(draw, History()))
        assert result.launched == 1
        await shadow.drain()
        assert len(drawn) > 1
        assert solver.shadow is shadow


class TestDoors:
    async def test_sync_calls_sync(self, scripted):
        """On threads, with the context; async awaits."""
        llm, history = scripted("a"), History()

        async def verdictlike():
            return await either(lambda: llm.complete("x"), lambda: llm.acomplete("x"))

        result = Solver(full(2)).solve_sync(
            "q", BlockingDrawing(lambda prompt: llm.complete(prompt).text, history)
        )
        assert {each["method"] for each in llm.log} == {"complete"}
        assert result.ledger.total.calls == 2
        await Solver(full(2)).solve("q", AsyncDrawing(lambda _: verdictlike(), history))
        assert llm.log[-1]["method"] == "acomplete"

    async def test_either_goes_by_how_the_request_came_in(self):
        """Also deep inside."""
        seen = []

        async def draw(prompt):
            seen.append(blocking.get())
            return await either(lambda: "sync", lambda: asyncio.sleep(0, "async"))

        sampled = Solver(full(1)).solve_sync("q", AsyncDrawing(draw, History()))
        assert (sampled.value, seen) == ("sync", [True])
        result = await Solver(full(1)).solve("q", AsyncDrawing(draw, History()))
        assert (result.value, seen) == ("async", [True, False])
        assert not blocking.get()


class TestOverruns:
    async def test_a_sample_is_cut_when_a_call_of_it_does_not_fit(self, scripted):
        """Before that has got far; the finished ones count."""
        llm = scripted("a", seconds=0.01)

        async def thrice(prompt):
            for _ in range(3):
                text = (await llm.acomplete(prompt)).text
            return text

        solver = Solver(full(3), budget=Budget(calls=4), max_concurrency=1)
        result = await solver.solve("q", AsyncDrawing(thrice, History()))
        assert result.value == "a"
        assert result.cut.kind == "calls"
        assert result.ledger.enforcement["calls"] == "estimated"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def test_with_no_answer_it_raises_with_the_ledger(self, scripted):
        """Nothing that was paid for is lost."""
        llm = scripted("a", seconds=0.01)

        async def thrice(prompt):
            for _ in range(3):
                await llm.acomplete(prompt)
            return "a"

        solver = Solver(full(1), budget=Budget(calls=1))
        with pytest.raises(BudgetExceeded) as caught:
            await solver.solve("q", AsyncDrawing(thrice, History()))
        assert caught.value.result.ledger.total.calls == 2

    async def test_cancelling_the_caller_is_no_overrun(self, scripted):
        """It leaves as it came."""
        llm = scripted("a", seconds=60)
        drawing = AsyncDrawing(llm.acomplete, History())
        task = asyncio.create_task(Solver(full(2)).solve("q", drawing))
        while llm.calls < 2:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
