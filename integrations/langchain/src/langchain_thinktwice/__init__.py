"""Voting, best-of-N, repair and checks around any LangChain Runnable, within a budget."""

from __future__ import annotations

from langchain_thinktwice.prompting import RunnablePrompting
from langchain_thinktwice.repairs import critique_repair, tool_check
from langchain_thinktwice.runnable import StrategyRunnable
from langchain_thinktwice.settings import Settings, WithResult
from langchain_thinktwice.verifiers import RunnableRetriever, RunnableSampler, RunnableVerifier
from langchain_thinktwice.wrap import best_of_n, vote, with_strategy

__all__ = [
    "RunnablePrompting",
    "RunnableRetriever",
    "RunnableSampler",
    "RunnableVerifier",
    "Settings",
    "StrategyRunnable",
    "WithResult",
    "best_of_n",
    "critique_repair",
    "tool_check",
    "vote",
    "with_strategy",
]
