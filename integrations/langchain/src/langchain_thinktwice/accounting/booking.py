"""Booking the model calls of a sample, wherever in a chain they are made."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from langchain_thinktwice.accounting.usage import read_reply, serving
from langchain_thinktwice.composite import is_composite
from langchain_thinktwice.tracing import Unfinished
from thinktwice import BudgetExceeded, RunError
from thinktwice.booking import current_booking
from thinktwice.scope import current_scope
from thinktwice.tokens import estimate_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from types import FrameType
    from uuid import UUID

    from langchain_core.outputs import LLMResult

    from langchain_thinktwice.accounting.usage import Reply
    from thinktwice.booking import Booking
    from thinktwice.budget import Limit
    from thinktwice.scope import Scope


class _Redundant(logging.Filter):
    """Drops what LangChain logs of an exception of a `Bookkeeper`, since it raises it as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what other handlers do."""
        return not (isinstance(record.args, tuple) and record.args[:1] == (Bookkeeper.__name__,))


logging.getLogger("langchain_core.callbacks.manager").addFilter(_Redundant())

books_here: ContextVar[Bookkeeper | None] = ContextVar("langchain_thinktwice_books", default=None)
"""Whose books a call is entered in that no wrapper stands around, also where callbacks are given
to it that do not come from around it. Whoever sets it has to make it known to LangChain."""

_TAKES_NO_N = "unexpected keyword argument 'n'"
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")


class Bookkeeper(Unfinished):
    """Books each model call of one sample or verdict before it is sent, and settles it once.

    A call that the budget does not afford is refused: what `book` raises leaves the model before
    anything is sent.

    Attributes:
        last: The call that finished last.
        refused: The cap that refused a call, if no other call has been booked since.
        recalled: A chat model that samples another answered from its cache, without a call.
    """

    raise_error = True

    def __init__(
        self,
        scope: Scope | None,
        *,
        emitted: bool | None = None,
        otherwise: Scope | None = None,
    ) -> None:
        """Keep the books of a scope.

        Args:
            scope: Where its calls are booked; None for the current one of each call, if there is.
            emitted: Whether somebody else opens a span for each call; None to find out.
            otherwise: Where calls are booked that are made without a current scope, as on threads
                without the context.
        """
        super().__init__()
        self.last: Reply | None = None
        self.refused: Limit | None = None
        self.recalled = False
        self._otherwise = otherwise
        self._scope = scope
        self._emitted = emitted
        self._open: dict[UUID, tuple[Booking, object]] = {}
        self._composites: set[UUID] = set()  # whose calls are booked one by one, below them

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
        self,
        serialized: object,
        prompts: list[Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **details: Any,
    ) -> None:
        del serialized
        if is_composite(details):
            self._composites.add(run_id)
            self.begun("llm", run_id, parent_run_id)
        elif (scope := self._scope_now()) is not None:
            try:
                booking = await scope.book(**self._call(scope, prompts, details))
            except Exception as error:
                self._note_refused(error)
                _close_unawaited(sys._getframe())  # pyright: ignore[reportPrivateUsage]
                raise
            self._opened(booking, run_id, prompts[0])
            self.begun("llm", run_id, parent_run_id)

    def _start_blocking(
        self, serialized: object, prompts: list[Any], *, run_id: UUID, **details: Any
    ) -> None:
        del serialized
        if is_composite(details):
            self._composites.add(run_id)
            return
        if (scope := self._scope_now()) is None:
            return
        call = self._call(scope, prompts, details)
        try:
            if _loop_here() is None:
                booking = scope.book_from_thread(**call)
            else:  # a blocking call in a coroutine: nothing could come free while it waits
                booking = _at_once(scope.book(**call))
        except BudgetExceeded as error:
            self._note_refused(error)
            raise
        self._opened(booking, run_id, prompts[0])

    def _opened(self, booking: Booking, run_id: UUID, prompt: object) -> None:
        self.refused = None
        self._open[run_id] = booking, prompt
        booking.ask(prompt)

    def _scope_now(self) -> Scope | None:
        if self._scope is not None:
            return self._scope
        scope, around = current_scope() or self._otherwise, current_booking()
        is_booked = around is not None and around.scope is scope  # by whoever called this code
        return None if is_booked else scope

    @property
    def only_recalled(self) -> bool:
        """All of it came from such a cache."""
        return self.recalled and self._scope is not None and not self._scope.ledger.entries

    def check(self) -> None:
        """Say that what came of a sample is no answer of a model, if its last call was refused.

        Code around the call may have made something up, such as a message that it failed.

        Raises:
            BudgetExceeded: As above.
        """
        if self.refused is not None:
            raise BudgetExceeded(self.refused)

    def _note_refused(self, error: Exception) -> None:
        if isinstance(error, BudgetExceeded):
            self.refused = error.limit

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Settle a call with what it consumed."""
        self.ended(run_id)
        if run_id in self._composites:
            self._end_composite(read_reply(response, run_id), run_id)
            return
        booking, prompt = self._open.pop(run_id, (None, None))
        if booking is None:
            return
        self.last = reply = read_reply(response, run_id)
        usage = reply.usage
        if usage is None and not reply.cached and booking.scope.ledger.capped:
            usage = estimate_usage(prompt, reply.reading.text, reply.model or booking.model)
        said = reply.messages or filter(None, [reply.reading.text])
        booking.hear([*said], reply.finish_reasons)
        booking.tell(reply.finish_reasons, response_id=reply.response_id)
        provider = serving(booking.provider, reply.provider)
        booking.settle(usage=usage, model=reply.model, provider=provider, cached=reply.cached)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Settle a call that failed."""
        self.ended(run_id)
        self._composites.discard(run_id)
        booking, _prompt = self._open.pop(run_id, (None, None))
        if booking is not None and _TAKES_NO_N in str(error) and isinstance(error, TypeError):
            booking.withdraw()  # Python itself refused: nothing was sent
        elif booking is not None:
            booking.settle(status="error", error=error)

    def _end_composite(self, reply: Reply, run_id: UUID) -> None:
        self._composites.discard(run_id)
        self.last = reply
        if reply.cached and (scope := self._scope_now()) is not None:
            scope.release()  # no call was made for it
            self.recalled = True

    def _call(self, scope: Scope, prompts: list[Any], details: Mapping[str, Any]) -> dict[str, Any]:
        metadata: Mapping[str, Any] = details.get("metadata") or {}
        params: Mapping[str, Any] = details.get("invocation_params") or {}
        model, provider = asked(details)
        most, choices = _most_tokens(params, metadata), params.get("n")
        together = most * choices if most is not None and isinstance(choices, int) else most
        return {
            "model": model,
            "provider": provider,
            "prompt": _with_tools(prompts[0], params) if scope.ledger.capped else None,
            "max_tokens": together,
            "options": {
                "temperature": metadata.get("ls_temperature"),
                **params,
                "max_tokens": most,
            },
            "emitted": self._emitted,
        }


def asked(details: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Model and provider of a call that starts."""
    metadata: Mapping[str, Any] = details.get("metadata") or {}
    params: Mapping[str, Any] = details.get("invocation_params") or {}
    model = metadata.get("ls_model_name") or params.get("model") or params.get("model_name")
    return model if isinstance(model, str) else None, metadata.get("ls_provider")


def _most_tokens(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> int | None:
    """Output tokens of a choice at most, by whatever name."""
    named = [*(params.get(name) for name in _MAX_TOKENS), metadata.get("ls_max_tokens")]
    most = next((each for each in named if isinstance(each, int)), None)
    return None if most is None or most < 1 else most  # -1 means no cap to some servers


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
