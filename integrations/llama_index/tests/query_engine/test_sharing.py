"""How often is retrieved, and what each sample gets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from llama_index.core.base.response.schema import Response
from llama_index.core.indices.query.query_transform.base import IdentityQueryTransform
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.transforms import AsyncTransformQueryEngine, VoteQueryTransform

from thinktwice import Budget, BudgetExceeded, UsageError, collect


async def test_shared_retrieval_is_made_once(call, engine, retriever, all_of):
    """Five samples, one retrieval, five calls of the LLM."""
    found = retriever("Apples cost 3 dollars.")
    inner = engine("3", over=found)
    llm = inner._response_synthesizer._llm
    await call(StrategyQueryEngine(inner, all_of(5)), "query", "What do apples cost?")
    assert len(found.queries) == 1
    assert llm.calls == 5


async def test_a_real_index_embeds_the_query_once(call, index, embedding, scripted, all_of):
    """As the index says itself."""
    inner = index.as_query_engine(llm=scripted("Paris"), similarity_top_k=2)
    response = await call(StrategyQueryEngine(inner, all_of(3)), "query", "capital of France?")
    assert embedding.embedded == ["capital of France?"]
    assert len(response.source_nodes) == 2


async def test_per_sample_retrieval_on_request(call, engine, retriever, all_of):
    """Each sample queries the whole engine."""
    found = retriever("Apples cost 3 dollars.")
    wrapped = StrategyQueryEngine(engine("3", over=found), all_of(4), retrieval="per_sample")
    await call(wrapped, "query", "What do apples cost?")
    assert len(found.queries) == 4


async def test_each_sample_gets_a_bundle_of_its_own(call, engine, retriever, all_of):
    """A retriever leaves an embedding on its bundle, which the next must not find."""
    found = retriever("Apples cost 3 dollars.")
    asked = QueryBundle("apples?", custom_embedding_strs=["fruit"], embedding=[1.0])
    wrapped = StrategyQueryEngine(engine("3", over=found), all_of(3), retrieval="per_sample")
    await call(wrapped, "query", asked)
    assert [each.embedding for each in found.queries] == [[1.0]] * 3
    assert [type(each) for each in found.queries] == [QueryBundle] * 3
    assert len({id(each) for each in [asked, *found.queries]}) == 4
    assert len({id(each.custom_embedding_strs) for each in [asked, *found.queries]}) == 4


class Greedy(RetrieverQueryEngine):
    """An engine that changes the list it is given."""

    seen: list[int]

    def synthesize(self, query_bundle, nodes, additional_source_nodes=None):
        self.seen.append(len(nodes))
        response = super().synthesize(query_bundle, nodes, additional_source_nodes)
        nodes.clear()
        return response

    async def asynthesize(self, query_bundle, nodes, additional_source_nodes=None):
        self.seen.append(len(nodes))
        response = await super().asynthesize(query_bundle, nodes, additional_source_nodes)
        nodes.clear()
        return response


async def test_each_sample_gets_a_list_of_its_own(call, engine, all_of):
    """One that empties it takes nothing from the others."""
    plain = engine("3")
    inner = Greedy(plain.retriever, plain._response_synthesizer)
    inner.seen = []
    await call(StrategyQueryEngine(inner, all_of(3)), "query", "apples?")
    assert inner.seen == [1, 1, 1]


async def test_an_engine_that_cannot_retrieve_is_queried_whole(call, whole, all_of):
    """Nobody has to say so."""
    inner = whole("3", "3", "4")
    response = await call(StrategyQueryEngine(inner, all_of(3)), "query", "apples?")
    assert str(response) == "3"
    assert len(inner.queries) == 3


async def test_shared_retrieval_that_cannot_be_is_refused_at_once(whole, engine, all_of):
    """It says what is lacking, and what to do."""
    with pytest.raises(UsageError, match=r"lacks retrieve\(\), aretrieve\(\).*whole engine"):
        StrategyQueryEngine(whole("3"), all_of(3), retrieval="shared")
    transformed = TransformQueryEngine(engine("3"), IdentityQueryTransform())
    with pytest.raises(UsageError, match="AsyncTransformQueryEngine"):
        StrategyQueryEngine(transformed, all_of(3), retrieval="shared")


class Pretending(RetrieverQueryEngine):
    """Has all methods, of which one does nothing."""

    lacks = "retrieve"
    tried = 0

    def _refuse(self, what):
        if self.lacks == what:
            Pretending.tried += 1
            raise NotImplementedError

    def retrieve(self, query_bundle):
        self._refuse("retrieve")
        return super().retrieve(query_bundle)

    async def aretrieve(self, query_bundle):
        self._refuse("retrieve")
        return await super().aretrieve(query_bundle)

    def synthesize(self, *args, **kwargs):
        self._refuse("synthesize")
        return super().synthesize(*args, **kwargs)

    async def asynthesize(self, *args, **kwargs):
        self._refuse("synthesize")
        return await super().asynthesize(*args, **kwargs)

    def _query(self, query_bundle):
        return Response("whole")

    async def _aquery(self, query_bundle):
        return Response("whole")


@pytest.fixture(params=["retrieve", "synthesize"])
def pretending(request, engine):
    plain = engine("3")
    inner = Pretending(plain.retriever, plain._response_synthesizer)
    inner.lacks, Pretending.tried = request.param, 0
    return inner


async def test_what_an_engine_cannot_is_found_out_once(call, pretending, all_of):
    """From then on it is queried whole."""
    wrapped = StrategyQueryEngine(pretending, all_of(1))
    for _ in range(3):
        assert str(await call(wrapped, "query", "apples?")) == "whole"
    assert Pretending.tried == 1


async def test_a_part_that_is_not_implemented_is_no_fault_of_the_engine(call, engine, all_of):
    """An LLM without a method, say: its error arrives, and the engine shares as before."""
    inner = engine("")
    wrapped = StrategyQueryEngine(inner, all_of(2), max_concurrency=1)
    llm = inner._response_synthesizer._llm
    llm.replies = [NotImplementedError("no such mode")]
    with pytest.raises(NotImplementedError, match="no such mode"):
        await call(wrapped, "query", "apples?")
    llm.replies = ["3"]
    inner.retriever.queries.clear()
    assert str(await call(wrapped, "query", "apples?")) == "3"
    assert len(inner.retriever.queries) == 1


async def test_shared_retrieval_that_turns_out_impossible_is_refused(call, pretending, all_of):
    """As it would be at construction."""
    wrapped = StrategyQueryEngine(pretending, all_of(2), retrieval="shared")
    with pytest.raises(UsageError, match="retrieval='shared'") as caught:
        await call(wrapped, "query", "apples?")
    assert isinstance(caught.value.__cause__, NotImplementedError)


async def test_a_retrieval_that_fails_raises_the_error_itself(call, engine, retriever, all_of):
    """With the books of the run on it; no sample is drawn."""
    error = RuntimeError("the store is away")
    inner = engine("3", over=retriever(error=error))
    with pytest.raises(RuntimeError, match="the store is away") as caught:
        await call(StrategyQueryEngine(inner, all_of(3)), "query", "apples?")
    assert caught.value is error
    assert inner._response_synthesizer._llm.calls == 0
    assert error.thinktwice_result.ledger.total.calls == 0


class AskingPostprocessor(BaseNodePostprocessor):
    """Asks an LLM what to keep, and may then fail."""

    llm: object
    fails: bool = False

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.llm.complete("which?")
        if self.fails:
            raise RuntimeError("lost the nodes")
        return nodes

    async def _apostprocess_nodes(self, nodes, query_bundle=None):
        await self.llm.acomplete("which?")
        if self.fails:
            raise RuntimeError("lost the nodes")
        return nodes


async def test_calls_of_the_retrieval_are_in_the_ledger(call, engine, scripted, all_of):
    """Of a reranker, say, with a role of their own."""
    inner = engine("3", node_postprocessors=[AskingPostprocessor(llm=scripted("all"))])
    with collect() as results:
        await call(StrategyQueryEngine(inner, all_of(2)), "query", "apples?")
    roles = [entry.role for entry in results[0].ledger.entries]
    assert sorted(roles) == ["sample", "sample", "tool"]


async def test_what_a_failing_retrieval_cost_is_not_lost(call, engine, scripted, all_of):
    """It is on the error."""
    postprocessor = AskingPostprocessor(llm=scripted("all"), fails=True)
    wrapped = StrategyQueryEngine(engine("3", node_postprocessors=[postprocessor]), all_of(2))
    with pytest.raises(RuntimeError, match="lost the nodes") as caught:
        await call(wrapped, "query", "apples?")
    total = caught.value.thinktwice_result.ledger.total
    assert (total.calls, total.usage.output_tokens) == (1, 5)


@pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
async def test_a_budget_that_retrieval_uses_up_ends_the_run(call, engine, scripted, all_of):
    """Before any sample is drawn, with what it took on the error."""
    inner = engine("3", node_postprocessors=[AskingPostprocessor(llm=scripted("all"))])
    wrapped = StrategyQueryEngine(inner, all_of(2), budget=Budget(tokens=5))
    with pytest.raises(BudgetExceeded) as caught:
        await call(wrapped, "query", "apples?")
    assert inner._response_synthesizer._llm.calls == 0
    assert caught.value.ledger.total.calls == 1


async def test_a_strategy_inside_the_retrieval_is_part_of_the_run(call, engine, scripted, all_of):
    """Its rewrites are booked here, and its result hangs below this one."""
    rewrites = scripted("price of apples")
    transform = VoteQueryTransform(3, llm=rewrites)
    inner = AsyncTransformQueryEngine(engine("3"), transform)
    with collect() as results:
        await call(StrategyQueryEngine(inner, all_of(2)), "query", "apples?")
    (result,) = results
    assert len(result.nested) == 1
    assert result.ledger.total.calls == rewrites.calls + 2


async def test_retrieve_is_that_of_the_engine(call, engine, retriever, all_of):
    """Once, without a strategy."""
    found = retriever("Apples cost 3 dollars.")
    wrapped = StrategyQueryEngine(engine("3", over=found), all_of(3))
    nodes = await call(wrapped, "retrieve", QueryBundle("apples?"))
    assert [each.text for each in nodes] == ["Apples cost 3 dollars."]
    assert found.ways == ["async" if call.awaits else "sync"]


class OnlySync(RetrieverQueryEngine):
    """Has no `aretrieve`, as some engines."""

    aretrieve = None  # type: ignore[assignment]

    def __getattribute__(self, name):
        if name == "aretrieve":
            raise AttributeError(name)
        return super().__getattribute__(name)


async def test_aretrieve_of_an_engine_without_one_runs_on_a_thread(engine, retriever, all_of):
    """As its sync method is all there is."""
    found = retriever("Apples cost 3 dollars.")
    plain = engine("3", over=found)
    wrapped = StrategyQueryEngine(OnlySync(found, plain._response_synthesizer), all_of(2))
    assert len(await wrapped.aretrieve(QueryBundle("apples?"))) == 1
    assert found.ways == ["sync"]
    assert found.threads[0].startswith("thinktwice")


async def test_synthesize_votes_over_the_nodes_it_is_given(call, engine, nodes, all_of):
    """Nothing is retrieved, and further sources are kept."""
    inner = engine("3", "3", "4")
    wrapped = StrategyQueryEngine(inner, all_of(3))
    given, more = nodes("Apples cost 3 dollars."), nodes("A catalogue.")
    response = await call(wrapped, "synthesize", QueryBundle("apples?"), given, more)
    assert str(response) == "3"
    assert [each.text for each in response.source_nodes] == [
        "Apples cost 3 dollars.",
        "A catalogue.",
    ]
    assert inner.retriever.queries == []
    assert response.metadata["thinktwice"]["launched"] == 3


async def test_the_caller_s_query_is_not_changed(call, index, scripted, all_of):
    """An index leaves an embedding on the bundle that it gets: on a copy."""
    asked = QueryBundle("capital of France?")
    before = replace(asked)
    await call(
        StrategyQueryEngine(index.as_query_engine(llm=scripted("x")), all_of(2)), "query", asked
    )
    assert asked == before
