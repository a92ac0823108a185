"""What the LlamaIndex adapter costs in time, and whether it holds under many requests.

    make bench-llama_index

Bare calls and samples take turns, so that a change in the machine's speed meets both; the least is
what they cost on a machine that does nothing else. Not `llama_index.py`: that would stand before
the package of this name.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any

from arithmetic_lm.server import ArithmeticServer
from imports import milliseconds
from langchain_adapter import side_by_side
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import Response
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever
from llama_index.llms.openai import OpenAI
from llama_index_thinktwice import StrategyQueryEngine
from overhead import PRICES, N

from thinktwice import AtMost, Vote, collect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import NodeWithScore, QueryBundle

SAMPLES = 8
SECONDS = 0.1
MODEL = "gpt-4o-mini"


class Fixed(BaseQueryEngine):
    """Answers with what it was asked, after some time."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(callback_manager=None)
        self.seconds = seconds

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> Response:
        time.sleep(self.seconds)
        return Response(query_bundle.query_str)

    async def _aquery(self, query_bundle: QueryBundle) -> Response:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return Response(query_bundle.query_str)


def voting(engine: BaseQueryEngine, n: int) -> StrategyQueryEngine:
    """A vote that draws all n at once."""
    strategy = Vote(n, stop=AtMost(n), prefer="latency", hedge=False)
    return StrategyQueryEngine(engine, strategy, prices=PRICES, max_concurrency=n)


async def cost(rounds: int) -> None:
    """Processor time of a sample over a bare `aquery`."""
    engine = Fixed()
    engines = voting(engine, N)

    async def bare() -> None:
        await asyncio.gather(*(engine.aquery("p") for _ in range(N)))

    print("microseconds of processor time a sample, over a bare aquery of an instant engine")
    print(f"{'':16}{'least':>9}{'median':>9}{'bare least':>11}{'median':>9}{'ratio':>9}   target")
    extra = await side_by_side(lambda: engines.aquery("p"), bare, rounds)
    print(f"{'query engine':16}{extra}     1000")


async def in_time(rounds: int) -> None:
    """Five samples of 100 ms each, beside five bare calls; and how long others wait for a turn."""
    engine = Fixed(SECONDS)
    engines = voting(engine, 5)

    async def bare() -> None:
        await asyncio.gather(*(engine.aquery("p") for _ in range(5)))

    await engines.aquery("warm up")
    print(f"{'five times 100 ms':24}{'least':>10}{'median':>10}{'longest turn, median':>24}")
    for name, work in (("bare aquery", bare), ("wrapped aquery", lambda: engines.aquery("p"))):
        runs = [await _timed(work) for _ in range(rounds)]
        seconds, turns = zip(*runs, strict=True)
        least, middle, turn = (
            1000 * each for each in (min(seconds), median(seconds), median(turns))
        )
        print(f"{name:24}{least:7.1f} ms{middle:7.1f} ms{turn:21.1f} ms")


async def _timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    turns: list[float] = []

    async def tick() -> None:
        while True:
            since = time.perf_counter()
            await asyncio.sleep(0)
            turns.append(time.perf_counter() - since)

    ticking = asyncio.create_task(tick())
    started = time.perf_counter()
    await work()
    seconds = time.perf_counter() - started
    ticking.cancel()
    return seconds, max(turns)


class Counted(BaseRetriever):
    """Counts what it is asked."""

    def __init__(self, inner: BaseRetriever) -> None:
        super().__init__()
        self.inner = inner
        self.asked = 0

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self.asked += 1
        return self.inner.retrieve(query_bundle)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self.asked += 1
        return await self.inner.aretrieve(query_bundle)


async def retrievals() -> None:
    """How often a vote of eight retrieves."""
    from llama_index.core.query_engine import RetrieverQueryEngine

    embedding = MockEmbedding(embed_dim=8)
    index = VectorStoreIndex.from_documents([Document(text="x")], embed_model=embedding)
    retriever = Counted(index.as_retriever())
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    await voting(engine, SAMPLES).aquery("q")
    print(f"a vote of {SAMPLES} over an index: {retriever.asked} retrieval")


def from_threads(requests: int) -> None:
    """Sync queries from many threads, and what they leave behind."""
    engine = voting(Fixed(SECONDS), SAMPLES)
    engine.query("warm up")
    time.sleep(2 * SECONDS)
    before, started = threading.active_count(), time.perf_counter()
    with ThreadPoolExecutor(requests) as pool:
        answers = list(pool.map(engine.query, map(str, range(requests))))
    seconds = time.perf_counter() - started
    time.sleep(2 * SECONDS)
    left = threading.active_count() - before
    right = sum(str(answer) == str(at) for at, answer in enumerate(answers))
    done = f"{right} right in {seconds:.2f} s"
    print(f"sync queries from {requests} threads x {SAMPLES}: {done}, {left} threads left")


async def in_turns(calls: int) -> None:
    """Sync and async queries in turns on one cached client, over real sockets."""
    embedding = MockEmbedding(embed_dim=8)
    index = VectorStoreIndex.from_documents([Document(text="x")], embed_model=embedding)
    started = time.perf_counter()
    with ArithmeticServer.in_thread(reply=lambda prompt, number: "4", names=[MODEL]) as server:
        llm = OpenAI(model=MODEL, api_base=server.url, api_key="none", max_retries=0)
        engine = voting(index.as_query_engine(llm=llm), 2)
        with collect() as results:
            for _ in range(calls // 2):
                engine.query("2 + 2")
                await engine.aquery("2 + 2")
        await llm._get_aclient().close()
        requests, lost = len(server.log), sum(record.disconnected for record in server.log)
    samples: list[Any] = [sample for result in results for sample in result.samples]
    failed = sum(sample.error is not None for sample in samples)
    each = 1000 * (time.perf_counter() - started) / calls
    print(
        f"{calls} sync and async queries in turns of a vote of 2 on one OpenAI: {failed} failed "
        f"samples, {requests} requests, {lost} connections lost, {each:.1f} ms a query"
    )


def main(rounds: int, calls: int) -> None:
    """Print the figures."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    asyncio.run(cost(rounds))
    asyncio.run(in_time(rounds // 2))
    asyncio.run(retrievals())
    from_threads(64)
    asyncio.run(in_turns(calls))
    added = milliseconds("import llama_index.core", "import llama_index_thinktwice")
    print(f"import llama_index_thinktwice after llama_index.core: {added:.0f} ms (target 100)")
    names = "from llama_index_thinktwice import StrategyLLM, StrategyQueryEngine"
    added = milliseconds("import llama_index.core", names)
    print(f"  and StrategyLLM and StrategyQueryEngine of it: {added:.0f} ms (target 100)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()
    main(given.rounds, given.calls)
