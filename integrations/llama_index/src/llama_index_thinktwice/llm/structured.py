"""Structured prediction by the LLM's own methods, with votes on what is parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.output_parsers.utils import extract_json_str

from llama_index_thinktwice.llm.answering import text_of
from thinktwice import UsageError
from thinktwice.answers import default_key

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llama_index.core.llms import LLM
    from pydantic import BaseModel

    from llama_index_thinktwice.llm.calls import LLMResponse

METHODS: Final = (
    *("chat", "achat", "stream_chat", "astream_chat"),
    *("complete", "acomplete", "stream_complete", "astream_complete"),
)
"""By which an LLM is asked."""
SETTINGS: Final = (
    *("system_prompt", "messages_to_prompt", "completion_to_prompt", "output_parser"),
    *("pydantic_program_mode", "query_wrapper_prompt"),
)
"""Of an LLM, that its `predict` and its like heed."""


@dataclass(frozen=True, repr=False)
class ParsedKey:
    """Counts a response by what is parsed of it; one that cannot be parsed abstains.

    Where values of that class cannot be compared, the responses are.

    Attributes:
        output_cls: What is parsed.
        llm: The LLM, which knows where its tool calls are.
    """

    output_cls: type[BaseModel]
    llm: LLM

    def __call__(self, response: LLMResponse) -> Hashable | None:
        """The default key of the parsed value."""
        try:
            parsed = self._parsed(response)
        except Exception:  # noqa: BLE001 - whatever a parser raises: it is no answer
            return None
        try:
            return default_key(parsed)
        except UsageError:
            return default_key(response)

    def _parsed(self, response: LLMResponse) -> object:
        if isinstance(self.llm, FunctionCallingLLM) and isinstance(response, ChatResponse):
            calls = self.llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
            made = [self.output_cls.model_validate(call.tool_kwargs) for call in calls]
            if made:
                return made if len(made) > 1 else made[0]
        return self.output_cls.model_validate_json(extract_json_str(text_of(response)))

    def __repr__(self) -> str:
        """Without the LLM, whose fields may be secret."""
        return f"ParsedKey({self.output_cls.__name__})"


def stand_in(llm: LLM, asked: LLM) -> LLM:
    """A copy of an LLM that is asked through another one: its own methods then sample.

    Args:
        llm: The LLM, whose way to structured output is taken.
        asked: Takes its calls.
    """
    copy = llm.model_copy(update={name: getattr(asked, name) for name in SETTINGS})
    vars(copy).update({name: getattr(asked, name) for name in METHODS})
    return copy
