"""Voting, best-of-N, repair and checks for LlamaIndex's engines, retrievers, LLMs and agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from llama_index_thinktwice.agents.agent import strategy_agent as strategy_agent
    from llama_index_thinktwice.llm import StrategyLLM as StrategyLLM
    from llama_index_thinktwice.postprocessor import Ranking as Ranking
    from llama_index_thinktwice.postprocessor import StrategyRerank as StrategyRerank
    from llama_index_thinktwice.query_engine import QueryPrompting as QueryPrompting
    from llama_index_thinktwice.query_engine import StrategyQueryEngine as StrategyQueryEngine
    from llama_index_thinktwice.sampler import LLMSampler as LLMSampler
    from llama_index_thinktwice.settings import Settings as Settings
    from llama_index_thinktwice.transforms import (
        AsyncTransformQueryEngine as AsyncTransformQueryEngine,
    )
    from llama_index_thinktwice.transforms import AsyncTransformRetriever as AsyncTransformRetriever
    from llama_index_thinktwice.transforms import BestOfNQueryTransform as BestOfNQueryTransform
    from llama_index_thinktwice.transforms import (
        CritiqueRepairQueryTransform as CritiqueRepairQueryTransform,
    )
    from llama_index_thinktwice.transforms import Evidence as Evidence
    from llama_index_thinktwice.transforms import StrategyQueryTransform as StrategyQueryTransform
    from llama_index_thinktwice.transforms import ToolCheckQueryTransform as ToolCheckQueryTransform
    from llama_index_thinktwice.transforms import VoteQueryTransform as VoteQueryTransform
    from llama_index_thinktwice.transforms import parses as parses
    from llama_index_thinktwice.transforms import retrieves as retrieves
    from llama_index_thinktwice.verifiers import EvaluatorComparison as EvaluatorComparison
    from llama_index_thinktwice.verifiers import EvaluatorVerifier as EvaluatorVerifier
    from llama_index_thinktwice.verifiers import RetrieverSource as RetrieverSource
    from llama_index_thinktwice.verifiers import SourceGrounding as SourceGrounding
    from llama_index_thinktwice.verifiers import VerifierEvaluator as VerifierEvaluator
    from llama_index_thinktwice.workflow.runs import run_strategy as run_strategy
    from llama_index_thinktwice.workflow.steps import sampled as sampled

_HOMES = {
    "AsyncTransformQueryEngine": "transforms",
    "AsyncTransformRetriever": "transforms",
    "BestOfNQueryTransform": "transforms",
    "CritiqueRepairQueryTransform": "transforms",
    "EvaluatorComparison": "verifiers",
    "EvaluatorVerifier": "verifiers",
    "Evidence": "transforms",
    "LLMSampler": "sampler",
    "QueryPrompting": "query_engine",
    "Ranking": "postprocessor",
    "RetrieverSource": "verifiers",
    "Settings": "settings",
    "SourceGrounding": "verifiers",
    "StrategyLLM": "llm",
    "StrategyQueryEngine": "query_engine",
    "StrategyQueryTransform": "transforms",
    "StrategyRerank": "postprocessor",
    "ToolCheckQueryTransform": "transforms",
    "VerifierEvaluator": "verifiers",
    "VoteQueryTransform": "transforms",
    "parses": "transforms",
    "retrieves": "transforms",
    "run_strategy": "workflow.runs",
    "sampled": "workflow.steps",
    "strategy_agent": "agents.agent",
}

__all__ = [
    "AsyncTransformQueryEngine",
    "AsyncTransformRetriever",
    "BestOfNQueryTransform",
    "CritiqueRepairQueryTransform",
    "EvaluatorComparison",
    "EvaluatorVerifier",
    "Evidence",
    "LLMSampler",
    "QueryPrompting",
    "Ranking",
    "RetrieverSource",
    "SourceGrounding",
    "StrategyLLM",
    "StrategyQueryEngine",
    "StrategyQueryTransform",
    "StrategyRerank",
    "ToolCheckQueryTransform",
    "VerifierEvaluator",
    "VoteQueryTransform",
    "parses",
    "retrieves",
    "run_strategy",
    "sampled",
    "strategy_agent",
]

# What is not used costs nothing to import. `Settings` is none of `import *`: LlamaIndex has one.
__getattr__ = names_of(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
