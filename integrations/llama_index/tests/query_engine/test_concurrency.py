"""Sync is sync, async is async; what is cancelled ends, and nothing is left."""

from __future__ import annotations

import asyncio
import threading

import pytest
from llama_index_thinktwice.query_engine import StrategyQueryEngine

from thinktwice import Vote
from thinktwice.testing import run_virtual


def threads():
    """Those of ours that are at work."""
    return [each.name for each in threading.enumerate() if each.name == "thinktwice"]


async def test_sync_calls_sync_methods_on_threads(engine, all_of):
    """Also inside a running loop, and never an async one."""
    inner = engine("3")
    StrategyQueryEngine(inner, all_of(3)).query("apples?")
    assert set(inner.retriever.ways) == {"sync"}
    log = inner._response_synthesizer._llm.log
    assert {each["method"] for each in log} == {"chat"}
    assert all(each["thread"].startswith("thinktwice") for each in log)


async def test_async_calls_async_methods_on_the_loop(engine, all_of):
    """On the thread of the caller."""
    inner = engine("3")
    await StrategyQueryEngine(inner, all_of(3)).aquery("apples?")
    assert set(inner.retriever.ways) == {"async"}
    log = inner._response_synthesizer._llm.log
    assert {each["method"] for each in log} == {"achat"}
    assert {each["thread"] for each in log} == {threading.current_thread().name}


async def test_streams_are_read_the_same_way(call, engine, all_of):
    """A sync stream on a thread, an async one on the loop."""
    inner = engine("3", streaming=True)
    await call(StrategyQueryEngine(inner, all_of(2)), "query", "apples?")
    log = inner._response_synthesizer._llm.log
    ours = [each["thread"].startswith("thinktwice") for each in log]
    assert ours == [not call.awaits] * 2


async def test_context_variables_reach_sync_samples(engine, all_of):
    """They are copied to the threads."""
    from contextvars import ContextVar

    tenant, seen = ContextVar("tenant", default="nobody"), []

    def reply(request):
        seen.append(tenant.get())
        return "3"

    tenant.set("shop")
    StrategyQueryEngine(engine(reply), all_of(2)).query("apples?")
    assert seen == ["shop", "shop"]


def test_samples_are_drawn_at_once(engine, all_of):
    """Five of a second each take a second, after one retrieval of a second."""

    async def main():
        inner = engine("3")
        inner.retriever.seconds = inner._response_synthesizer._llm.seconds = 1.0
        loop = asyncio.get_running_loop()
        started = loop.time()
        await StrategyQueryEngine(inner, all_of(5)).aquery("apples?")
        return loop.time() - started

    assert run_virtual(main()) == pytest.approx(2.0, abs=0.01)


def test_cancelling_a_query_cancels_its_samples(engine, all_of):
    """At once, and all of them."""

    async def main():
        inner = engine("3")
        llm = inner._response_synthesizer._llm
        llm.seconds = 60.0
        task = asyncio.create_task(StrategyQueryEngine(inner, all_of(4)).aquery("apples?"))
        await asyncio.sleep(1.0)
        assert llm.calls == 4
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(llm._in_flight), len(asyncio.all_tasks())

    assert run_virtual(main()) == (0, 1)


def test_wait_for_works(engine, all_of):
    """During the retrieval, and during the samples."""

    async def main(slow):
        inner = engine("3")
        what = inner.retriever if slow == "retrieval" else inner._response_synthesizer._llm
        what.seconds = 60.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(StrategyQueryEngine(inner, all_of(4)).aquery("apples?"), 1.0)
        return len(asyncio.all_tasks())

    assert run_virtual(main("retrieval")) == 1
    assert run_virtual(main("samples")) == 1


async def test_a_decided_sync_query_leaves_threads_that_end(engine):
    """Those of losers run to their end; nobody waits for them."""
    release = threading.Event()

    def reply(request):
        if request["index"] >= 2:
            release.wait(5)
        return "3"

    wrapped = StrategyQueryEngine(engine(reply), Vote(3, prefer="latency", hedge=False))
    assert str(await asyncio.to_thread(wrapped.query, "apples?")) == "3"
    release.set()
    for _ in range(100):
        if not threads():
            break
        await asyncio.sleep(0.01)
    assert threads() == []


async def test_concurrent_queries_keep_their_own(engine, retriever, all_of):
    """One instance, many requests: nodes and streams are each request's own."""

    def reply(request):
        return request["text"].split("Query:")[1].split("?")[0].strip()

    found = retriever(*(f"item{n} costs {n}" for n in range(8)))
    wrapped = StrategyQueryEngine(engine(reply, over=found), all_of(2))
    responses = await asyncio.gather(*(wrapped.aquery(f"item{n}?") for n in range(8)))
    assert [str(each) for each in responses] == [f"item{n}" for n in range(8)]
    assert [each.source_nodes[0].text for each in responses] == list(found.texts)


async def test_sync_and_async_can_alternate(engine, all_of):
    """On one engine, in one loop."""
    wrapped = StrategyQueryEngine(engine("3"), all_of(2))
    for _ in range(10):
        assert str(wrapped.query("apples?")) == "3"
        assert str(await wrapped.aquery("apples?")) == "3"


async def test_the_loop_is_not_blocked_by_us(engine, all_of):
    """Between two steps of a loop, a wrapped query takes no longer than milliseconds."""
    wrapped = StrategyQueryEngine(engine("3"), all_of(16))
    await wrapped.aquery("warm")  # imports, and list prices
    loop, gaps, done = asyncio.get_running_loop(), [], False

    async def heartbeat():
        last = loop.time()
        while not done:
            await asyncio.sleep(0)
            gaps.append(loop.time() - last)
            last = loop.time()

    beating = asyncio.create_task(heartbeat())
    await wrapped.aquery("apples?")
    done = True
    await beating
    # The median step, since others share the processor; the bench looks at the worst.
    assert sorted(gaps)[len(gaps) // 2] < 0.01


async def test_an_error_inside_is_not_masked(call, engine, all_of):
    """LlamaIndex's own bridge says "nested async" of any RuntimeError."""
    wrapped = StrategyQueryEngine(engine(RuntimeError("out of paper")), all_of(2))
    with pytest.raises(RuntimeError, match=r"^out of paper$"):
        await call(wrapped, "query", "apples?")
