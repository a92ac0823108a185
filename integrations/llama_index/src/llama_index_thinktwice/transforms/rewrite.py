"""A rewritten query: its text, and the bundle that is retrieved with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from llama_index.core.schema import QueryBundle

from llama_index_thinktwice.query_engine.question import plain
from llama_index_thinktwice.verifiers.given import question_in
from thinktwice import UsageError
from thinktwice.answers import text_in
from thinktwice.strategy import check_flags

if TYPE_CHECKING:
    from collections.abc import Hashable

Into: TypeAlias = Literal["embedding", "query"]

_INTO = ("embedding", "query")
_WORD = re.compile(r"\w+")


class Rewrite(str):
    """The text of a rewritten query: what keys, checks and verifiers get.

    Attributes:
        bundle: What is retrieved with if it wins. Copy it: retrievers leave embeddings on theirs.
    """

    __slots__ = ("bundle",)
    bundle: QueryBundle

    def __new__(cls, text: str, bundle: QueryBundle) -> Self:
        """Put a text and a bundle together."""
        made = super().__new__(cls, text)
        made.bundle = bundle
        return made

    def __getnewargs__(self) -> tuple[str, QueryBundle]:  # type: ignore[override]
        """For copies, and for other processes."""
        return str(self), self.bundle


def bundle_of(value: object) -> QueryBundle:
    """A new bundle to retrieve with: that of a rewrite, or one of the text of anything else.

    Raises:
        UsageError: It has no text.
    """
    bundle = value.bundle if isinstance(value, Rewrite) else value
    return plain(bundle) if isinstance(bundle, QueryBundle) else QueryBundle(text_in(value) or "")


def asked_of(prompt: object) -> QueryBundle:
    """The question that a prompt asks."""
    return plain(prompt) if isinstance(prompt, QueryBundle) else QueryBundle(question_in(prompt))


def word_set(text: str) -> Hashable | None:
    """The key of a rewrite: its words in any order and case, each once; None if there is none."""
    return frozenset(_WORD.findall(text.casefold())) or None


@dataclass(frozen=True)
class Placing:
    """Where the text of a rewrite goes.

    Attributes:
        into: "embedding" or "query".
        include_original: Embed the user's question as well.
    """

    into: Into
    include_original: bool

    def __post_init__(self) -> None:
        """Check both."""
        if self.into not in _INTO:
            raise UsageError("into", self.into, f"give {' or '.join(map(repr, _INTO))}")
        check_flags(include_original=self.include_original)

    def placed(self, text: str, question: QueryBundle) -> Rewrite | None:
        """A text as a rewrite of a question; None if there is no text."""
        text = text.strip()
        if not text:
            return None
        also = question.embedding_strs if self.include_original else ()
        bundle = QueryBundle(
            text if self.into == "query" else question.query_str,
            image_path=question.image_path,
            custom_embedding_strs=list(dict.fromkeys([text, *also])),
        )
        return Rewrite(text, bundle)


def original(question: QueryBundle) -> Rewrite:
    """The question itself, as one of its rewrites."""
    return Rewrite(question.query_str, plain(question))


def transformed(made: QueryBundle, given: QueryBundle, question: QueryBundle) -> Rewrite | None:
    """What a transform made of a question as a rewrite of it; None if there is no text.

    Its text is what the transform changed: the query itself, or else what is embedded for it.

    Args:
        made: What came out.
        given: What the transform got, which may hold feedback beside the question.
        question: The user's.
    """
    bundle = plain(made)
    changed = made.query_str != given.query_str
    if not changed:
        bundle.query_str = question.query_str
    known = {question.query_str, given.query_str, *question.embedding_strs}
    fresh = [each for each in made.embedding_strs if each not in known]
    text = made.query_str if changed or not fresh else "\n".join(fresh)
    if not changed and not fresh:
        text = question.query_str
    return Rewrite(text.strip(), bundle) if text.strip() else None
