"""Strategies over query engines: retrieve once, synthesize as often as the strategy asks."""

from __future__ import annotations

from llama_index_thinktwice.query_engine.engine import StrategyQueryEngine
from llama_index_thinktwice.query_engine.inner import Retrieval
from llama_index_thinktwice.query_engine.prompting import QueryPrompting

__all__ = ["QueryPrompting", "Retrieval", "StrategyQueryEngine"]
