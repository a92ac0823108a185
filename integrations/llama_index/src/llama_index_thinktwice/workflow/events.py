"""Events of workflows as answers: which of them are the same, and the text in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from llama_index.core.agent.workflow.workflow_events import AgentOutput
from llama_index.core.workflow import Event, StopEvent

from llama_index_thinktwice.responses import METADATA, summary
from thinktwice.answers import canonical_json, default_key, text_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice import Result


T = TypeVar("T")


@default_key.register(Event)
def _(value: Event) -> Hashable | None:
    """Its type and fields."""
    data = {name: each for name, each in value.to_dict().items() if name != METADATA}
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    return (type(value).__name__, canonical_json({**fields, **data}))


@default_key.register(StopEvent)
def _(value: StopEvent) -> Hashable | None:
    """Its result; that of a class of its own by its fields."""
    if type(value) is StopEvent:
        return default_key(value.result)
    return cast("Callable[[object], Hashable | None]", default_key.dispatch(Event))(value)


@text_in.register(StopEvent)
def _(value: StopEvent) -> str | None:
    return text_in(value.result)


@default_key.register(AgentOutput)
def _(value: AgentOutput) -> Hashable | None:
    """Its structured response, else its text; the tool calls before it are no part of it."""
    if value.structured_response is not None:
        return ("structured", canonical_json(value.structured_response))
    return default_key(value.response)


@text_in.register(AgentOutput)
def _(value: AgentOutput) -> str:
    return value.response.content or ""


# ---- events in and out of a step ---------------------------------------------------------------


def is_event(value: object) -> bool:
    """Whether it is an event, or a list of them as a step that collects gets it."""
    several = cast("list[object]", value) if isinstance(value, list) else [value]
    return bool(several) and all(isinstance(each, Event) for each in several)


def told(value: T, result: Result[Any]) -> T:
    """A copy of an event with the summary; anything else as it is."""
    if not isinstance(value, Event):
        return value
    copy = value.model_copy()
    copy._data = {**value.to_dict(), METADATA: summary(result)}  # pyright: ignore[reportPrivateUsage] - a copy shares it
    return copy
