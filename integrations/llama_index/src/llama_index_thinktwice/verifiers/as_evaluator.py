"""Verifiers as evaluators of LlamaIndex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.evaluation import BaseEvaluator, EvaluationResult

import llama_index_thinktwice.answers  # noqa: F401 - registers LlamaIndex's types
from llama_index_thinktwice.solver import blocking
from llama_index_thinktwice.verifiers.given import response_of, source_nodes_of
from thinktwice import Sample, UsageError
from thinktwice.answers import text_in
from thinktwice.errors import is_number
from thinktwice.threads import run_sync
from thinktwice.verifiers import as_verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.response.schema import Response

    from thinktwice.protocols import Verifier
    from thinktwice.sample import Verdict
    from thinktwice.verifiers import Check


class VerifierEvaluator(BaseEvaluator):
    """A verifier as an evaluator of LlamaIndex, for `RetryQueryEngine` or `BatchEvalRunner`.

    A pass is `passing`, a fail is not. A mere score passes where it reaches the threshold; without
    one it neither passes nor fails. An "error" is an invalid result that says why, with no score:
    it says nothing of the answer. What the verifier raises is raised. Go by `result.passing`, as
    any `EvaluationResult` is true.

    The verifier gets a `Response` with its source nodes, also where texts are evaluated.

    Cost: the calls of the verifier.

    Attributes:
        verifier: What judges.
        threshold: Least score that passes.
    """

    def __init__(self, verifier: Verifier[Any] | Check, *, threshold: float | None = None) -> None:
        """Take a verifier.

        Args:
            verifier: A `Verifier`, or a callable of the response that returns a bool, a number in
                [0, 1] or a `Verdict`.
            threshold: Least score in [0, 1] that passes.

        Raises:
            UsageError: It is no verifier, or the threshold none.
        """
        self.verifier: Verifier[Any] = as_verifier(verifier, lenient=True)
        if threshold is not None and not (is_number(threshold) and 0 <= threshold <= 1):
            raise UsageError("threshold", threshold, "give a number in [0, 1], or None")
        self.threshold = threshold

    def _get_prompts(self) -> dict[str, Any]:
        """Prompts of a verifier are none of LlamaIndex's."""
        return {}

    def _update_prompts(self, prompts: dict[str, Any]) -> None:
        """There are none."""

    def evaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Judge a text. Works where an event loop is running, too, which then waits."""
        given = response_of(response, contexts)
        return self.evaluate_response(query=query, response=given, **kwargs)

    async def aevaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Judge a text."""
        given = response_of(response, contexts)
        return await self.aevaluate_response(query=query, response=given, **kwargs)

    def evaluate_response(
        self, query: str | None = None, response: Response | None = None, **kwargs: Any
    ) -> EvaluationResult:
        """Judge a response. Works where an event loop is running, too, which then waits."""
        del kwargs
        token = blocking.set(True)
        try:
            return run_sync(lambda: self._judged(query, response))
        finally:
            blocking.reset(token)

    async def aevaluate_response(
        self, query: str | None = None, response: Response | None = None, **kwargs: Any
    ) -> EvaluationResult:
        """Judge a response."""
        del kwargs
        return await self._judged(query, response)

    async def _judged(self, query: str | None, response: Response | None) -> EvaluationResult:
        text = None if response is None else text_in(response)
        sample = Sample[object](index=0, value=response, text=text)
        verdict = await self.verifier(sample, prompt=query or "")
        contexts = [each.get_content() for each in source_nodes_of(response)]
        return self._result(verdict, query=query, response=text, contexts=contexts)

    def _result(self, verdict: Verdict, **given: Any) -> EvaluationResult:
        broke = verdict.outcome == "error"
        return EvaluationResult(
            passing=self._passing(verdict),
            score=None if broke else verdict.score,
            feedback=verdict.feedback or ("; ".join(verdict.evidence) or None),
            invalid_result=broke,
            invalid_reason="; ".join(verdict.evidence) or "the check broke" if broke else None,
            **given,
        )

    def _passing(self, verdict: Verdict) -> bool | None:
        if verdict.outcome in {"pass", "fail"}:
            return verdict.outcome == "pass"
        if verdict.outcome != "scored" or self.threshold is None or verdict.score is None:
            return None
        return verdict.score >= self.threshold
