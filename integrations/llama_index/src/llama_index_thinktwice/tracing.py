"""Getting along with tracers: one trace, each LLM call below its sample, no token twice.

LlamaIndex reports what it does as a tree of nodes. Each sample has a node of its own in that tree,
which instrumentations of OpenTelemetry do not see: so they hang what is below on the current span,
which is that of the sample.
"""

from __future__ import annotations

import inspect
import sys
import uuid
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags
from llama_index_instrumentation.span import active_span_id

from llama_index_thinktwice.accounting.troubles import raised
from thinktwice.instrumentation import hidden, instrumented, node, shown, under
from thinktwice.remarks import tell_once

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from opentelemetry.trace import Span

    from thinktwice.scope import Scope

LlmSpans: TypeAlias = Literal["auto", "always", "never"]

INDEX: Final = "thinktwice.sample.index"
"""Tag of all events inside a sample, or a verdict on it; as of its span."""
RUN_ID: Final = "thinktwice.run.id"
"""Tag of all events inside a sample or verdict; as of the spans."""

llm_spans: ContextVar[LlmSpans] = ContextVar("llama_index_thinktwice_llm_spans", default="auto")
"""Whether the running request has our own span for each LLM call."""

_EMITTERS: Final = frozenset(
    {
        *("ddtrace", "langfuse", "logfire", "mlflow", "openinference", "openlit"),
        *("opentelemetry", "opik", "phoenix", "traceloop"),
    }
)
# OpenLLMetry opens none for LLMs whose class has this name, as if it traced their SDK as well.
_LEFT_TO_SDK: Final = "OpenAI"
# The LLM whose calls go through LangChain, where instrumentations of that see them.
_BY_LANGCHAIN: Final = "llama_index.llms.langchain"
_OF_SDK: Final = ("openai", "openai_v2")
_NO_ARGUMENTS: Final = inspect.signature(lambda: None).bind()
_dispatcher: Final = get_dispatcher("thinktwice")


# ---- who opens a span for each LLM call ---------------------------------------------------------


def emitted(llm: object = None) -> bool:
    """Whether somebody else opens a span for each call of an LLM."""
    chosen = llm_spans.get()
    if chosen != "auto":
        return chosen == "never"
    legacy = getattr(getattr(llm, "callback_manager", None), "handlers", ())
    root: Any = get_dispatcher()  # of types that are not known in full
    found = emitters((*root.span_handlers, *legacy))
    if len(found) > 1:
        tell_once(
            f"{' and '.join(sorted(found))} both trace every LLM call: what they send to one "
            "backend is counted twice there; keep one of them"
        )
    if found == {"opentelemetry"} and type(llm).__name__ == _LEFT_TO_SDK:
        return instrumented(_OF_SDK)
    elsewhere = () if type(llm).__module__.startswith(_BY_LANGCHAIN) else "langchain"
    return bool(found) or instrumented(without=elsewhere)


def emitters(handlers: Iterable[object]) -> set[str]:
    """Those of the handlers that are known to open a span for each LLM call, by package.

    LlamaIndex's own for OpenTelemetry is none: its spans say nothing of tokens.
    """
    return {type(each).__module__.partition(".")[0] for each in handlers} & _EMITTERS


# ---- where our spans and nodes belong -----------------------------------------------------------


@contextmanager
def around_run(chosen: LlmSpans) -> Generator[None]:
    """A run of a strategy: its spans hang on that of the caller, and its samples have nodes.

    Args:
        chosen: Its setting; "auto" leaves it to what is around.
    """
    with ExitStack() as stack:
        spans = llm_spans.set(chosen if chosen != "auto" else llm_spans.get())
        stack.callback(llm_spans.reset, spans)
        stack.callback(node.reset, node.set(sample_node))
        stack.enter_context(under(*_around()))
        if active_span_id.get() is None:  # else its samples would be trees of their own
            stack.enter_context(_node("run", active_instrument_tags.get()))
        yield


def _around() -> list[Span]:
    """The span that OpenInference keeps of the running call; older ones do not make it current."""
    module: Any = sys.modules.get("openinference.instrumentation.llama_index")
    with suppress(AttributeError, TypeError):  # not there, in its release
        span = None if module is None else module.get_current_span()
        return [] if span is None else [span]
    return []


@contextmanager
def sample_node(scope: Scope) -> Generator[None]:
    """The node of a sample or verdict, named by what it is for."""
    tags = {**active_instrument_tags.get(), RUN_ID: scope.run, INDEX: scope.index}
    if scope.index is None:
        del tags[INDEX]  # that of the sample around the run
    with raised(), _node(scope.role, tags):
        yield


@contextmanager
def _node(name: str, tags: Mapping[str, Any]) -> Generator[None]:
    id_ = f"{name}-{uuid.uuid4()}"
    parent = active_span_id.get()
    token = active_span_id.set(id_)
    try:
        with instrument_tags(dict(tags)), hidden():
            _dispatcher.span_enter(
                id_=id_, bound_args=_NO_ARGUMENTS, parent_id=parent, tags=dict(tags)
            )
            try:
                with shown():  # handlers may have made a span of theirs current: it stays so
                    yield
            except BaseException as error:
                _dispatcher.span_drop(id_=id_, bound_args=_NO_ARGUMENTS, err=error)
                raise
            _dispatcher.span_exit(id_=id_, bound_args=_NO_ARGUMENTS)
    finally:
        active_span_id.reset(token)


@contextmanager
def unseen() -> Generator[None]:
    """A call of LlamaIndex's that tracers of OpenTelemetry do not see, but for what `seen` shows.

    What is below hangs on whatever was around it.
    """
    found = _around()
    with under(*found), hidden():
        yield


def seen() -> Any:  # noqa: ANN401
    """The body of what is `unseen`."""
    return shown()
