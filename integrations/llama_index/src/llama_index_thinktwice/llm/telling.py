"""Who hears of a call of an LLM that only calls others."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llama_index_instrumentation import get_dispatcher

from llama_index_thinktwice.tracing import seen, unseen

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")

_dispatcher: Final = get_dispatcher(__name__)


def told_below(method: F) -> F:
    """A method with a node in LlamaIndex's own tree, which tracers of OpenTelemetry do not mirror.

    They have a span for each call below it: no token is to be counted twice.
    """
    make = _awaited if inspect.iscoroutinefunction(method) else _called
    return cast("F", make(method))


def _called(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def body(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the method
        with seen():
            return method(*args, **kwargs)

    spanned = _dispatcher.span(body)

    @functools.wraps(body)  # and so marked as having a node already
    def told(self: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with unseen():
            return spanned.__get__(self, type(self))(*args, **kwargs)

    return told


def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def body(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with seen():
            return await method(*args, **kwargs)

    spanned = _dispatcher.span(body)

    @functools.wraps(body)
    async def told(self: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with unseen():
            return await spanned.__get__(self, type(self))(*args, **kwargs)

    return told
