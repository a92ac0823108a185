"""Verifiers: what judges a sample, by running something, by knowing the answer or by asking."""

from __future__ import annotations

from thinktwice.verifiers.adapt import Check, as_verifier
from thinktwice.verifiers.judge import Judge
from thinktwice.verifiers.judge_prompt import JudgePrompt
from thinktwice.verifiers.likelihood import Likelihood
from thinktwice.verifiers.match import ExactMatch, NumericMatch

__all__ = [
    "Check",
    "ExactMatch",
    "Judge",
    "JudgePrompt",
    "Likelihood",
    "NumericMatch",
    "as_verifier",
]
