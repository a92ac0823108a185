"""A retriever that keeps count, and transforms that do as they are told."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode


class Shelf(BaseRetriever):
    """Finds the texts that share a word with what is embedded for the query."""

    def __init__(self, *texts: str) -> None:
        self.nodes = [TextNode(text=text, id_=text) for text in texts]
        self.asked: list[tuple[str, list[str]]] = []
        self.ways: list[str] = []
        super().__init__()

    def _found(self, query: QueryBundle, way: str) -> list[NodeWithScore]:
        self.asked.append((query.query_str, list(query.embedding_strs)))
        self.ways.append(f"{way} in {threading.current_thread().name}")
        query.embedding = [1.0]  # as vector retrievers do
        words = {word for text in query.embedding_strs for word in text.lower().split()}
        return [
            NodeWithScore(node=node, score=0.9)
            for node in self.nodes
            if words & set(node.text.lower().split())
        ]

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._found(query_bundle, "sync")

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._found(query_bundle, "async")


class BlockingShelf(BaseRetriever):
    """One whose async method is that of the base class, which blocks."""

    def __init__(self, inner: Shelf) -> None:
        self.inner = inner
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.inner._retrieve(query_bundle)


class Told(BaseQueryTransform):
    """A transform without `arun` that makes what it is told."""

    def __init__(self, *made: Any) -> None:
        self.made = list(made)
        self.given: list[QueryBundle] = []
        self.threads: list[str] = []
        self.metadata: list[dict[str, Any]] = []

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        pass

    def _run(self, query_bundle: QueryBundle, metadata: dict[str, Any]) -> Any:
        self.threads.append(threading.current_thread().name)
        self.given.append(query_bundle)
        self.metadata.append(metadata)
        made = self.made[(len(self.given) - 1) % len(self.made)]
        return made(query_bundle) if callable(made) else made


@pytest.fixture
def shelf():
    """Three texts about places."""
    return Shelf("paris capital france", "berlin capital germany", "rome hills tiber")


@pytest.fixture
def blocking_shelf(shelf):
    """The same, without an async method of its own."""
    return BlockingShelf(shelf)


@pytest.fixture
def make_shelf():
    """Make a retriever of texts."""
    return Shelf


@pytest.fixture
def told():
    """Make a transform of what it makes."""
    return Told
