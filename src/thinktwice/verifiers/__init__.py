"""Verifiers: what judges a sample, by running something, by knowing the answer or by asking."""

from __future__ import annotations

from thinktwice.verifiers.adapt import Check, as_verifier
from thinktwice.verifiers.all_of import AllOf
from thinktwice.verifiers.calculator import Calculator
from thinktwice.verifiers.calibrated import Calibrated
from thinktwice.verifiers.code import AssertWriter, Code
from thinktwice.verifiers.confidence import (
    Confidence,
    Likelihood,
    SelfCertainty,
    TokenConfidence,
)
from thinktwice.verifiers.critic import Critic
from thinktwice.verifiers.ensemble import Ensemble
from thinktwice.verifiers.grounding import AtomicClaims, Grounding
from thinktwice.verifiers.judge import Judge
from thinktwice.verifiers.judge_prompt import JudgePrompt
from thinktwice.verifiers.match import ExactMatch, NumericMatch
from thinktwice.verifiers.p_true import PTrue
from thinktwice.verifiers.pairwise import PairwiseJudge
from thinktwice.verifiers.questions import VerificationQuestions
from thinktwice.verifiers.schema import Schema
from thinktwice.verifiers.steps import StepVerifier
from thinktwice.verifiers.tool import Tool

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
