"""Evaluators of LlamaIndex as verifiers."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.evaluation import (
    BaseEvaluator,
    EvaluationResult,
    PairwiseComparisonEvaluator,
)

import llama_index_thinktwice.answers  # noqa: F401 - registers LlamaIndex's types
from llama_index_thinktwice.llm.calls import draws_of
from llama_index_thinktwice.sampler import LLMSampler
from llama_index_thinktwice.solver import blocking
from llama_index_thinktwice.verifiers.given import as_response, check_contexts, question_in
from llama_index_thinktwice.verifiers.known import (
    UnreadableError,
    check_template,
    known_of,
    worker,
)
from llama_index_thinktwice.verifiers.routing import failures, llms_in
from thinktwice import UsageError, Verdict
from thinktwice.errors import TypeOf, is_number
from thinktwice.strategy import check_flags
from thinktwice.threads import in_thread
from thinktwice.verifiers.adapt import broken, verdict_of
from thinktwice.verifiers.judge import check_reference, check_scale, reference_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from llama_index_thinktwice.verifiers.known import Known
    from thinktwice import Sample
    from thinktwice.entry import Role
    from thinktwice.verifiers.grounding.passages import Given
    from thinktwice.verifiers.judge import Reference

_ROUNDING: Final = 1e-6
_NO_SOURCES: Final = "there are no source nodes to evaluate by: give contexts="
_NO_TEXT: Final = "there is no text to evaluate"
_FAILED: Final = "a call of the evaluator failed: {}"
_NO_RESULT: Final = "the evaluator gave neither a score nor a pass or fail"
_OUTSIDE: Final = "the score {score:g} is none of {low:g} to {high:g}: see score_range="
_PAIRWISE: Final = "it compares: BestOfN(n, select=Knockout(EvaluatorComparison(evaluator)))"


@dataclass(frozen=True)
class EvaluatorVerifier:
    """An evaluator of LlamaIndex as a verifier.

    It is given the question (the text of the prompt), the answer, and the source nodes of the
    response. Its score is scaled to [0, 1]. What it calls passing is a "pass", or else a "fail";
    one that only scores is "scored". Where it says nothing of the answer the verdict is an "error":
    a reply of its judge that cannot be read, an invalid result, no source nodes where it reads
    these. Replies are read more strictly than LlamaIndex reads them: "NO. Yesterday's prices
    differ" is no pass, although it has a "yes" in it.

    The evaluator is not changed: each verdict is the work of a copy. In a request that came in by a
    sync method that calls the sync methods of its LLM, on threads, and so never binds a client to a
    loop that is gone.

    Cost: the calls of its LLM, at least `calls` per verdict; long sources take several.

    Example:
        ```python
        BestOfN(4, verifier=EvaluatorVerifier(FaithfulnessEvaluator(llm=llm)))
        ToolCheck(EvaluatorVerifier(CorrectnessEvaluator(llm=llm), reference=answers.get))
        ```

    Attributes:
        evaluator: What evaluates.
        score_range: Its worst and best score; known for LlamaIndex's own, else (0, 1).
        threshold: Least score in [0, 1] that is a pass, in place of what it calls passing.
        reference: A right answer to compare with: a text, or a function of the prompt. Where the
            function returns None nobody is asked, and the verdict is "not_applicable".
        contexts: What stands for the source nodes: a list of texts or nodes, or a function of the
            prompt and the sample's value that returns one.
        read: Reads a result otherwise: a function that returns a bool (pass or fail), a number in
            [0, 1] or a `Verdict`.
        exact: A pass is proof: only of an evaluator that asks no model.
        name: Shown in verdicts and spans; that of its class by default.

    Raises:
        UsageError: It is no evaluator, or one that compares; its template has no place for what it
            is to read; it needs a reference; or another unusable parameter.
    """

    evaluator: BaseEvaluator
    _: KW_ONLY
    score_range: tuple[float, float] | None = None
    threshold: float | None = None
    reference: Reference | None = None
    contexts: Given | None = None
    read: Callable[[EvaluationResult], bool | float | Verdict] | None = None
    exact: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        """See that it can evaluate."""
        check_evaluator(self.evaluator)
        if isinstance(self.evaluator, PairwiseComparisonEvaluator):
            raise UsageError("evaluator", TypeOf(self.evaluator), _PAIRWISE)
        check_template(self.evaluator)
        if self.score_range is not None:
            check_scale(self.score_range, "score_range")
        if self.threshold is not None:
            _check_share("threshold", self.threshold)
        check_contexts(self.contexts)
        check_flags(exact=self.exact)
        check_reference(self.reference)
        if self.reference is None and known_of(self.evaluator).reference:
            remedy = f"{type(self.evaluator).__name__} compares with it: give the right answer"
            raise UsageError("reference", None, remedy)
        if self.read is not None and not callable(self.read):
            raise UsageError("read", self.read, "give a function of an EvaluationResult")
        object.__setattr__(self, "name", self.name or type(self.evaluator).__name__)

    @property
    def calls(self) -> int:
        """LLM calls per verdict at the least."""
        return sum(draws_of(llm) for llm in llms_in(self.evaluator))

    @property
    def role(self) -> Role:
        """What it is in the ledger: a tool, unless it asks an LLM."""
        return "verify" if self.calls else "tool"

    @property
    def sampler(self) -> LLMSampler | None:
        """Its LLM, by whose price a run knows what to keep back for it."""
        llm = next(llms_in(self.evaluator), None)
        return None if llm is None else LLMSampler(llm)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Evaluate.

        Raises:
            Exception: What the evaluator raises; in a run this becomes an "error" verdict.
        """
        noted: list[str] = []
        token = failures.set(noted)
        try:
            verdict = await self._verdict(sample.value, prompt)
        except UnreadableError as error:
            verdict = broken(_FAILED.format(noted[0]) if noted else str(error))
        finally:
            failures.reset(token)
        return replace(verdict, verifier=self.name, sample=sample.index)

    async def _verdict(self, value: object, prompt: object) -> Verdict:
        more: dict[str, Any] = {}
        if self.reference is not None:
            more = {"reference": reference_for(self.reference, prompt)}
            if more["reference"] is None:
                return Verdict(outcome="not_applicable")
        response = as_response(value, self.contexts, prompt)
        if response.response is None:
            raise UnreadableError(_NO_TEXT)
        if known_of(self.evaluator).sources and not response.source_nodes:
            raise UnreadableError(_NO_SOURCES)
        given = {"query": question_in(prompt), "response": response, **more}
        result = await evaluated(self.evaluator, given)
        return verdict_of(self.read(result)) if self.read is not None else self._read(result)

    def _read(self, result: EvaluationResult) -> Verdict:
        known = known_of(self.evaluator)
        result = known.reread(self.evaluator, result)
        if result.invalid_result:
            raise UnreadableError(result.invalid_reason or "the result is invalid")
        if result.score is None and result.passing is None:
            raise UnreadableError(_NO_RESULT)
        score = None if result.score is None else self._scaled(result.score, known)
        passing = result.passing
        if self.threshold is not None and score is not None:
            passing = score >= self.threshold
        if passing is None:
            return Verdict(outcome="scored", score=score, feedback=result.feedback)
        if passing:
            return Verdict(outcome="pass", score=score, feedback=result.feedback)
        return Verdict(outcome="fail", score=score, feedback=known.failed or result.feedback)

    def _scaled(self, score: float, known: Known) -> float:
        given = self.score_range or known.scale
        low, high = given(self.evaluator) if callable(given) else given
        share = (score - low) / (high - low)
        if known.floored:
            share = max(share, 0.0)
        if not -_ROUNDING <= share <= 1 + _ROUNDING:  # NaN is not either
            raise UnreadableError(_OUTSIDE.format(score=score, low=low, high=high))
        return min(max(share, 0.0), 1.0)


async def evaluated(evaluator: BaseEvaluator, given: dict[str, Any]) -> EvaluationResult:
    """The result of an evaluator, called as the running request came in.

    Args:
        evaluator: What evaluates; one with an `evaluate` of its own has that called in a sync
            request.
        given: Keyword arguments of `aevaluate_response`.
    """
    working = worker(evaluator)
    own = type(evaluator).evaluate is not BaseEvaluator.evaluate
    if blocking.get() and own:
        return await in_thread(partial(working.evaluate_response, **given))
    return await working.aevaluate_response(**given)


def check_evaluator(given: object) -> None:
    """Refuse what is no evaluator.

    Raises:
        UsageError: As above.
    """
    if not isinstance(given, BaseEvaluator):
        remedy = "give an evaluator of LlamaIndex, such as FaithfulnessEvaluator(llm=llm)"
        raise UsageError("evaluator", given, remedy)


def _check_share(name: str, given: object) -> None:
    if not is_number(given) or not math.isfinite(given) or not 0 <= given <= 1:
        raise UsageError(name, given, "give a number in [0, 1]: scores are scaled to that")
