"""Hearing of the LLM calls of samples and verdicts, wherever they are made.

LlamaIndex tells handlers of its instrumentation when a call begins and how it ended, in the context
of whoever makes it: so the current scope is that of the sample. What a handler raises goes nowhere,
so that a call is booked but cannot be refused.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
)
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import BaseSpanHandler

from llama_index_thinktwice.accounting.calls import dropped, entered, exited, streaming

if TYPE_CHECKING:
    import inspect

_lock: Final = threading.Lock()


def install() -> None:
    """Have the root dispatcher tell of LLM calls; again where somebody has removed it."""
    root: Any = get_dispatcher()  # of types that are not known in full
    with _lock:
        if not any(isinstance(each, CallHandler) for each in root.span_handlers):
            root.add_span_handler(CallHandler())
        if not any(isinstance(each, StreamHandler) for each in root.event_handlers):
            root.add_event_handler(StreamHandler())


class CallHandler(BaseSpanHandler[Any]):
    """Hears of the beginning and the end of calls."""

    @classmethod
    def class_name(cls) -> str:
        """Its name."""
        return "ThinktwiceCallHandler"

    def span_enter(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,  # noqa: ANN401 - LlamaIndex's type
        parent_id: str | None = None,
        tags: object = None,
        **_: Any,
    ) -> None:
        """A method begins."""
        del parent_id, tags
        entered(id_, instance, bound_args.arguments)

    def span_exit(
        self,
        id_: str,
        bound_args: object = None,
        instance: Any = None,  # noqa: ANN401 - LlamaIndex's types
        result: Any = None,  # noqa: ANN401
        **_: Any,
    ) -> None:
        """A method has returned."""
        del bound_args
        exited(id_, instance, result)

    def span_drop(
        self,
        id_: str,
        bound_args: object = None,
        instance: Any = None,  # noqa: ANN401 - LlamaIndex's type
        err: BaseException | None = None,
        **_: Any,
    ) -> None:
        """A method has raised."""
        del bound_args, instance
        dropped(id_, err)

    def new_span(self, *_: Any, **__: Any) -> None:
        """It keeps none."""

    def prepare_to_exit_span(self, *_: Any, **__: Any) -> None:
        """It keeps none."""

    def prepare_to_drop_span(self, *_: Any, **__: Any) -> None:
        """It keeps none."""


class StreamHandler(BaseEventHandler):
    """Hears of the chunks and the end of streams."""

    @classmethod
    def class_name(cls) -> str:
        """Its name."""
        return "ThinktwiceStreamHandler"

    def handle(self, event: Any, **_: Any) -> None:  # noqa: ANN401 - LlamaIndex's type
        """Something happened."""
        call = streaming(event.span_id)
        if call is None:
            return
        if isinstance(event, LLMChatInProgressEvent | LLMCompletionInProgressEvent):
            call.hear(event.response)
        elif isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            call.succeed(event.response)
        elif isinstance(event, ExceptionEvent):
            call.fail(event.exception)
