"""Pairwise evaluators as judges of a tournament."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.evaluation import FaithfulnessEvaluator, PairwiseComparisonEvaluator
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver
from llama_index_thinktwice.verifiers import EvaluatorComparison

from thinktwice import BestOfN, Budget, UsageError
from thinktwice.history import History
from thinktwice.sample import Sample
from thinktwice.selection import Knockout

pytestmark = pytest.mark.usefixtures("silent_remarks")


@pytest.fixture
def compare(answer):
    """The points of "one" against "two"."""

    async def points(evaluator: Any, **more: Any) -> float | None:
        first, second = (Sample(index=at, value=answer(t)) for at, t in enumerate(("one", "two")))
        return await EvaluatorComparison(evaluator, **more).compare(first, second, prompt="q")

    return points


def prefers(text: str) -> Any:
    """A judge of two answers, wherever they stand."""

    def reply(request: dict[str, Any]) -> str:
        first = request["text"].partition("Assistant A")[2].partition("Assistant B")[0]
        return "[[A]]" if text in first else "[[B]]"

    return reply


@pytest.mark.parametrize(
    ("replies", "points"),
    [
        (["fine [[A]]", "fine [[B]]"], 1.0),
        (["[[B]]", "[[A]]"], 0.0),
        (["[[C]]", "[[C]]"], 0.5),
        (["[[A]]", "[[A]]"], 0.5),
        (["[[A]]", "[[C]]"], 0.75),
        (["not [[A]] but [[B]]", "[[A]]"], None),
        (["A", "[[A]]"], None),
        (["[[A]]", ""], None),
        ([ValueError("down"), "[[A]]"], None),
    ],
)
async def test_points(replies, points, scripted, compare):
    """Of both orders; what cannot be read in one of them counts as nothing."""
    llm = scripted(*replies)
    assert await compare(PairwiseComparisonEvaluator(llm=llm)) == points
    assert llm.calls == 2


async def test_a_parser_of_the_users(scripted, compare):
    """Replies are read as it reads them."""

    def parser(reply: str) -> Any:
        return None, float(reply), reply

    evaluator = PairwiseComparisonEvaluator(llm=scripted("1", "0.5"), parser_function=parser)
    assert await compare(evaluator) == 0.75


async def test_what_the_judge_reads(scripted, compare):
    """The question, both answers and the reference."""
    llm = scripted("[[C]]")
    evaluator = PairwiseComparisonEvaluator(llm=llm)
    await compare(evaluator, reference=lambda prompt: f"right: {prompt}")
    for part in ("q", "one", "two", "right: q"):
        assert part in llm.log[0]["text"]
    assert evaluator._enforce_consensus is True


async def test_it_runs_a_knockout(call, scripted, answer):
    """With its calls booked as judging, by sync methods where the request is a sync one."""
    llm = scripted(prefers("best"))
    made = iter(["good", "best", "bad"])
    judge = EvaluatorComparison(PairwiseComparisonEvaluator(llm=llm))
    solver = Solver(BestOfN(3, select=Knockout(judge), hedge=False))
    result = await solved(call, solver, lambda: answer(next(made)))
    assert str(result.value) == "best"
    assert result.ledger.by_role["verify"].calls == llm.calls == 4
    assert judge.calls == 2
    method = "achat" if call.awaits else "chat"
    assert {each["method"] for each in llm.log} == {method}


async def test_a_budget_ends_it(scripted, answer):
    """A comparison that does not fit is refused before it is sent; the best so far is returned."""
    llm = scripted("[[A]]", "[[B]]")
    made = iter(range(9))

    async def draw(prompt):
        await asyncio.sleep(0)
        return answer(f"answer {next(made)}")

    judge = EvaluatorComparison(PairwiseComparisonEvaluator(llm=llm))
    solver = Solver(BestOfN(3, select=Knockout(judge), hedge=False), budget=Budget(calls=5))
    result = await solver.solve(QueryBundle("q"), AsyncDrawing(draw, History()))
    assert str(result.value).startswith("answer")
    assert (llm.calls, result.ledger.total.calls) == (2, 5)


@pytest.mark.parametrize("given", [None, "x"])
def test_what_does_not_compare(given, scripted):
    """The error says what does."""
    with pytest.raises(UsageError, match="PairwiseComparisonEvaluator"):
        EvaluatorComparison(given or FaithfulnessEvaluator(llm=scripted("YES")))
    with pytest.raises(UsageError, match="reference"):
        EvaluatorComparison(PairwiseComparisonEvaluator(llm=scripted("x")), reference=" ")


async def solved(call: Any, solver: Solver, make: Any) -> Any:
    question = QueryBundle("q")

    async def draw(prompt):
        return make()

    if call.awaits:
        return await solver.solve(question, AsyncDrawing(draw, History()))
    return solver.solve_sync(question, BlockingDrawing(lambda _: make(), History()))
