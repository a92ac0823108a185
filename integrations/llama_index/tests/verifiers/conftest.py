"""What is judged, and how a verifier is asked about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core.base.response.schema import Response
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index_thinktwice.solver import blocking

from thinktwice.sample import Sample

QUESTION = "What does an apple cost?"


def nodes(*texts: str, **metadata: Any) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text, metadata=metadata)) for text in texts]


@pytest.fixture
def answer():
    """Makes a response that rests on texts."""

    def make(text: str | None = "An apple costs 3 dollars.", *sources: str, **metadata: Any):
        texts = sources or ("An apple costs 3 dollars.",)
        return Response(text, source_nodes=nodes(*texts, **metadata))

    return make


@pytest.fixture
def judge(answer):
    """Asks a verifier about a value, by default a grounded response."""

    async def ask(verifier: Any, value: Any = None, *, prompt: Any = None) -> Any:
        value = answer() if value is None else value
        prompt = QueryBundle(QUESTION) if prompt is None else prompt
        return await verifier(Sample(index=4, value=value), prompt=prompt)

    return ask


@pytest.fixture
def request_by():
    """For a block, as if the request had come in by a sync method, or by an async one."""

    @contextmanager
    def block(method: str) -> Any:
        token = blocking.set(method == "sync")
        try:
            yield
        finally:
            blocking.reset(token)

    return block
