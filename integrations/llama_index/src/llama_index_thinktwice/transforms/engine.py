"""LlamaIndex's own wrappers of a transform, without blocking the event loop, nor drawing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.query_engine import TransformQueryEngine
from llama_index.core.retrievers import BaseRetriever, TransformRetriever

from llama_index_thinktwice.finding import aretrieved, check_finder
from llama_index_thinktwice.prompts import NestedPrompts
from llama_index_thinktwice.query_engine.checking import check_callbacks, check_engine
from llama_index_thinktwice.transforms.drawing import atransformed, checked_bundle
from thinktwice import UsageError
from thinktwice.errors import TypeOf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.prompts.mixin import PromptMixinType
    from llama_index.core.schema import NodeWithScore, QueryBundle


class AsyncTransformQueryEngine(NestedPrompts, TransformQueryEngine):
    """A `TransformQueryEngine` that never blocks the event loop, and transforms a query once.

    That of LlamaIndex runs the transform on the loop, and in `retrieve` and `synthesize` anew: with
    a strategy that is paid for twice, and may answer for another rewrite than was retrieved with.
    Here `synthesize` takes the query as it is, which is the user's.

    Transforms with an `arun` are awaited, others run on a thread. What the engine inside does on
    the loop is its own.
    """

    def __init__(
        self,
        query_engine: BaseQueryEngine,
        query_transform: BaseQueryTransform,
        transform_metadata: dict[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Take what a `TransformQueryEngine` does.

        Args:
            query_engine: Gets the transformed queries.
            query_transform: Transforms them.
            transform_metadata: For the transform.
            callback_manager: That of the engine by default.

        Raises:
            UsageError: It is no engine, or no transform.
        """
        check_engine(query_engine)
        _check(query_transform)
        check_callbacks(callback_manager)
        manager = callback_manager or query_engine.callback_manager
        super().__init__(query_engine, query_transform, transform_metadata, manager)

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Transform and retrieve."""
        return self._query_engine.retrieve(self._transformed(query_bundle))

    async def aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Transform and retrieve."""
        return await aretrieved(self._query_engine, await self._atransformed(query_bundle))

    def synthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Answer the query as it is."""
        return self._query_engine.synthesize(query_bundle, nodes, additional_source_nodes)

    async def asynthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Answer the query as it is."""
        return await self._query_engine.asynthesize(query_bundle, nodes, additional_source_nodes)

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return self._query_engine.query(self._transformed(query_bundle))

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return await self._query_engine.aquery(await self._atransformed(query_bundle))

    def _transformed(self, query: QueryBundle) -> QueryBundle:
        transform = self._query_transform
        made = transform.run(query, self._transform_metadata)
        return checked_bundle(made, transform, "query_transform")

    async def _atransformed(self, query: QueryBundle) -> QueryBundle:
        return await atransformed(
            self._query_transform, query, self._transform_metadata, "query_transform"
        )


class AsyncTransformRetriever(NestedPrompts, TransformRetriever):
    """A `TransformRetriever` that never blocks the event loop.

    Behind it only retrieval sees the transformed query: the synthesizer gets the user's question,
    whatever the transform did to it. Transforms with an `arun` are awaited, others run on a thread,
    and so does a retriever without an `aretrieve` of its own.
    """

    def __init__(
        self,
        retriever: BaseRetriever,
        query_transform: BaseQueryTransform,
        transform_metadata: dict[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
        **more: Any,
    ) -> None:
        """Take what a `TransformRetriever` does.

        Args:
            retriever: Gets the transformed queries.
            query_transform: Transforms them.
            transform_metadata: For the transform.
            callback_manager: That of the retriever by default.
            **more: `object_map` and `verbose`, as there.

        Raises:
            UsageError: It is no retriever, or no transform.
        """
        check_finder(retriever)
        if not isinstance(retriever, BaseRetriever):
            remedy = "give a retriever; AsyncTransformQueryEngine takes a query engine"
            raise UsageError("retriever", TypeOf(retriever), remedy)
        _check(query_transform)
        check_callbacks(callback_manager)
        manager = callback_manager or getattr(retriever, "callback_manager", None)
        super().__init__(retriever, query_transform, transform_metadata, manager, **more)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_transform": self._query_transform, "retriever": self._retriever}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        transform = self._query_transform
        made = transform.run(query_bundle, self._transform_metadata)
        return self._retriever.retrieve(checked_bundle(made, transform, "query_transform"))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        made = await atransformed(
            self._query_transform, query_bundle, self._transform_metadata, "query_transform"
        )
        return await aretrieved(self._retriever, made)


def _check(transform: object) -> None:
    if not isinstance(transform, BaseQueryTransform):
        remedy = "give a query transform, such as VoteQueryTransform(5, llm=...)"
        raise UsageError("query_transform", TypeOf(transform), remedy)
