"""Spend more compute at inference time, deliberately and within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from thinktwice.budget import Budget as Budget
    from thinktwice.budget import Limit as Limit
    from thinktwice.entry import Entry as Entry
    from thinktwice.errors import AllSamplesFailed as AllSamplesFailed
    from thinktwice.errors import BudgetExceeded as BudgetExceeded
    from thinktwice.errors import RunError as RunError
    from thinktwice.errors import ThinktwiceError as ThinktwiceError
    from thinktwice.errors import ThinktwiceWarning as ThinktwiceWarning
    from thinktwice.errors import UsageError as UsageError
    from thinktwice.ledger import Ledger as Ledger
    from thinktwice.limiter import Limiter as Limiter
    from thinktwice.pool import Pool as Pool
    from thinktwice.pricing.table import Price as Price
    from thinktwice.result import Outcome as Outcome
    from thinktwice.result import Result as Result
    from thinktwice.run import Run as Run
    from thinktwice.sample import Completion as Completion
    from thinktwice.sample import Sample as Sample
    from thinktwice.sample import Usage as Usage
    from thinktwice.sample import Verdict as Verdict
    from thinktwice.shadow import Shadow as Shadow
    from thinktwice.solving import solve as solve
    from thinktwice.solving import solve_sync as solve_sync
    from thinktwice.stop import AdaptiveConsistency as AdaptiveConsistency
    from thinktwice.stop import After as After
    from thinktwice.stop import AtMost as AtMost
    from thinktwice.stop import Certain as Certain
    from thinktwice.stop import Certificate as Certificate
    from thinktwice.stop import EarlyStopping as EarlyStopping
    from thinktwice.stop import GoodEnough as GoodEnough
    from thinktwice.stop import Lead as Lead
    from thinktwice.stop import Quorum as Quorum
    from thinktwice.stop import Settled as Settled
    from thinktwice.stop import Stop as Stop
    from thinktwice.store.observing import observe as observe
    from thinktwice.strategies.best_of_n import BestOfN as BestOfN
    from thinktwice.strategies.critique_repair import CritiqueRepair as CritiqueRepair
    from thinktwice.strategies.field_vote import FieldVote as FieldVote
    from thinktwice.strategies.tool_check import ToolCheck as ToolCheck
    from thinktwice.strategies.vote import Vote as Vote
    from thinktwice.strategy import Strategy as Strategy
    from thinktwice.vary import Vary as Vary
    from thinktwice.workflow import budget_scope as budget_scope
    from thinktwice.workflow import collect as collect

_HOMES = {
    "AdaptiveConsistency": "stop",
    "After": "stop",
    "AllSamplesFailed": "errors",
    "AtMost": "stop",
    "BestOfN": "strategies.best_of_n",
    "Budget": "budget",
    "BudgetExceeded": "errors",
    "Certain": "stop",
    "Certificate": "stop",
    "Completion": "sample",
    "CritiqueRepair": "strategies.critique_repair",
    "EarlyStopping": "stop",
    "Entry": "entry",
    "FieldVote": "strategies.field_vote",
    "GoodEnough": "stop",
    "Lead": "stop",
    "Ledger": "ledger",
    "Limit": "budget",
    "Limiter": "limiter",
    "Outcome": "result",
    "Pool": "pool",
    "Price": "pricing.table",
    "Quorum": "stop",
    "Result": "result",
    "Run": "run",
    "RunError": "errors",
    "Sample": "sample",
    "Settled": "stop",
    "Shadow": "shadow",
    "Stop": "stop",
    "Strategy": "strategy",
    "ThinktwiceError": "errors",
    "ThinktwiceWarning": "errors",
    "ToolCheck": "strategies.tool_check",
    "Usage": "sample",
    "UsageError": "errors",
    "Vary": "vary",
    "Verdict": "sample",
    "Vote": "strategies.vote",
    "budget_scope": "workflow",
    "collect": "workflow",
    "observe": "store.observing",
    "solve": "solving",
    "solve_sync": "solving",
}

__all__ = [
    "After",
    "AllSamplesFailed",
    "AtMost",
    "BestOfN",
    "Budget",
    "BudgetExceeded",
    "Certain",
    "Certificate",
    "Completion",
    "CritiqueRepair",
    "FieldVote",
    "GoodEnough",
    "Lead",
    "Ledger",
    "Limit",
    "Limiter",
    "Outcome",
    "Pool",
    "Price",
    "Quorum",
    "Result",
    "Run",
    "RunError",
    "Sample",
    "Settled",
    "Shadow",
    "Stop",
    "Strategy",
    "ThinktwiceError",
    "ThinktwiceWarning",
    "ToolCheck",
    "Usage",
    "UsageError",
    "Vary",
    "Verdict",
    "Vote",
    "budget_scope",
    "collect",
    "solve",
    "solve_sync",
]


_name = names_of(__name__, _HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("thinktwice")
    return _name(name)


def __dir__() -> list[str]:
    return __all__
