"""The handlers: there once, of no cost outside runs, and keeping nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import tracemalloc

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher
from llama_index_thinktwice.accounting import calls
from llama_index_thinktwice.accounting.booking import CallHandler, StreamHandler, install
from llama_index_thinktwice.solver import Solver
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from integrations.llama_index.tests.accounting.conftest import MESSAGES, READ, WRITTEN, Drawer
from thinktwice import AtMost, Vote, solve

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # pydantic, of agents of LlamaIndex
]


def ours():
    """Handlers of ours on the root dispatcher."""
    root = get_dispatcher()
    found = [*root.span_handlers, *root.event_handlers]
    return [each for each in found if isinstance(each, CallHandler | StreamHandler)]


async def test_there_is_one_of_each(drawer, scripted):
    """After any number of runs."""
    for _ in range(3):
        await drawer.ask(scripted("a"))
    assert len(ours()) == 2


async def test_they_are_there_once_a_door_is_made(monkeypatch):
    """Runs of others around what it wraps are told of its calls from then on."""
    root = get_dispatcher()
    monkeypatch.setattr(root, "span_handlers", [])
    monkeypatch.setattr(root, "event_handlers", [])
    Solver(Vote(3))
    assert len(ours()) == 2


async def test_a_strategy_of_the_core_hears_of_llamaindex_calls(scripted, monkeypatch):
    """Where the application has the handlers installed by hand."""
    root = get_dispatcher()
    monkeypatch.setattr(root, "span_handlers", [])
    monkeypatch.setattr(root, "event_handlers", [])
    install()
    llm = scripted("a")

    class Asking:
        leaf = False

        async def __call__(self, prompt):
            return (await llm.acomplete(prompt)).text

    result = await solve("?", sampler=Asking(), strategy=Vote(2, stop=AtMost(2)))
    assert result.ledger.total.calls == llm.calls == 2
    assert {each.usage.source for each in result.ledger.entries} == {"provider"}


async def test_they_come_back_where_somebody_removed_them(drawer, scripted, monkeypatch):
    """With the next run."""
    root = get_dispatcher()
    monkeypatch.setattr(root, "span_handlers", [])
    monkeypatch.setattr(root, "event_handlers", [])
    result = await drawer.ask(scripted("a"))
    assert result.ledger.total.calls == 2
    assert len(ours()) == 2


async def test_nothing_is_logged_or_kept(drawer, scripted, caplog):
    """Of calls, streams and failures."""
    llm = scripted("a b", ConnectionResetError())
    with caplog.at_level(logging.DEBUG, "llama_index_thinktwice"):
        for method in ("chat", "stream_chat", "complete", "stream_complete"):
            await drawer.ask(llm, method)
    assert not caplog.records
    assert not calls._streams
    assert calls._inside.get() is None
    assert [(each.open_spans, each.completed_spans) for each in ours()[:1]] == [({}, [])]


async def test_calls_outside_runs_are_not_booked(scripted):
    """Nor do they change anything."""
    install()
    llm = scripted("a b")
    await llm.achat(MESSAGES)
    assert [each.delta async for each in await llm.astream_chat(MESSAGES)] == ["a", " b"]
    assert not calls._streams


def test_outside_runs_they_cost_a_look_at_a_variable(scripted):
    """Less than 2 us for a call of LlamaIndex's that takes more than 20."""
    handler, llm = CallHandler(), scripted("a")
    started = time.perf_counter()
    for _ in range(2000):
        calls.entered("ScriptedLLM.chat-1", llm, {})
        calls.exited("ScriptedLLM.chat-1", llm, None)
    assert (time.perf_counter() - started) / 2000 < 20e-6  # about 0.3 us on an idle machine
    assert handler.open_spans == {}


def test_memory_does_not_grow(scripted):
    """With the number of runs."""
    llm = scripted("a b")
    drawer = Drawer(True)

    async def runs(count: int) -> None:
        for _ in range(count):
            llm.log.clear()
            await drawer.ask(llm, "stream_chat", n=1)

    async def growth() -> int:
        await runs(15)
        gc.collect()
        tracemalloc.start()
        await runs(5)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await runs(60)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return after - before

    assert asyncio.run(growth()) < 30_000  # 500 bytes a run would be a leak of a tiny object


# ---- workflows and agents -----------------------------------------------------------------------


async def test_steps_of_workflows(scripted):
    """Of one workflow that all samples run."""
    llm = scripted("a", seconds=0.002)

    class Asking(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> StopEvent:
            replies = await asyncio.gather(llm.achat(MESSAGES), llm.achat(MESSAGES))
            return StopEvent(result=str(replies[0].message.content))

    workflow = Asking()

    async def draw(_: object) -> str:
        return await workflow.run()

    result = await Drawer(True).draw(draw, 3)
    assert [each.usage.input_tokens for each in result.samples] == [2 * READ] * 3
    assert result.ledger.total.calls == 6


@pytest.mark.parametrize("streaming", [False, True])
async def test_agents(scripted, asks_tools, streaming):
    """Each step is a call of its sample."""

    def reply(request):
        asked = request["given"][-1].role.value == "user"
        return asks_tools(("add", {"a": 2, "b": 3})) if asked else "5"

    llm = scripted(reply, seconds=0.002)

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(add)], llm=llm, streaming=streaming, timeout=None
    )

    async def draw(_: object) -> str:
        return str(await agent.run("2 + 3?"))

    result = await Drawer(True).draw(draw, 2)
    assert result.value == "5"
    assert result.ledger.total.calls == llm.calls == 4
    assert [each.usage.output_tokens for each in result.samples] == [2 * WRITTEN] * 2
    assert {each.usage.source for each in result.ledger.entries} == {"provider"}


# ---- what is no LLM call -------------------------------------------------------------------------


async def test_embeddings_are_not_booked(scripted, index, drawer):
    """They are no LLM calls: the two of synthesizing are."""
    llm = scripted("a")
    engine = index.as_query_engine(llm=llm)

    async def asynchronous(_: object) -> str:
        return str(await engine.aquery("capital?"))

    draw = asynchronous if drawer.awaits else lambda _: str(engine.query("capital?"))
    result = await drawer.draw(draw, 2)
    assert result.ledger.total.calls == llm.calls == 2


async def test_a_rate_limiter_of_the_llm_is_waited_for(scripted):
    """Inside the call, whose seconds it is in."""
    limiters = pytest.importorskip("llama_index.core.rate_limiter")
    limiter = limiters.TokenBucketRateLimiter(requests_per_minute=6000)
    llm = scripted("a", rate_limiter=limiter)
    result = await Drawer(True).ask(llm, n=3)
    assert result.ledger.total.calls == 3
    assert {each.status for each in result.ledger.entries} == {"ok"}
