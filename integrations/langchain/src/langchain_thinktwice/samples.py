"""Runnables as samplers: each sample is a child run with books of its own."""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import set_config_context
from langchain_core.runnables.utils import Input, Output, coro_with_context

from langchain_thinktwice.accounting.booking import Bookkeeper, books_here
from langchain_thinktwice.diversity.options import prepared
from langchain_thinktwice.messages import Reading, message_in, read_message
from langchain_thinktwice.tracing import emitted
from thinktwice import Completion
from thinktwice.scope import current_scope
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from langchain_core.callbacks import BaseCallbackManager

    from langchain_thinktwice.accounting.usage import Reply
    from thinktwice.history import History
    from thinktwice.protocols import Options
    from thinktwice.scope import Scope

T = TypeVar("T")
M = TypeVar("M", AsyncCallbackManager, CallbackManager)

TAG = "thinktwice:sample"
"""On all runs of samples and verdicts: `astream_events(exclude_tags=[TAG])` leaves them out."""
INDEX = "thinktwice_sample_index"
"""Metadata of all runs inside a sample, or a verdict on it."""
RUN_ID = "thinktwice_run_id"
"""Metadata of all runs inside: as `thinktwice.run.id` of the spans."""
_UNSTREAMED = "nostream"  # LangGraph: tokens of samples are not the graph's answer

blocking: ContextVar[bool] = ContextVar("langchain_thinktwice_blocking", default=False)
"""Whether the running request came in by `invoke`, so that `invoke` is what it calls."""


class _Drawing(Generic[Input, Output]):
    """What both samplers share.

    Attributes:
        leaf: False: model calls are booked where they are made.
        draws: Draws that the strategies inside the Runnable make for one sample.
        history: What past requests tell about its latencies.
    """

    leaf = False

    def __init__(
        self,
        bound: Runnable[Input, Output],
        config: RunnableConfig,
        kwargs: dict[str, Any],
        history: History,
        *,
        draws: int = 1,
    ) -> None:
        """Sample a Runnable on behalf of a request.

        Args:
            bound: The Runnable.
            config: The request's config, whose callbacks are children of its run.
            kwargs: Passed to each call.
            history: What past requests tell about it.
            draws: Draws inside one sample.
        """
        self.draws = draws
        self.history = history
        self._bound = bound
        self._config = config
        self._kwargs = kwargs

    @property
    def passthrough(self) -> tuple[type[Exception], ...]:
        """What LangGraph raises to steer a graph, where it is in use."""
        errors = sys.modules.get("langgraph.errors")
        return () if errors is None else (errors.GraphBubbleUp,)


class AsyncDrawing(_Drawing[Input, Output]):
    """Draws by `ainvoke`."""

    async def __call__(self, prompt: Input, /, *, options: Options) -> Completion[Output]:
        """Draw once, as a child run."""
        bound, config, kwargs = prepared(self._bound, self._config, self._kwargs, options)
        return await _acalled(bound, prompt, config, kwargs)


class BlockingDrawing(_Drawing[Input, Output]):
    """Draws by `invoke`, on the thread it is called in."""

    def __call__(self, prompt: Input, /, *, options: Options) -> Completion[Output]:
        """Draw once, as a child run."""
        bound, config, kwargs = prepared(self._bound, self._config, self._kwargs, options)
        return _called(bound, prompt, config, kwargs)


async def call_booked(
    runnable: Runnable[Input, Output], value: Input, options: Options | None = None
) -> Completion[Output]:
    """Call a Runnable on the account of the running sample or verdict, if there is one.

    In a request that came in by `invoke` it calls `invoke`, on a thread.
    """
    runnable, config, kwargs = prepared(runnable, ensure_config(), {}, options or {})
    if current_scope() is None:
        return completion(await runnable.ainvoke(value, config, **kwargs), None)
    if blocking.get():
        return await in_thread(lambda: _called(runnable, value, config, kwargs))
    return await _acalled(runnable, value, config, kwargs)


async def call_traced(call: Callable[[], Coroutine[Any, Any, T]], given: object) -> T:
    """Make a call of any kind below a run, which what it calls hangs on, in a sample or a verdict.

    Args:
        call: What is called.
        given: Shown as the input of the run.
    """
    config = ensure_config()
    handlers = getattr(config.get("callbacks"), "handlers", None) or ()
    if current_scope() is None or all(isinstance(each, Bookkeeper) for each in handlers):
        return await call()  # and nobody looks on
    value, _books = await _below(lambda _own: call(), given, config)
    return value


# The run is a chain run even around a single model: OpenLLMetry opens no span for a model, a tool
# or a retriever right below a run that is hidden from it.


async def _acalled(
    runnable: Runnable[Input, Output], given: Input, config: RunnableConfig, kwargs: dict[str, Any]
) -> Completion[Output]:
    """Call a Runnable by `ainvoke`, as a child run named by what it is for."""
    value, books = await _below(lambda own: runnable.ainvoke(given, own, **kwargs), given, config)
    return _drawn(value, books)


async def _below(
    call: Callable[[RunnableConfig], Coroutine[Any, Any, T]], given: object, config: RunnableConfig
) -> tuple[T, Bookkeeper | None]:
    """Make a call below a child run, named by what it is for, with books of its own."""
    manager = sample_manager(AsyncCallbackManager, config)
    run = await manager.on_chain_start(None, cast("Any", given), name=_role())
    child = run.get_child()
    books = keep_books(child)
    try:
        inner: RunnableConfig = {**config, "callbacks": child}
        with set_config_context(inner) as context:
            value = await coro_with_context(call(inner), context)
        if books is not None:
            books.check()
    except BaseException as error:
        if books is not None and isinstance(error, asyncio.CancelledError):
            await books.end_cancelled(child, error)
        await run.on_chain_error(error)
        raise
    if run.handlers:  # else LangChain starts a task that tells nobody
        await run.on_chain_end(value)
    return value, books


def _called(
    runnable: Runnable[Input, Output], given: Input, config: RunnableConfig, kwargs: dict[str, Any]
) -> Completion[Output]:
    """Call a Runnable by `invoke`, as a child run named by what it is for."""
    manager = sample_manager(CallbackManager, config)
    run = manager.on_chain_start(None, cast("Any", given), name=_role())
    child = run.get_child()
    books = keep_books(child)
    try:
        inner: RunnableConfig = {**config, "callbacks": child}
        with set_config_context(inner) as context:
            value = context.run(runnable.invoke, given, inner, **kwargs)
        if books is not None:
            books.check()
    except BaseException as error:
        run.on_chain_error(error)
        raise
    run.on_chain_end(value)
    return _drawn(value, books)


def _role() -> str:
    """What the running calls are for: "sample", "verify", "repair", ..."""
    scope = current_scope()
    return "sample" if scope is None else scope.role


def sample_manager(kind: type[M], config: RunnableConfig) -> M:
    """Callbacks of one sample, or of what judges it: those of the request, marked."""
    manager = manager_of(kind, config)
    manager.add_tags([TAG, _UNSTREAMED])
    scope = current_scope()
    if scope is not None:
        index = {} if scope.index is None else {INDEX: scope.index}
        manager.add_metadata({RUN_ID: scope.run, **index})
    return manager


def manager_of(kind: type[M], config: RunnableConfig) -> M:
    """A copy of a config's callbacks, as sync or async code needs them.

    The books of an outer sample stay behind: a call is booked once, in the innermost.
    """
    callbacks = config.get("callbacks")
    if isinstance(callbacks, kind):
        manager = callbacks.copy()
    else:
        manager = kind.configure(inheritable_callbacks=callbacks)
    for name in ("handlers", "inheritable_handlers"):
        kept = [each for each in getattr(manager, name) if not isinstance(each, Bookkeeper)]
        setattr(manager, name, kept)
    books_here.set(None)
    return manager


def keep_books(manager: BaseCallbackManager) -> Bookkeeper | None:
    """Book all calls under a callback manager in the current scope, ahead of other handlers."""
    scope = current_scope()
    return None if scope is None else _employ(Bookkeeper(scope, emitted=emitted(manager)), manager)


def keep_books_of_each(
    manager: BaseCallbackManager, *, otherwise: Scope | None = None
) -> Bookkeeper:
    """Book each call under a callback manager in the scope that it is made in.

    Args:
        manager: The callbacks.
        otherwise: The scope of calls that are made in none.
    """
    books = Bookkeeper(None, emitted=emitted(manager), otherwise=otherwise)
    return _employ(books, manager)


def _employ(books: Bookkeeper, manager: BaseCallbackManager) -> Bookkeeper:
    manager.handlers.insert(0, books)
    manager.inheritable_handlers.insert(0, books)
    return books


def completion(value: Output, last: Reply | None, *, cached: bool = False) -> Completion[Output]:
    """A value with what its message says of it, or else the last reply that went into it.

    Args:
        value: What came out.
        last: The last reply.
        cached: It came from a cache, though no call of it is in the books.
    """
    message = message_in(value)
    if last is not None and (message is None or message is last.message):
        reading = last.reading
    else:
        reading = Reading() if message is None else read_message(message)
    return Completion(
        value=value,
        text=None if isinstance(value, str) else reading.text or None,  # of mere tool calls, none
        finish_reason=reading.finish_reason,
        cached=cached,
        logprobs=reading.logprobs.sampled,
        top_logprobs=reading.logprobs.top,
    )


def _drawn(value: Output, books: Bookkeeper | None) -> Completion[Output]:
    """A value that was called for, with what its books say of it."""
    if books is None:
        return completion(value, None)
    return completion(value, books.last, cached=books.only_recalled)
