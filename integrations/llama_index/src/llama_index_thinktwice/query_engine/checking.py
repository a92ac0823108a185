"""What a strategy over a query engine refuses before anything is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.indices.base import BaseIndex
from llama_index.core.tools import QueryEngineTool

from llama_index_thinktwice.llm.sameness import warn_of_sameness
from llama_index_thinktwice.query_engine.tree import synthesizing_llms
from thinktwice import Strategy
from thinktwice.errors import TypeOf, UsageError
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.strategies.tool_check import ToolCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice.vary import Vary

_REMEDIES: Final[Mapping[type, str]] = {
    BaseRetriever: "that is a retriever: give RetrieverQueryEngine.from_args(retriever, llm=...)",
    BaseIndex: "that is an index: give index.as_query_engine(llm=...)",
    BaseChatEngine: (
        "a chat engine remembers what was said, and would so N times: give the query engine below "
        "it, and make the chat engine of the StrategyQueryEngine"
    ),
    QueryEngineTool: "that is a tool: give its query_engine, and make the tool of what comes out",
    BaseLLM: "that is an LLM: StrategyLLM(llm=..., strategy=...) samples one",
    type: "that is a class: make an engine of it",
}
_NO_OPTIONS: Final = (
    "a query engine takes no settings of its LLM per call: give the engine an LLM that has them, "
    "such as index.as_query_engine(llm=OpenAI(..., temperature=0.8))"
)


def check_engine(engine: object) -> None:
    """Refuse what is no query engine.

    Raises:
        UsageError: As above; says what to give instead.
    """
    if isinstance(engine, BaseQueryEngine):
        return
    known = (remedy for kind, remedy in _REMEDIES.items() if isinstance(engine, kind))
    remedy = next(known, "give a query engine, such as index.as_query_engine(llm=...)")
    raise UsageError("query_engine", TypeOf(engine), remedy)


def check_callbacks(callback_manager: object) -> None:
    """Refuse what manages no callbacks.

    Raises:
        UsageError: As above.
    """
    if not isinstance(callback_manager, CallbackManager | None):
        remedy = "give a CallbackManager, or leave it out for that of what is inside"
        raise UsageError("callback_manager", callback_manager, remedy)


def check_options(strategy: object, settings: Mapping[str, object]) -> None:
    """Refuse what would be dropped: settings of calls, given or drawn from.

    Raises:
        UsageError: As above.
    """
    if "options" in settings:
        raise UsageError("options", TypeOf(settings["options"]), _NO_OPTIONS)
    vary: Vary | None = getattr(strategy, "vary", None)
    if vary is not None and vary.temperatures:
        raise UsageError("temperatures", vary.temperatures, _NO_OPTIONS)
    if isinstance(strategy, Strategy) and strategy.of is not None:
        check_options(strategy.of, {})


def check_prompting(prompting: object) -> None:
    """Refuse what revises nothing.

    Raises:
        UsageError: As above.
    """
    if prompting is not None and not callable(getattr(prompting, "revise", None)):
        raise UsageError("prompting", prompting, "give an object with revise() and extend()")


def warn_of_same_answers(engine: BaseQueryEngine, strategy: Strategy) -> None:
    """Where one LLM writes all answers; a repair asks it something else each time."""
    llms = synthesizing_llms(engine)
    repairs = isinstance(strategy, CritiqueRepair | ToolCheck) and strategy.of is None
    if len(llms) == 1 and not repairs:
        warn_of_sameness(llms[0], strategy, stacklevel=4)
