"""Any strategy over rewrites of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Unpack, cast

from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.schema import QueryBundle
from llama_index.core.settings import Settings as Defaults

from llama_index_thinktwice.llm.checking import check_critic, check_llm
from llama_index_thinktwice.llm.sameness import warn_of_sameness
from llama_index_thinktwice.prompts import NestedPrompts
from llama_index_thinktwice.query_engine.question import plain
from llama_index_thinktwice.solver import Solver
from llama_index_thinktwice.transforms.drawing import (
    First,
    LLMDrawing,
    check_transform,
    transform_drawing,
)
from llama_index_thinktwice.transforms.prompting import (
    REWRITE_PROMPT,
    RewritePrompting,
    as_template,
)
from llama_index_thinktwice.transforms.rewrite import Placing, bundle_of
from thinktwice import BudgetExceeded, CritiqueRepair, Result, ToolCheck, UsageError
from thinktwice.history import History
from thinktwice.strategy import check_flags
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llama_index.core.llms import LLM
    from llama_index.core.prompts import BasePromptTemplate
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import QueryType

    from llama_index_thinktwice.settings import Settings
    from llama_index_thinktwice.transforms.drawing import Transform
    from llama_index_thinktwice.transforms.rewrite import Into, Rewrite
    from thinktwice import Strategy
    from thinktwice.protocols import Sampler
    from thinktwice.shadow import Shadow

_dispatcher: Final = get_dispatcher(__name__)
_PROMPT: Final = "rewrite_prompt"
_ONE_BY_ONE: Final = (CritiqueRepair, ToolCheck)
"""Strategies whose draws differ by what they ask."""
_CRITIC: Final = "give a verifier, such as Evidence(retriever, judge), or critic=LLMSampler(llm)"
_OF: Final = "the first draw is of the strategy alone: leave out original_first, or of="


class Transformed(NamedTuple):
    """A query, and what it took to get it.

    Attributes:
        query: What to retrieve with.
        result: Samples, verdicts, and what was paid for.
    """

    query: QueryBundle
    result: Result[Any]


class StrategyQueryTransform(NestedPrompts, BaseQueryTransform):
    """Runs a strategy over rewrites of a query.

    By default the rewrite is what is embedded, and `query_str` stays the user's question, which the
    synthesizer answers. What comes out is always a new bundle. It is the original question where no
    rewrite came of it: all were empty, the one that won failed its check, or the budget did not
    afford any. The calls of `llm` are booked before they are sent: a budget refuses them.

    One instance may serve many requests at once.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        llm: LLM | None = None,
        transform: Transform | None = None,
        prompt: BasePromptTemplate | str | None = None,
        into: Into = "embedding",
        include_original: bool = True,
        original_first: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Choose what is drawn, and how.

        Args:
            strategy: What to draw and which of it to use. Keys, checks and verifiers get the text
                of a rewrite, as a `Rewrite`.
            llm: Writes the rewrites; `Settings.llm` by default, looked up at each request.
            transform: Makes them instead: another transform, such as `HyDEQueryTransform`; or a
                function of the bundle, sync or async, that returns a text or a bundle.
            prompt: What the LLM is asked, of `query_str` and what the metadata has.
            into: Where the text of a rewrite goes: "embedding" for retrievers that embed the query,
                "query" for those that read `query_str`, such as BM25 or SQL.
            include_original: Embed the user's question beside the rewrite.
            original_first: The first draw is the user's question, without a call.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense.
        """
        super().__init__()
        check_flags(original_first=original_first)
        self._placing = Placing(into, include_original)
        self._prompt = REWRITE_PROMPT if prompt is None else as_template(prompt)
        self._llm = llm
        self._transform = transform
        self._original_first = original_first
        self._history = History()
        if transform is not None:
            check_transform(transform, llm=llm, prompt=prompt)
        if original_first and getattr(strategy, "of", None) is not None:
            raise UsageError("original_first", original_first, _OF)
        check_critic(strategy, _CRITIC)
        self._solver = Solver(strategy, refuses=transform is None, **settings)
        self._raises = settings.get("on_exhausted") == "raise"
        self._looked_at: object = None
        if llm is not None:
            self._look_at(llm, stacklevel=4 if type(self) is StrategyQueryTransform else 5)

    @property
    def strategy(self) -> Strategy:
        """What is drawn, and which of it is used."""
        return self._solver.strategy

    @property
    def draws(self) -> int | None:
        """Rewrites at the most; None if the strategy does not say."""
        return self._solver.draws

    @property
    def shadow(self) -> Shadow | None:
        """What runs behind the requests, if anything does; see its `report`."""
        return self._solver.shadow

    async def arun(
        self, query_bundle_or_str: QueryType, metadata: dict[str, Any] | None = None
    ) -> QueryBundle:
        """`run`, without blocking the event loop."""
        return await self._arun(_bundle(query_bundle_or_str), metadata or {})

    def run_with_result(
        self, query_bundle_or_str: QueryType, metadata: dict[str, Any] | None = None
    ) -> Transformed:
        """`run`, and what it took."""
        question = _bundle(query_bundle_or_str)
        sampler = self._sampler(question, metadata or {}, blocking=True)
        try:
            result = self._solver.solve_sync(question, sampler, prompting=RewritePrompting())
        except BudgetExceeded as error:
            result = self._partial(error)
        return Transformed(self._chosen(result, question), result)

    async def arun_with_result(
        self, query_bundle_or_str: QueryType, metadata: dict[str, Any] | None = None
    ) -> Transformed:
        """`arun`, and what it took."""
        question = _bundle(query_bundle_or_str)
        sampler = self._sampler(question, metadata or {}, blocking=False)
        try:
            result = await self._solver.solve(question, sampler, prompting=RewritePrompting())
        except BudgetExceeded as error:
            result = self._partial(error)
        return Transformed(self._chosen(result, question), result)

    def _run(self, query_bundle: QueryBundle, metadata: dict[str, Any]) -> QueryBundle:
        return self.run_with_result(query_bundle, metadata).query

    @_dispatcher.span
    async def _arun(self, query_bundle: QueryBundle, metadata: dict[str, Any]) -> QueryBundle:
        return (await self.arun_with_result(query_bundle, metadata)).query

    def _sampler(
        self, question: QueryBundle, metadata: Mapping[str, Any], *, blocking: bool
    ) -> Sampler[QueryBundle, Rewrite | None]:
        given: dict[str, Any] = {
            "placing": self._placing,
            "history": self._history,
            "first": First(question) if self._original_first else None,
            "blocking": blocking,
        }
        if self._transform is not None:
            return transform_drawing(self._transform, metadata, **given)
        llm = Defaults.llm if self._llm is None else self._llm
        self._look_at(llm)
        return LLMDrawing(llm, self._prompt, metadata, **given)

    def _look_at(self, llm: LLM, *, stacklevel: int = 2) -> None:
        """Refuse what is no LLM, and warn where its rewrites will be the same; once of each."""
        if self._looked_at is llm:
            return
        self._looked_at = llm
        check_llm(llm, self.strategy, None, native_n=False)
        if not isinstance(self.strategy, _ONE_BY_ONE):
            warn_of_sameness(llm, self.strategy, stacklevel=stacklevel)

    def _partial(self, error: BudgetExceeded) -> Result[Any]:
        """What there is when a budget of this transform alone ended it; others end more than it."""
        around = ledger_around()
        outer = around is not None and around.bound_by(error.limit)
        if self._raises or outer or error.result is None:
            raise error
        return error.result

    def _chosen(self, result: Result[Any], question: QueryBundle) -> QueryBundle:
        """The rewrite that won, or else the question."""
        if result.value is None or self._is_no_better(result):
            return plain(question)
        value = result.value
        if type(value) is str:  # a tool has corrected it
            value = self._placing.placed(value, question) or question
        return bundle_of(value)

    def _is_no_better(self, result: Result[Any]) -> bool:
        """What won failed its check, and the question was not seen to do worse."""
        verdicts = {each.sample: each for each in result.verdicts}
        won = None if result.winner is None else verdicts.get(result.winner.index)
        if won is None or won.outcome != "fail":
            return False
        first = verdicts.get(0) if self._original_first else None
        return first is None or (won.score or 0.0) <= (first.score or 0.0)

    # ---- prompts --------------------------------------------------------------------------------

    def _get_prompts(self) -> PromptDictType:
        return {_PROMPT: self._prompt} if self._transform is None else {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        if _PROMPT in prompts:
            self._prompt = as_template(prompts[_PROMPT])

    def _get_prompt_modules(self) -> PromptMixinType:
        is_module = isinstance(self._transform, BaseQueryTransform)
        return {"transform": cast("Any", self._transform)} if is_module else {}

    def __repr__(self) -> str:
        """The strategy, and what it draws."""
        source = self._transform or self._llm
        drawn = "Settings.llm" if source is None else type(source).__name__
        return f"{type(self).__name__}({self.strategy!r}, {drawn})"


def _bundle(query: QueryType) -> QueryBundle:
    """A copy of the query; of a text one as LlamaIndex makes it."""
    if isinstance(query, str):
        return QueryBundle(query, custom_embedding_strs=[query])
    if isinstance(query, QueryBundle):
        return plain(query)
    raise UsageError("query_bundle_or_str", query, "give a text or a QueryBundle")
