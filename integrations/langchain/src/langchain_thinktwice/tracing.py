"""Getting along with tracers: one trace, each model call below its sample, no token twice.

Callback tracers see the wrapper's run, the runs of its samples, and the chain's own runs below.
Instrumentations of OpenTelemetry, which mirror runs as spans, do not see the wrapper's own run: so
they hang what is below on the current span, which is ours.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForRetrieverRun,
    AsyncCallbackManagerForToolRun,
    BaseCallbackHandler,
)
from langchain_core.outputs import LLMResult

from thinktwice.instrumentation import instrumented, shown
from thinktwice.remarks import tell_once

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from uuid import UUID

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.callbacks.manager import BaseRunManager
    from opentelemetry.trace import Span

LlmSpans: TypeAlias = Literal["auto", "always", "never"]

llm_spans: ContextVar[LlmSpans] = ContextVar("langchain_thinktwice_llm_spans", default="auto")
"""Whether the running request has our own span for each model call."""

_EMITTERS = frozenset(
    {
        *("ddtrace", "langfuse", "logfire", "mlflow", "openinference", "openlit"),
        *("opentelemetry", "opik", "phoenix", "traceloop"),
    }
)


# ---- who opens a span for each model call -----------------------------------------------------


def emitted(manager: BaseCallbackManager) -> bool:
    """Whether somebody else opens a span for each model call."""
    chosen = llm_spans.get()
    if chosen != "auto":
        return chosen == "never"
    found = emitters(manager.handlers)
    if len(found) > 1:
        tell_once(
            f"{' and '.join(sorted(found))} both trace every model call: what they send to one "
            "backend is counted twice there; keep one of them"
        )
    return bool(found) or instrumented(without="llama")


def emitters(handlers: Iterable[BaseCallbackHandler]) -> set[str]:
    """Those of the handlers that are known to open a span for each model call, by package."""
    return {name for each in handlers if (name := _emitter(each)) is not None}


def _emitter(handler: BaseCallbackHandler) -> str | None:
    home = type(handler).__module__
    package = home.partition(".")[0]
    if package in _EMITTERS:
        return package
    if home != "langchain_core.tracers.langchain":
        return None
    client = getattr(handler, "client", None)  # LangSmith's, which can export to OpenTelemetry
    exports = getattr(client, "_tracing_mode", "langsmith") != "langsmith"
    return "langsmith" if exports else None


# ---- where our spans belong -------------------------------------------------------------------


def inside(run: BaseRunManager | None) -> AbstractContextManager[None]:
    """The body of a run that is `thinktwice.instrumentation.hidden`.

    What is opened in it hangs on the span of whoever called, also where that is not made current.

    Args:
        run: The hidden run itself.
    """
    around = [_span_around(each, run) for each in run.handlers] if run is not None else []
    return shown(*(each for each in around if each is not None))


def _span_around(handler: Any, run: BaseRunManager) -> Span | None:  # noqa: ANN401 - of others
    """The span that a handler keeps of the run of the caller, or of a hidden one."""
    package = type(handler).__module__.partition(".")[0]
    with suppress(AttributeError, KeyError):  # not there, in its release
        if package == "openinference":
            return handler.get_span(run.parent_run_id)
        if package == "langfuse":  # which sees what is hidden as well
            return handler._runs[run.run_id]._otel_span
    return None


# ---- runs that nobody ends --------------------------------------------------------------------

_MANAGERS: dict[str, type[Any]] = {
    "llm": AsyncCallbackManagerForLLMRun,
    "retriever": AsyncCallbackManagerForRetrieverRun,
    "tool": AsyncCallbackManagerForToolRun,
}


class Unfinished(BaseCallbackHandler):
    """Knows the calls that are awaited: LangChain leaves the runs of cancelled ones open.

    Calls on threads go on when their sample is recalled, and report their own end.
    """

    run_inline = True

    def __init__(self) -> None:
        """Know none."""
        self._awaited: dict[UUID, tuple[str, UUID | None]] = {}

    def begun(self, kind: str, run_id: UUID, parent_run_id: UUID | None) -> None:
        """Note a call that is awaited."""
        self._awaited[run_id] = kind, parent_run_id

    def ended(self, run_id: UUID) -> None:
        """A call has reported its end."""
        self._awaited.pop(run_id, None)

    async def end_cancelled(self, below: BaseCallbackManager, error: BaseException) -> None:
        """Tell the other handlers of a cancelled sample how its calls ended.

        Args:
            below: Whose handlers have seen them begin.
            error: How the sample ended.
        """
        others = [each for each in below.handlers if not isinstance(each, Unfinished)]
        while self._awaited:
            run_id, (kind, parent) = self._awaited.popitem()
            run = _MANAGERS[kind](
                run_id=run_id, handlers=others, inheritable_handlers=others, parent_run_id=parent
            )
            if kind == "llm":
                await run.on_llm_error(error, response=LLMResult(generations=[]))
            else:
                await getattr(run, f"on_{kind}_error")(error)

    def on_tool_start(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any
    ) -> None:
        """Note it."""
        if _awaits():
            self.begun("tool", run_id, parent_run_id)

    def on_retriever_start(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any
    ) -> None:
        """Note it."""
        if _awaits():
            self.begun("retriever", run_id, parent_run_id)

    def on_tool_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """It has ended."""
        self.ended(run_id)

    def on_tool_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """It has ended."""
        self.ended(run_id)

    def on_retriever_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """It has ended."""
        self.ended(run_id)

    def on_retriever_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """It has ended."""
        self.ended(run_id)


def _awaits() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
