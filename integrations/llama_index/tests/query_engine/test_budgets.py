"""Budgets, limits, shadows and progress of a wrapped engine."""

from __future__ import annotations

import asyncio
import time

import pytest
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index_thinktwice.query_engine import StrategyQueryEngine

from thinktwice import (
    Budget,
    BudgetExceeded,
    Limiter,
    ThinktwiceWarning,
    UsageError,
    Vote,
    budget_scope,
    collect,
    remarks,
)
from thinktwice.shadow import Shadow

CUT = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


async def test_the_level_of_a_cap_is_estimated_and_says_so(call, engine, all_of):
    """The calls are heard of, and not made, here."""
    wrapped = StrategyQueryEngine(engine("3"), all_of(2), budget=Budget(tokens=100_000, calls=10))
    response = await call(wrapped, "query", "?")
    told = response.metadata["thinktwice"]["enforcement"]
    assert (told["tokens"], told["seconds"]) == ("estimated", "exact")


@CUT
async def test_over_budget_the_best_so_far_comes_back(call, engine):
    """And is marked."""
    wrapped = StrategyQueryEngine(
        engine("3"), Vote(8, key="number", prefer="cost"), budget=Budget(tokens=200)
    )
    response = await call(wrapped, "query", "?")
    assert str(response) == "3"
    assert "tokens" in response.metadata["thinktwice"]["stopped_by"]
    assert response.metadata["thinktwice"]["launched"] < 4


class Polishing(BaseQueryEngine):
    """Does something more when the LLM has answered."""

    def __init__(self, inner: BaseQueryEngine) -> None:
        self.inner = inner
        super().__init__(None)

    def _get_prompt_modules(self) -> dict[str, object]:
        return {}

    def _query(self, query_bundle):
        response = self.inner.query(query_bundle)
        time.sleep(0.01)
        return response

    async def _aquery(self, query_bundle):
        response = await self.inner.aquery(query_bundle)
        await asyncio.sleep(0.01)
        return response


@CUT
async def test_an_answer_whose_call_overran_the_cap_comes_back(call, engine, all_of):
    """It is paid for; nothing else is launched."""
    wrapped = StrategyQueryEngine(Polishing(engine("3")), all_of(5), budget=Budget(tokens=5))
    response = await call(wrapped, "query", "?")
    told = response.metadata["thinktwice"]
    assert (str(response), told["launched"]) == ("3", 1)
    assert told["tokens"] > 5


async def test_calls_of_other_clients_are_said_to_be_uncounted(call, whole, all_of, fresh_remarks):
    """And no cap on them claims to be kept."""
    wrapped = StrategyQueryEngine(whole("3"), all_of(2), budget=Budget(calls=4))
    with (
        collect() as results,
        pytest.warns(ThinktwiceWarning, match="calls made by other clients are not counted"),
    ):
        response = await call(wrapped, "query", "?")
    assert results[0].warnings == (remarks.UNHEARD,)
    assert response.metadata["thinktwice"]["enforcement"]["calls"] == "estimated"


@CUT
async def test_without_an_answer_budget_exceeded_arrives_as_it_is(call, engine, all_of):
    """No layer of LlamaIndex hides it, and what was paid for is on it."""
    inner = engine("3")
    inner._response_synthesizer._llm.seconds = 1.0
    wrapped = StrategyQueryEngine(inner, all_of(2), budget=Budget(seconds=0.3))
    with pytest.raises(BudgetExceeded) as caught:
        await call(wrapped, "query", "?")
    assert caught.value.limit.kind == "seconds"
    assert caught.value.ledger.total.calls >= 1  # two, on a machine that is not busy


@CUT
async def test_time_spent_on_retrieval_counts(call, engine, retriever, all_of):
    """It is cut off like a sample."""
    found = retriever("Apples cost 3 dollars.", seconds=0.3)
    wrapped = StrategyQueryEngine(engine("3", over=found), all_of(2), budget=Budget(seconds=0.05))
    with pytest.raises(BudgetExceeded):
        await call(wrapped, "query", "?")


async def test_a_cut_answer_raises_on_request(call, engine):
    """With the answer on the error."""
    wrapped = StrategyQueryEngine(
        engine("3"),
        Vote(8, key="number", prefer="cost"),
        budget=Budget(tokens=200),
        on_exhausted="raise",
    )
    with pytest.raises(BudgetExceeded) as caught:
        await call(wrapped, "query", "?")
    assert str(caught.value.result.value) == "3"


@CUT
async def test_several_queries_share_a_budget(call, engine, all_of):
    """Of an application's block; the last one finds nothing left."""
    wrapped = StrategyQueryEngine(engine("3"), all_of(3))
    with budget_scope(Budget(calls=5)) as scope:
        await call(wrapped, "query", "?")
        response = await call(wrapped, "query", "?")
        assert "calls" in response.metadata["thinktwice"]["stopped_by"]
        with pytest.raises(BudgetExceeded):
            await call(wrapped, "query", "?")
    assert 5 <= scope.total.calls <= 6  # one may be on its way when it is heard of


async def test_a_strict_budget_is_refused_with_the_way_out(call, engine, all_of):
    """At construction, or where it is around."""
    with pytest.raises(UsageError, match="StrategyLLM"):
        StrategyQueryEngine(engine("3"), all_of(2), budget=Budget(cost=1, strict=True))
    wrapped = StrategyQueryEngine(engine("3"), all_of(2))
    with (
        budget_scope(Budget(cost=1, strict=True)),
        pytest.raises(UsageError, match="StrategyLLM"),
    ):
        await call(wrapped, "query", "?")


async def test_a_limiter_holds_for_all_queries(engine, all_of):
    """Two engines that share it make two calls at a time, together."""
    llm_of = engine("3", llm=None)
    llm = llm_of._response_synthesizer._llm
    llm.seconds = 0.005
    limiter = Limiter(2)
    wrapped = [StrategyQueryEngine(llm_of, all_of(3), limiter=limiter) for _ in range(2)]
    await asyncio.gather(*(each.aquery("?") for each in wrapped))
    assert llm.calls == 6
    assert llm.most_in_flight == 2


async def test_max_concurrency_is_that_of_one_query(call, engine, all_of):
    """Samples in flight at most."""
    inner = engine("3")
    inner._response_synthesizer._llm.seconds = 0.005
    await call(StrategyQueryEngine(inner, all_of(4), max_concurrency=1), "query", "?")
    assert inner._response_synthesizer._llm.most_in_flight == 1


async def test_progress_is_told(call, engine, all_of):
    """Each sample, and the decision."""
    told = []
    wrapped = StrategyQueryEngine(engine("3"), all_of(2), progress=told.append)
    await call(wrapped, "query", "?")
    assert len(told) == 3


async def test_a_shadow_answers_with_one_sample(call, engine, all_of):
    """A whole query of the engine, as without us; the strategy runs behind it."""
    inner = engine("3", "4", "4", "4")
    shadow = Shadow(1.0)
    wrapped = StrategyQueryEngine(inner, all_of(3), shadow=shadow)
    response = await call(wrapped, "query", "apples?")
    assert str(response) == "3"
    if call.awaits:
        await shadow.drain()
    else:
        await asyncio.to_thread(shadow.join)
    assert wrapped.shadow is shadow
    assert shadow.report.compared == 1
    assert shadow.report.changed.count == 1
    assert len(inner.retriever.queries) == 2  # that of the user, and that of the strategy


async def test_a_shadow_of_nodes_that_were_given_retrieves_nothing(call, engine, nodes, all_of):
    """Neither in front nor behind."""
    from llama_index.core.schema import QueryBundle

    inner, shadow = engine("3"), Shadow(1.0)
    wrapped = StrategyQueryEngine(inner, all_of(2), shadow=shadow)
    await call(wrapped, "synthesize", QueryBundle("?"), nodes("Apples cost 3 dollars."))
    await asyncio.to_thread(shadow.join) if not call.awaits else await shadow.drain()
    assert inner.retriever.queries == []
    assert inner._response_synthesizer._llm.calls == 3


async def test_the_result_can_be_collected(call, engine, all_of):
    """All of it, with samples and ledger."""
    with collect() as results:
        response = await call(StrategyQueryEngine(engine("3"), all_of(2)), "query", "?")
    assert len(results) == 1
    assert results[0].value.response == str(response)
    assert len(results[0].ledger.entries) == 2
