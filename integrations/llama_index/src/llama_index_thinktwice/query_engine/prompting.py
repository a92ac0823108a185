"""How a query is revised with a draft and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate

from llama_index_thinktwice.query_engine.question import as_question
from thinktwice.answers import text_in
from thinktwice.prompting import TextPrompting, draft_text

if TYPE_CHECKING:
    from llama_index.core.schema import QueryBundle

REVISE_PROMPT: Final = PromptTemplate(
    "{query_str}\n\n"
    "An earlier answer to this was:\n{draft}\n\n"
    "What is wrong with it:\n{feedback}\n\n"
    "Answer anew, and put that right."
)


@dataclass(frozen=True)
class QueryPrompting:
    """Revises what the synthesizer is asked; what is retrieved by stays the user's query.

    Where the feedback says that evidence is missing, it is retrieved once more, by the user's query
    and what is missing; what is found is added to the sources. Verdicts say so by
    `Verdict(missing=...)`, as those of `Grounding` and `SourceGrounding` do. For a verifier that
    says it in words alone, override `missing`.

    Attributes:
        template: What the synthesizer is asked, of `query_str`, `draft` and `feedback`: it takes
            the place of the question in the prompts of the engine.
    """

    template: BasePromptTemplate = field(default_factory=lambda: REVISE_PROMPT)

    def missing(self, feedback: str) -> tuple[str, ...]:
        """What to look for again, in words to retrieve it by; nothing to keep the sources."""
        return tuple(getattr(feedback, "missing", ()))

    def revise(self, prompt: QueryBundle, draft: object, feedback: str) -> QueryBundle:
        """The query that asks for a better answer than the draft; without one if that is None."""
        question = as_question(prompt)
        if draft is None:
            text = TextPrompting().revise(question.query_str, None, feedback)
        else:
            text = self.template.format(
                query_str=question.query_str, draft=_text(draft), feedback=feedback
            )
        return question.revision(text, draft, self.missing(feedback))

    def extend(self, prompt: QueryBundle, partial: str) -> QueryBundle:
        """The query with the partial answer behind it."""
        question = as_question(prompt)
        if not partial:
            return question
        text = TextPrompting().extend(question.query_str, partial)
        return question.revision(text, None, ())


def _text(draft: object) -> str:
    if isinstance(draft, Response | PydanticResponse):
        return text_in(draft) or ""
    return draft_text(draft)
