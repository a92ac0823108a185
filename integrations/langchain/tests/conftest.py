"""A scripted chat model, and a recorder of callback runs."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Iterator


class ScriptedModel(BaseChatModel):
    """Answers with its replies in order of the calls, starting again after the last.

    An exception is raised, a message returned as it is, and a callable called with the request.
    """

    replies: list[Any]
    seconds: float = 0.0
    reports: bool = True
    model_name: str = "fake-1"
    temperature: float | None = None
    max_tokens: int | None = None
    _log: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _in_flight: list[object] = PrivateAttr(default_factory=list)
    _most: list[int] = PrivateAttr(default_factory=lambda: [0])

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        params = super()._get_ls_params(stop=stop, **kwargs)
        return {**params, "ls_provider": "fake", "ls_model_name": self.model_name}

    def _get_invocation_params(self, stop: Any = None, **kwargs: Any) -> dict[str, Any]:
        return {"model": self.model_name, "max_tokens": self.max_tokens, **kwargs}

    @property
    def log(self) -> list[dict[str, Any]]:
        """Requests: text, call kwargs, thread."""
        return self._log

    @property
    def calls(self) -> int:
        """Requests so far."""
        return len(self._log)

    @property
    def most_in_flight(self) -> int:
        """The most requests that were under way at once."""
        return self._most[0]

    def _begin(self, messages: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        thread = threading.current_thread().name
        request = {"text": messages[-1].text, "kwargs": kwargs, "thread": thread}
        self._log.append(request)
        self._in_flight.append(request)
        self._most[0] = max(self._most[0], len(self._in_flight))
        request["index"] = next(i for i, each in enumerate(self._log) if each is request)
        return request

    def _end(self, request: dict[str, Any]) -> ChatResult:
        reply = self.replies[request["index"] % len(self.replies)]
        reply = reply(request) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, str):
            reply = AIMessage(reply, response_metadata={"finish_reason": "stop"})
        count = int(request["kwargs"].get("n") or 1)
        copies = [reply.model_copy() for _ in range(count)]
        for each in copies:
            each.response_metadata = {"model_name": self.model_name, **each.response_metadata}
            if self.reports and not each.usage_metadata:
                read, written = len(request["text"]), 5
                each.usage_metadata = {
                    "input_tokens": read,
                    "output_tokens": written,
                    "total_tokens": read + written,
                }
        return ChatResult(generations=[ChatGeneration(message=each) for each in copies])

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        request = self._begin(messages, kwargs)
        try:
            time.sleep(self.seconds)
            return self._end(request)
        finally:
            self._in_flight.remove(request)

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        request = self._begin(messages, kwargs)
        try:
            await asyncio.sleep(self.seconds)
            return self._end(request)
        finally:
            self._in_flight.remove(request)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Bind tools in the shape that OpenAI takes."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)


class StreamedModel(ScriptedModel):
    """Streams its reply by characters, and reports no usage."""

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        message = self._end(self._begin(messages, kwargs)).generations[0].message
        self._in_flight.clear()
        for character in message.text:
            chunk = ChatGenerationChunk(message=AIMessageChunk(character))
            if run_manager:
                run_manager.on_llm_new_token(character, chunk=chunk)
            yield chunk


class Runs(BaseCallbackHandler):
    """Records runs: name, kind, parent, tags, metadata and how they ended."""

    run_inline = True

    def __init__(self) -> None:
        self.runs: dict[Any, dict[str, Any]] = {}

    def _started(self, kind: str, run_id: Any, parent_run_id: Any, **details: Any) -> None:
        kept = ("name", "tags", "metadata")
        self.runs[run_id] = {
            "kind": kind,
            "parent": parent_run_id,
            "end": None,
            **{name: details.get(name) for name in kept},
        }

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **details):
        self._started("chain", run_id, parent_run_id, **details)

    def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id=None, **details):
        self._started("model", run_id, parent_run_id, **{**details, "name": "model"})

    def _ended(self, run_id, how):
        self.runs[run_id]["end"] = how

    def on_chain_end(self, outputs, *, run_id, **_):
        self._ended(run_id, "ok")

    def on_llm_end(self, response, *, run_id, **_):
        self._ended(run_id, "ok")

    def on_chain_error(self, error, *, run_id, **_):
        self._ended(run_id, type(error).__name__)

    def on_llm_error(self, error, *, run_id, **_):
        self._ended(run_id, type(error).__name__)

    def named(self, name: str) -> list[dict[str, Any]]:
        """The runs of a name."""
        return [run for run in self.runs.values() if run["name"] == name]

    def path(self, run: dict[str, Any]) -> list[str]:
        """Names from the root to a run."""
        above = self.path(self.runs[run["parent"]]) if run["parent"] in self.runs else []
        return [*above, run["name"]]


@pytest.fixture
def model_class() -> type[ScriptedModel]:
    """The scripted model."""
    return ScriptedModel


@pytest.fixture
def scripted():
    """Makes a scripted model of replies."""

    def make(*replies: Any, **settings: Any) -> ScriptedModel:
        return ScriptedModel(replies=list(replies), **settings)

    return make


@pytest.fixture
def streamed():
    """Makes a scripted model that streams and reports no usage."""

    def make(*replies: Any, **settings: Any) -> StreamedModel:
        return StreamedModel(replies=list(replies), reports=False, **settings)

    return make


@pytest.fixture
def runs() -> Runs:
    """A recorder of callback runs."""
    return Runs()


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Calls a Runnable by `invoke` (on a thread without a loop) and by `ainvoke`."""
    if request.param == "sync":

        async def sync(runnable: Any, given: Any, config: Any = None, **kwargs: Any) -> Any:
            return await asyncio.to_thread(runnable.invoke, given, config, **kwargs)

        return sync

    async def unblocked(runnable: Any, given: Any, config: Any = None, **kwargs: Any) -> Any:
        return await runnable.ainvoke(given, config, **kwargs)

    return unblocked
