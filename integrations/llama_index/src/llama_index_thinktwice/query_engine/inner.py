"""The engine inside: called as the request came in, with what it can do found out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse

from llama_index_thinktwice.responses import asettled, settled
from llama_index_thinktwice.solver import either
from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import NodeWithScore

    from llama_index_thinktwice.query_engine.question import Question

Retrieval: TypeAlias = Literal["auto", "shared", "per_sample"]
"""How often is retrieved: "shared" retrieves once and synthesizes as often as the strategy draws,
"per_sample" queries the whole engine each time, and "auto" shares where the engine can."""

_STEPS: Final = ("retrieve", "aretrieve", "synthesize", "asynthesize")
_UNSHARED: Final = (
    "this engine cannot retrieve and synthesize apart (it lacks {lacks}): leave it out, and each "
    "sample queries the whole engine{hint}"
)
_HINT: Final = "; for a TransformQueryEngine, use AsyncTransformQueryEngine, which can"


class Inner:
    """A query engine, as a run calls it.

    Sync methods are called on threads where the request came in by a sync method, else async ones.

    Attributes:
        engine: The engine.
        apart: It can retrieve and synthesize apart, as far as is known.
    """

    def __init__(self, engine: BaseQueryEngine, retrieval: Retrieval) -> None:
        """Look at an engine.

        Raises:
            UsageError: It cannot do what is asked for, or nobody knows what that is.
        """
        if retrieval not in get_args(Retrieval):
            raise UsageError("retrieval", retrieval, "give 'auto', 'shared' or 'per_sample'")
        self.engine = engine
        self._retrieval = retrieval
        lacks = _lacking(engine)
        self.apart = not lacks
        self._doubted = False
        if lacks:
            self._check_unasked(lacks)

    @property
    def shares(self) -> bool:
        """Samples share what is retrieved."""
        return self.apart and self._retrieval != "per_sample"

    async def retrieve(self, question: Question) -> list[NodeWithScore] | None:
        """Retrieve; None if it turns out that the engine cannot.

        Raises:
            UsageError: It cannot, and that was asked for.
            Exception: What the engine raises.
        """
        engine, sought = cast("Any", self.engine), question.sought
        try:
            found = await either(lambda: engine.retrieve(sought), lambda: engine.aretrieve(sought))
        except NotImplementedError as error:
            self._doubt("retrieve()", error)
            return None
        return list(found)

    async def synthesize(
        self, question: Question, nodes: Sequence[NodeWithScore], kinds: set[type]
    ) -> object:
        """An answer from nodes, or by a whole query if it turns out that the engine cannot.

        Args:
            question: What to answer.
            nodes: What to answer it from.
            kinds: Gets the type of the response; a stream is read to its end.

        Raises:
            UsageError: It cannot, and that was asked for.
            NotImplementedError: It cannot, and the nodes are the caller's.
            Exception: What the engine raises.
        """
        engine = self.engine

        def sync() -> object:
            given = question.asked, list(nodes), question.additional
            return settled(_noted(engine.synthesize(*given), kinds))

        async def asynchronous() -> object:
            given = question.asked, list(nodes), question.additional
            return await asettled(_noted(await engine.asynthesize(*given), kinds))

        try:
            return await either(sync, asynchronous)
        except NotImplementedError as error:
            if question.given:
                raise
            self._doubt("synthesize()", error)
        return await self.query(question, kinds)

    async def query(self, question: Question, kinds: set[type]) -> object:
        """An answer by the whole engine; arguments as of `synthesize`."""
        engine = self.engine

        def sync() -> object:
            return settled(_noted(engine.query(question.asked), kinds))

        async def asynchronous() -> object:
            return await asettled(_noted(await engine.aquery(question.asked), kinds))

        doubted, self._doubted = self._doubted, False
        response = await either(sync, asynchronous)
        if doubted:  # the whole of it works, so it was not something inside that does not
            self.apart = False
        return response

    def _doubt(self, lacks: str, error: NotImplementedError) -> None:
        """Query it whole from now on, if that works."""
        self._doubted = True
        self._check_unasked(lacks, error)

    def _check_unasked(self, lacks: str, error: NotImplementedError | None = None) -> None:
        if self._retrieval == "shared":
            hint = _HINT if hasattr(self.engine, "_query_transform") else ""
            remedy = _UNSHARED.format(lacks=lacks, hint=hint)
            raise UsageError("retrieval", "shared", remedy) from error


def _lacking(engine: BaseQueryEngine) -> str:
    """What it, or the engine it delegates that to, does not have of retrieval and synthesis."""
    cls = type(engine)
    lacks = [
        name for name in _STEPS if getattr(cls, name, None) is getattr(BaseQueryEngine, name, None)
    ]
    if lacks:
        return ", ".join(f"{name}()" for name in lacks)
    below: object = getattr(engine, "_query_engine", None)
    return _lacking(below) if isinstance(below, BaseQueryEngine) else ""


def _noted(response: Any, kinds: set[type]) -> Any:  # noqa: ANN401 - of LlamaIndex's four types
    if isinstance(response, StreamingResponse | AsyncStreamingResponse):
        kinds.add(type(response))
    return response
