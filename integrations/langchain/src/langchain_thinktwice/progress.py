"""What a run says of itself while it works, as LangChain events and in LangGraph's stream."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManager,
)

from thinktwice.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import Runnable, RunnableConfig

    from thinktwice.progress import Progress, Watcher

    Writer: TypeAlias = Callable[[Any], None]

EVENTS = {
    "sample": "thinktwice.sample",
    "verdict": "thinktwice.verdict",
    "decided": "thinktwice.decided",
}
"""Names of the events, by the kind of progress."""

_DEAF = (BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event)


def watcher(config: RunnableConfig, wrapper: Runnable[Any, Any]) -> Watcher | None:
    """Who is told of the progress of a request; None where nobody listens.

    Handlers are told by custom events of the wrapper's run, and inside a LangGraph node its stream
    as well, with one and the same payload: what `Progress.as_dict` has, the `event`, the `name` of
    the wrapper and, for a run inside a sample or a verdict of another, `within`.

    Args:
        config: Of the wrapper's run, whose callbacks are its children.
        wrapper: Who runs the strategy.
    """
    manager, writer = _listening(config), _writer(config)
    if manager is None and writer is None:
        return None
    about = {"name": wrapper.get_name()}
    if (scope := current_scope()) is not None and scope.path:
        about["within"] = scope.path

    def tell(progress: Progress) -> object:
        event = EVENTS[progress.kind]
        payload = {"event": event, **about, **progress.as_dict()}
        if writer is not None:
            writer(payload)
        if manager is None:
            return None
        return manager.on_custom_event(event, dict(payload), run_id=manager.parent_run_id)

    return tell


def _listening(config: RunnableConfig) -> AsyncCallbackManager | CallbackManager | None:
    """The callbacks, if a handler among them takes custom events."""
    callbacks = config.get("callbacks")
    if not isinstance(callbacks, BaseCallbackManager) or callbacks.parent_run_id is None:
        return None
    if not any(hears(handler) for handler in callbacks.handlers):
        return None
    return cast("AsyncCallbackManager | CallbackManager", callbacks)


def hears(handler: BaseCallbackHandler) -> bool:
    """Whether a handler takes custom events."""
    return not handler.ignore_custom_event and type(handler).on_custom_event not in _DEAF


def _writer(config: RunnableConfig) -> Writer | None:
    """That of the LangGraph node that the request is made in, if it is made in one.

    LangGraph has one wherever a node runs, and drops what it is given where nobody streams it.
    """
    langgraph = sys.modules.get("langgraph.config")
    if langgraph is None or "__pregel_task_id" not in config.get("configurable", {}):
        return None
    return cast("Writer", langgraph.get_stream_writer())
