"""Booking the model calls of a sample, wherever in a chain they are made."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler

from langchain_thinktwice.usage import read_reply
from thinktwice import RunError
from thinktwice.booking import current_booking
from thinktwice.scope import current_scope
from thinktwice.tokens import estimate_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from types import FrameType
    from uuid import UUID

    from langchain_core.outputs import LLMResult

    from langchain_thinktwice.usage import Reply
    from thinktwice.booking import Booking
    from thinktwice.scope import Scope


class _Redundant(logging.Filter):
    """Drops what LangChain logs of an exception of a `Bookkeeper`, since it raises it as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what other handlers do."""
        return not (isinstance(record.args, tuple) and record.args[:1] == (Bookkeeper.__name__,))


logging.getLogger("langchain_core.callbacks.manager").addFilter(_Redundant())

_EMITTERS = ("langfuse", "mlflow", "openinference", "opentelemetry")
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")


class Bookkeeper(BaseCallbackHandler):
    """Books each model call of one sample or verdict before it is sent, and settles it once.

    A call that the budget does not afford is refused: what `book` raises leaves the model before
    anything is sent.

    Attributes:
        last: The call that finished last.
    """

    run_inline = True  # in the task of the call: in order, and without a thread
    raise_error = True

    def __init__(self, scope: Scope | None, *, emitted: bool = False) -> None:
        """Keep the books of a scope.

        Args:
            scope: Where its calls are booked; None for the current one of each call, if there is.
            emitted: Another handler opens a span for each call.
        """
        self.last: Reply | None = None
        self._scope = scope
        self._emitted = emitted
        self._open: dict[UUID, tuple[Booking, object]] = {}

    # LangChain awaits a handler from async code. From sync code it runs an async handler on a loop
    # of its own and swallows what it raises, so that a refusal would be lost. Both kinds of code
    # reach the same handler, since an async chain runs its sync steps on threads; and both look
    # the method up anew each time: whoever asks from a coroutine is going to await.

    @property
    def on_chat_model_start(self) -> Callable[..., Any]:  # type: ignore[override]
        """Book the call of a chat model."""
        return self._start if _asked_by_coroutine() else self._start_blocking

    @property
    def on_llm_start(self) -> Callable[..., Any]:  # type: ignore[override]
        """Book the call of a text model."""
        return self._start if _asked_by_coroutine() else self._start_blocking

    async def _start(
        self, serialized: object, prompts: list[Any], *, run_id: UUID, **details: Any
    ) -> None:
        del serialized
        if (scope := self._scope_now()) is not None:
            try:
                booking = await scope.book(**self._call(scope, prompts, details))
            except Exception:
                _close_unawaited(sys._getframe())  # pyright: ignore[reportPrivateUsage]
                raise
            self._open[run_id] = booking, prompts[0]

    def _start_blocking(
        self, serialized: object, prompts: list[Any], *, run_id: UUID, **details: Any
    ) -> None:
        del serialized
        if (scope := self._scope_now()) is None:
            return
        call = self._call(scope, prompts, details)
        if _loop_here() is None:
            booking = scope.book_from_thread(**call)
        else:  # a blocking call in a coroutine: nothing could come free while it waits
            booking = _at_once(scope.book(**call))
        self._open[run_id] = booking, prompts[0]

    def _scope_now(self) -> Scope | None:
        if self._scope is not None:
            return self._scope
        scope, around = current_scope(), current_booking()
        is_booked = around is not None and around.scope is scope  # by whoever called this code
        return None if is_booked else scope

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Settle a call with what it consumed."""
        booking, prompt = self._open.pop(run_id, (None, None))
        if booking is None:
            return
        self.last = reply = read_reply(response)
        usage = reply.usage
        if usage is None and not reply.cached and booking.scope.ledger.capped:
            usage = estimate_usage(prompt, reply.reading.text, reply.model or booking.model)
        booking.settle(usage=usage, model=reply.model, provider=reply.provider, cached=reply.cached)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Settle a call that failed."""
        booking, _prompt = self._open.pop(run_id, (None, None))
        if booking is not None:
            booking.settle(status="error", error=error)

    def _call(self, scope: Scope, prompts: list[Any], details: Mapping[str, Any]) -> dict[str, Any]:
        metadata: Mapping[str, Any] = details.get("metadata") or {}
        params: Mapping[str, Any] = details.get("invocation_params") or {}
        model, provider = asked(details)
        return {
            "model": model,
            "provider": provider,
            "prompt": _with_tools(prompts[0], params) if scope.ledger.capped else None,
            "max_tokens": _most_tokens(params, metadata),
            "options": params,
            "emitted": self._emitted,
        }


def asked(details: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Model and provider of a call that starts."""
    metadata: Mapping[str, Any] = details.get("metadata") or {}
    params: Mapping[str, Any] = details.get("invocation_params") or {}
    model = metadata.get("ls_model_name") or params.get("model") or params.get("model_name")
    return model if isinstance(model, str) else None, metadata.get("ls_provider")


def emits_spans(handlers: Iterable[BaseCallbackHandler]) -> bool:
    """Whether a callback handler among these is known to open a span for each model call."""
    return any(_emits(handler) for handler in handlers)


def _emits(handler: BaseCallbackHandler) -> bool:
    home = type(handler).__module__
    if home.partition(".")[0] in _EMITTERS:
        return True
    if home != "langchain_core.tracers.langchain":
        return False
    client = getattr(handler, "client", None)  # LangSmith's, which can export to OpenTelemetry
    return getattr(client, "_tracing_mode", "langsmith") != "langsmith"


def _most_tokens(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> int | None:
    """Output tokens of one request at most: of all its choices together."""
    named = [*(params.get(name) for name in _MAX_TOKENS), metadata.get("ls_max_tokens")]
    most = next((each for each in named if isinstance(each, int)), None)
    if most is not None and most < 1:  # -1 means no cap to some servers
        return None
    choices = params.get("n")
    return most * choices if most is not None and isinstance(choices, int) else most


def _with_tools(prompt: object, params: Mapping[str, Any]) -> object:
    """The prompt and the tools that are sent with it, which are input tokens as well."""
    tools = params.get("tools") or params.get("functions") or params.get("response_format")
    if not tools or not isinstance(prompt, list):
        return prompt
    return [*cast("list[object]", prompt), json.dumps(tools, default=str)]


def _asked_by_coroutine() -> bool:
    """Whether the property that calls this is being read in a coroutine."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    return bool(frame.f_code.co_flags & inspect.CO_COROUTINE)


def _close_unawaited(frame: FrameType | None) -> None:
    """Close the coroutines of the other handlers, which nobody awaits when one handler raises.

    LangChain makes them before it awaits the first; Python would warn of each of them.
    """
    while frame is not None and frame.f_code.co_name not in {"on_chat_model_start", "on_llm_start"}:
        frame = frame.f_back
    for local in () if frame is None else tuple(frame.f_locals.values()):
        for each in cast("list[object]", local) if isinstance(local, list) else ():
            if inspect.iscoroutine(each) and inspect.getcoroutinestate(each) == "CORO_CREATED":
                each.close()


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _at_once(booking: Coroutine[Any, Any, Booking]) -> Booking:
    """Run a booking as far as it gets without waiting."""
    try:
        booking.send(None)
    except StopIteration as done:
        return cast("Booking", done.value)
    booking.close()
    raise RunError(
        "a blocking model call in async code would have to wait for its budget or its limiter, and "
        "so block what it waits for: call ainvoke there"
    )
