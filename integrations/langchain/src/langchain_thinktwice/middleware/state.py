"""What an agent's state knows of its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from langchain.agents.middleware import AgentState
from langchain.agents.middleware.types import OmitFromInput, PrivateStateAttr, ResponseT
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.untracked_value import UntrackedValue

from langchain_thinktwice.messages import METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from thinktwice.entry import Spent
    from thinktwice.session import Session

RUN, LIVE, SPENT = "thinktwice_run", "thinktwice_live", "thinktwice_spent"
_LIVE = UntrackedValue(bool, guard=False)


def _latest(_before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Of what a step notes several times, where something around it repeats the call."""
    return after


class BudgetState(AgentState[ResponseT]):
    """State of an agent with a `BudgetMiddleware`.

    Attributes:
        thinktwice_run: Name of the run.
        thinktwice_live: The run has not been interrupted since it was last looked at.
        thinktwice_spent: What the run has spent, in the output of the agent.
    """

    thinktwice_run: NotRequired[Annotated[str, PrivateStateAttr]]
    thinktwice_live: NotRequired[Annotated[bool, _LIVE, PrivateStateAttr]]
    thinktwice_spent: NotRequired[Annotated[dict[str, Any], OmitFromInput, _latest]]


def noted(session: Session) -> dict[str, Any]:
    """What is written to the state."""
    stopped_by = None if session.cut is None else session.cut.kind
    return {LIVE: True, SPENT: {**session.spent.as_dict(), "stopped_by": stopped_by}}


def _in_words(spent: Spent) -> str:
    cost = "unpriced" if spent.cost is None else f"${spent.cost:.4f}"
    return f"{spent.calls} calls, {spent.tokens:,} tokens, {cost}, {spent.seconds:.1f} s"


def _so_far(messages: Sequence[BaseMessage]) -> str:
    """The last text of the model since the user's turn."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, AIMessage) and message.text:
            return str(message.text)
    return ""


def last_words(session: Session, messages: Sequence[BaseMessage]) -> AIMessage:
    """What an agent ends with whose budget is used up."""
    text = f"I have to stop here: {session.cut}. Spent in all: {_in_words(session.spent)}."
    if said := _so_far(messages):
        text += f"\n\nWhat there is so far: {said}"
    return AIMessage(text, response_metadata={METADATA: noted(session)[SPENT]})
