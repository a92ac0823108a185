"""LLMs as samplers of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM

import llama_index_thinktwice.answers  # noqa: F401 - registers LlamaIndex's types
from llama_index_thinktwice.llm.calls import AsyncCalls, BlockingCalls, blocks
from llama_index_thinktwice.solver import blocking
from thinktwice import Completion, UsageError
from thinktwice.errors import TypeOf
from thinktwice.history import History
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from llama_index_thinktwice.llm.calls import Prompt
    from thinktwice.protocols import Options


class LLMSampler:
    """An LLM as a sampler of `thinktwice`: for a `Judge`, or for `solve` over the bare LLM.

    It takes a text or chat messages, and returns the text of the reply. Each call is booked before
    it is sent, and refused if the budget does not afford it. In a request that came in by a sync
    method it calls the sync methods of the LLM, on threads.

    Attributes:
        llm: What is asked.
        model: The model behind it; None where it does not say.
        provider: Who serves it; None where that is not known.
        max_tokens: Output tokens of a call at most; None where nobody says.
        leaf: Each call of it is a model call; False for one that samples another.
        draws: Draws that one call makes inside.
        history: What past calls tell about its latencies.
    """

    def __init__(self, llm: LLM, **kwargs: Any) -> None:
        """Take an LLM.

        Args:
            llm: The LLM.
            **kwargs: Passed to each call, such as a temperature.

        Raises:
            UsageError: It is none.
        """
        if not isinstance(llm, LLM):
            raise UsageError("llm", TypeOf(llm), "give an LLM of LlamaIndex")
        self.llm = llm
        self.history = History()
        self._awaited = calls = AsyncCalls(llm, kwargs, self.history)
        self._blocking = BlockingCalls(llm, kwargs, self.history)
        self.model, self.provider, self.max_tokens = calls.model, calls.provider, calls.max_tokens
        self.leaf, self.draws = calls.leaf, calls.draws

    @property
    def recallable(self) -> bool:
        """A call in flight can be cancelled: not one on a thread."""
        return not by_threads(self.llm)

    @property
    def emitted(self) -> bool:
        """Whether somebody else opens a span for each call."""
        return self._awaited.emitted

    async def __call__(
        self, prompt: str | Sequence[object], /, *, options: Options | None = None
    ) -> Completion[str]:
        """Call it once.

        Args:
            prompt: A text, or messages: `ChatMessage`s or dicts with `role` and `content`.
            options: Keyword arguments of the call, over those of all calls.
        """
        asked = _asked(prompt)
        if by_threads(self.llm):
            said = await in_thread(partial(self._blocking, asked, options=options or {}))
        else:
            said = await self._awaited(asked, options=options or {})
        return replace(cast("Any", said), value=said.text or "", raw=said.value)

    def __repr__(self) -> str:
        """The LLM by its class: it may hold a key."""
        return f"LLMSampler({type(self.llm).__name__})"


def by_threads(model: object) -> bool:
    """Whether its sync methods are to be called, on threads.

    They are where the request came in by a sync method, and where the async ones would block the
    event loop.
    """
    return blocking.get() or (isinstance(model, LLM) and blocks(model))


def _asked(prompt: str | Sequence[object]) -> Prompt:
    return prompt if isinstance(prompt, str) else [_message(each) for each in prompt]


def _message(given: object) -> ChatMessage:
    if isinstance(given, ChatMessage):
        return given
    if isinstance(given, Mapping):
        fields = cast("Mapping[str, Any]", given)
        return ChatMessage(fields.get("content"), role=fields.get("role", "user"))
    remedy = "give a text, or a list of ChatMessages or of dicts with role and content"
    raise UsageError("prompt", TypeOf(given), remedy)
