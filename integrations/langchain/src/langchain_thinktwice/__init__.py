"""Voting, best-of-N and verification around any LangChain Runnable, within a budget."""

from __future__ import annotations

from langchain_thinktwice.runnable import StrategyRunnable
from langchain_thinktwice.verifiers import RunnableSampler, RunnableVerifier
from langchain_thinktwice.wrap import Settings, WithResult, best_of_n, vote, with_strategy

__all__ = [
    "RunnableSampler",
    "RunnableVerifier",
    "Settings",
    "StrategyRunnable",
    "WithResult",
    "best_of_n",
    "vote",
    "with_strategy",
]
