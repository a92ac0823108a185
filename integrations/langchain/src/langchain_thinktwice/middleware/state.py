"""What an agent's state knows of its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from langchain.agents.middleware import AgentState
from langchain.agents.middleware.types import OmitFromInput, PrivateStateAttr, ResponseT
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.channels.untracked_value import UntrackedValue

from langchain_thinktwice.messages import METADATA
from thinktwice.entry import dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage, ToolCall

    from thinktwice.budget import Limit
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
    calls = "1 call" if spent.calls == 1 else f"{spent.calls} calls"
    tokens = "tokens unknown" if spent.tokens is None else f"{spent.tokens:,} tokens"
    if spent.uncounted_tokens:
        tokens += f" and {spent.uncounted_tokens:,} charged for what nobody counted"
    cost = "cost unknown" if spent.cost is None else dollars(spent.cost)
    if spent.cost is not None and spent.unpriced:
        cost += f" and {spent.unpriced} of unknown cost"
    if spent.uncounted_cost:
        cost += f" and {dollars(spent.uncounted_cost)} charged for what nobody counted"
    return f"{calls}, {tokens}, {cost}, {spent.seconds:.1f} s"


def unanswered(call: ToolCall, limit: Limit, seconds: float | None) -> ToolMessage:
    """What stands in the place of a tool's answer.

    Args:
        call: What the tool was asked.
        limit: The cap that ended it.
        seconds: How long it had been at work; None if it had not begun.
    """
    if seconds is None:
        text = f"Not done: {limit}."
    else:
        text = (
            f"Cut off after {seconds:.1f} s: {limit}. "
            "It may have been done all the same, or in part, or still be under way."
        )
    return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error")


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
