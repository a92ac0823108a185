"""Drawing samples by functions that call LLMs, as the doors do, and what of them is booked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver

from thinktwice import AtMost, Vote
from thinktwice.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice import Result

MESSAGES = [ChatMessage("Hello, who is there?")]
READ, WRITTEN = len("Hello, who is there?"), 5


def all_of(n: int) -> Vote:
    """A vote that draws all n at once, whatever they say."""
    return Vote(n, key=lambda _: "same", stop=AtMost(n), prefer="latency")


@dataclass
class Drawer:
    """Draws as a request that came in by a sync or an async method.

    Attributes:
        awaits: By an async one.
    """

    awaits: bool

    async def draw(
        self, draw: Callable[[Any], Any], n: int = 2, *, strategy: Any = None, **settings: Any
    ) -> Result[Any]:
        """Draw n samples by a function of the prompt, sync or async as the request is."""
        solver = Solver(strategy or all_of(n), **settings)
        if self.awaits:
            return await solver.solve("?", AsyncDrawing(draw, History()))
        sampler = BlockingDrawing(draw, History())
        return await asyncio.to_thread(solver.solve_sync, "?", sampler)

    async def ask(
        self, llm: Any, method: str = "chat", n: int = 2, given: Any = None, **settings: Any
    ) -> Result[Any]:
        """Draw n samples by a method of an LLM, streams read to their ends."""
        given = given or (MESSAGES if method.endswith("chat") else MESSAGES[0].content)
        prefix = "a" if self.awaits else ""
        function = getattr(llm, f"{prefix}{method}")

        async def awaited(_: Any) -> str:
            return await self.read(await function(given))

        return await self.draw(
            awaited if self.awaits else lambda _: self.read(function(given)), n, **settings
        )

    def read(self, reply: Any) -> Any:
        """The text of a reply, of a stream that of its last chunk; to be awaited if async."""
        if not self.awaits:
            return text(reply if hasattr(reply, "raw") else list(reply)[-1])
        return _last(reply)


async def _last(reply: Any) -> str:
    return text(reply if hasattr(reply, "raw") else [each async for each in reply][-1])


def text(reply: Any) -> str:
    """What a response says."""
    return str(getattr(reply, "message", reply))


class OneMethodLLM(CustomLLM):
    """What users write: `complete` and its stream, through which all else goes."""

    reports: bool = True
    calls: int = 0

    @property
    def metadata(self) -> LLMMetadata:
        """Nothing but a name."""
        return LLMMetadata(model_name="one-method")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer."""
        self.calls += 1
        counts = {"prompt_tokens": 20, "completion_tokens": 5}
        return CompletionResponse(text="a b", raw={"usage": counts} if self.reports else None)

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer by letters."""

        def letters() -> CompletionResponseGen:
            yield CompletionResponse(text="a", delta="a")
            yield self.complete(prompt).model_copy(update={"delta": " b"})
            self.calls -= 1

        self.calls += 1
        return letters()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def drawer(request):
    """Draws by sync and by async methods."""
    return Drawer(request.param)


@pytest.fixture
def one_method():
    """Make an LLM whose methods all go through `complete`."""
    return OneMethodLLM
