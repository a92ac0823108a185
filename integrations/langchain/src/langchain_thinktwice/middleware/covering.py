"""Another middleware, with the model calls of its own nodes seen to."""

from __future__ import annotations

from copy import copy
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import AsyncCallbackManager, CallbackManager

from thinktwice import UsageError
from thinktwice.threads import in_thread, run_sync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Hooked = Callable[[Any, Any, Callable[[], Awaitable[Any]]], Awaitable[Any]]

M = TypeVar("M", bound=AgentMiddleware[Any, Any, Any])

_HOOKS: Final = tuple(
    f"{prefix}{when}_{what}"
    for prefix in ("", "a")
    for when in ("before", "after")
    for what in ("agent", "model")
)


def covered(middleware: M, hooked: Hooked) -> M:
    """A copy whose hooks are run by a function of the state, the kind of callbacks and the hook.

    It is of a class of the same name, as agents look at the class to know which hooks there are.

    Args:
        middleware: What is copied.
        hooked: Runs a hook.

    Raises:
        UsageError: It is no middleware.
    """
    if not isinstance(middleware, AgentMiddleware):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("middleware", middleware, "give the middleware that is to be covered")
    kind, copied = type(middleware), copy(middleware)
    hooks = {
        name: _covered(getattr(kind, name), hooked)
        for name in _HOOKS
        if getattr(kind, name) is not getattr(AgentMiddleware, name)
    }
    copied.__class__ = type(kind.__name__, (kind,), hooks)
    return copied


def _covered(hook: Callable[..., Any], hooked: Hooked) -> Callable[..., Any]:
    if iscoroutinefunction(hook):

        @wraps(hook)
        async def unblocked(self: object, state: Any, runtime: Any) -> Any:  # noqa: ANN401
            run = partial(hook, self, state, runtime)
            return await hooked(state, AsyncCallbackManager, run)

        return unblocked

    @wraps(hook)
    def blocking(self: object, state: Any, runtime: Any) -> Any:  # noqa: ANN401
        run = partial(in_thread, partial(hook, self, state, runtime))

        async def inside() -> Any:  # noqa: ANN401
            return await hooked(state, CallbackManager, run)

        return run_sync(inside)

    return blocking
