"""A small transformer that does multi-step arithmetic on one CPU core.

Doors: `ArithmeticSampler` (plain), `arithmetic_lm.langchain.ArithmeticChatModel`,
`arithmetic_lm.llama_index.ArithmeticLLM` and `arithmetic_lm.server.ArithmeticServer`
(OpenAI-compatible). Importing this package loads no framework, nor aiohttp, nor the weights.
`arithmetic_lm.critic` has verifiers for `thinktwice`.
"""

from __future__ import annotations

from . import _blas as _blas  # first: it decides how NumPy is loaded
from .asking import Turn, check_prompt, question_in
from .assistant import Assistant, Reply, Token
from .engine import Engine, Generated, Request, shared_engine
from .options import Options
from .problems import (
    ALL_FAMILIES,
    FAMILIES,
    Family,
    Problem,
    final_answer,
    first_fault,
    problems,
)
from .sampler import ArithmeticSampler
from .value import ArithmeticValue

__all__ = [
    "ALL_FAMILIES",
    "FAMILIES",
    "ArithmeticSampler",
    "ArithmeticValue",
    "Assistant",
    "Engine",
    "Family",
    "Generated",
    "Options",
    "Problem",
    "Reply",
    "Request",
    "Token",
    "Turn",
    "check_prompt",
    "final_answer",
    "first_fault",
    "problems",
    "question_in",
    "shared_engine",
]
