"""The LlamaIndex door: an LLM."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    LogProb,
    MessageRole,
)
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import LLM, callbacks

from .asking import Turn
from .assistant import Assistant, Prompt, Reply, Token
from .options import DEFAULT_TEMPERATURE, Effort, Options, options_from

# LlamaIndex's own signatures hold `Any`: this door has to repeat them.

_WINDOW = 8192

_F = TypeVar("_F", bound=Callable[..., object])


def _chats(method: _F) -> _F:
    return cast("Any", callbacks).llm_chat_callback()(method)


def _completes(method: _F) -> _F:
    return cast("Any", callbacks).llm_completion_callback()(method)


class ArithmeticLLM(LLM):
    """A shared model as a LlamaIndex LLM.

    The call kwargs ``temperature=, seed=, max_tokens=, stop=, top_logprobs=, effort=`` are
    honoured by all eight methods, and ``reasoning_effort=`` as another name of ``effort``. The
    question is the first expression in the last user message, or in the last message if there is
    none. A model with skills takes a user message behind a draft of its own as feedback, and
    revises the draft. It calls no tools.

    The window in `metadata` is wider than the model's context: the model reads the question alone,
    however long the prompt around it.
    """

    model: str = Field(default="small", description='"small", "skilled" or "tiny".')
    temperature: float = Field(
        default=DEFAULT_TEMPERATURE,
        description="0 is greedy; 1 samples the model's own distribution.",
    )
    max_tokens: int | None = Field(
        default=None, description="Most tokens of a reply; None leaves it to the context."
    )
    seed: int | None = Field(
        default=None, description="Makes replies repeatable; None takes fresh entropy."
    )
    top_logprobs: int = Field(
        default=0, description="How many of the most probable tokens to report at each position."
    )
    effort: Effort = Field(default="medium", description="How much to write; see `Options`.")

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and payloads."""
        return "arithmetic_llm"

    @property
    def _assistant(self) -> Assistant:  # no field: a copy of the LLM must not copy the engine
        return _assistant_of(self.model)

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex asks of a model; `num_output` is the context where nothing caps it."""
        assistant = self._assistant
        return LLMMetadata(
            context_window=_WINDOW,
            num_output=self.max_tokens or assistant.engine.model.shape.context,
            is_chat_model=True,
            model_name=assistant.name,
        )

    @_chats
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Reply to messages."""
        return self._chatted(self._assistant.reply_sync(_turns(messages), self._options(kwargs)))

    @_chats
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Reply to messages; cancelling takes the call out of the batch."""
        return self._chatted(await self._assistant.reply(_turns(messages), self._options(kwargs)))

    @_completes
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Reply to a text."""
        return self._completed(self._assistant.reply_sync(prompt, self._options(kwargs)))

    @_completes
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Reply to a text; cancelling takes the call out of the batch."""
        return self._completed(await self._assistant.reply(prompt, self._options(kwargs)))

    @_chats
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Reply to messages token by token; the last chunk has the usage."""
        return (self._chatted(*step) for step in self._steps(_turns(messages), kwargs))

    @_chats
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Reply to messages token by token; the last chunk has the usage."""
        return (self._chatted(*step) async for step in self._asteps(_turns(messages), kwargs))

    @_completes
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Reply to a text token by token; the last chunk has the usage."""
        return (self._completed(*step) for step in self._steps(prompt, kwargs))

    @_completes
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Reply to a text token by token; the last chunk has the usage."""
        return (self._completed(*step) async for step in self._asteps(prompt, kwargs))

    def _options(self, kwargs: dict[str, Any]) -> Options:
        given: dict[str, object] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stop": None,
            "top_logprobs": self.top_logprobs,
            "effort": kwargs.get("reasoning_effort") or self.effort,
        }
        called = {key: kwargs[key] for key in given if kwargs.get(key) is not None}
        return options_from({**given, **called})

    def _steps(self, prompt: Prompt, kwargs: dict[str, Any]) -> Iterator[tuple[Reply | str, str]]:
        written = ""
        for item in self._assistant.stream_sync(prompt, self._options(kwargs)):
            written, step = _next(written, item)
            yield step

    async def _asteps(
        self, prompt: Prompt, kwargs: dict[str, Any]
    ) -> AsyncIterator[tuple[Reply | str, str]]:
        written = ""
        async for item in self._assistant.stream(prompt, self._options(kwargs)):
            written, step = _next(written, item)
            yield step

    def _chatted(self, reply: Reply | str, delta: str | None = None) -> ChatResponse:
        text = reply if isinstance(reply, str) else reply.text
        message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
        return ChatResponse(message=message, delta=delta, **self._about(reply))

    def _completed(self, reply: Reply | str, delta: str | None = None) -> CompletionResponse:
        text = reply if isinstance(reply, str) else reply.text
        return CompletionResponse(text=text, delta=delta, **self._about(reply))

    def _about(self, reply: Reply | str) -> dict[str, Any]:
        """Usage, finish reason and log-probabilities; nothing of a reply that is not whole."""
        name = self._assistant.name
        if isinstance(reply, str):
            return {"raw": {"model": name}}
        read, written = reply.input_tokens, reply.output_tokens
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
        raw = {"model": name, "finish_reason": reply.finish_reason, "usage": usage}
        return {
            "raw": raw,
            "logprobs": list(map(_logprobs, reply.tokens)),
            "additional_kwargs": dict(usage),
        }


@cache
def _assistant_of(model: str) -> Assistant:
    return Assistant(model=model)


def _next(written: str, item: Token | Reply) -> tuple[str, tuple[Reply | str, str]]:
    """Return the text so far, and what the next chunk is made of."""
    if isinstance(item, Reply):
        return written, (item, "")
    return written + item.text, (written + item.text, item.text)


def _turns(messages: Sequence[ChatMessage]) -> list[Turn]:
    return [Turn(each.role.value, each.content or "") for each in messages]


def _logprobs(token: Token) -> list[LogProb]:
    """Return the token that was written, then the others in its place."""
    others = [each for each in token.top if each[0] != token.text]
    return [LogProb(token=t, logprob=p) for t, p in ((token.text, token.logprob), *others)]
