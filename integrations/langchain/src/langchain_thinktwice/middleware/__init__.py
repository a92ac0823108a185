"""Middleware for the agents of LangChain: `pip install langchain-thinktwice[agents]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from langchain_thinktwice.middleware.actions import StepMessage as StepMessage
    from langchain_thinktwice.middleware.budget import BudgetMiddleware as BudgetMiddleware
    from langchain_thinktwice.middleware.checks import ActionCheck as ActionCheck
    from langchain_thinktwice.middleware.strategy import StrategyMiddleware as StrategyMiddleware

_HOMES = {
    "ActionCheck": "checks",
    "BudgetMiddleware": "budget",
    "StepMessage": "actions",
    "StrategyMiddleware": "strategy",
}
_AGENTS = {"langchain", "langgraph"}

__all__ = ["ActionCheck", "BudgetMiddleware", "StepMessage", "StrategyMiddleware"]

_name = names_of(__name__, _HOMES)


def __getattr__(name: str) -> object:
    try:
        return _name(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _AGENTS:
            raise
        remedy = "pip install 'langchain-thinktwice[agents]'"
        raise ImportError(f"{name} needs langchain, which is not installed: {remedy}") from error


def __dir__() -> list[str]:
    return __all__
