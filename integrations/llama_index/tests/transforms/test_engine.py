"""Transforms in query engines and retrievers: how often they run, and where."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.retrievers import (
    QueryFusionRetriever,
    RecursiveRetriever,
    TransformRetriever,
)
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.transforms.engine import (
    AsyncTransformQueryEngine,
    AsyncTransformRetriever,
)
from llama_index_thinktwice.transforms.evidence import Evidence
from llama_index_thinktwice.transforms.named import (
    BestOfNQueryTransform,
    CritiqueRepairQueryTransform,
    ToolCheckQueryTransform,
    VoteQueryTransform,
)
from llama_index_thinktwice.transforms.transform import StrategyQueryTransform

from thinktwice import AtMost, UsageError, Vote
from thinktwice.testing import run_virtual

QUESTION = "Which town governs Germany?"
ALL = Vote(3, stop=AtMost(3))


def asked_of(llm):
    """What the synthesizer was asked, in its last request."""
    return llm.log[-1]["text"]


@pytest.fixture
def wrapped(scripted, shelf):
    """An engine over the shelf, a transform that rewrites to "berlin", and their LLMs."""
    writer, answerer = scripted("berlin"), scripted("It is Berlin.")
    engine = RetrieverQueryEngine.from_args(shelf, llm=answerer)
    transform = StrategyQueryTransform(ALL, llm=writer, include_original=False)
    return engine, transform, writer, answerer


@pytest.mark.parametrize("kind", [TransformQueryEngine, AsyncTransformQueryEngine])
async def test_the_rewrite_is_retrieved_with_and_the_question_answered(kind, call, wrapped, shelf):
    """In LlamaIndex's own engine, and in ours; by `query` and by `aquery`."""
    engine, transform, writer, answerer = wrapped
    response = await call(kind(engine, transform), "query", QUESTION)
    assert str(response) == "It is Berlin."
    assert [node.text for node in response.source_nodes] == ["berlin capital germany"]
    assert shelf.asked == [(QUESTION, ["berlin"])]
    assert QUESTION in asked_of(answerer)
    assert (writer.calls, answerer.calls) == (3, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda llm, evidence: VoteQueryTransform(3, llm=llm, include_original=False),
        lambda llm, evidence: BestOfNQueryTransform(3, verifier=evidence, llm=llm),
        lambda llm, evidence: CritiqueRepairQueryTransform(evidence, llm=llm),
        lambda llm, evidence: ToolCheckQueryTransform(lambda text: text == "Berlin", llm=llm),
    ],
    ids=["vote", "best of n", "critique", "tool"],
)
@pytest.mark.parametrize("kind", [TransformQueryEngine, AsyncTransformQueryEngine])
async def test_each_transform_works_over_a_real_vector_index(kind, make, call, index, scripted):
    """With a deterministic embedding: the rewrite finds what the question does not."""
    retriever = index.as_retriever(similarity_top_k=1)
    evidence = Evidence(retriever, lambda nodes: float("Spree" in nodes[0].text), threshold=0.5)
    transform = make(scripted("Berlin"), evidence)
    engine = index.as_query_engine(llm=scripted("By the Spree."), similarity_top_k=1)
    given = QueryBundle("Where is Rome or the tower?")
    response = await call(kind(engine, transform), "query", given)
    assert "Spree" in response.source_nodes[0].text
    assert given.embedding is None


async def test_the_transform_runs_once_for_retrieval_and_synthesis(call, wrapped):
    """LlamaIndex's own engine draws, and pays, twice."""
    inner, transform, writer, answerer = wrapped
    engine = AsyncTransformQueryEngine(inner, transform)
    nodes = await call(engine, "retrieve", QueryBundle(QUESTION))
    response = await call(engine, "synthesize", QueryBundle(QUESTION), nodes)
    assert [node.text for node in nodes] == ["berlin capital germany"]
    assert (writer.calls, answerer.calls) == (3, 1)
    assert QUESTION in asked_of(answerer)
    assert len(response.source_nodes) == 1


async def test_under_a_strategy_the_transform_runs_once_for_all_samples(call, wrapped, shelf):
    """Retrieval is shared, so there is one rewrite behind all answers."""
    inner, transform, writer, answerer = wrapped
    engine = StrategyQueryEngine(AsyncTransformQueryEngine(inner, transform), ALL)
    response = await call(engine, "query", QUESTION)
    assert str(response) == "It is Berlin."
    assert (writer.calls, answerer.calls, len(shelf.asked)) == (3, 3, 1)


async def test_additional_sources_reach_the_response(call, wrapped):
    """As by the engine inside."""
    inner, transform, _, _ = wrapped
    engine = AsyncTransformQueryEngine(inner, transform)
    nodes = await call(engine, "retrieve", QueryBundle(QUESTION))
    response = await call(engine, "synthesize", QueryBundle(QUESTION), nodes, nodes)
    assert len(response.source_nodes) == 2


async def test_a_stream_passes_through(call, scripted, shelf):
    """Of whatever kind the engine inside returns."""
    answerer = scripted("It is Berlin.")
    inner = RetrieverQueryEngine.from_args(shelf, llm=answerer, streaming=True)
    engine = AsyncTransformQueryEngine(inner, VoteQueryTransform(3, llm=scripted("berlin")))
    response = await call(engine, "query", QUESTION)
    assert isinstance(response, AsyncStreamingResponse if call.awaits else StreamingResponse)
    text = await response.get_response() if call.awaits else response.get_response()
    assert str(text) == "It is Berlin."


# ---- the event loop -----------------------------------------------------------------------------


def test_requests_at_once_take_no_longer_than_one(scripted, shelf):
    """Eight of them, at a second for a rewrite: LlamaIndex's own engine would take eight."""

    async def main():
        writer = scripted("berlin", seconds=1.0)
        transform = VoteQueryTransform(3, llm=writer, stop=AtMost(3))
        inner = RetrieverQueryEngine.from_args(shelf, llm=scripted("Berlin."))
        engine = AsyncTransformQueryEngine(inner, transform)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(engine.aquery(QUESTION) for _ in range(8)))
        return asyncio.get_running_loop().time() - started

    assert 1.0 <= run_virtual(main()) < 1.2


async def test_a_transform_without_an_async_method_runs_on_a_thread(told, wrapped, shelf):
    """While it waits for something that only the event loop can do, the loop goes on."""
    loop, gone_on = asyncio.get_running_loop(), threading.Event()

    def make(query):
        loop.call_soon_threadsafe(gone_on.set)
        assert gone_on.wait(10)  # in vain, if it were the loop that waits
        return QueryBundle("berlin")

    inner, _, _, _ = wrapped
    transform = told(make)
    engine = AsyncTransformQueryEngine(inner, transform)
    await engine.aquery(QUESTION)
    await engine.aretrieve(QueryBundle(QUESTION))
    await AsyncTransformRetriever(shelf, transform).aretrieve(QUESTION)
    assert transform.threads == ["thinktwice"] * 3


async def test_a_retriever_without_an_async_method_runs_on_a_thread(told, blocking_shelf, shelf):
    """That of the base class blocks."""
    retriever = AsyncTransformRetriever(blocking_shelf, told(QueryBundle("berlin")))
    nodes = await retriever.aretrieve(QUESTION)
    assert [node.text for node in nodes] == ["berlin capital germany"]
    assert shelf.ways == ["sync in thinktwice"]


def test_a_cancelled_request_leaves_nothing_behind(scripted, shelf):
    """Its calls are cancelled as well."""
    writer = scripted("berlin", seconds=60.0)

    async def main():
        retriever = AsyncTransformRetriever(shelf, VoteQueryTransform(3, llm=writer))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(retriever.aretrieve(QUESTION), 1.0)
        return len(asyncio.all_tasks())

    assert run_virtual(main()) == 1
    assert (writer._in_flight, shelf.asked) == ([], [])


async def test_a_hyde_query_transform_does_not_block_either(scripted, shelf):
    """It is LlamaIndex's own, and sync: four of 50 ms each run at the same time."""
    hyde = HyDEQueryTransform(llm=scripted("berlin", seconds=0.05))
    retriever = AsyncTransformRetriever(shelf, hyde)
    beats, beating = [], True

    async def heart():
        while beating:
            beats.append(time.perf_counter())
            await asyncio.sleep(0)

    heartbeat = asyncio.create_task(heart())
    await asyncio.gather(*(retriever.aretrieve(QUESTION) for _ in range(4)))
    beating = False
    await heartbeat
    assert {request["thread"] for request in hyde._llm.log} == {"thinktwice"}
    assert len(beats) > 4  # it went on meanwhile


# ---- retrievers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TransformRetriever, AsyncTransformRetriever])
async def test_a_retriever_retrieves_by_the_rewrite(kind, call, wrapped, shelf):
    """In LlamaIndex's own retriever, and in ours."""
    _, transform, writer, _ = wrapped
    nodes = await call(kind(shelf, transform), "retrieve", QUESTION)
    assert [node.text for node in nodes] == ["berlin capital germany"]
    assert writer.calls == 3


async def test_behind_a_retriever_the_synthesizer_gets_the_question_whatever_is_rewritten(
    call, scripted, shelf
):
    """Also where the rewrite takes the place of the query, as for BM25."""
    answerer = scripted("Berlin.")
    transform = VoteQueryTransform(3, llm=scripted("berlin"), into="query", include_original=False)
    retriever = AsyncTransformRetriever(shelf, transform)
    engine = RetrieverQueryEngine.from_args(retriever, llm=answerer)
    await call(engine, "query", QUESTION)
    assert shelf.asked == [("berlin", ["berlin"])]
    assert QUESTION in asked_of(answerer)


async def test_composite_retrievers_take_ours(call, wrapped, shelf, make_shelf, scripted):
    """Fusion and recursion, by their sync and their async methods."""
    _, transform, _, _ = wrapped
    ours = AsyncTransformRetriever(shelf, transform)
    fusion = QueryFusionRetriever(
        [ours, make_shelf("munich germany?")], llm=scripted("x"), num_queries=1, use_async=False
    )
    recursive = RecursiveRetriever("root", {"root": ours})
    found = await call(fusion, "retrieve", QUESTION)
    assert {node.text for node in found} == {"berlin capital germany", "munich germany?"}
    assert [node.text for node in await call(recursive, "retrieve", QUESTION)] == [
        "berlin capital germany"
    ]


async def test_evidence_may_come_from_a_composite_retriever(call, scripted, shelf, make_shelf):
    """Each candidate is searched for in all of them."""
    other = make_shelf("spree berlin")
    fusion = QueryFusionRetriever([shelf, other], llm=scripted("x"), num_queries=1, use_async=False)
    evidence = Evidence(fusion, lambda nodes: len(nodes) / 4)
    transform = BestOfNQueryTransform(2, verifier=evidence, llm=scripted("berlin"))
    assert (await call(transform, "run", QUESTION)).embedding_strs == ["berlin"]
    assert (len(shelf.asked), len(other.asked)) == (2, 2)


# ---- prompts and callbacks ----------------------------------------------------------------------


async def test_prompts_of_all_parts_can_be_replaced(call, wrapped, shelf):
    """LlamaIndex's own `update_prompts` fails for those two levels down."""
    inner, transform, writer, answerer = wrapped
    engine = AsyncTransformQueryEngine(inner, transform)
    names = {"query_transform:rewrite_prompt", "query_engine:response_synthesizer:text_qa_template"}
    assert names <= set(engine.get_prompts())
    engine.update_prompts(
        {
            "query_transform:rewrite_prompt": PromptTemplate("Search: {query_str}"),
            "query_engine:response_synthesizer:text_qa_template": PromptTemplate(
                "{context_str} | {query_str}"
            ),
        }
    )
    await call(engine, "query", QUESTION)
    assert writer.log[0]["text"] == f"Search: {QUESTION}"
    assert asked_of(answerer) == f"berlin capital germany | {QUESTION}"
    retriever = AsyncTransformRetriever(shelf, transform)
    assert "query_transform:rewrite_prompt" in retriever.get_prompts()


def test_the_callback_manager_is_that_of_the_part_inside(shelf, scripted, wrapped):
    """Unless another is given."""
    manager, other = (
        CallbackManager([LlamaDebugHandler(print_trace_on_end=False)]),
        CallbackManager(),
    )
    _, transform, _, _ = wrapped
    shelf.callback_manager = manager
    inner = RetrieverQueryEngine.from_args(shelf, llm=scripted("x"), callback_manager=manager)
    assert AsyncTransformQueryEngine(inner, transform).callback_manager is manager
    assert AsyncTransformQueryEngine(inner, transform, None, other).callback_manager is other
    assert AsyncTransformRetriever(shelf, transform).callback_manager is manager
    assert AsyncTransformRetriever(shelf, transform, None, other).callback_manager is other


async def test_metadata_of_the_engine_reaches_the_transform(call, told, wrapped, shelf):
    """As in LlamaIndex's own."""
    inner, _, _, _ = wrapped
    transform, metadata = told(QueryBundle("berlin")), {"index_summary": "towns"}
    await call(AsyncTransformQueryEngine(inner, transform, metadata), "query", QUESTION)
    await call(AsyncTransformRetriever(shelf, transform, metadata), "retrieve", QUESTION)
    assert transform.metadata == [metadata, metadata]


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [None, "berlin"])
async def test_a_transform_that_returns_no_bundle_is_named(call, told, wrapped, shelf, made):
    """Rather than to fail deep inside a retriever."""
    inner, _, _, _ = wrapped
    for thing, method in (
        (AsyncTransformQueryEngine(inner, told(made)), "query"),
        (AsyncTransformRetriever(shelf, told(made)), "retrieve"),
    ):
        with pytest.raises(UsageError, match="query_transform=a Told: it returned") as caught:
            await call(thing, method, QUESTION)
        assert caught.value.parameter == "query_transform"


def test_what_is_no_part_of_it_is_refused_by_name(index, wrapped, shelf, scripted):
    """With what to give instead."""
    inner, transform, _, _ = wrapped
    with pytest.raises(UsageError, match="query_engine"):
        AsyncTransformQueryEngine(index, transform)
    with pytest.raises(UsageError, match="query_transform"):
        AsyncTransformQueryEngine(inner, scripted("x"))
    with pytest.raises(UsageError, match="query_transform"):
        AsyncTransformRetriever(shelf, VoteQueryTransform)
    with pytest.raises(UsageError, match="AsyncTransformQueryEngine takes"):
        AsyncTransformRetriever(inner, transform)
    with pytest.raises(UsageError, match="as_retriever"):
        AsyncTransformRetriever(index, transform)
    with pytest.raises(UsageError, match="callback_manager=3"):
        AsyncTransformQueryEngine(inner, transform, callback_manager=3)
    with pytest.raises(UsageError, match="callback_manager=3"):
        AsyncTransformRetriever(shelf, transform, callback_manager=3)
