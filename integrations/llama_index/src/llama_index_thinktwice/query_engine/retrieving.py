"""A strategy whose samples share what is retrieved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from llama_index_thinktwice.query_engine.question import as_question
from llama_index_thinktwice.solver import AsyncDrawing
from thinktwice import Strategy
from thinktwice.history import History

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore, QueryBundle

    from llama_index_thinktwice.query_engine.inner import Inner
    from thinktwice.result import Outcome
    from thinktwice.run import Run

    _Retrieval: TypeAlias = AsyncDrawing[QueryBundle, list[NodeWithScore] | None]

T = TypeVar("T")


class Retrieving(Strategy):
    """Retrieves once, on the account of the run, then does as another strategy.

    What retrieval costs, such as the calls of a reranker, is in the ledger with the role "tool".
    What it raises ends the run.

    Attributes:
        strategy: The other strategy.
    """

    def __init__(self, strategy: Strategy, inner: Inner) -> None:
        """Put retrieval before a strategy.

        Args:
            strategy: The strategy.
            inner: Retrieves.
        """
        self.strategy = strategy
        self.key = strategy.key
        self.of = strategy.of
        self.equivalent = getattr(strategy, "equivalent", None)
        self._retrieve: _Retrieval = AsyncDrawing(self._retrieved, History())
        self._inner = inner

    @property
    def name(self) -> str:
        """That of the strategy."""
        return self.strategy.name

    @property
    def draws(self) -> int | None:
        """Those of the strategy."""
        return self.strategy.draws

    @property
    def calls(self) -> int | None:
        """Those of the strategy."""
        return self.strategy.calls

    async def __call__(self, run: Run[QueryBundle, T]) -> Outcome[T]:  # type: ignore[override] - its prompts are queries
        """Retrieve, unless there are nodes already."""
        question = as_question(run.prompt)
        if question.nodes is None and self._inner.shares:
            found = await run.ask(self._retrieve, question, role="tool")
            run.prompt = replace(question, nodes=found.value)
        return await self.strategy(run)

    async def _retrieved(self, question: QueryBundle) -> list[NodeWithScore] | None:
        return await self._inner.retrieve(as_question(question))

    def __repr__(self) -> str:
        """The strategy, as it is written."""
        return repr(self.strategy)
