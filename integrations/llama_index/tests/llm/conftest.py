"""A `StrategyLLM` that draws exactly n samples, and messages to ask it."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.llms import LLM, ChatMessage
from llama_index_thinktwice.llm import StrategyLLM

from thinktwice import AtMost, Vote


@pytest.fixture
def voting():
    """Make one of exactly n samples, and the most frequent answer."""

    def make(llm: LLM, n: int = 3, *, vote: dict[str, Any] | None = None, **given: Any) -> Any:
        strategy = Vote(n, stop=AtMost(n), **(vote or {}))
        return StrategyLLM(llm=llm, strategy=strategy, **given)

    return make


@pytest.fixture
def question():
    """What is asked."""
    return [ChatMessage("2 + 2")]


class _Asker:
    """Asks in any of the eight ways, and gives the last response of each."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.chats = method.endswith("chat")

    async def __call__(
        self, llm: Any, given: Any = "2 + 2", *, raw: bool = False, **kwargs: Any
    ) -> Any:
        asked = [ChatMessage(given)] if self.chats and not raw else given
        response = getattr(llm, self.method)(asked, **kwargs)
        if self.method.startswith("a"):
            response = await response
        if "stream" not in self.method:
            return response
        chunks = [c async for c in response] if self.method[0] == "a" else list(response)
        assert len(chunks) == 1
        return chunks[0]

    def text(self, response: Any) -> str:
        """What it says."""
        return response.message.content if self.chats else response.text


@pytest.fixture(
    params=[
        *("chat", "achat", "stream_chat", "astream_chat"),
        *("complete", "acomplete", "stream_complete", "astream_complete"),
    ]
)
def ask(request):
    """Each of the eight ways to ask an LLM."""
    return _Asker(request.param)
