"""Callbacks for what a chat model runs below its own run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManager,
)

from langchain_thinktwice.accounting.booking import Bookkeeper
from langchain_thinktwice.accounting.meter import Meter
from langchain_thinktwice.progress import hears
from langchain_thinktwice.tracing import emitters

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.callbacks.manager import BaseRunManager

M = TypeVar("M", AsyncCallbackManager, CallbackManager)


def below(run: BaseRunManager) -> AsyncCallbackManager | CallbackManager:
    """Callbacks of runs below a model's, for which LangChain has none: there are no such runs."""
    if isinstance(run, AsyncCallbackManagerForLLMRun):
        return _below(AsyncCallbackManager, run)
    return _below(CallbackManager, run)


def _below(kind: type[M], run: BaseRunManager) -> M:
    manager = kind(handlers=[], parent_run_id=run.run_id)
    manager.set_handlers(run.inheritable_handlers)
    manager.add_tags(run.inheritable_tags)
    # What LangChain says of the model is not true of others below.
    about = {k: v for k, v in run.inheritable_metadata.items() if not k.startswith("ls_")}
    manager.add_metadata(about)
    return manager


def beside(
    run: BaseRunManager,
) -> list[BaseCallbackHandler] | AsyncCallbackManager | CallbackManager:
    """Callbacks of runs that no handler of a model's run sees: only who counts, and progress.

    But for MLflow, whose `autolog` adds its handler to whatever is called. Below the model's run it
    counts that one alone; beside it, both.
    """
    kept = [each for each in run.inheritable_handlers if isinstance(each, Bookkeeper | Meter)]
    if any(hears(handler) for handler in run.handlers):
        manager = below(run)
        manager.set_handlers(run.handlers)  # it is their own run that tells
        kept.append(_relay(manager, run.run_id))
    added = [each for each in run.inheritable_handlers if emitters([each]) == {"mlflow"}]
    if not added:
        return kept
    manager = below(run)
    manager.set_handlers([*kept, *added])
    return manager


def _relay(manager: AsyncCallbackManager | CallbackManager, run_id: UUID) -> BaseCallbackHandler:
    """Hands progress on, as that of a run which handlers know."""
    if isinstance(manager, AsyncCallbackManager):
        return _AsyncRelay(manager, run_id)
    return _Relay(manager, run_id)


class _AsyncRelay(AsyncCallbackHandler):
    run_inline = True

    def __init__(self, manager: AsyncCallbackManager, run_id: UUID) -> None:
        self._manager = manager
        self._run_id = run_id

    async def on_custom_event(self, name: str, data: object, **_: Any) -> None:
        """Hand it on."""
        await self._manager.on_custom_event(name, data, run_id=self._run_id)


class _Relay(BaseCallbackHandler):
    run_inline = True

    def __init__(self, manager: CallbackManager, run_id: UUID) -> None:
        self._manager = manager
        self._run_id = run_id

    def on_custom_event(self, name: str, data: object, **_: Any) -> None:
        """Hand it on."""
        self._manager.on_custom_event(name, data, run_id=self._run_id)
