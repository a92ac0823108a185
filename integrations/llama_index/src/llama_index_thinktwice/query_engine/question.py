"""A query on its way through a run."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.schema import QueryBundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llama_index.core.schema import NodeWithScore


@dataclass
class Question(QueryBundle):
    """A query, and what it is to be answered from.

    Its `query_str` is what the synthesizer is asked: the user's words, or those with a draft and
    what is wrong with it.

    Attributes:
        words: The user's query, whatever else its class holds.
        nodes: What was retrieved; None if nothing was yet.
        additional: Further sources of the caller's, which the synthesizer does not read.
        missing: What to look for again, since the sources did not have it.
        given: The nodes are the caller's: nothing is retrieved.
        revised: It asks for a better answer than a draft; what is retrieved by is `words`.
    """

    words: QueryBundle = field(kw_only=True)
    nodes: Sequence[NodeWithScore] | None = None
    additional: Sequence[NodeWithScore] | None = None
    missing: tuple[str, ...] = ()
    given: bool = False
    revised: bool = False

    @property
    def asked(self) -> QueryBundle:
        """For an engine or a synthesizer; embedded by the user's words and what is missing."""
        if not self.revised:
            return self._edited
        strings = list(self.sought.embedding_strs)
        return copied(
            self.words, query_str=self.query_str, custom_embedding_strs=strings, embedding=None
        )

    @property
    def sought(self) -> QueryBundle:
        """For a retriever: the user's words, and what is missing."""
        if not self.revised:
            return self._edited
        words, missing = self.words, self.missing
        if not missing:
            return copied(words)
        strings = words.custom_embedding_strs
        return copied(
            words,
            query_str="\n".join([words.query_str, *missing]),
            custom_embedding_strs=None if strings is None else [*strings, *missing],
            embedding=None,
        )

    @property
    def _edited(self) -> QueryBundle:
        """The user's query, unless the strategy varies it."""
        if self.query_str == self.words.query_str:
            return copied(self.words)
        return copied(
            self.words,
            query_str=self.query_str,
            custom_embedding_strs=self.custom_embedding_strs,
            embedding=None,
        )

    def revision(self, text: str, draft: object, missing: Iterable[str]) -> Question:
        """The question in other words, answered from what the draft was made from.

        Args:
            text: The other words.
            draft: What is to be improved.
            missing: What to look for again.
        """
        return replace(
            self,
            query_str=text,
            embedding=None,
            nodes=self._nodes_of(draft),
            missing=tuple(dict.fromkeys([*self.missing, *missing])),
            revised=True,
        )

    def _nodes_of(self, draft: object) -> Sequence[NodeWithScore] | None:
        """The sources of a draft that was made from more than was retrieved at first."""
        if self.nodes is None or not isinstance(draft, Response | PydanticResponse):
            return self.nodes
        beside = _ids(self.additional or ())
        had = [each for each in draft.source_nodes if each.node_id not in beside]
        return had if _ids(self.nodes) <= _ids(had) else self.nodes


def as_question(query: QueryBundle) -> Question:
    """A query as a question."""
    if isinstance(query, Question):
        return query
    strings = query.custom_embedding_strs
    return Question(query.query_str, query.image_path, strings, words=copied(query))


def new_question(query: QueryBundle) -> Question:
    """A user's query as a question; that of another run without what was found for it there."""
    return as_question(query.words if isinstance(query, Question) else query)


def copied(query: QueryBundle, **changes: Any) -> QueryBundle:
    """A copy, of the same class, since retrievers leave an embedding on what they are given."""
    made = copy(query)
    if made.custom_embedding_strs is not None:
        made.custom_embedding_strs = list(made.custom_embedding_strs)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def plain(query: QueryBundle) -> QueryBundle:
    """A copy without what a class of its own adds."""
    strings = query.custom_embedding_strs
    return QueryBundle(
        query.query_str,
        image_path=query.image_path,
        custom_embedding_strs=None if strings is None else list(strings),
        embedding=query.embedding,
    )


def united(nodes: Sequence[NodeWithScore], more: Iterable[NodeWithScore]) -> list[NodeWithScore]:
    """What was retrieved before, then what is new."""
    known = _ids(nodes)
    return [*nodes, *(each for each in more if each.node_id not in known)]


def _ids(nodes: Iterable[NodeWithScore]) -> set[str]:
    return {each.node_id for each in nodes}
