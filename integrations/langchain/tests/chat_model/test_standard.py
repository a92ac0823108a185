"""LangChain's own suites for chat models, over a scripted model that can do all that they ask."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from langchain_thinktwice.chat_model import StrategyChatModel
from langchain_thinktwice.composite import MODEL_TYPE

from thinktwice import AtMost, Vote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models.base import LangSmithParams

suites = pytest.importorskip("langchain_tests.integration_tests")
units = pytest.importorskip("langchain_tests.unit_tests")

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
]


class ChatCapable(BaseChatModel):
    """Calls its first tool, or the one it has to call, with arguments taken from the request."""

    model_name: str = "capable-1"
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    timeout: float | None = None
    max_retries: int = 0
    api_key: str | None = None
    streaming: bool = False

    @property
    def _llm_type(self) -> str:
        return "capable"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": self.temperature}

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        return {**params, "ls_stop": stop or self.stop or []}

    def bind_tools(self, tools: Any, *, tool_choice: str | None = None, **kwargs: Any) -> Any:
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=formatted, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: str = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        if method == "function_calling" or include_raw:
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        typed = isinstance(schema, type) and is_basemodel_subclass(schema)
        wanted = {"method": method, "strict": strict}
        model = self.bind(
            response_format=convert_to_json_schema(schema),
            ls_structured_output_format={"kwargs": wanted, "schema": schema},
        )
        return model | (
            PydanticOutputParser(pydantic_object=schema) if typed else JsonOutputParser()
        )

    def _message(
        self, messages: list[Any], stop: list[str] | None, asked: dict[str, Any]
    ) -> AIMessage:
        text = messages[-1].text
        tools = [tool["function"] for tool in asked.get("tools", ())]
        choice = asked.get("tool_choice")
        calls = []
        if tools and not isinstance(messages[-1], ToolMessage):
            named = [tool for tool in tools if tool["name"] == choice]
            wanted = (named or tools)[0]
            args = _value(wanted["parameters"], wanted["parameters"], text)
            calls = [{"name": wanted["name"], "args": args, "id": f"call_{len(text)}"}]
        if (schema := asked.get("response_format")) is not None:
            content = json.dumps(_value(schema, schema, text), ensure_ascii=False)
        else:
            content = "" if calls else f"Yes, you said: {text}"
        for each in stop or self.stop or ():
            content = content.partition(each)[0]
        return AIMessage(
            content,
            tool_calls=calls,
            response_metadata={
                "model_name": asked.get("model") or self.model_name,
                "finish_reason": "tool_calls" if calls else "stop",
            },
            usage_metadata={
                "input_tokens": 10 + len(text),
                "output_tokens": 9,
                "total_tokens": 19 + len(text),
                "input_token_details": {"cache_read": 4, "cache_creation": 2, "audio": 1},
                "output_token_details": {"reasoning": 3, "audio": 1},
            },
        )

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        message = self._message(messages, stop, kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        message = self._message(messages, stop, kwargs)
        for word in re.findall(r"\S*\s?", message.text):
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        last = AIMessageChunk(
            "",
            tool_calls=message.tool_calls,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)


def _value(schema: dict[str, Any], root: dict[str, Any], text: str) -> Any:
    """Something that a schema allows, of what the request says where it says something fit."""
    if "$ref" in schema:
        return _value(root["$defs"][schema["$ref"].rpartition("/")[2]], root, text)
    if "anyOf" in schema:
        return _value(schema["anyOf"][0], root, text)
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {name: _value(each, root, text) for name, each in fields.items()}
    if schema.get("type") in {"integer", "number"}:
        return int(next(iter(re.findall(r"\d+", text)), 3))
    return next(iter(re.findall(r"'([^']+)'", text)), text)


class ChatVoted(StrategyChatModel):
    """Made as the suites make a model: of the parameters of one."""

    def __init__(self, **params: Any) -> None:
        inner = {name: params.pop(name) for name in _OWN if name in params}
        params.setdefault("bound", ChatCapable(**inner))
        params.setdefault("strategy", Vote(3, stop=AtMost(3)))
        super().__init__(**params)


_OWN = tuple(name for name in ChatCapable.__annotations__ if not name.startswith("_"))


class _Properties:
    """What the model can do; all else is off by default."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatVoted

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "capable-2"

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        kinds = ["audio_input", "audio_output", "reasoning_output", "cache_read_input"]
        kinds.append("cache_creation_input")
        return {"invoke": kinds, "stream": kinds}

    def _asked(self, *, stream: bool = False) -> AIMessage:
        model = self.chat_model_class()
        return next(iter(model.stream("Hello"))) if stream else model.invoke("Hello")

    invoke_with_audio_input = invoke_with_audio_output = invoke_with_reasoning_output = _asked
    invoke_with_cache_read_input = invoke_with_cache_creation_input = _asked


class TestUnit(_Properties, units.ChatModelUnitTests):
    """LangChain's unit tests."""

    @pytest.fixture
    def benchmark(self, benchmark: Any) -> Any:
        """Calls what is to be timed once, and takes no time."""
        benchmark.disabled = True
        return benchmark

    @pytest.fixture
    def snapshot(self) -> None:
        """Of what is serialized; this is not."""


class TestIntegration(_Properties, suites.ChatModelIntegrationTests):
    """LangChain's integration tests."""

    @pytest.fixture
    def benchmark(self, benchmark: Any) -> Any:
        """Calls what is to be timed once, and takes no time."""
        benchmark.disabled = True
        return benchmark

    @pytest.fixture
    def vcr(self) -> None:
        """Recordings are switched off."""


def test_it_is_the_default_that_is_tested() -> None:
    """Three samples a request, detached, and their sum as the usage."""
    model = ChatVoted()
    assert not model.trace_samples
    message = model.invoke("Hello")
    assert message.response_metadata["thinktwice"]["launched"] == 3
    assert message.usage_metadata == {
        "input_tokens": 45,
        "output_tokens": 27,
        "total_tokens": 72,
        "input_token_details": {"cache_read": 12, "cache_creation": 6, "audio": 3},
        "output_token_details": {"reasoning": 9, "audio": 3},
    }
    assert model._llm_type == f"{MODEL_TYPE}Vote-capable"
