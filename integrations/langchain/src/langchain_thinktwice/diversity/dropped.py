"""Options that never reach a model, seen from what its calls say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager

from thinktwice.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig

    from thinktwice.scope import Scope

_PLAIN = (str, int, float)


class Watch(BaseCallbackHandler):
    """Looks for the options of a sample in its model calls, and says at its end which are in none.

    Attributes:
        missing: Options that no call had so far.
    """

    run_inline = True

    def __init__(self, scope: Scope, options: Mapping[str, object]) -> None:
        """Look for the options of a scope."""
        self.missing = dict(options)
        self._scope = scope
        self._sample: UUID | None = None
        self._calls = 0

    def on_chain_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """The first run is that of the sample."""
        self._sample = self._sample or run_id

    def on_chat_model_start(self, *_: Any, **details: Any) -> None:
        """Strike out what the call has."""
        self._calls += 1
        params: Mapping[str, Any] = details.get("invocation_params") or {}
        told: Mapping[str, Any] = details.get("metadata") or {}
        here = [name for name, value in self.missing.items() if _reached(name, value, params, told)]
        for name in here:
            self.missing.pop(name, None)

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        """A text model does not say how it was called."""
        self.missing.clear()

    def on_chain_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Say what is missing, if there was a call at all."""
        if run_id == self._sample and self._calls and self.missing:
            self._scope.remarks.append(dropped(self.missing))


def watched(config: RunnableConfig, options: Mapping[str, object]) -> RunnableConfig:
    """The config of a sample whose options are looked for in its model calls."""
    scope, manager = current_scope(), config.get("callbacks")
    if scope is None or not isinstance(manager, BaseCallbackManager):
        return config
    for handler in manager.handlers:
        if isinstance(handler, Watch):  # of a sample around, whose options give way to these
            for name in options:
                handler.missing.pop(name, None)
    manager = manager.copy()
    manager.add_handler(Watch(scope, options))
    return {**config, "callbacks": manager}


def dropped(names: Mapping[str, object]) -> str:
    """What to say of options that did not arrive; without their values."""
    listed = ", ".join(repr(name) for name in sorted(names))
    return (
        f"options did not reach a model: {listed} is in no model call of a sample, so a step on "
        "the way drops what it is called with; have that step pass **kwargs on, bind them to the "
        "model (model.bind(...)), or make them configurable (model.configurable_fields(...))"
    )


def _reached(name: str, value: object, params: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a call has an option; under another name, where the model has one for it."""
    if not isinstance(value, _PLAIN):
        return name in params
    if name in params or f"ls_{name}" in told:
        return bool(params.get(name) == value) or told.get(f"ls_{name}") == value
    return any(type(each) is type(value) and each == value for each in params.values())
