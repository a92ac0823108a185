"""Verifiers: what judges a sample, by running something, by knowing the answer or by asking."""

from __future__ import annotations

from thinktwice.verifiers.adapt import Check, as_verifier
from thinktwice.verifiers.calibrated import Calibrated
from thinktwice.verifiers.confidence import (
    Confidence,
    Likelihood,
    SelfCertainty,
    TokenConfidence,
)
from thinktwice.verifiers.critic import Critic
from thinktwice.verifiers.ensemble import Ensemble
from thinktwice.verifiers.judge import Judge
from thinktwice.verifiers.judge_prompt import JudgePrompt
from thinktwice.verifiers.match import ExactMatch, NumericMatch
from thinktwice.verifiers.p_true import PTrue
from thinktwice.verifiers.questions import VerificationQuestions
from thinktwice.verifiers.steps import StepVerifier

__all__ = [
    "Calibrated",
    "Check",
    "Confidence",
    "Critic",
    "Ensemble",
    "ExactMatch",
    "Judge",
    "JudgePrompt",
    "Likelihood",
    "NumericMatch",
    "PTrue",
    "SelfCertainty",
    "StepVerifier",
    "TokenConfidence",
    "VerificationQuestions",
    "as_verifier",
]
