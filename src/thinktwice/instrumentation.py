"""Getting along with other parties' instrumentations: who traces model calls, and what they see."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span

    from thinktwice.scope import Scope

    Names: TypeAlias = str | tuple[str, ...]
    Node: TypeAlias = Callable[[Scope], AbstractContextManager[object]]

_SUPPRESSED: Final[str | None] = getattr(otel, "_SUPPRESS_INSTRUMENTATION_KEY", None)
"""What `opentelemetry.instrumentation.utils.suppress_instrumentation` sets; all of them heed it."""
_BEFORE: Final = otel.create_key("thinktwice_suppressed_before")

_VENDORS: Final = tuple(
    f"{vendor}.instrumentation." for vendor in ("openinference", "openlit", "opentelemetry")
)
# Packages of theirs that open a span for each model call.
_OF_MODELS: Final = frozenset(
    {
        *("anthropic", "bedrock", "cohere", "google_genai", "google_generativeai", "groq"),
        *("langchain", "litellm", "llama_index", "llamaindex", "mistralai", "ollama", "openai"),
        *("openai_v2", "replicate", "sagemaker", "together", "vertexai", "watsonx", "writer"),
    }
)
# Clients that Logfire and Datadog patch without an instrumentor, and what they leave there.
_LOGFIRE: Final = "_is_instrumented_by_logfire"
_OF_LOGFIRE: Final = {
    "anthropic": ("Anthropic", "AsyncAnthropic"),
    "openai": ("OpenAI", "AsyncOpenAI"),
}
_DATADOG: Final = ("_datadog_patch", "__datadog_patch")
_OF_DATADOG: Final = (
    *("anthropic", "google.genai", "langchain_core", "litellm", "llama_index.core", "openai"),
    "vertexai",
)
# MLflow patches them, too, and keeps here with which settings.
_MLFLOW: Final = "mlflow.utils.autologging_utils"
_OF_MLFLOW: Final = (
    *("anthropic", "bedrock", "gemini", "groq", "langchain", "litellm", "llama_index"),
    *("mistral", "openai"),
)

node: ContextVar[Node | None] = ContextVar("thinktwice_node", default=None)
"""What a framework with a tree of its own opens inside each sample and verdict, so that the calls
below hang there. An adapter sets it around a run."""


def noded(scope: Scope) -> AbstractContextManager[object]:
    """Open the framework's node of a sample or verdict, if there is one; inside our span of it."""
    make = node.get()
    return nullcontext() if make is None else make(scope)


def instrumented(packages: Collection[str] = _OF_MODELS, *, without: Names = ()) -> bool:
    """Whether an instrumentation that is switched on opens a span for each model call.

    Looks at what is imported already, and imports nothing.

    Args:
        packages: What it instruments, by the last part of its name: one of these.
        without: How the names of what does not count begin: of a framework that the calls do not
            go through.
    """
    counting = [each for each in packages if not each.startswith(without)]
    return next(_switched_on(counting), None) is not None or _patched(without)


def _patched(without: Names) -> bool:
    """Whether a client is patched by a party that has no instrumentor for it."""
    return (
        "langfuse.openai" in sys.modules  # it patches as it is imported
        or ("logfire" in sys.modules and _by_logfire())
        or ("ddtrace" in sys.modules and _by_datadog(without))
        or (_MLFLOW in sys.modules and _by_mlflow(without))
    )


def _by_logfire() -> bool:
    return any(
        _said_of(_imported(package).get(client)).get(_LOGFIRE)
        for package, clients in _OF_LOGFIRE.items()
        for client in clients
    )


def _by_datadog(without: Names) -> bool:
    """Its own spans go to its own tracer: it counts where ours go there, too."""
    return type(trace.get_tracer_provider()).__module__.startswith("ddtrace.") and any(
        _imported(package).get(mark)
        for package in _OF_DATADOG
        if not package.startswith(without)
        for mark in _DATADOG
    )


def _by_mlflow(without: Names) -> bool:
    """What is imported and not switched on has no settings there."""
    kept: Any = _imported(_MLFLOW).get("AUTOLOGGING_INTEGRATIONS", {})
    settings = [kept.get(each, {}) for each in _OF_MLFLOW if not each.startswith(without)]
    return any(not each.get("disable", True) and each.get("log_traces", True) for each in settings)


def _imported(package: str) -> Mapping[str, object]:
    return _said_of(sys.modules.get(package))


def _said_of(anything: object) -> Mapping[str, object]:
    """What is set on it itself: to ask for more could import or compute something."""
    return getattr(anything, "__dict__", {})


def _switched_on(packages: Collection[str]) -> Iterator[type[Any]]:
    module = sys.modules.get("opentelemetry.instrumentation.instrumentor")
    base: Any = getattr(module, "BaseInstrumentor", None)
    for each in () if base is None else base.__subclasses__():
        home = each.__module__
        # Not `each()`, which would set one up anew with the defaults.
        single = getattr(each, "_instance", None)
        if (
            getattr(single, "is_instrumented_by_opentelemetry", False)
            and home.startswith(_VENDORS)
            and home.split(".")[2] in packages
        ):
            yield each


def suppressed() -> bool:
    """Whether the caller has asked that nothing be instrumented in this context."""
    return _SUPPRESSED is not None and bool(otel.get_value(_SUPPRESSED))


@contextmanager
def hidden() -> Generator[None]:
    """A block that instrumentations do not see, but for the parts of it that are `shown`.

    What a framework reports of its own run in it gets no span of theirs, so that spans of the runs
    below hang on whatever span is current there.
    """
    context = otel.get_current()
    if _SUPPRESSED is not None:
        before = otel.get_value(_SUPPRESSED, context)
        context = Context({**context, _BEFORE: before, _SUPPRESSED: True})
    with _attached(context):
        yield


@contextmanager
def shown(*below: Span) -> Generator[None]:
    """A part of a `hidden` block that instrumentations see, if they saw what is around the block.

    Args:
        *below: Spans of frameworks that this belongs to, where they are not made current. The
            youngest takes the place of the current span, unless that is younger: then it was
            opened inside.
    """
    context = otel.get_current()
    if _SUPPRESSED is not None:
        context = otel.set_value(_SUPPRESSED, otel.get_value(_BEFORE), context)
    with _attached(_under(below, context)):
        yield


@contextmanager
def under(*spans: Span) -> Generator[None]:
    """A block below the youngest of these spans and of the current one; see `shown`."""
    with _attached(_under(spans, otel.get_current())):
        yield


def _under(spans: tuple[Span, ...], context: Context) -> Context:
    youngest = trace.get_current_span()
    for each in spans:
        if each.get_span_context().is_valid and _start(each) >= _start(youngest):
            youngest = each
    return trace.set_span_in_context(youngest, context) if spans else context


@contextmanager
def _attached(context: Context) -> Generator[None]:
    token = otel.attach(context)
    try:
        yield
    finally:
        otel.detach(token)


def _start(span: Span) -> int:
    """Nanoseconds since the epoch; 0 where unknown: of another process, and so older than all."""
    start = getattr(span, "start_time", None)
    return start if isinstance(start, int) else 0
