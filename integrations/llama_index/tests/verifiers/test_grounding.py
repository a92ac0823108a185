"""Grounding in source nodes, and in what is retrieved."""

from __future__ import annotations

import pickle
import threading

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.response.schema import Response
from llama_index.core.query_engine import CustomQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.verifiers import RetrieverSource, SourceGrounding

from thinktwice import BestOfN, CritiqueRepair, ToolCheck, UsageError
from thinktwice.verifiers import Grounding

pytestmark = pytest.mark.usefixtures("silent_remarks")
SUPPORTED = '{"claims": [{"claim": 1, "verdict": "supported", "passage": 1}]}'


class TestSourceGrounding:
    @pytest.mark.parametrize(
        ("text", "outcome"),
        [
            ("An apple costs 3 dollars.", "pass"),
            ("An apple costs 4 dollars.", "fail"),
            ("It was picked in 2019.", "scored"),
            ("Sure.", "not_applicable"),
        ],
    )
    async def test_an_answer_is_checked_against_its_own_sources(self, text, outcome, answer, judge):
        """By what stands there; nobody is asked."""
        assert SourceGrounding().calls == 0
        assert (await judge(SourceGrounding(), answer(text))).outcome == outcome

    async def test_what_no_source_speaks_of_is_missing(self, answer, judge):
        """Not what a source speaks against: another search would find the same."""
        verdict = await judge(
            SourceGrounding(), answer("An apple costs 4 dollars. It was picked in 2019.")
        )
        assert verdict.missing == ("It was picked in 2019.",)
        assert "contradicted by passage 1" in verdict.feedback

    @pytest.mark.parametrize(
        "value", [Response("An apple costs 3 dollars."), "It costs 3 dollars."]
    )
    async def test_without_sources_it_says_nothing(self, value, judge):
        """It is an error, and no fail."""
        verdict = await judge(SourceGrounding(), value)
        assert (verdict.outcome, verdict.evidence) == (
            "error",
            ("there are no passages to check against",),
        )

    async def test_metadata_counts_as_the_llm_reads_it(self, answer, judge):
        """Unless another mode is asked for."""
        value = answer("It was picked in 2019.", "An apple.", picked="2019")
        assert (await judge(SourceGrounding(), value)).outcome == "pass"
        bare = SourceGrounding(metadata_mode=MetadataMode.NONE)
        assert (await judge(bare, value)).outcome == "scored"

    async def test_a_citation_means_the_node_of_that_number(self, answer, judge):
        """The second, say."""
        sources = "An apple costs 3 dollars.", "A pear costs 4 dollars."
        good, bad = (answer(f"A pear costs 4 dollars [{n}].", *sources) for n in (2, 1))
        assert (await judge(SourceGrounding(), good)).outcome == "pass"
        assert (await judge(SourceGrounding(), bad)).outcome != "pass"

    async def test_an_llm_may_judge(self, scripted, answer, judge):
        """It is asked as the request came in."""
        llm = scripted(SUPPORTED)
        verifier = SourceGrounding(judge=llm)
        assert (verifier.calls, verifier.sampler.model) == (1, "fake-1")
        verdict = await judge(verifier, answer("Apples are dear.", "Apples are expensive."))
        assert (verdict.outcome, verdict.verifier) == ("pass", "source_grounding")
        assert "Apples are expensive." in llm.log[0]["text"]

    def test_it_is_the_grounding_of_the_core(self):
        """Its other parameters as well; two of the same are equal, and can be copied."""
        assert SourceGrounding(most=3) == pickle.loads(pickle.dumps(SourceGrounding(most=3)))  # noqa: S301 - ours
        assert SourceGrounding() != SourceGrounding(metadata_mode=MetadataMode.ALL)
        assert isinstance(SourceGrounding(most=3), Grounding)
        with pytest.raises(UsageError, match="most"):
            SourceGrounding(most=0)
        with pytest.raises(UsageError, match="MetadataMode"):
            SourceGrounding(metadata_mode="llm")  # type: ignore[arg-type]


FULL = "An apple costs 3 dollars. It was picked in Kent in 2019."


class TestInAnEngine:
    @pytest.mark.parametrize("make", [CritiqueRepair, ToolCheck])
    async def test_what_is_missing_is_retrieved(self, make, call, scripted, fruit):
        """Once more, by what no source spoke of: the same answer is grounded then."""
        retriever, engine_of = fruit
        llm = scripted(FULL)
        engine = StrategyQueryEngine(query_engine=engine_of(llm), strategy=make(SourceGrounding()))
        response = await call(engine, "query", "What does an apple cost?")
        asked = [query for *_, query in retriever.asked]
        assert len(asked) == 2
        assert "It was picked in Kent in 2019." in asked[1]
        assert len(response.source_nodes) == 2
        assert response.metadata["thinktwice"]["used"] == 2

    async def test_what_is_contradicted_is_not(self, call, scripted, fruit):
        """The sources that are there say how it is."""
        retriever, engine_of = fruit
        llm = scripted("An apple costs 4 dollars.", "An apple costs 3 dollars.")
        strategy = CritiqueRepair(SourceGrounding())
        engine = StrategyQueryEngine(query_engine=engine_of(llm), strategy=strategy)
        response = await call(engine, "query", "What does an apple cost?")
        assert str(response) == "An apple costs 3 dollars."
        assert len(retriever.asked) == 1
        assert "contradicted by passage 1" in llm.log[1]["text"]

    async def test_the_best_of_several(self, call, scripted, fruit):
        """The one that its sources support."""
        _, engine_of = fruit
        llm = scripted(*(f"An apple costs {n} dollars." for n in (4, 5, 3)))
        strategy = BestOfN(3, verifier=SourceGrounding(), hedge=False)
        engine = StrategyQueryEngine(query_engine=engine_of(llm), strategy=strategy)
        assert str(await call(engine, "query", "Apple?")) == "An apple costs 3 dollars."


@pytest.fixture
def fruit(embedding):
    """A retriever that notes how it is asked, and an engine of an LLM over it."""
    texts = "An apple costs 3 dollars.", "Apples were picked in Kent in 2019.", "Pears are green."
    documents = [Document(text=each) for each in texts]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    retriever = Noting(index.as_retriever(similarity_top_k=1))
    return retriever, lambda llm: RetrieverQueryEngine.from_args(retriever, llm=llm)


class Noting(BaseRetriever):
    """Notes how it is asked."""

    def __init__(self, inner: BaseRetriever) -> None:
        super().__init__()
        self.inner = inner
        self.asked: list[tuple[str, str, str]] = []

    def _retrieve(self, query_bundle):
        self.asked.append(("sync", threading.current_thread().name, query_bundle.query_str))
        return self.inner.retrieve(query_bundle)

    async def _aretrieve(self, query_bundle):
        self.asked.append(("async", threading.current_thread().name, query_bundle.query_str))
        return await self.inner.aretrieve(query_bundle)


class TestRetrieverSource:
    async def test_it_finds_passages(self, index, judge):
        """For the question, or for each claim."""
        retriever = Noting(index.as_retriever(similarity_top_k=1))
        grounding = Grounding(retriever=RetrieverSource(retriever))
        verdict = await judge(grounding, "The Eiffel tower stands in Paris.", prompt="Eiffel tower")
        assert verdict.outcome == "pass"
        assert retriever.asked == [("async", "MainThread", "Eiffel tower")]

    async def test_it_retrieves_as_the_request_came_in(self, index, judge, request_by):
        """By the sync method, on a thread."""
        retriever = Noting(index.as_retriever(similarity_top_k=1))
        grounding = Grounding(retriever=RetrieverSource(retriever), retrieve_by="claim")
        with request_by("sync"):
            await judge(grounding, "Berlin lies on the Spree.")
        assert retriever.asked == [("sync", "thinktwice", "Berlin lies on the Spree.")]

    async def test_a_retriever_without_async_methods_does_not_block_the_event_loop(self):
        """That of LlamaIndex's base class would."""
        threads = []

        class Blocking(BaseRetriever):
            def _retrieve(self, query_bundle):
                threads.append(threading.current_thread())
                return [NodeWithScore(node=TextNode(text="found"))]

        assert await RetrieverSource(Blocking())("q") == ["found"]
        assert threading.main_thread() not in threads

    async def test_a_query_engine_only_retrieves(self, index, scripted):
        """Its LLM is not asked."""
        llm = scripted("x")
        engine = index.as_query_engine(llm=llm, similarity_top_k=1)
        assert await RetrieverSource(engine)("Tiber") == [
            "Rome was founded on seven hills by the Tiber."
        ]
        assert llm.calls == 0

    def test_what_cannot_retrieve(self, scripted, index):
        """It is refused at once, with what to give."""

        class Own(CustomQueryEngine):
            def custom_query(self, query_str):
                return "x"

        with pytest.raises(UsageError, match="an engine that can retrieve"):
            RetrieverSource(Own())
        for given in (index, None, get_response_synthesizer(llm=scripted("x"))):
            with pytest.raises(UsageError, match="as_retriever"):
                RetrieverSource(given)
