"""The strategies that pay for themselves over queries, ready to use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, Unpack

from llama_index.core.tools import BaseTool

from llama_index_thinktwice.transforms.rewrite import word_set
from llama_index_thinktwice.transforms.transform import StrategyQueryTransform
from thinktwice import BestOfN, CritiqueRepair, Settled, ToolCheck, UsageError, Vote
from thinktwice.errors import TypeOf
from thinktwice.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from llama_index.core.llms import LLM
    from llama_index.core.prompts import BasePromptTemplate

    from llama_index_thinktwice.settings import Settings
    from llama_index_thinktwice.transforms.drawing import Transform
    from llama_index_thinktwice.transforms.rewrite import Into
    from thinktwice import Stop
    from thinktwice.ballot import Group
    from thinktwice.launch import Preference
    from thinktwice.protocols import Verifier
    from thinktwice.run import Run
    from thinktwice.selection import Entrants
    from thinktwice.verifiers.adapt import Check

P = TypeVar("P")
T = TypeVar("T")

_SETTLED: Final = Settled()


class VoteQueryTransform(StrategyQueryTransform):
    """Rewrites a query several times, and embeds the rewrite that comes most often.

    Rewrites with the same words in any order count as the same. The user's question is embedded
    beside it. See `Vote` of thinktwice.

    Cost: at most n LLM calls, and by default as few as settle the vote.
    """

    def __init__(
        self,
        n: int = 5,
        *,
        key: str | Callable[..., Hashable | None] = word_set,
        stop: Stop = _SETTLED,
        prefer: Preference | float = "balanced",
        llm: LLM | None = None,
        transform: Transform | None = None,
        prompt: BasePromptTemplate | str | None = None,
        into: Into = "embedding",
        include_original: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Choose how many, and what is drawn.

        Args:
            n: Rewrites at the most.
            key: What rewrites are told apart by: their words by default.
            stop: When to stop early.
            prefer: How eagerly calls are launched.
            llm: As in `StrategyQueryTransform`, and so are the others.
            transform: As there.
            prompt: As there.
            into: As there.
            include_original: As there.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense.
        """
        super().__init__(
            Vote(n, key=key, stop=stop, prefer=prefer),
            llm=llm,
            transform=transform,
            prompt=prompt,
            into=into,
            include_original=include_original,
            **settings,
        )


class BestOfNQueryTransform(StrategyQueryTransform):
    """Uses the best of the user's question and n - 1 rewrites of it, by what a verifier says.

    The question is the first candidate, takes no call, and is replaced only by what scores higher.
    A verifier for most: `Evidence(retriever, judge)`. See `BestOfN` of thinktwice.

    Cost: n - 1 LLM calls and n verdicts.
    """

    def __init__(
        self,
        n: int = 4,
        *,
        verifier: Verifier[object] | Check,
        stop: Stop | None = None,
        prefer: Preference | float = "balanced",
        llm: LLM | None = None,
        transform: Transform | None = None,
        prompt: BasePromptTemplate | str | None = None,
        into: Into = "embedding",
        include_original: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Choose how many, what judges them, and what is drawn.

        Args:
            n: Candidates at the most, the question included.
            verifier: Scores a candidate; its prompt is the user's question.
            stop: When to stop early, such as at `GoodEnough(0.9)`.
            prefer: How eagerly calls are launched.
            llm: As in `StrategyQueryTransform`, and so are the others.
            transform: As there.
            prompt: As there.
            into: As there.
            include_original: As there.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense.
        """
        super().__init__(
            BestOfN(n, verifier=verifier, stop=stop, prefer=prefer, select=HighestScore()),
            llm=llm,
            transform=transform,
            prompt=prompt,
            into=into,
            include_original=include_original,
            original_first=True,
            **settings,
        )


class CritiqueRepairQueryTransform(StrategyQueryTransform):
    """Rewrites a query until what is found is good enough for the user's question.

    It begins with the question itself: where a search for that does, nothing is called. Each
    rewrite is asked for with what the last one found. What is used is the best seen, the question
    included. See `CritiqueRepair` of thinktwice.

    Cost: at most `rounds` LLM calls and 1 + `rounds` verdicts; `confirm` times as many of a
    verifier that calls an LLM, unless a pass of it is final, as with a threshold.
    """

    def __init__(
        self,
        verifier: Verifier[object] | Check,
        *,
        rounds: int = 2,
        confirm: int = 2,
        llm: LLM | None = None,
        transform: Transform | None = None,
        prompt: BasePromptTemplate | str | None = None,
        into: Into = "embedding",
        include_original: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Choose what says whether it is good enough, and what is drawn.

        Args:
            verifier: Passes what is good enough, such as `Evidence(retriever, judge,
                threshold=0.7)`.
            rounds: Rewrites at the most.
            confirm: Verdicts that a replacement takes of either side.
            llm: As in `StrategyQueryTransform`, and so are the others.
            transform: As there.
            prompt: As there.
            into: As there.
            include_original: As there.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense.
        """
        super().__init__(
            CritiqueRepair(verifier, rounds=rounds, confirm=confirm),
            llm=llm,
            transform=transform,
            prompt=prompt,
            into=into,
            include_original=include_original,
            original_first=True,
            **settings,
        )


class ToolCheckQueryTransform(StrategyQueryTransform):
    """Rewrites a query until the rewrite passes some checks; the question stands if none does.

    Checks are callables of the rewrite's text, verifiers, `parses(...)` or `retrieves(...)`. What a
    check says goes into the next request. See `ToolCheck` of thinktwice.

    Cost: at most 1 + `rounds` LLM calls; one where the first rewrite passes.
    """

    def __init__(
        self,
        *tools: Verifier[object] | Check,
        rounds: int = 2,
        llm: LLM | None = None,
        transform: Transform | None = None,
        prompt: BasePromptTemplate | str | None = None,
        into: Into = "embedding",
        include_original: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Choose the checks, and what is drawn.

        Args:
            *tools: What a rewrite must pass.
            rounds: Rewrites after the first at the most.
            llm: As in `StrategyQueryTransform`, and so are the others.
            transform: As there.
            prompt: As there.
            into: As there; "query" for SQL or filters.
            include_original: As there.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense.
        """
        for tool in tools:
            if isinstance(tool, BaseTool):
                remedy = "give the function in it, or parses(function) if that raises"
                raise UsageError("tools", TypeOf(tool), remedy)
        super().__init__(
            ToolCheck(*tools, rounds=rounds),
            llm=llm,
            transform=transform,
            prompt=prompt,
            into=into,
            include_original=include_original,
            **settings,
        )


@dataclass(frozen=True)
class HighestScore(Selection):
    """The candidate with the highest score, the earliest of equals.

    Equal rewrites find the same, so that how often one comes says nothing of what it finds.
    """

    async def __call__(self, run: Run[P, T], entrants: Entrants[T], /) -> Group[T] | None:
        """Compare the scores."""
        del run

        def rank(group: Group[T]) -> tuple[float, int]:
            best = max(entrants.weights[sample.index] for sample in group.samples)
            return best, -min(sample.index for sample in group.samples)

        return max(entrants.groups, key=rank, default=None)
