"""Samples that are recalled: all their runs and spans end."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_thinktwice import best_of_n
from pydantic import Field

from integrations.langchain.tests.conftest import ScriptedModel
from integrations.langchain.tests.tracing.traces import SAMPLE, Trace, Tree

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore:Calling .text"),  # OpenInference does
]


def accepted(value) -> bool:
    """The first answer will do, so that the others are recalled."""
    return True


accepted.exact = True


class OnlyFirst(ScriptedModel):
    """Answers its first call alone, once the others have begun."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        request = self._begin(messages, kwargs)
        if request["index"]:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        return self._end(request)


def first_of(runnable):
    """Three samples, of which the first decides."""
    return best_of_n(runnable, n=3, verifier=accepted, prefer="latency")


@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry", "langfuse", "langsmith"])
async def test_model_calls_end_with_their_sample(under, party, caplog):
    """LangChain reports nothing of a cancelled one; we do, with what ended it."""
    column, tree = under(party), Tree()
    chain = first_of(OnlyFirst(replies=["a"]))
    with caplog.at_level(logging.WARNING):
        await chain.ainvoke("?", {"callbacks": [*column.callbacks, tree]})
    assert not caplog.records
    assert tree.open == []
    errors = [(run.error or "").partition("(")[0] for run in tree.of("llm")]
    assert sorted(errors) == ["", "CancelledError", "CancelledError"]
    assert all(run.get("end_time") for run in column.posted.values())
    told = Trace(column.exporter.get_finished_spans())
    assert len(told.calls) == len(told.named(SAMPLE)) == 3
    assert told.orphans == []
    assert len(told.ids) == 1
    marks = [span.attributes.get("thinktwice.status") for span in told.own()]
    assert sorted(marks) == (["cancelled", "cancelled", "ok"] if column.ours else [])


class Slow(BaseRetriever):
    """Finds something the first time."""

    asked: list[str] = Field(default_factory=list)

    def _get_relevant_documents(self, query, *, run_manager):
        return []

    async def _aget_relevant_documents(self, query, *, run_manager):
        self.asked.append(query)
        if len(self.asked) > 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        return []


async def test_retrievers_and_tools_end_too(scripted):
    """These are left open as well."""
    begun = []

    @tool
    async def look(text: str) -> str:
        """Look."""
        begun.append(text)
        if len(begun) > 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        return text

    for step, kind in ((Slow(), "retriever"), (look, "tool")):
        tree = Tree()
        chain = RunnableLambda(lambda _: "x") | step | (lambda _: "a")
        await best_of_n(chain, n=3, verifier=accepted, prefer="latency", repeatable=True).ainvoke(
            "?", {"callbacks": [tree]}
        )
        runs = [run for run in tree.runs.values() if run.run_type == kind]
        assert len(runs) == 3
        assert tree.open == []
        assert sum("Cancelled" in (run.error or "") for run in runs) == 2


async def test_a_call_on_a_thread_reports_its_own_end(caplog):
    """It goes on when its sample is recalled, so nobody else says that it has ended."""
    opened = threading.Event()

    class Blocking(ScriptedModel):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            request = self._begin(messages, kwargs)
            if request["index"]:
                opened.wait(10)
            return self._end(request)

    model, tree = Blocking(replies=["a"]), Tree()
    chain = first_of(RunnableLambda(model.invoke))
    with caplog.at_level(logging.WARNING):
        await chain.ainvoke("?", {"callbacks": [tree]})
        late = [run for run in tree.of("llm") if run.end_time is None]
        opened.set()
        for _ in range(500):
            if all(run.end_time for run in tree.of("llm")):
                break
            await asyncio.sleep(0.01)
    assert late
    assert all(run.error is None for run in tree.of("llm"))
    assert not caplog.records
