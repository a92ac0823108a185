"""What a model proposes in one step of an agent, and what tells two of them apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolMessage
from pydantic import PrivateAttr

from thinktwice.answers import awaited_key, canonical_json, default_key, text_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from langchain.agents.middleware import ModelResponse
    from langchain_core.tools import BaseTool

    from thinktwice.before import Decision

_REFUSED: Final = "This call was checked before it was made, and refused. Nothing has happened."
_WITH_IT: Final = "This call was not made, since another one of the same turn was refused."


class StepMessage(AIMessage):
    """The model's message of one step of an agent, as strategies and verifiers see it.

    It is an `AIMessage` in all respects, and knows what else the step made of it.
    """

    _response: ModelResponse[Any] = PrivateAttr()
    _tools: Sequence[BaseTool | dict[str, Any]] = PrivateAttr(default=())
    _refusals: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def lc_id(cls) -> list[str]:
        """That of an `AIMessage`, for tracers."""
        return AIMessage.lc_id()

    @property
    def response(self) -> ModelResponse[Any]:
        """All that the step returned: the message, and the answers to its structured output."""
        return self._response

    @property
    def structured_response(self) -> Any:  # noqa: ANN401 - of the type that the agent was asked for
        """What was parsed, where the agent has a `response_format`; else None."""
        return self._response.structured_response

    @property
    def tools(self) -> Sequence[BaseTool | dict[str, Any]]:
        """The tools that the model could choose from."""
        return self._tools

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why `checks` of the middleware refused its tool calls."""
        return self._refusals

    @property
    def invalid(self) -> bool:
        """Nothing can come of it: it was refused, or its structured output could not be read."""
        unread = self.structured_response is None and bool(answered(self._response))
        return bool(self._refusals) or unread


def step_message(
    response: ModelResponse[Any],
    tools: Sequence[BaseTool | dict[str, Any]] = (),
    refusals: tuple[str, ...] = (),
) -> StepMessage:
    """The message of a response, an empty one if there is none."""
    said = _said(response) or AIMessage("")
    message = StepMessage.model_construct(**dict(said))
    message._response, message._tools, message._refusals = response, tools, refusals  # pyright: ignore[reportPrivateUsage]
    return message


def response_of(message: StepMessage, *, known: Sequence[Any] = ()) -> ModelResponse[Any]:
    """The response of a message: what the model wrote, with what was noted on the message.

    Args:
        message: As a strategy returned it.
        known: The messages of the conversation, none of which it may replace by its id.
    """
    response, said = message.response, _said(message.response)
    if said is None:
        return response
    noted: dict[str, Any] = {
        "content": message.content,
        "response_metadata": message.response_metadata,
    }
    if said.id in {each.id for each in known}:  # a cache may return a message of the history
        noted["id"] = str(uuid4())
    copy = said.model_copy(update=noted)
    return replace(response, result=[copy if m is said else m for m in response.result])


def refused(response: ModelResponse[Any], decisions: Sequence[Decision]) -> ModelResponse[Any]:
    """The response with all its tool calls answered, so that none of them is made.

    Args:
        response: What the model proposes.
        decisions: On each of its open calls, in order; one of them at least is a refusal.
    """
    said, answers = cast("AIMessage", _said(response)), answered(response)
    named = [{**call, "id": call["id"] or f"call_{uuid4().hex}"} for call in said.tool_calls]
    copy = said.model_copy(update={"tool_calls": named})
    pending = [call for call in named if call["id"] not in answers]
    told = [
        ToolMessage(
            content=_WITH_IT if decision else "\n- ".join([_REFUSED, *decision.reasons]),
            tool_call_id=call["id"],
            name=call["name"],
            status="error",
        )
        for call, decision in zip(pending, decisions, strict=True)
    ]
    kept = [copy if each is said else each for each in response.result]
    return replace(response, result=[*kept, *told])


def _said(response: ModelResponse[Any]) -> AIMessage | None:
    return next((each for each in reversed(response.result) if isinstance(each, AIMessage)), None)


def answered(response: ModelResponse[Any]) -> set[str]:
    """Ids of the calls that have an answer already: those of structured output."""
    return {each.tool_call_id for each in response.result if isinstance(each, ToolMessage)}


# ---- telling them apart -------------------------------------------------------------------------


@default_key.register(StepMessage)
def _(value: StepMessage) -> Hashable | None:
    """The structured response by value; else tool calls, else text, as of any message."""
    if value.invalid:
        return None
    if value.structured_response is not None:
        return ("structured", default_key(value.structured_response))
    return cast("Callable[[object], Hashable | None]", default_key.dispatch(AIMessage))(value)


@text_in.register(StepMessage)
def _(value: StepMessage) -> str:
    """What it says, and what it would do."""
    calls = (f"{each['name']}({canonical_json(each['args'])})" for each in value.tool_calls)
    return "\n".join(filter(None, (str(value.text), *calls)))


@dataclass(frozen=True)
class StepKey:
    """A key for the steps of an agent: what is invalid abstains, whatever the key makes of it.

    A key by name reads texts, so it tells answers apart and leaves tool calls as they are.

    Attributes:
        key: A name or a callable of the message, as strategies take it.
    """

    key: str | Callable[..., Hashable | None]

    async def __call__(self, message: StepMessage) -> Hashable | None:
        """The key of a message."""
        acts = message.tool_calls or message.structured_response is not None
        if message.invalid or (acts and isinstance(self.key, str)):
            return default_key(message)
        return await awaited_key(self.key)(message)
