"""An LLM that draws several samples of another, wherever LlamaIndex takes an LLM."""

from __future__ import annotations

from llama_index_thinktwice.llm.calls import draws_of
from llama_index_thinktwice.llm.model import StrategyLLM

__all__ = ["StrategyLLM", "draws_of"]
