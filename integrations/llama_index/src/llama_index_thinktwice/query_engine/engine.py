"""A strategy over a query engine, as a query engine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.callbacks.schema import CBEventType, EventPayload

from llama_index_thinktwice.finding import aretrieved
from llama_index_thinktwice.llm.calls import draws_of
from llama_index_thinktwice.llm.checking import check_critic
from llama_index_thinktwice.prompts import NestedPrompts
from llama_index_thinktwice.query_engine.checking import (
    check_callbacks,
    check_engine,
    check_options,
    check_prompting,
    warn_of_same_answers,
)
from llama_index_thinktwice.query_engine.inner import Inner, Retrieval
from llama_index_thinktwice.query_engine.prompting import QueryPrompting
from llama_index_thinktwice.query_engine.question import Question, as_question, new_question, united
from llama_index_thinktwice.query_engine.retrieving import Retrieving
from llama_index_thinktwice.query_engine.returning import returned
from llama_index_thinktwice.query_engine.tree import engines_in, synthesizing_llms
from llama_index_thinktwice.solver import AsyncDrawing, Solver
from thinktwice import Completion, Strategy
from thinktwice.answers import text_in
from thinktwice.history import History

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.callbacks.base import CallbackManager, EventContext
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import NodeWithScore, QueryBundle

    from llama_index_thinktwice.settings import Settings
    from thinktwice.protocols import Prompting
    from thinktwice.shadow import Shadow

_REVISE: Final = "revise_prompt"
_CRITIC: Final = "give critic=LLMSampler(llm): an engine answers from its sources, and is no critic"


class _OnThreads(AsyncDrawing["QueryBundle", Any]):
    """Draws by sync methods on threads, which nobody can cancel."""

    recallable = False


class StrategyQueryEngine(NestedPrompts, BaseQueryEngine):
    """A query engine that draws several answers of another and returns one.

    Where the engine can retrieve and synthesize apart, it retrieves once, and synthesizes as often
    as the strategy draws. A repair revises what the synthesizer is asked, and retrieves again where
    the feedback says that evidence is missing (see `QueryPrompting`).

    What comes out is of the kind that the engine returns, with source nodes and metadata of the
    winning sample, and a summary of the run under `metadata["thinktwice"]`. Where all samples
    abstained its `response` is None. An engine that streams is read to the end of each sample, and
    what comes out streams the winner as one chunk. Samples are compared, and verified, as
    `Response` or `PydanticResponse`.

    Cost: one retrieval, and the samples of the strategy: what the engine asks its LLM for one
    answer, it asks for each of them.

    Example:
        ```python
        StrategyQueryEngine(index.as_query_engine(llm=llm), Vote(5))
        ```

    Attributes:
        query_engine: What is sampled.
        strategy: What to draw and which of it to return.
    """

    def __init__(
        self,
        query_engine: BaseQueryEngine,
        strategy: Strategy,
        *,
        retrieval: Retrieval = "auto",
        prompting: Prompting[QueryBundle] | None = None,
        callback_manager: CallbackManager | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Check what can be seen before anything is drawn.

        Args:
            query_engine: Any query engine.
            strategy: What to draw and which of it to return.
            retrieval: "shared" retrieves once for all samples, "per_sample" queries the whole
                engine for each; "auto" shares where the engine can retrieve and synthesize apart.
            prompting: How a query is revised, for strategies that repair.
            callback_manager: By default that of the engine.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense; names it.
        """
        check_engine(query_engine)
        check_options(strategy, settings)
        check_prompting(prompting)
        check_callbacks(callback_manager)
        check_critic(strategy, _CRITIC)
        self.query_engine = query_engine
        self.strategy = strategy
        self._inner = inner = Inner(query_engine, retrieval)
        retrieves = isinstance(strategy, Strategy) and inner.shares
        self._solver = Solver(Retrieving(strategy, inner) if retrieves else strategy, **settings)
        if retrieval != "per_sample":  # else samples may differ by what they are made from
            warn_of_same_answers(query_engine, strategy)
        self._prompting = QueryPrompting() if prompting is None else prompting
        self._history = History()
        self._draws = draws_inside(query_engine)
        super().__init__(callback_manager or query_engine.callback_manager)

    @property
    def draws(self) -> int:
        """Samples of the engine inside for one answer at the most."""
        return (self.strategy.draws or 1) * self._draws

    @property
    def shadow(self) -> Shadow | None:
        """What runs behind the requests, if anything does; see its `report`."""
        return self._solver.shadow

    # ---- prompts --------------------------------------------------------------------------------

    def _get_prompts(self) -> PromptDictType:
        prompting = self._prompting
        return {_REVISE: prompting.template} if isinstance(prompting, QueryPrompting) else {}

    def _update_prompts(self, prompts: PromptDictType) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - LlamaIndex's bases differ in the name
        if _REVISE in prompts and isinstance(self._prompting, QueryPrompting):
            self._prompting = replace(self._prompting, template=prompts[_REVISE])

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self.query_engine}

    # ---- what it does ---------------------------------------------------------------------------

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """What the engine inside retrieves."""
        return self.query_engine.retrieve(query_bundle)

    async def aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """What the engine inside retrieves; on a thread where it has no `aretrieve`."""
        return await aretrieved(self.query_engine, query_bundle)

    def synthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Run the strategy over answers from these nodes; nothing is retrieved."""
        return self._answer(_given(query_bundle, nodes, additional_source_nodes))

    async def asynthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Run the strategy over answers from these nodes; nothing is retrieved."""
        return await self._aanswer(_given(query_bundle, nodes, additional_source_nodes))

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        with self._event(query_bundle) as event:
            response = self._answer(new_question(query_bundle))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        with self._event(query_bundle) as event:
            response = await self._aanswer(new_question(query_bundle))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    def _event(self, query: QueryBundle) -> AbstractContextManager[EventContext]:
        payload: dict[Any, Any] = {EventPayload.QUERY_STR: query.query_str}
        return self.callback_manager.event(CBEventType.QUERY, payload=payload)

    def _answer(self, question: QueryBundle) -> RESPONSE_TYPE:
        kinds: set[type] = set()
        sampler = _OnThreads(partial(self._drawn, kinds), self._history, draws=self._draws)
        result = self._solver.solve_sync(question, sampler, prompting=self._prompting)
        return returned(result, kinds)

    async def _aanswer(self, question: QueryBundle) -> RESPONSE_TYPE:
        kinds: set[type] = set()
        sampler: AsyncDrawing[QueryBundle, Completion[object]]
        sampler = AsyncDrawing(partial(self._drawn, kinds), self._history, draws=self._draws)
        result = await self._solver.solve(question, sampler, prompting=self._prompting)
        return returned(result, kinds)

    async def _drawn(self, kinds: set[type], query: QueryBundle) -> Completion[object]:
        value = await self._answered(as_question(query), kinds)
        known = isinstance(value, Response | PydanticResponse)
        return Completion(value=value, text=text_in(value) if known else None)

    async def _answered(self, question: Question, kinds: set[type]) -> object:
        """One answer, from what was retrieved, or by a query of the whole engine."""
        nodes = question.nodes
        if nodes is None and not (question.revised and self._inner.apart):
            return await self._inner.query(question, kinds)
        if nodes is None or (question.missing and not question.given):
            more = await self._inner.retrieve(question)
            if more is None:
                return await self._inner.query(question, kinds)
            nodes = united(nodes or (), more)
        return await self._inner.synthesize(question, nodes, kinds)


def draws_inside(engine: BaseQueryEngine) -> int:
    """Draws of the strategies inside for one answer."""
    inside = (each for each in engines_in(engine) if isinstance(each, StrategyQueryEngine))
    first = next(inside, None)
    if first is not None:
        return first.draws
    return max(map(draws_of, synthesizing_llms(engine)), default=1)


def _given(
    query: QueryBundle,
    nodes: Sequence[NodeWithScore],
    additional: Sequence[NodeWithScore] | None,
) -> Question:
    return replace(new_question(query), nodes=list(nodes), additional=additional, given=True)
