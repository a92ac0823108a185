"""An LLM that draws several samples of another, wherever LlamaIndex takes an LLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from llama_index_thinktwice.llm.calls import draws_of as draws_of
    from llama_index_thinktwice.llm.model import StrategyLLM as StrategyLLM

__all__ = ["StrategyLLM", "draws_of"]

__getattr__ = names_of(__name__, {"StrategyLLM": "model", "draws_of": "calls"})
