"""What is known of the evaluators of LlamaIndex: what they need, and how they are read."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from llama_index.core.evaluation import (
    AnswerRelevancyEvaluator,
    BaseEvaluator,
    ContextRelevancyEvaluator,
    CorrectnessEvaluator,
    EvaluationResult,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    RelevancyEvaluator,
    SemanticSimilarityEvaluator,
)
from llama_index.core.evaluation.multi_modal import (
    MultiModalFaithfulnessEvaluator,
    MultiModalRelevancyEvaluator,
)

from llama_index_thinktwice.verifiers.replies import points, yes_or_no
from llama_index_thinktwice.verifiers.routing import routed
from thinktwice import UsageError
from thinktwice.errors import TypeOf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Reread: TypeAlias = "Callable[[BaseEvaluator, EvaluationResult], EvaluationResult]"
"""Reads a result once more, from the judge's own words."""


class UnreadableError(Exception):
    """What was said is no judgement; why is the evidence of the verdict."""


@dataclass(frozen=True)
class Known:
    """What is known of a kind of evaluator.

    Attributes:
        sources: It reads source nodes, and says nothing without them.
        question: It reads the question.
        reference: It compares with a right answer, and does nothing without one.
        scale: Its worst and its best score; a function of the evaluator where that depends.
        floored: A score below the worst counts as the worst.
        reread: For what LlamaIndex overlooks in the judge's reply.
        failed: What is wrong with an answer that fails, where the judge says no more than NO.
    """

    sources: bool = False
    question: bool = False
    reference: bool = False
    scale: tuple[float, float] | Callable[[Any], tuple[float, float]] = (0.0, 1.0)
    floored: bool = False
    reread: Reread = lambda _, result: result
    failed: str | None = None


def known_of(evaluator: BaseEvaluator) -> Known:
    """What is known of it; nothing of a kind that evaluates in its own way."""
    for kind in type(evaluator).__mro__:
        if kind in _KNOWN and type(evaluator).aevaluate is cast("Any", kind).aevaluate:
            return _KNOWN[kind]
    return _UNKNOWN


def worker(evaluator: BaseEvaluator) -> BaseEvaluator:
    """A copy that does the work of one verdict, without what goes wrong in the original.

    One told to raise for an answer that fails returns its result; and a template shared by all
    evaluators of a kind, which the last one made has given its own output format, is its own again.
    """
    working = routed(evaluator)
    own = vars(working)
    if known_of(evaluator) is not _UNKNOWN and "_raise_error" in own:
        own["_raise_error"] = False
    if isinstance(evaluator, GuidelineEvaluator):
        own["_eval_template"] = template = copy.copy(own["_eval_template"])
        template.output_parser = own["_output_parser"]
    return working


def check_template(evaluator: BaseEvaluator) -> None:
    """Refuse a template in which the answer, or the sources, have no place.

    LlamaIndex fills the places that it knows and leaves the others as they stand, so that the judge
    would be asked about nothing.

    Raises:
        UsageError: As above.
    """
    template: Any = vars(evaluator).get("_eval_template")
    places = set(getattr(template, "template_vars", None) or ())
    if not places or not isinstance(evaluator, _BY_ENGINE) or known_of(evaluator) is _UNKNOWN:
        return
    mapped = set(template.template_var_mappings or ()) | set(template.function_mappings or ())
    if lost := {"query_str", "context_str"} - places - mapped:
        named = " and ".join(f"{{{each}}}" for each in sorted(lost))
        remedy = f"its eval_template has no place for {named}: give another one"
        raise UsageError("evaluator", TypeOf(evaluator), remedy)


def has_own_parser(evaluator: BaseEvaluator, name: str = "parser_function") -> bool:
    """Whether the user gave it another function to read replies by."""
    usual = inspect.signature(type(evaluator)).parameters.get("parser_function")
    return usual is None or vars(evaluator).get(name) is not usual.default


_NEITHER: Final = "the judge's reply is neither YES nor NO, or both"
_NO_POINTS: Final = "the judge's reply has no points, or several numbers of them"


def _reread_yes_or_no(evaluator: BaseEvaluator, result: EvaluationResult) -> EvaluationResult:
    """LlamaIndex takes "yes" anywhere for a pass."""
    del evaluator
    passing = yes_or_no(result.feedback)
    if passing is None:
        raise UnreadableError(_NEITHER)
    return result.model_copy(update={"passing": passing, "score": float(passing)})


def _reread_points(evaluator: BaseEvaluator, result: EvaluationResult) -> EvaluationResult:
    """LlamaIndex takes the first digit of a number, and the last of several numbers."""
    if has_own_parser(evaluator) or result.invalid_result:
        return result
    number = points(result.feedback)
    if number is None:
        raise UnreadableError(_NO_POINTS)
    return result.model_copy(update={"score": number / cast("Any", evaluator).score_threshold})


def _points(most: float) -> Callable[[Any], tuple[float, float]]:
    """The scale of an evaluator that divides the points of its rubric by its threshold."""
    return lambda evaluator: (0.0, most / evaluator.score_threshold)


_UNKNOWN: Final = Known()
_UNFAITHFUL: Final = Known(
    sources=True,
    reread=_reread_yes_or_no,
    failed="The sources do not support the answer. Say what they say, and nothing else.",
)
_IRRELEVANT: Final = Known(
    sources=True,
    question=True,
    reread=_reread_yes_or_no,
    failed="The answer is not in line with the question and the sources.",
)
_KNOWN: Final[Mapping[type, Known]] = {
    AnswerRelevancyEvaluator: Known(question=True, scale=_points(2.0), reread=_reread_points),
    ContextRelevancyEvaluator: Known(
        sources=True, question=True, scale=_points(4.0), reread=_reread_points
    ),
    CorrectnessEvaluator: Known(question=True, scale=(1.0, 5.0)),
    FaithfulnessEvaluator: _UNFAITHFUL,
    GuidelineEvaluator: Known(question=True),
    MultiModalFaithfulnessEvaluator: _UNFAITHFUL,
    MultiModalRelevancyEvaluator: _IRRELEVANT,
    RelevancyEvaluator: _IRRELEVANT,
    SemanticSimilarityEvaluator: Known(reference=True, floored=True),
}
_BY_ENGINE: Final = (FaithfulnessEvaluator, RelevancyEvaluator, ContextRelevancyEvaluator)
