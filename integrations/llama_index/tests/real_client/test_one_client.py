"""One cached client for all: sync and async in turns, from threads, and on several loops."""

from __future__ import annotations

import asyncio
import threading
import time
from _thread import interrupt_main
from concurrent.futures import ThreadPoolExecutor

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.query_engine import StrategyQueryEngine

from thinktwice import collect

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@pytest.fixture
def engine_of(index, all_of):
    """Makes an engine that votes over a client."""

    def make(llm, n=2, mode="compact"):
        engine = index.as_query_engine(llm=llm, similarity_top_k=1, response_mode=mode)
        return StrategyQueryEngine(query_engine=engine, strategy=all_of(n))

    return make


@pytest.fixture
def llm_of(all_of):
    """Makes an LLM that votes over a client."""
    return lambda llm, n=2: StrategyLLM(llm=llm, strategy=all_of(n))


def failures(results):
    """Errors of the samples."""
    return [s.error for result in results for s in result.samples if s.error is not None]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_thousand_queries_in_turns(served, chat, engine_of):
    """Sync ones inside a running loop, beside async ones of the same client on the same loop."""
    with served() as server, collect() as results:
        engine = engine_of(chat(server), 1, mode="generation")  # which costs least
        for _ in range(500):
            assert str(engine.query("2 + 2")) == "4"
            assert str(await engine.aquery("2 + 2")) == "4"
        assert len(server.log) == 1000
        assert not any(record.disconnected for record in server.log)
    assert len(results) == 1000
    assert not failures(results)


async def test_chats_in_turns(served, chat, llm_of):
    """All eight methods of an LLM."""
    with served() as server, collect() as results:
        llm, asked = llm_of(chat(server)), [ChatMessage("2 + 2")]
        for _ in range(10):
            llm.chat(asked)
            await llm.achat(asked)
            llm.complete("2 + 2")
            await llm.acomplete("2 + 2")
            list(llm.stream_chat(asked))
            [chunk async for chunk in await llm.astream_chat(asked)]
            list(llm.stream_complete("2 + 2"))
            [chunk async for chunk in await llm.astream_complete("2 + 2")]
        assert len(server.log) == 160
    assert not failures(results)


def test_loops_that_come_and_go(served, chat, engine_of):
    """A sync query in each: no loop of a query before is asked for anything."""
    with served() as server:
        engine = engine_of(chat(server))

        async def ask():
            return [str(engine.query("2 + 2")) for _ in range(2)]

        for _ in range(10):
            assert asyncio.run(ask()) == ["4", "4"]
            assert str(engine.query("2 + 2")) == "4"
        assert len(server.log) == 60


@pytest.mark.parametrize("settings", [{"reuse_client": False}, {}])
def test_async_queries_on_two_loops(served, chat, engine_of, settings):
    """As the client alone does it: it may be used on several loops if it is not cached."""
    with served() as server:
        llm = chat(server, **settings)
        engine = engine_of(llm)

        async def ask():
            answer = str(await engine.aquery("2 + 2"))
            if not settings:  # what an application has to do that leaves a loop
                await llm._aclient.close()
                llm._aclient = None
            return answer

        assert [asyncio.run(ask()) for _ in range(3)] == ["4"] * 3
        assert len(server.log) == 6


def test_many_threads(served, chat, engine_of):
    """They share the client's connections."""
    with served() as server, collect() as results:
        engine = engine_of(chat(server))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: str(engine.query("2 + 2")), range(40)))
        assert len(server.log) == 80
    assert answers == ["4"] * 40
    assert not failures(results)


async def test_queries_side_by_side(served, chat, llm_of):
    """Each gets its own answer and its own bill."""
    with served(lambda prompt, number: prompt) as server:
        llm = llm_of(chat(server), 4)
        asked = [llm.achat([ChatMessage(f"say {i}")]) for i in range(16)]
        replies = await asyncio.gather(*asked)
        assert len(server.log) == 64
    assert [reply.message.content for reply in replies] == [f"say {i}" for i in range(16)]
    tokens = [reply.additional_kwargs["thinktwice"]["tokens"] for reply in replies]
    assert tokens == [8 * len(f"say {i}") for i in range(16)]


async def test_wait_for(served, chat, engine_of, until):
    """A caller that has no more time closes the connections, and the client is as good as new."""
    with served(schedule={1: "hang", 2: "hang"}) as server:
        engine = engine_of(chat(server))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.aquery("2 + 2"), 1.0)
        await until(lambda: all(record.disconnected for record in server.log))
        assert len(server.log) == 2
        assert str(await engine.aquery("2 + 2")) == "4"
        assert str(engine.query("2 + 2")) == "4"


def test_a_keyboard_interrupt(served, chat, index, all_of):
    """It ends a sync query at once, and the client is as good as new."""
    with served(schedule={1: "hang"}) as server:
        engine = index.as_query_engine(llm=chat(server, timeout=30), similarity_top_k=1)
        strategy = StrategyQueryEngine(query_engine=engine, strategy=all_of(2))

        def interrupt():
            while not server.log:
                time.sleep(0.01)
            interrupt_main()

        watching = threading.Thread(target=interrupt)
        watching.start()
        with pytest.raises(KeyboardInterrupt):
            strategy.query("2 + 2")
        watching.join()
        assert str(strategy.query("2 + 2")) == "4"
