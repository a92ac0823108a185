"""How a rewrite is asked for, and how a better one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.schema import QueryBundle

from llama_index_thinktwice.query_engine.question import plain
from thinktwice import UsageError
from thinktwice.errors import TypeOf
from thinktwice.prompting import TextPrompting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llama_index.core.llms import LLM

REWRITE_PROMPT: Final = PromptTemplate(
    "Rewrite the question as one short query for a search engine: with the words that a text which "
    "answers it would use, and everything that tells it from other questions. Reply with the query "
    "alone.\n\nQuestion: {query_str}\nQuery:"
)


@dataclass
class Revised(QueryBundle):
    """A question, with a rewrite of it that is to be improved.

    Attributes:
        draft: The rewrite; None if it is not shown.
        feedback: What is wrong with it.
    """

    draft: str | None = None
    feedback: str = ""


class RewritePrompting:
    """Asks for a better rewrite of the same question."""

    def revise(self, prompt: QueryBundle, draft: object, feedback: str) -> QueryBundle:
        """The question, with the draft and what is wrong with it."""
        question = plain(prompt)
        return Revised(
            question.query_str,
            image_path=question.image_path,
            custom_embedding_strs=question.custom_embedding_strs,
            draft=None if draft is None else str(draft),
            feedback=feedback,
        )

    def extend(self, prompt: QueryBundle, partial: str) -> QueryBundle:
        """Only where there is nothing to go on from.

        Raises:
            UsageError: There is a partial rewrite.
        """
        if not partial:
            return prompt
        raise UsageError("strategy", partial, "a rewrite is not written in parts: sample it whole")


def revised_text(text: str, question: QueryBundle) -> str:
    """A prompt as text, with what is wrong with an earlier rewrite behind it."""
    if not isinstance(question, Revised):
        return text
    return TextPrompting().revise(text, question.draft, question.feedback)


def as_template(prompt: object) -> BasePromptTemplate:
    """A prompt of the caller's.

    Raises:
        UsageError: It is none, or has no place for the question.
    """
    template = PromptTemplate(prompt) if isinstance(prompt, str) else prompt
    if not isinstance(template, BasePromptTemplate):
        raise UsageError("prompt", prompt, "give a prompt template with {query_str}, or its text")
    named = (template.template_var_mappings or {}).get("query_str", "query_str")
    if named not in template.template_vars:
        remedy = "it has no {query_str}, so that the question would not be in it: put it in"
        raise UsageError("prompt", TypeOf(prompt), remedy)
    return template


def written(
    llm: LLM, template: BasePromptTemplate, question: QueryBundle, metadata: Mapping[str, Any]
) -> str | list[ChatMessage]:
    """What an LLM is asked: messages, or a text where it is no chat model.

    Args:
        llm: The LLM, whose own system prompt and wrappers come with it.
        template: Of `query_str`, and of what the metadata has.
        question: The question.
        metadata: That of the transform.
    """
    known = {name: metadata[name] for name in template.template_vars if name in metadata}
    values: dict[str, Any] = {**known, "query_str": question.query_str}
    asking = cast("Any", llm)  # these two are how `predict` does it
    if not llm.metadata.is_chat_model:
        return revised_text(asking._get_prompt(template, **values), question)
    messages: list[ChatMessage] = asking._get_messages(template, **values)
    if not isinstance(question, Revised):
        return messages
    turns = [] if question.draft is None else [(MessageRole.ASSISTANT, question.draft)]
    turns.append((MessageRole.USER, question.feedback))
    return [*messages, *(ChatMessage(content=text, role=role) for role, text in turns)]
