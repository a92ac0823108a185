"""A small transformer that does multi-step arithmetic on one CPU core.

Doors: `ArithmeticSampler` (plain), `arithmetic_lm.langchain.ArithmeticChatModel`, and
`arithmetic_lm.server.ArithmeticServer` (OpenAI-compatible). Importing this package loads neither
LangChain nor aiohttp nor the weights.
"""

from __future__ import annotations

from . import _blas as _blas  # first: it decides how NumPy is loaded
from .assistant import Assistant, Reply, Token
from .engine import Engine, Generated, Request, shared_engine
from .options import Options
from .problems import FAMILIES, Family, Problem, final_answer, problems
from .sampler import ArithmeticSampler

__all__ = [
    "FAMILIES",
    "ArithmeticSampler",
    "Assistant",
    "Engine",
    "Family",
    "Generated",
    "Options",
    "Problem",
    "Reply",
    "Request",
    "Token",
    "final_answer",
    "problems",
    "shared_engine",
]
