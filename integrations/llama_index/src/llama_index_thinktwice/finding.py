"""Retrieving, as the running request came in."""

from __future__ import annotations

from inspect import getattr_static
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever

from llama_index_thinktwice.solver import either
from thinktwice import UsageError
from thinktwice.errors import TypeOf
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore, QueryBundle

Finder: TypeAlias = BaseRetriever | BaseQueryEngine
"""What can retrieve: a retriever, or a query engine with one in it."""

_NO_FINDER: Final = "give a retriever, such as index.as_retriever(), or an engine that can retrieve"


def check_finder(retriever: object) -> None:
    """Refuse what cannot retrieve.

    Raises:
        UsageError: As above.
    """
    fits = isinstance(retriever, BaseRetriever | BaseQueryEngine)
    if not fits or _inherits(retriever, "retrieve", BaseQueryEngine):
        raise UsageError("retriever", TypeOf(retriever), _NO_FINDER)


async def found(retriever: Finder, query: QueryBundle) -> list[NodeWithScore]:
    """What is retrieved, as the running request came in; it never blocks the event loop.

    Raises:
        UsageError: It cannot retrieve.
    """
    try:
        return await either(lambda: retriever.retrieve(query), lambda: aretrieved(retriever, query))
    except NotImplementedError as error:
        raise UsageError("retriever", TypeOf(retriever), _NO_FINDER) from error


async def aretrieved(retriever: Finder, query: QueryBundle) -> list[NodeWithScore]:
    """What is retrieved: by `aretrieve`, or on a thread where that would block the event loop."""
    if blocks(retriever):
        return await in_thread(lambda: retriever.retrieve(query))
    return await cast("BaseRetriever", retriever).aretrieve(query)


def blocks(retriever: Finder) -> bool:
    """Whether it has no `aretrieve` of its own: that of the base class blocks the event loop."""
    if not isinstance(retriever, BaseRetriever):
        return not hasattr(retriever, "aretrieve")
    names = ("aretrieve", "_aretrieve")
    return all(_inherits(retriever, name, BaseRetriever) for name in names)


def _inherits(thing: object, name: str, base: type) -> bool:
    """Whether its method is that of a base class; the dispatcher wraps some anew at each look."""
    return getattr_static(type(thing), name, None) is getattr_static(base, name)
