"""Runnables as samplers: each sample is a child run with books of its own."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import patch_config, set_config_context
from langchain_core.runnables.utils import Input, Output, coro_with_context

from langchain_thinktwice.accounting import Bookkeeper, emits_spans
from langchain_thinktwice.diversity import OPTIONS, accepting_options, options_in
from langchain_thinktwice.messages import Reading, message_in, read_message
from langchain_thinktwice.tree import unit_of
from thinktwice import Completion
from thinktwice.scope import current_scope
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackManager

    from langchain_thinktwice.usage import Reply
    from thinktwice.history import History
    from thinktwice.protocols import Options

M = TypeVar("M", AsyncCallbackManager, CallbackManager)

TAG = "thinktwice:sample"
"""On all runs inside a sample: `astream_events(exclude_tags=[TAG])` leaves them out."""
INDEX = "thinktwice_sample_index"
"""Metadata of all runs inside a sample."""
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
        manager = sample_manager(AsyncCallbackManager, config)
        run = await manager.on_chain_start(None, cast("Any", prompt), name="sample")
        child = run.get_child()
        books = keep_books(child)
        try:
            inner: RunnableConfig = {**config, "callbacks": child}
            with set_config_context(inner) as context:
                call = bound.ainvoke(prompt, inner, **kwargs)
                value = await coro_with_context(call, context)
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(value)
        return completion(value, books and books.last)


class BlockingDrawing(_Drawing[Input, Output]):
    """Draws by `invoke`, on the thread it is called in."""

    def __call__(self, prompt: Input, /, *, options: Options) -> Completion[Output]:
        """Draw once, as a child run."""
        bound, config, kwargs = prepared(self._bound, self._config, self._kwargs, options)
        manager = sample_manager(CallbackManager, config)
        run = manager.on_chain_start(None, cast("Any", prompt), name="sample")
        child = run.get_child()
        books = keep_books(child)
        try:
            inner: RunnableConfig = {**config, "callbacks": child}
            with set_config_context(inner) as context:
                value = context.run(bound.invoke, prompt, inner, **kwargs)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(value)
        return completion(value, books and books.last)


async def call_booked(
    runnable: Runnable[Input, Output], value: Input, options: Options | None = None
) -> Completion[Output]:
    """Call a Runnable on the account of the running sample or verdict, if there is one.

    In a request that came in by `invoke` it calls `invoke`, on a thread.
    """
    runnable, config, kwargs = prepared(runnable, ensure_config(), {}, options or {})
    if blocking.get():
        config = patch_config(config, callbacks=(sync := manager_of(CallbackManager, config)))
        books = keep_books(sync)
        returned = await in_thread(lambda: runnable.invoke(value, config, **kwargs))
    else:
        config = patch_config(config, callbacks=(own := manager_of(AsyncCallbackManager, config)))
        books = keep_books(own)
        returned = await runnable.ainvoke(value, config, **kwargs)
    return completion(returned, books and books.last)


def prepared(
    bound: Runnable[Input, Output],
    config: RunnableConfig,
    kwargs: dict[str, Any],
    options: Options,
) -> tuple[Runnable[Input, Output], RunnableConfig, dict[str, Any]]:
    """What to call, with which config and arguments, so that options reach the model.

    Raises:
        UsageError: There are options, and not one model for them.
    """
    if not options:
        return bound, config, kwargs
    bound = cast("Runnable[Input, Output]", accepting_options(bound))
    if unit_of(bound) is not None:
        return bound, config, {**kwargs, **options}
    merged = {**options_in(config), **options}
    return bound, patch_config(config, configurable={OPTIONS: merged}), kwargs


def sample_manager(kind: type[M], config: RunnableConfig) -> M:
    """Callbacks of one sample: those of the request, marked."""
    manager = manager_of(kind, config)
    manager.add_tags([TAG, _UNSTREAMED])
    scope = current_scope()
    if scope is not None:
        manager.add_metadata({INDEX: scope.index})
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
    return manager


def keep_books(manager: BaseCallbackManager) -> Bookkeeper | None:
    """Book all calls under a callback manager in the current scope, ahead of other handlers."""
    scope = current_scope()
    return None if scope is None else _employ(Bookkeeper(scope, emitted=_emitted(manager)), manager)


def keep_books_of_each(manager: BaseCallbackManager) -> None:
    """Book each call under a callback manager in the scope that it is made in."""
    _employ(Bookkeeper(None, emitted=_emitted(manager)), manager)


def _employ(books: Bookkeeper, manager: BaseCallbackManager) -> Bookkeeper:
    manager.handlers.insert(0, books)
    manager.inheritable_handlers.insert(0, books)
    return books


def _emitted(manager: BaseCallbackManager) -> bool:
    return emits_spans(manager.handlers)


def completion(value: Output, last: Reply | None) -> Completion[Output]:
    """A value with what its message says of it, or else the last reply that went into it."""
    message = message_in(value)
    if message is not None:
        reading = read_message(message)
    elif last is not None:
        reading = last.reading
    else:
        reading = Reading()
    return Completion(
        value=value,
        text=None if isinstance(value, str) else reading.text,
        finish_reason=reading.finish_reason,
        logprobs=reading.logprobs.sampled,
        top_logprobs=reading.logprobs.top,
    )
