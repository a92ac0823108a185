"""Asking an LLM for a better answer: the draft and the feedback as further turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from thinktwice.answers import default_key, text_in
from thinktwice.prompting import TextPrompting, draft_text

if TYPE_CHECKING:
    from llama_index_thinktwice.llm.calls import Prompt


class LLMPrompting:
    """Edits what an LLM is asked: a text to complete, or messages."""

    def revise(self, prompt: Prompt, draft: object, feedback: str) -> Prompt:
        """The text with both behind it; messages with the draft as a turn of the model's."""
        shown = None if draft is None else _shown(draft)
        if isinstance(prompt, str):
            return TextPrompting().revise(prompt, shown, feedback)
        said = [] if shown is None else [ChatMessage(shown, role=MessageRole.ASSISTANT)]
        return [*prompt, *said, ChatMessage(feedback, role=MessageRole.USER)]

    def extend(self, prompt: Prompt, partial: str) -> Prompt:
        """The text, or the messages, with the start of an answer behind it."""
        if isinstance(prompt, str):
            return TextPrompting().extend(prompt, partial)
        return [*prompt, ChatMessage(partial, role=MessageRole.ASSISTANT)] if partial else prompt


def _shown(draft: object) -> str:
    """What it says; tool calls as data, since a turn must not leave calls unanswered."""
    text = text_in(draft)
    if text:
        return text
    key: Any = default_key(draft)
    is_calls = isinstance(key, tuple) and key[0] == "tool_calls"  # pyright: ignore[reportUnknownVariableType]
    return "\n".join(cast("tuple[str, ...]", key[1])) if is_calls else draft_text(draft)
