"""Evaluators of LlamaIndex that compare, as judges of a tournament."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.evaluation import PairwiseComparisonEvaluator

import llama_index_thinktwice.answers  # noqa: F401 - registers LlamaIndex's types
from llama_index_thinktwice.llm.calls import draws_of
from llama_index_thinktwice.verifiers.given import as_response, question_in
from llama_index_thinktwice.verifiers.known import has_own_parser, worker
from llama_index_thinktwice.verifiers.replies import preference
from llama_index_thinktwice.verifiers.routing import llms_in
from thinktwice import BudgetExceeded, UsageError
from thinktwice.calls import call
from thinktwice.errors import TypeOf
from thinktwice.verifiers.judge import check_reference, reference_for

if TYPE_CHECKING:
    from llama_index.core.evaluation import EvaluationResult

    from thinktwice import Sample
    from thinktwice.selection import Ask
    from thinktwice.verifiers.judge import Reference

_ORDERS: Final = 2


@dataclass(frozen=True)
class EvaluatorComparison:
    """A `PairwiseComparisonEvaluator` as the judge of a `Knockout`, asked in both orders.

    Who is preferred in both places gets the point; where the orders disagree each gets half. A
    reply that holds none of [[A]], [[B]] and [[C]], or several of them, counts as none, whatever
    LlamaIndex reads in it.

    Cost: two calls of the evaluator's LLM per comparison.

    Example:
        ```python
        judge = EvaluatorComparison(PairwiseComparisonEvaluator(llm=llm))
        BestOfN(4, select=Knockout(judge))
        ```

    Attributes:
        evaluator: What compares.
        reference: A right answer to compare with: a text, or a function of the prompt.

    Raises:
        UsageError: It is another evaluator, or the reference is none.
    """

    evaluator: PairwiseComparisonEvaluator
    _: KW_ONLY
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """See that it can compare."""
        if not isinstance(self.evaluator, PairwiseComparisonEvaluator):
            remedy = (
                "it compares nothing: give a PairwiseComparisonEvaluator, or use EvaluatorVerifier"
            )
            raise UsageError("evaluator", TypeOf(self.evaluator), remedy)
        check_reference(self.reference)

    @property
    def calls(self) -> int:
        """LLM calls per comparison."""
        return _ORDERS * sum(draws_of(llm) for llm in llms_in(self.evaluator))

    async def compare(
        self,
        first: Sample[object],
        second: Sample[object],
        /,
        *,
        prompt: object,
        ask: Ask | None = None,
    ) -> float | None:
        """The points of the first: 1 if it is the better one, 0 if the second is, .5 at a tie.

        Returns:
            None where a reply could not be read, or the evaluator failed.

        Raises:
            BudgetExceeded: The budget does not afford it.
            UsageError: A mistake of the caller's.
        """
        asking, judge = ask or call, _Judge(self)
        pairs = (first, second, prompt), (second, first, prompt)
        asked = [asking(judge, pair, role="verify") for pair in pairs]
        said = await asyncio.gather(*asked, return_exceptions=True)
        for each in said:
            if isinstance(each, BudgetExceeded | UsageError):
                raise each
        forth, back = (None if isinstance(each, BaseException) else each.value for each in said)
        if not isinstance(forth, float) or not isinstance(back, float):
            return None
        return (forth + 1 - back) / 2


class _Judge:
    """One comparison in one order, as a sampler; its LLM calls are booked one by one."""

    leaf = False

    def __init__(self, by: EvaluatorComparison) -> None:
        self.evaluator = by.evaluator
        self.reference = by.reference

    async def __call__(
        self, asked: tuple[Sample[object], Sample[object], object], /
    ) -> float | None:
        """The points of whoever stands first."""
        first, second, prompt = asked
        working = worker(self.evaluator)
        vars(working)["_enforce_consensus"] = False  # the other order is asked for here
        result = await working.aevaluate(
            query=question_in(prompt),
            response=_text(first),
            second_response=_text(second),
            reference=reference_for(self.reference, prompt),
        )
        return self._points(result)

    def _points(self, result: EvaluationResult) -> float | None:
        if result.invalid_result or result.score is None:
            return None
        if not has_own_parser(self.evaluator, "_parser_function"):
            return preference(result.feedback)
        return result.score if 0 <= result.score <= 1 else None


def _text(sample: Sample[object]) -> Any:  # noqa: ANN401 - a text, or None
    return as_response(sample.value, None, None).response
