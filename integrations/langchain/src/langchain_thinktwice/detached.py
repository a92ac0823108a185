"""Leaving a request: what is called then belongs to none of its traces."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import var_child_runnable_config

from langchain_thinktwice.accounting.booking import books_here

if TYPE_CHECKING:
    from collections.abc import Generator

_NOBODY = BaseCallbackHandler()
"""In the place of a handler that a hook would make if there were none."""


@contextmanager
def detached(*, apart: bool = False) -> Generator[None]:
    """A block outside of the request: without its config, its parent run, and its handlers.

    Neither are there those that LangChain adds to every call: of blocks such as
    `get_usage_metadata_callback()`, and of environment variables.

    Args:
        apart: LangSmith may trace what is called, as runs of its own, and nobody counts it; else
            it is for the request all the same, and whoever keeps its books does so.
    """
    from langchain_core.tracers import context as tracers
    from langsmith.run_helpers import (
        get_tracing_context,
        tracing_context,  # pyright: ignore[reportUnknownVariableType]
    )

    around: dict[str, Any] = get_tracing_context()
    around |= {"parent": False, "distributed_parent_id": None}
    if not apart:
        around["enabled"] = False
    hooks: list[tuple[Any, Any, Any, Any]] = getattr(tracers, "_configure_hooks", [])
    silent = {hook[0]: _NOBODY if hook[3] and not apart else None for hook in hooks}
    if not apart:
        silent.pop(books_here, None)
    silent |= {var_child_runnable_config: None, tracers.tracing_v2_callback_var: None}
    before = [(variable, variable.set(value)) for variable, value in silent.items()]
    try:
        with tracing_context(**around):
            yield
    finally:
        for variable, token in before:
            variable.reset(token)
