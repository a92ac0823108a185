"""Chat models that answer at once: what a call is told, and a stream of one chunk."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, ensure_config

from langchain_thinktwice.messages import as_chunk
from thinktwice.instrumentation import hidden

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import LLMResult


class _Handing:
    """Hands the answer on while its run is still open: to its events, a stream is part of a run."""

    def __init__(self) -> None:
        self._offered: asyncio.Future[AIMessage] = asyncio.get_running_loop().create_future()
        self.taken = asyncio.Event()

    async def offer(self, message: AIMessage) -> None:
        """Hand it on, and wait until it is taken."""
        if not self._offered.done():
            self._offered.set_result(message)
            await self.taken.wait()

    async def receive(self, task: asyncio.Task[AIMessage]) -> AIMessage:
        """Wait for it, or for the end of a task that never hands it on."""
        await asyncio.wait({task, self._offered}, return_when=asyncio.FIRST_COMPLETED)
        return self._offered.result() if self._offered.done() else task.result()


@dataclass(frozen=True)
class _Call:
    """How the model was called.

    Attributes:
        config: The config, of which LangChain hands no more than the callbacks on to a model.
        streamed: By `stream` or `astream`.
        handing: Takes the answer.
    """

    config: RunnableConfig
    streamed: bool = False
    handing: _Handing | None = None


_call: ContextVar[_Call | None] = ContextVar("langchain_thinktwice_call", default=None)


def config_now() -> RunnableConfig:
    """The config of the running call; the one around where it came by another way."""
    call = _call.get()
    return ensure_config() if call is None else call.config


@contextmanager
def uncalled() -> Generator[None]:
    """A block in which no call is running: those inside it are told of on their own."""
    token = _call.set(None)
    try:
        yield
    finally:
        _call.reset(token)


@contextmanager
def _called(
    config: RunnableConfig | None, *, streamed: bool = False, handing: _Handing | None = None
) -> Generator[None]:
    token = _call.set(_Call(ensure_config(config), streamed, handing))
    try:
        yield
    finally:
        _call.reset(token)


class WholeAnswers(BaseChatModel, ABC):
    """A chat model whose calls are those of other models below it, and whose streams are one chunk.

    Its own run is hidden from instrumentations of OpenTelemetry, which have a span for each call
    below it: no token is to be counted twice. All ways to call it end in `_answer` or `_aanswer`.
    """

    @abstractmethod
    def _answer(
        self, messages: list[BaseMessage], run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        """The answer, by blocking calls."""

    @abstractmethod
    async def _aanswer(
        self, messages: list[BaseMessage], run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        """The answer, by calls that are awaited."""

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Run the strategy over `invoke` of the model, on threads."""
        with _called(config):
            return super().invoke(input, config, stop=stop, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Run the strategy over `ainvoke` of the model."""
        with _called(config):
            return await super().ainvoke(input, config, stop=stop, **kwargs)

    # Streams go the same way, since LangChain tells `_stream` nothing of the run that it is for.

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Run the strategy; yield its answer as one chunk."""
        with _called(config, streamed=True):
            message = super().invoke(input, config, stop=stop, **kwargs)
        yield cast("AIMessageChunk", as_chunk(message))

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Run the strategy; yield its answer as one chunk."""
        handing = _Handing()
        with _called(config, streamed=True, handing=handing):
            task = asyncio.create_task(super().ainvoke(input, config, stop=stop, **kwargs))
        try:
            yield cast("AIMessageChunk", as_chunk(await handing.receive(task)))
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            handing.taken.set()
            await task

    def generate(self, *args: Any, **kwargs: Any) -> LLMResult:
        """Run the strategy for each of several inputs, one after the other."""
        with hidden():
            return super().generate(*args, **kwargs)

    async def agenerate(self, *args: Any, **kwargs: Any) -> LLMResult:
        """Run the strategy for each of several inputs, at once."""
        with hidden():
            return await super().agenerate(*args, **kwargs)

    def _should_stream(self, **_: Any) -> bool:
        return False

    def _is_streamed(self, run: BaseRunManager, kwargs: dict[str, Any]) -> bool:
        """Whether somebody waits for chunks."""
        call = _call.get()
        asked = {"stream": True} if call is not None and call.streamed else {}
        return super()._should_stream(
            async_api=True, run_manager=cast("Any", run), **kwargs, **asked
        )

    def _as_asked(self, message: AIMessage) -> AIMessage:
        """In the version of the content that LangChain will make of it."""
        if self.output_version != "v1":
            return message
        metadata = {**message.response_metadata, "output_version": "v1"}
        update = {"content": message.content_blocks, "response_metadata": metadata}
        return message.model_copy(update=update)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._as_asked(self._answer(messages, run_manager, _given(stop, kwargs)))
        if run_manager is not None and self._is_streamed(run_manager, kwargs):
            chunk = _generation_chunk(message)
            run_manager.on_llm_new_token(cast("str", message.content), chunk=chunk)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._as_asked(await self._aanswer(messages, run_manager, _given(stop, kwargs)))
        if run_manager is not None and self._is_streamed(run_manager, kwargs):
            chunk = _generation_chunk(message)
            await run_manager.on_llm_new_token(cast("str", message.content), chunk=chunk)
            if (call := _call.get()) is not None and call.handing is not None:
                await call.handing.offer(message)
        return ChatResult(generations=[ChatGeneration(message=message)])

    # What follows serves streams of version 3, where LangChain has them.

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield _generation_chunk(self._answer(messages, run_manager, _given(stop, kwargs)))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        yield _generation_chunk(await self._aanswer(messages, run_manager, _given(stop, kwargs)))

    def _chat_model_stream_v3(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 - older versions of LangChain have no type for it
        stream: Any = super()._chat_model_stream_v3(input, config, **kwargs)
        start, pump = stream._ensure_started, stream._request_more  # it is read much later

        def told(step: Any) -> Any:  # noqa: ANN401 - likewise
            def inside() -> Any:  # noqa: ANN401 - likewise
                with _called(config), hidden():
                    return step()

            return inside

        stream.set_start(told(start))
        stream.bind_pump(told(pump))
        return stream

    async def _achat_model_stream_v3(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 - likewise
        stream: Any = await super()._achat_model_stream_v3(input, config, **kwargs)
        start = stream._ensure_started

        async def inside() -> None:
            with _called(config), hidden():
                await start()

        stream.set_start(inside)
        return stream


def _given(stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs if stop is None else {"stop": stop, **kwargs}


def _generation_chunk(message: AIMessage) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=cast("AIMessageChunk", as_chunk(message)))
