"""Voting, best-of-N, repair and checks around any LangChain Runnable, within a budget."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from langchain_thinktwice.prompting import RunnablePrompting
from langchain_thinktwice.repairs import critique_repair, tool_check
from langchain_thinktwice.runnable import StrategyRunnable
from langchain_thinktwice.settings import Settings, WithResult
from langchain_thinktwice.verifiers import RunnableRetriever, RunnableSampler, RunnableVerifier
from langchain_thinktwice.wrap import best_of_n, vote, with_strategy
from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from langchain_thinktwice.chat_model import StrategyChatModel
    from langchain_thinktwice.diversity.caching import SampleKeyedCache
    from langchain_thinktwice.middleware import (
        ActionCheck,
        BudgetMiddleware,
        StepMessage,
        StrategyMiddleware,
    )


def _has_agents() -> bool:
    with suppress(ImportError, ValueError):  # of who blocks it, or put another in its place
        return find_spec("langchain") is not None
    return False


__all__ = [
    "RunnablePrompting",
    "RunnableRetriever",
    "RunnableSampler",
    "RunnableVerifier",
    "SampleKeyedCache",
    "Settings",
    "StrategyChatModel",
    "StrategyRunnable",
    "WithResult",
    "best_of_n",
    "critique_repair",
    "tool_check",
    "vote",
    "with_strategy",
]
if _has_agents():  # else `import *` would ask for what cannot be had
    __all__ += ["ActionCheck", "BudgetMiddleware", "StepMessage", "StrategyMiddleware"]

# Not everybody has agents; and what is not used costs nothing to import.
__getattr__ = names_of(
    __name__,
    {
        "ActionCheck": "middleware",
        "BudgetMiddleware": "middleware",
        "SampleKeyedCache": "diversity.caching",
        "StepMessage": "middleware",
        "StrategyChatModel": "chat_model",
        "StrategyMiddleware": "middleware",
    },
)


def __dir__() -> list[str]:
    return __all__
