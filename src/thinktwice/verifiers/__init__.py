"""Verifiers: what judges a sample, by running something, by knowing the answer or by asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from thinktwice.verifiers.adapt import Check as Check
    from thinktwice.verifiers.adapt import as_verifier as as_verifier
    from thinktwice.verifiers.all_of import AllOf as AllOf
    from thinktwice.verifiers.calculator import Calculator as Calculator
    from thinktwice.verifiers.calibrated import Calibrated as Calibrated
    from thinktwice.verifiers.code import AssertWriter as AssertWriter
    from thinktwice.verifiers.code import Code as Code
    from thinktwice.verifiers.confidence import Confidence as Confidence
    from thinktwice.verifiers.confidence import Likelihood as Likelihood
    from thinktwice.verifiers.confidence import SelfCertainty as SelfCertainty
    from thinktwice.verifiers.confidence import TokenConfidence as TokenConfidence
    from thinktwice.verifiers.critic import Critic as Critic
    from thinktwice.verifiers.ensemble import Ensemble as Ensemble
    from thinktwice.verifiers.grounding import AtomicClaims as AtomicClaims
    from thinktwice.verifiers.grounding import Grounding as Grounding
    from thinktwice.verifiers.judge import Judge as Judge
    from thinktwice.verifiers.judge_prompt import JudgePrompt as JudgePrompt
    from thinktwice.verifiers.match import ExactMatch as ExactMatch
    from thinktwice.verifiers.match import NumericMatch as NumericMatch
    from thinktwice.verifiers.p_true import PTrue as PTrue
    from thinktwice.verifiers.pairwise import PairwiseJudge as PairwiseJudge
    from thinktwice.verifiers.questions import VerificationQuestions as VerificationQuestions
    from thinktwice.verifiers.schema import Schema as Schema
    from thinktwice.verifiers.steps import StepVerifier as StepVerifier
    from thinktwice.verifiers.tool import Tool as Tool

_HOMES = {
    "AllOf": "all_of",
    "AssertWriter": "code",
    "AtomicClaims": "grounding",
    "Calculator": "calculator",
    "Calibrated": "calibrated",
    "Check": "adapt",
    "Code": "code",
    "Confidence": "confidence",
    "Critic": "critic",
    "Ensemble": "ensemble",
    "ExactMatch": "match",
    "Grounding": "grounding",
    "Judge": "judge",
    "JudgePrompt": "judge_prompt",
    "Likelihood": "confidence",
    "NumericMatch": "match",
    "PTrue": "p_true",
    "PairwiseJudge": "pairwise",
    "Schema": "schema",
    "SelfCertainty": "confidence",
    "StepVerifier": "steps",
    "TokenConfidence": "confidence",
    "Tool": "tool",
    "VerificationQuestions": "questions",
    "as_verifier": "adapt",
}

__all__ = [
    "AllOf",
    "AssertWriter",
    "AtomicClaims",
    "Calculator",
    "Calibrated",
    "Check",
    "Code",
    "Confidence",
    "Critic",
    "Ensemble",
    "ExactMatch",
    "Grounding",
    "Judge",
    "JudgePrompt",
    "Likelihood",
    "NumericMatch",
    "PTrue",
    "PairwiseJudge",
    "Schema",
    "SelfCertainty",
    "StepVerifier",
    "TokenConfidence",
    "Tool",
    "VerificationQuestions",
    "as_verifier",
]

__getattr__ = names_of(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
