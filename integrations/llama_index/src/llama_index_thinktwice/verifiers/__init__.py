"""Evaluators of LlamaIndex as verifiers, and verifiers as evaluators."""

from __future__ import annotations

from llama_index_thinktwice.verifiers.as_evaluator import VerifierEvaluator
from llama_index_thinktwice.verifiers.comparison import EvaluatorComparison
from llama_index_thinktwice.verifiers.evaluators import EvaluatorVerifier
from llama_index_thinktwice.verifiers.grounding import RetrieverSource, SourceGrounding

__all__ = [
    "EvaluatorComparison",
    "EvaluatorVerifier",
    "RetrieverSource",
    "SourceGrounding",
    "VerifierEvaluator",
]
