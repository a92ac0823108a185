"""The LangChain door: a chat model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cached_property
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from .asking import Turn
from .assistant import Assistant, Reply, Token
from .options import DEFAULT_TEMPERATURE, Effort, Options, options_from

# LangChain's own signatures hold `Any`: this door has to repeat them.


class ArithmeticChatModel(BaseChatModel):
    """A shared model as a LangChain chat model.

    ``bind(temperature=, seed=, max_tokens=, stop=, top_logprobs=, effort=, n=)`` is honoured, and
    ``reasoning_effort=`` as another name of ``effort``. The question is the first expression in the
    last human message, or in the last message if there is none. A model with skills takes a human
    message behind a draft of its own as feedback, and revises the draft.

    Args:
        model: Which model: ``"small"``, ``"skilled"`` or ``"tiny"``.
        temperature: 0 is greedy; 1 samples the model's own distribution.
        max_tokens: Most tokens of a reply; None leaves it to the context.
        seed: Makes replies repeatable; None takes fresh entropy.
        top_logprobs: How many of the most probable tokens to report at each position.
        effort: How much to write; see `Options`.
    """

    model: str = "small"
    temperature: float = DEFAULT_TEMPERATURE
    max_tokens: int | None = None
    seed: int | None = None
    top_logprobs: int = 0
    effort: Effort = "medium"

    @cached_property
    def _assistant(self) -> Assistant:
        return Assistant(model=self.model)

    @property
    def model_name(self) -> str:
        """Name the model goes by."""
        return self._assistant.name

    @property
    def _llm_type(self) -> str:
        return "arithmetic-lm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        fields = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        more = {"seed": self.seed, "top_logprobs": self.top_logprobs, "effort": self.effort}
        return {"model_name": self.model_name, **fields, **more}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        options = self._options(stop, kwargs)
        params = LangSmithParams(
            ls_provider="local",
            ls_model_name=self.model_name,
            ls_model_type="chat",
            ls_temperature=options.temperature,
        )
        if options.max_tokens is not None:
            params["ls_max_tokens"] = options.max_tokens
        if options.stop:
            params["ls_stop"] = list(options.stop)
        return params

    def _options(self, stop: list[str] | None, kwargs: dict[str, Any]) -> Options:
        given: dict[str, object] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stop": stop,
            "top_logprobs": self.top_logprobs,
            "effort": kwargs.get("reasoning_effort") or self.effort,
        }
        bound = {key: kwargs[key] for key in given if kwargs.get(key) is not None}
        return options_from({**given, **bound})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt, options = _turns(messages), self._options(stop, kwargs)
        if (count := int(kwargs.get("n") or 1)) == 1:
            return self._result([self._assistant.reply_sync(prompt, options)])
        return self._result(self._assistant.replies_sync(prompt, options, count))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt, options = _turns(messages), self._options(stop, kwargs)
        count = int(kwargs.get("n") or 1)
        replies = (self._assistant.reply(prompt, options, index=i) for i in range(count))
        return self._result(await asyncio.gather(*replies))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        options = self._options(stop, kwargs)
        for item in self._assistant.stream_sync(_turns(messages), options):
            chunk = self._chunk(item)
            if run_manager is not None and isinstance(item, Token):
                run_manager.on_llm_new_token(item.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        options = self._options(stop, kwargs)
        async for item in self._assistant.stream(_turns(messages), options):
            chunk = self._chunk(item)
            if run_manager is not None and isinstance(item, Token):
                await run_manager.on_llm_new_token(item.text, chunk=chunk)
            yield chunk

    def _result(self, replies: Sequence[Reply]) -> ChatResult:
        """Return generations, with the usage of the whole request in `llm_output` once.

        Each message of several repeats the usage of the whole request, as OpenAI's do: take one,
        never the sum.
        """
        read, written = replies[0].input_tokens, sum(reply.output_tokens for reply in replies)
        generations = [self._generation(reply, _usage(read, written)) for reply in replies]
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
        return ChatResult(
            generations=generations,
            llm_output={"token_usage": usage, "model_name": self.model_name},
        )

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """Add up the usage of several requests; LangChain leaves it out by default."""
        parts = [output["token_usage"] for output in llm_outputs if output]
        usage = {key: sum(part[key] for part in parts) for key in (parts[0] if parts else ())}
        return {"token_usage": usage, "model_name": self.model_name}

    def _generation(self, reply: Reply, usage: UsageMetadata) -> ChatGeneration:
        message = AIMessage(
            content=reply.text,
            usage_metadata=usage,
            response_metadata={
                "model_name": self.model_name,
                "model_provider": "local",
                "finish_reason": reply.finish_reason,
                "logprobs": _logprobs(reply.tokens),
            },
        )
        info = {"finish_reason": reply.finish_reason}
        return ChatGeneration(message=message, generation_info=info)

    def _chunk(self, item: Token | Reply) -> ChatGenerationChunk:
        if isinstance(item, Token):
            info = {"logprobs": _logprobs([item])}
            message = AIMessageChunk(content=item.text, response_metadata=info)
            return ChatGenerationChunk(message=message)
        message = AIMessageChunk(
            content="",
            usage_metadata=_usage(item.input_tokens, item.output_tokens),
            response_metadata={
                "model_name": self.model_name,
                "model_provider": "local",
                "finish_reason": item.finish_reason,
            },
            chunk_position="last",
        )
        return ChatGenerationChunk(
            message=message, generation_info={"finish_reason": item.finish_reason}
        )


_ROLES = {"human": "user", "ai": "assistant"}


def _turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    return [Turn(_ROLES.get(message.type, message.type), message.text) for message in messages]


def _usage(read: int, written: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _logprobs(tokens: Sequence[Token]) -> dict[str, list[dict[str, Any]]]:
    return {
        "content": [
            {
                "token": token.text,
                "logprob": token.logprob,
                "top_logprobs": [{"token": text, "logprob": each} for text, each in token.top],
            }
            for token in tokens
        ]
    }
