"""The copies of evaluators, LLMs and embeddings that do the work."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.evaluation import (
    BaseEvaluator,
    EvaluationResult,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    SemanticSimilarityEvaluator,
)
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index_thinktwice.verifiers import EvaluatorVerifier
from llama_index_thinktwice.verifiers.routing import routed

METHODS = ["achat", "acomplete", "astream_chat", "astream_complete"]


@pytest.fixture
def native_spans():
    """Method names of the spans that LlamaIndex opens, in order of their ends."""
    handler, root = SimpleSpanHandler(), get_dispatcher()
    root.add_span_handler(handler)
    yield lambda: [span.id_.partition("-")[0] for span in handler.completed_spans]
    root.span_handlers.remove(handler)
    assert not handler.open_spans


async def called(llm: Any, method: str) -> Any:
    """The text that it answers with."""
    reply = await getattr(llm, method)([ChatMessage("hi")] if "chat" in method else "hi")
    if "stream" in method:
        [*_, reply] = [each async for each in reply]
    return reply.message.content if "chat" in method else reply.text


class TestAnLLM:
    @pytest.mark.parametrize("method", METHODS)
    async def test_is_asked_as_the_request_came_in(self, method, scripted, request_by):
        """By its own async method, or in a sync request by the sync one on a thread."""
        llm = scripted("two words")
        copy: Any = routed(GuidelineEvaluator(llm=llm))._llm
        assert await called(copy, method) == "two words"
        with request_by("sync"):
            assert await called(copy, method) == "two words"
        assert [(each["method"], each["thread"]) for each in llm.log] == [
            (method, "MainThread"),
            (method.removeprefix("a"), "thinktwice"),
        ]

    @pytest.mark.parametrize("method", ["chat", "complete", "stream_chat", "stream_complete"])
    def test_sync_methods_are_those_of_the_original(self, method, scripted):
        """Which has the client."""
        llm = scripted("two words")
        working: Any = routed(GuidelineEvaluator(llm=llm))._llm
        asked = [ChatMessage("hi")] if "chat" in method else "hi"
        reply = getattr(working, method)(asked)
        if "stream" in method:
            assert len(list(reply)) == 2
        assert [each["method"] for each in llm.log] == [method]

    def test_is_of_its_class_with_its_settings(self, scripted):
        """Who looks at it sees what it is a copy of."""
        llm = scripted("x", system_prompt="be brief", max_tokens=7)
        copy: Any = routed(GuidelineEvaluator(llm=llm))._llm
        assert isinstance(copy, type(llm))
        assert type(copy).__name__ == "ScriptedLLM"
        assert (copy.system_prompt, copy.metadata.num_output) == ("be brief", 7)
        assert copy.model_dump() == llm.model_dump()

    @pytest.mark.parametrize("method", ["sync", "async"])
    async def test_is_traced_once(self, method, scripted, request_by, native_spans, judge):
        """No span of the copy stands around that of the call."""
        llm = scripted('{"passing": true, "feedback": ""}')
        with request_by(method):
            await judge(EvaluatorVerifier(GuidelineEvaluator(llm=llm)))
        name = {"sync": "chat", "async": "achat"}[method]
        assert native_spans()[:2] == [f"ScriptedLLM.{name}", "ScriptedLLM.apredict"]
        assert len([each for each in native_spans() if "chat" in each]) == 1

    async def test_whose_async_methods_block_is_called_on_a_thread(self, judge):
        """Those of a `CustomLLM` are its sync ones, and would hold up the event loop."""
        threads = []

        class Own(CustomLLM):
            @property
            def metadata(self):
                return LLMMetadata()

            @llm_completion_callback()
            def complete(self, prompt, formatted=False, **kwargs):
                threads.append(threading.current_thread().name)
                return CompletionResponse(text="YES")

            @llm_completion_callback()
            def stream_complete(self, prompt, formatted=False, **kwargs):
                yield CompletionResponse(text="YES", delta="YES")

        verdict = await judge(EvaluatorVerifier(FaithfulnessEvaluator(llm=Own())))
        assert (verdict.outcome, threads) == ("pass", ["thinktwice"])

    def test_a_copy_does_not_close_what_it_shares(self, scripted):
        """When it goes, the LLM stays."""
        closed = []

        class Closing(type(scripted("x"))):
            def __del__(self):
                closed.append(self)

        llm = Closing(replies=["x"])
        evaluator = GuidelineEvaluator(llm=llm)
        routed(evaluator)
        gc.collect()
        assert closed == []


class TestAnEmbedding:
    @pytest.mark.parametrize("method", ["sync", "async"])
    async def test_is_asked_as_the_request_came_in(self, method, request_by, judge, embedding):
        """Its batches and queries as well."""
        names = []

        class Noted(type(embedding)):
            def _get_text_embedding(self, text):
                names.append(("sync", threading.current_thread().name))
                return super()._get_text_embedding(text)

            async def _aget_text_embedding(self, text):
                names.append(("async", threading.current_thread().name))
                return self._vector(text)

        evaluator = SemanticSimilarityEvaluator(embed_model=Noted())
        with request_by(method):
            assert (await judge(EvaluatorVerifier(evaluator, reference="apple"))).score > 0
        thread = {"sync": "thinktwice", "async": "MainThread"}[method]
        assert names == [(method, thread)] * 2
        model: Any = routed(evaluator)._embed_model
        assert await model.aget_query_embedding("a") == Noted().get_query_embedding("a")
        assert len(await model.aget_text_embedding_batch(["a", "b"])) == 2


class Outer(BaseEvaluator):
    """An evaluator of the user's with another inside."""

    def __init__(self, inner: BaseEvaluator) -> None:
        self.inner = inner

    def _get_prompts(self):
        return {}

    def _update_prompts(self, prompts):
        return None

    async def aevaluate(self, query=None, response=None, contexts=None, **more):
        return await self.inner.aevaluate(query, response, contexts)


async def test_an_evaluator_inside_another_is_one_too(scripted, judge, request_by):
    """Its LLM is called on threads, and counted."""
    llm = scripted("YES")
    verifier = EvaluatorVerifier(Outer(FaithfulnessEvaluator(llm=llm)))
    assert verifier.calls == 1
    with request_by("sync"):
        assert (await judge(verifier)).outcome == "pass"
    assert llm.log[0]["method"] == "chat"


async def test_one_with_a_sync_way_of_its_own(judge, request_by):
    """It is called by that in a sync request, on a thread."""
    threads = []

    class Own(Outer):
        def evaluate(self, query=None, response=None, contexts=None, **more):
            threads.append(threading.current_thread().name)
            return EvaluationResult(passing=True)

    inner: Any = None
    with request_by("sync"):
        assert (await judge(EvaluatorVerifier(Own(inner)))).outcome == "pass"
    assert threads == ["thinktwice"]
