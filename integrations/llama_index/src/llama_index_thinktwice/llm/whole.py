"""LLMs that answer at once: the eight ways to ask one, and streams of one chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import (
    astream_chat_response_to_tokens,
    astream_completion_response_to_tokens,
    stream_chat_response_to_tokens,
    stream_completion_response_to_tokens,
)

from llama_index_thinktwice.llm.answering import text_of
from llama_index_thinktwice.llm.checking import check_messages, check_text
from llama_index_thinktwice.llm.telling import told_below

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from llama_index.core.prompts import BasePromptTemplate

    from llama_index_thinktwice.llm.calls import LLMResponse, Prompt

R = TypeVar("R", ChatResponse, CompletionResponse)


class WholeAnswers(FunctionCallingLLM):
    """An LLM whose calls are those of other LLMs below it, and whose streams are one chunk.

    A stream is answered before it is handed on, so that what is raised is raised by the call.
    """

    # Not abstract: LlamaIndex would make a node of its tree of each implementation.

    def _answer(self, prompt: Prompt, given: dict[str, Any]) -> LLMResponse:
        """The answer, by blocking calls."""
        raise NotImplementedError

    async def _aanswer(self, prompt: Prompt, given: dict[str, Any]) -> LLMResponse:
        """The answer, by calls that are awaited."""
        raise NotImplementedError

    @told_below
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Run the strategy over `chat` of the LLM, on threads."""
        return cast("ChatResponse", self._answer(check_messages(messages), kwargs))

    @told_below
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Run the strategy over `achat` of the LLM."""
        return cast("ChatResponse", await self._aanswer(check_messages(messages), kwargs))

    @told_below
    def stream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[ChatResponse, None, None]:
        """Run the strategy over `chat` of the LLM; yield its answer as one chunk."""
        return _stream(cast("ChatResponse", self._answer(check_messages(messages), kwargs)))

    @told_below
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        """Run the strategy over `achat` of the LLM; yield its answer as one chunk."""
        return _astream(cast("ChatResponse", await self._aanswer(check_messages(messages), kwargs)))

    # `formatted` is LlamaIndex's, by place as well.

    @told_below
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: FBT001, FBT002
        """Run the strategy over `complete` of the LLM, on threads."""
        return cast(
            "CompletionResponse",
            self._answer(check_text(prompt), {"formatted": formatted, **kwargs}),
        )

    @told_below
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> CompletionResponse:
        """Run the strategy over `acomplete` of the LLM."""
        answer = await self._aanswer(check_text(prompt), {"formatted": formatted, **kwargs})
        return cast("CompletionResponse", answer)

    @told_below
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> Generator[CompletionResponse, None, None]:
        """Run the strategy over `complete` of the LLM; yield its answer as one chunk."""
        answer = self._answer(check_text(prompt), {"formatted": formatted, **kwargs})
        return _stream(cast("CompletionResponse", answer))

    @told_below
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> AsyncGenerator[CompletionResponse, None]:
        """Run the strategy over `acomplete` of the LLM; yield its answer as one chunk."""
        answer = await self._aanswer(check_text(prompt), {"formatted": formatted, **kwargs})
        return _astream(cast("CompletionResponse", answer))

    # As in LlamaIndex, but told below: a tracer that saw these would wait for the end of a stream
    # that it does not see. Nor is there an `LLMPredictStartEvent`, of a node it does not know.

    @told_below
    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> Generator[str, None, None]:
        """Fill in a prompt template and stream the answer's text.

        Raises:
            NotImplementedError: There is an output parser: it reads no streams.
        """
        asked = self._filled_in(prompt, prompt_args)
        if isinstance(asked, str):
            return stream_completion_response_to_tokens(self.stream_complete(asked, formatted=True))
        return stream_chat_response_to_tokens(self.stream_chat(asked))

    @told_below
    async def astream(
        self, prompt: BasePromptTemplate, **prompt_args: Any
    ) -> AsyncGenerator[str, None]:
        """Fill in a prompt template and stream the answer's text.

        Raises:
            NotImplementedError: There is an output parser: it reads no streams.
        """
        asked = self._filled_in(prompt, prompt_args)
        if isinstance(asked, str):
            completed = await self.astream_complete(asked, formatted=True)
            return await astream_completion_response_to_tokens(completed)
        return await astream_chat_response_to_tokens(await self.astream_chat(asked))

    def _filled_in(self, prompt: BasePromptTemplate, given: dict[str, Any]) -> Prompt:
        if prompt.output_parser is not None or self.output_parser is not None:
            raise NotImplementedError("Output parser is not supported for streaming.")
        self._log_template_data(prompt, **given)
        if self.metadata.is_chat_model:
            return self._get_messages(prompt, **given)
        return self._get_prompt(prompt, **given)


def _stream(answer: R) -> Generator[R, None, None]:
    yield _chunk(answer)


async def _astream(answer: R) -> AsyncGenerator[R, None]:
    yield _chunk(answer)


def _chunk(answer: R) -> R:
    """The whole answer as the only chunk: what is new in it is all of it."""
    return answer.model_copy(update={"delta": text_of(answer)})
