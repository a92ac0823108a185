"""Votes and best-of-N over rankings of retrieved nodes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Unpack, cast

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_thinktwice.keys import with_key
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver
from thinktwice import Strategy, UsageError, Vote
from thinktwice.answers import default_key, text_in
from thinktwice.history import History
from thinktwice.scope import current_scope
from thinktwice.strategy import check_flags

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType

    from llama_index_thinktwice.settings import Settings
    from thinktwice import Result


class Ranking(list[NodeWithScore]):
    """Nodes in the order of one reranking, the most relevant first: what verifiers get.

    Two rankings are the same answer if they have the same nodes in the same order. An empty one
    abstains: a reranker that cannot read its model's reply returns no node.
    """

    @property
    def ids(self) -> tuple[str, ...]:
        """The nodes' ids, in order."""
        return tuple(each.node.node_id for each in self)


@default_key.register(Ranking)
def _(value: Ranking) -> Hashable | None:
    return value.ids or None


@text_in.register(Ranking)
def _(value: Ranking) -> str:
    """The nodes' texts, in order."""
    return "\n\n".join(each.node.get_content() for each in value)


class StrategyRerank(BaseNodePostprocessor):
    """Runs a strategy over a reranker, so that no single ranking of a model decides.

    A vote is counted by node, since whole rankings seldom come twice: of m nodes, each ranking
    gives its first m points, the next m - 1, and those that it leaves out none (Borda's count). A
    node's score is its share of all points that it could have got, in (0, 1]. A vote with a `key`
    of its own, and every other strategy, returns one of the rankings with the reranker's scores:
    `BestOfN` the one that its verifier likes best.

    Language models favour nodes by their place in the prompt. So each sample but the first is shown
    the nodes in a seeded random order of its own, and what the place does cancels out (permutation
    self-consistency, Tang et al. 2023, arXiv:2310.07712).

    A ranking that cannot be read abstains. If all do, the nodes stay as they were retrieved.

    Cost: up to n rerankings, with as many LLM calls as one makes; a vote ends when the order of the
    nodes that are returned is settled.

    !!! example "A vote over three rerankings"

        ```python
        reranker = LLMRerank(llm=llm, top_n=10)
        rerank = StrategyRerank(reranker=reranker, strategy=Vote(3), top_n=4)
        index.as_query_engine(similarity_top_k=10, node_postprocessors=[rerank])
        ```
    """

    reranker: BaseNodePostprocessor = Field(exclude=True)
    top_n: int | None = None
    shuffle: bool = True
    _solver: Solver = PrivateAttr()
    _counted: bool = PrivateAttr()
    _history: History = PrivateAttr(default_factory=History)

    def __init__(
        self,
        *,
        reranker: BaseNodePostprocessor,
        strategy: Strategy,
        top_n: int | None = None,
        shuffle: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Check what can be seen before there are nodes.

        Args:
            reranker: What makes one ranking: `LLMRerank`, `RankGPTRerank`, or any other that asks a
                model. Its own `top_n` caps what it can rank: give it more than you want back.
            strategy: How many rankings are made, and what is made of them.
            top_n: Nodes returned at most; None returns all that were ranked.
            shuffle: Show each sample but the first the nodes in another order.
            **settings: See `Settings`. Budgets are kept as estimates.

        Raises:
            UsageError: A parameter makes no sense; names it.
        """
        _check(reranker, top_n, shuffle)
        if isinstance(strategy, Vote) and strategy.key is None and strategy.weight is not None:
            raise UsageError("weight", strategy.weight, "leave it out: votes are counted by node")
        solver = Solver(strategy, **settings)
        super().__init__(**cast("Any", {"reranker": reranker, "top_n": top_n, "shuffle": shuffle}))
        self._counted = isinstance(strategy, Vote) and strategy.key is None
        if strategy.key is None:
            solver = Solver(with_key(strategy, TopNodes(top_n)), **settings)
        self._solver = solver

    @classmethod
    def class_name(cls) -> str:
        """Its name."""
        return "StrategyRerank"

    def _get_prompts(self) -> PromptDictType:
        return self.reranker._get_prompts()

    def _update_prompts(self, prompts: PromptDictType) -> None:
        self.reranker._update_prompts(prompts)

    def _get_prompt_modules(self) -> PromptMixinType:
        return self.reranker._get_prompt_modules()

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []

        def draw(bundle: QueryBundle | None) -> Ranking:
            return _ranking(self.reranker.postprocess_nodes(self._shown(nodes), _fresh(bundle)))

        drawing = BlockingDrawing[QueryBundle | None, Ranking](draw, self._history)
        return self._decided(self._solver.solve_sync(query_bundle, drawing), nodes)

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []

        async def draw(bundle: QueryBundle | None) -> Ranking:
            ranked = await self.reranker.apostprocess_nodes(self._shown(nodes), _fresh(bundle))
            return _ranking(ranked)

        drawing = AsyncDrawing[QueryBundle | None, Ranking](draw, self._history)
        return self._decided(await self._solver.solve(query_bundle, drawing), nodes)

    def _shown(self, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """The nodes as the running sample is shown them: copies, in its own order."""
        shown, scope = [_copy(each) for each in nodes], current_scope()
        if self.shuffle and scope is not None and scope.index:
            Random(scope.index).shuffle(shown)
        return shown

    def _decided(
        self, result: Result[Ranking], nodes: Sequence[NodeWithScore]
    ) -> list[NodeWithScore]:
        usable = [each.value for each in result.samples if each.answer is not None]
        if self._counted and usable:
            return counted(cast("list[Ranking]", usable), nodes)[: self.top_n]
        chosen = nodes if result.value is None else result.value
        return [_copy(each) for each in chosen][: self.top_n]


@dataclass(frozen=True)
class TopNodes:
    """The key of rankings of which the first nodes alone are returned.

    Attributes:
        top_n: How many; None for all.
    """

    top_n: int | None

    def __call__(self, ranking: Ranking) -> Hashable | None:
        """The ids of those nodes, in order; none abstains."""
        return ranking.ids[: self.top_n] or None


def counted(rankings: Sequence[Ranking], nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """The nodes by Borda's count over several rankings; those that none has are left out.

    Args:
        rankings: One or more, none with a node twice.
        nodes: As they were retrieved: that order decides ties.

    Returns:
        New objects, whose score is the node's share of the points it could have got, in (0, 1].
    """
    most = len(nodes)
    points = dict.fromkeys((each.node.node_id for each in nodes), 0)
    for ranking in rankings:
        for place, name in enumerate(ranking.ids):
            points[name] = points.get(name, 0) + most - place
    found = {each.node.node_id: each.node for ranking in rankings for each in ranking}
    ordered = sorted(points, key=lambda name: -points[name])
    return [
        NodeWithScore(node=found[name], score=points[name] / (most * len(rankings)))
        for name in ordered
        if points[name] > 0
    ]


def _ranking(nodes: Sequence[NodeWithScore]) -> Ranking:
    """Each node once, at its best place: a model may name one twice."""
    once: dict[str, NodeWithScore] = {}
    for each in nodes:
        once.setdefault(each.node.node_id, each)
    return Ranking(once.values())


def _copy(node: NodeWithScore) -> NodeWithScore:
    return NodeWithScore(node=node.node, score=node.score)


def _fresh(bundle: QueryBundle | None) -> QueryBundle | None:
    """Of its own for each sample: what embeds a query writes the embedding into it."""
    if bundle is None:
        return None
    return QueryBundle(bundle.query_str, bundle.image_path, bundle.custom_embedding_strs)


def _check(reranker: object, top_n: object, shuffle: object) -> None:
    if not isinstance(reranker, BaseNodePostprocessor):
        remedy = "give what makes one ranking, such as LLMRerank(llm=llm)"
        raise UsageError("reranker", reranker, remedy)
    whole = isinstance(top_n, int) and not isinstance(top_n, bool) and top_n >= 1
    if top_n is not None and not whole:
        raise UsageError("top_n", top_n, "give a whole number of at least 1, or None for all")
    check_flags(shuffle=shuffle)
