"""A retriever that keeps count, engines over it, and strategies that draw all of their samples."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import Response
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from thinktwice import AtMost, Vote


def node(text: str, score: float = 1.0) -> NodeWithScore:
    """A node whose id is its text."""
    return NodeWithScore(node=TextNode(text=text, id_=text), score=score)


class CountingRetriever(BaseRetriever):
    """Finds what it has for a query: those texts that share a word with it, else all."""

    def __init__(self, *texts: str, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.texts = texts
        self.error = error
        self.seconds = seconds
        self.queries: list[QueryBundle] = []
        self.ways: list[str] = []
        self.threads: list[str] = []
        super().__init__()

    def _found(self, query: QueryBundle, way: str) -> list[NodeWithScore]:
        self.queries.append(query)
        self.ways.append(way)
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        words = {each.strip(".,?") for each in query.query_str.lower().split()}
        near = [each for each in self.texts if words & {w.strip(".") for w in each.lower().split()}]
        return [node(each) for each in near or self.texts]

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self.seconds:
            time.sleep(self.seconds)
        return self._found(query_bundle, "sync")

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        await asyncio.sleep(self.seconds)
        return self._found(query_bundle, "async")


class WholeEngine(BaseQueryEngine):
    """An engine that can do nothing but answer."""

    def __init__(self, *replies: Any) -> None:
        self.replies = replies
        self.queries: list[QueryBundle] = []
        self.ways: list[str] = []
        super().__init__(None)

    def _get_prompt_modules(self) -> dict[str, Any]:
        return {}

    def _reply(self, query: QueryBundle, way: str) -> Any:
        self.queries.append(query)
        self.ways.append(way)
        reply = self.replies[(len(self.queries) - 1) % len(self.replies)]
        if isinstance(reply, Exception):
            raise reply
        return Response(reply) if isinstance(reply, str) else reply

    def _query(self, query_bundle: QueryBundle) -> Any:
        return self._reply(query_bundle, "sync")

    async def _aquery(self, query_bundle: QueryBundle) -> Any:
        await asyncio.sleep(0)
        return self._reply(query_bundle, "async")


@pytest.fixture
def retriever():
    """Make a retriever that keeps count."""
    return CountingRetriever


@pytest.fixture
def whole():
    """Make an engine that cannot retrieve."""
    return WholeEngine


@pytest.fixture
def nodes():
    """Make nodes of texts."""
    return lambda *texts: [node(each) for each in texts]


@pytest.fixture
def engine(scripted):
    """Make a RetrieverQueryEngine of replies, over a retriever of one text by default."""

    def make(*replies: Any, over: Any = None, llm: Any = None, **settings: Any) -> Any:
        found = over or CountingRetriever("Apples cost 3 dollars.")
        asked = llm or scripted(*replies)
        return RetrieverQueryEngine.from_args(found, llm=asked, **settings)

    return make


@pytest.fixture
def all_of():
    """A vote that draws all n, at once."""
    return lambda n, **settings: Vote(n, stop=AtMost(n), prefer="latency", hedge=False, **settings)
