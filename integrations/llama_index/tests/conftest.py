"""A scripted LLM, a deterministic embedding, and an index over a few documents."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import PrivateAttr

from thinktwice import remarks


class ScriptedLLM(FunctionCallingLLM):
    """Answers with its replies in order of the calls, starting again after the last.

    A text becomes a message, an exception is raised, a `ChatMessage` returned as it is, and a
    callable called with the request.
    """

    replies: list[Any]
    seconds: float = 0.0
    reports: bool = True
    model_name: str = "fake-1"
    temperature: float | None = None
    max_tokens: int | None = None
    function_calling: bool = True
    is_chat: bool = True
    _log: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _in_flight: list[object] = PrivateAttr(default_factory=list)
    _most: list[int] = PrivateAttr(default_factory=lambda: [0])
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @classmethod
    def class_name(cls) -> str:
        """Its name."""
        return "ScriptedLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What it says of itself."""
        return LLMMetadata(
            model_name=self.model_name,
            is_chat_model=self.is_chat,
            is_function_calling_model=self.function_calling,
            num_output=self.max_tokens or 256,
            context_window=100_000,
        )

    @property
    def log(self) -> list[dict[str, Any]]:
        """Requests: method, text, call kwargs, thread."""
        return self._log

    @property
    def calls(self) -> int:
        """Requests so far."""
        return len(self._log)

    @property
    def most_in_flight(self) -> int:
        """The most requests that were under way at once."""
        return self._most[0]

    def _begin(self, method: str, given: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        text = given if isinstance(given, str) else given[-1].content or ""
        thread = threading.current_thread().name
        request = {"method": method, "text": text, "given": given, "kwargs": kwargs}
        with self._lock:
            request |= {"thread": thread, "index": len(self._log)}
            self._log.append(request)
            self._in_flight.append(request)
            self._most[0] = max(self._most[0], len(self._in_flight))
        return request

    def _end(self, request: dict[str, Any]) -> None:
        with self._lock:
            self._in_flight[:] = [each for each in self._in_flight if each is not request]

    def _reply(self, request: dict[str, Any]) -> ChatResponse:
        reply = self.replies[request["index"] % len(self.replies)]
        reply = reply(request) if callable(reply) else reply
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, ChatResponse):
            return reply
        if isinstance(reply, str):
            reply = ChatMessage(reply, role=MessageRole.ASSISTANT)
        raw: dict[str, Any] = {"model": self.model_name, "choices": [{"finish_reason": "stop"}]}
        if self.reports:
            read = len(request["text"])
            raw["usage"] = {
                "prompt_tokens": read,
                "completion_tokens": 5,
                "total_tokens": read + 5,
            }
        return ChatResponse(message=reply.model_copy(deep=True), raw=raw)

    def _blocked(self, method: str, given: Any, kwargs: dict[str, Any]) -> ChatResponse:
        request = self._begin(method, given, kwargs)
        try:
            if self.seconds:
                time.sleep(self.seconds)
            return self._reply(request)
        finally:
            self._end(request)

    async def _awaited(self, method: str, given: Any, kwargs: dict[str, Any]) -> ChatResponse:
        request = self._begin(method, given, kwargs)
        try:
            await asyncio.sleep(self.seconds)
            return self._reply(request)
        finally:
            self._end(request)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """Answer."""
        return self._blocked("chat", messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """Answer."""
        return await self._awaited("achat", messages, kwargs)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer."""
        return _completion(self._blocked("complete", prompt, kwargs))

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer."""
        return _completion(await self._awaited("acomplete", prompt, kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """Answer by words."""

        def words() -> Any:
            yield from _chunks(self._blocked("stream_chat", messages, kwargs))

        return words()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """Answer by words."""

        async def words() -> Any:
            for each in _chunks(await self._awaited("astream_chat", messages, kwargs)):
                yield each

        return words()

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Answer by words."""

        def words() -> Any:
            for each in _chunks(self._blocked("stream_complete", prompt, kwargs)):
                yield _completion(each)

        return words()

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Answer by words."""

        async def words() -> Any:
            for each in _chunks(await self._awaited("astream_complete", prompt, kwargs)):
                yield _completion(each)

        return words()

    def _prepare_chat_with_tools(  # noqa: PLR0917 - LlamaIndex's signature
        self,
        tools: Any,
        user_msg: Any = None,
        chat_history: Any = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or [])
        if user_msg is not None:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        specs = [tool.metadata.to_openai_tool() for tool in tools]
        return {"messages": messages, "tools": specs, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls of a reply."""
        calls = response.message.additional_kwargs.get("tool_calls", [])
        if not calls and error_on_no_tool_call:
            raise ValueError("no tool call")
        return [
            ToolSelection(
                tool_id=call["id"],
                tool_name=call["function"]["name"],
                tool_kwargs=json.loads(call["function"]["arguments"]),
            )
            for call in calls
        ]


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=response.message.content or "", raw=response.raw, delta=response.delta
    )


def _chunks(response: ChatResponse) -> Any:
    """The growing message, with usage in the last chunk alone, as OpenAI's has it."""
    message, text = response.message, ""
    words = (message.content or "").split(" ")
    for at, word in enumerate(words[:-1]):
        delta = word if at == 0 else f" {word}"
        text += delta
        part = ChatMessage(text, role=message.role)
        yield ChatResponse(message=part, delta=delta, raw={"choices": []})
    rest = (message.content or "")[len(text) :]
    yield response.model_copy(update={"delta": rest})


def tool_message(*calls: tuple[str, dict[str, Any]], text: str | None = None) -> ChatMessage:
    """A message with tool calls, in the shape of OpenAI's API."""
    made = [
        {
            "id": f"call-{time.monotonic_ns()}-{at}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for at, (name, arguments) in enumerate(calls)
    ]
    return ChatMessage(text, role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": made})


class WordsEmbedding(BaseEmbedding):
    """A bag of words in 256 buckets: texts that share words are near."""

    _embedded: list[str] = PrivateAttr(default_factory=list)

    @property
    def embedded(self) -> list[str]:
        """Queries so far."""
        return self._embedded

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * 256
        for word in text.lower().replace("?", " ").replace(".", " ").split():
            vector[sum(word.encode()) * 7 % 256] += 1.0
        norm = sum(each * each for each in vector) ** 0.5 or 1.0
        return [each / norm for each in vector]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        self._embedded.append(query)
        return self._vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


@pytest.fixture
def scripted():
    """Make a `ScriptedLLM` of its replies."""

    def make(*replies: Any, **settings: Any) -> ScriptedLLM:
        return ScriptedLLM(replies=list(replies), **settings)

    return make


@pytest.fixture
def asks_tools():
    """Make a message with tool calls of (name, arguments)."""
    return tool_message


@pytest.fixture
def embedding():
    """A deterministic embedding."""
    return WordsEmbedding()


@pytest.fixture
def index(embedding):
    """Three documents about places."""
    return make_index(embedding)


def make_index(embedding: BaseEmbedding) -> VectorStoreIndex:
    """Three documents about places."""
    texts = [
        "The Eiffel tower stands in Paris, the capital of France.",
        "Berlin is the capital of Germany and lies on the Spree.",
        "Rome was founded on seven hills by the Tiber.",
    ]
    documents = [Document(text=text, id_=f"doc-{at}") for at, text in enumerate(texts)]
    return VectorStoreIndex.from_documents(documents, embed_model=embedding)


class _Caller:
    """Calls a method by its sync or its async name."""

    def __init__(self, awaits: bool) -> None:
        self.awaits = awaits

    async def __call__(self, thing: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.awaits:
            return await getattr(thing, f"a{method}")(*args, **kwargs)
        return getattr(thing, method)(*args, **kwargs)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def call(request):
    """`await call(engine, "query", ...)`: by the sync method, and by its async twin."""
    return _Caller(request.param)


@pytest.fixture(autouse=True)
def _own_openai_clients(request, monkeypatch):
    """Close the clients that an `OpenAI` keeps when a test ends, the async ones on its loop.

    Nobody else does: their sockets are found open when the garbage is collected, in a later test.
    """
    module = sys.modules.get("llama_index.llms.openai.base")
    if module is None:
        yield
        return
    clients: list[Any] = []
    _keep(clients, "_get_client", module.OpenAI, monkeypatch)
    if "anyio_backend" in request.fixturenames:
        waiting = request.getfixturevalue("_openai_clients")
        _keep(waiting, "_get_aclient", module.OpenAI, monkeypatch)
    yield
    for client in clients:
        client.close()


def _keep(clients: list[Any], method: str, llm_class: Any, monkeypatch: Any) -> None:
    get = getattr(llm_class, method)

    def kept(llm: Any) -> Any:
        client = get(llm)
        if not any(each is client for each in clients):
            clients.append(client)
        return client

    monkeypatch.setattr(llm_class, method, kept)


@pytest.fixture
async def _openai_clients():
    """What is closed on the loop of a test."""
    clients: list[Any] = []
    yield clients
    for client in clients:
        await client.close()


class _Everything(set[str]):
    """Has all of it been said already."""

    def __contains__(self, item: object) -> bool:
        return True


@pytest.fixture(autouse=True)
def unheard():
    """Fakes that ask no LLM need not say so; with `fresh_remarks` they do."""
    remarks._told.add(remarks.UNHEARD)


@pytest.fixture
def fresh_remarks(monkeypatch):
    """Warnings that are said once a process are said again."""
    monkeypatch.setattr(remarks, "_told", set())


@pytest.fixture
def silent_remarks(monkeypatch):
    """No Python warnings about samples, where they are not the subject."""
    monkeypatch.setattr(remarks, "_told", _Everything())
