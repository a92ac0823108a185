"""Verifiers: what judges a sample, by running something, by knowing the answer or by asking."""

from __future__ import annotations

from thinktwice.verifiers.adapt import Check, as_verifier
from thinktwice.verifiers.confidence import (
    Confidence,
    Likelihood,
    SelfCertainty,
    TokenConfidence,
)
from thinktwice.verifiers.judge import Judge
from thinktwice.verifiers.judge_prompt import JudgePrompt
from thinktwice.verifiers.match import ExactMatch, NumericMatch
from thinktwice.verifiers.p_true import PTrue

__all__ = [
    "Check",
    "Confidence",
    "ExactMatch",
    "Judge",
    "JudgePrompt",
    "Likelihood",
    "NumericMatch",
    "PTrue",
    "SelfCertainty",
    "TokenConfidence",
    "as_verifier",
]
