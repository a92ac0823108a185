"""What a run is kept from: an application's own tracing that raises."""

from __future__ import annotations

import traceback
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from thinktwice.remarks import tell_safely

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer

    from thinktwice.telemetry.describing import Attributes

P = ParamSpec("P")
T = TypeVar("T")


def harmless(write: Callable[P, None]) -> Callable[P, None]:
    """Have a function that writes telemetry raise nothing: what it raises is told of once."""

    @wraps(write)
    def written(*given: P.args, **options: P.kwargs) -> None:
        try:
            write(*given, **options)
        except Exception as error:  # noqa: BLE001 - of a processor, a reader, a view, a provider
            tell_of_fault(error)

    return written


def attempted(make: Callable[[], T], instead: T) -> T:
    """What a function of the application's tracing returns, or something else if it raises.

    Args:
        make: The function.
        instead: What to go on with.
    """
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - as above
        tell_of_fault(error)
        return instead


class Guarded:
    """A tracer whose spans start, whatever a sampler, a processor or an id generator raises."""

    def __init__(self, tracer: Tracer) -> None:
        """Start spans by a tracer."""
        self._tracer = tracer

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[Link] | None = None,
    ) -> Span:
        """Start a span; one that could not be is for the store of costs alone.

        Where there is none, it stands for the span around it, and records nothing.

        Args:
            name: Of the span.
            context: What is around it; None for what is current.
            kind: Its kind.
            attributes: Set at the start.
            links: Spans that it goes back to.
        """
        try:
            if context is None:
                context = otel.get_current()  # the SDK would look for it thrice
            started = self._tracer.start_span(name, context, kind, attributes, links)
            if cast("Span | None", started) is not None:
                return started
            tell_safely("the application's tracer starts no spans, so they are lost: runs go on")
        except Exception as error:  # noqa: BLE001 - as above
            tell_of_fault(error)
        if _spare is not None:
            return _spare.tracer().start_span(name, context, kind, attributes, links)
        return trace.NonRecordingSpan(trace.get_current_span(context).get_span_context())


def end(span: Span) -> None:
    """End a span, whatever a processor raises."""
    try:
        span.end()
    except Exception as error:  # noqa: BLE001 - as above
        tell_of_fault(error)
        if _spare is not None:
            _spare.ended(span)


class Spare(Protocol):
    """Takes the spans that the application's tracing raises at."""

    def tracer(self) -> Tracer:
        """Starts those that could not be started."""
        ...

    def ended(self, span: Span, /) -> None:
        """Told of one whose end raised: not all processors have heard of it."""
        ...


_spare: Spare | None = None


def spare_by(spare: Spare | None) -> None:
    """Have somebody take the spans of runs that the application's tracing raises at.

    Args:
        spare: Takes them; None for nobody.
    """
    global _spare  # noqa: PLW0603 - OpenTelemetry has one provider a process, and so has this
    _spare = spare


def tell_of_fault(error: Exception) -> None:
    """Say that telemetry raised, and where; once a process for each type of error.

    The text of the error may hold anything, and is not shown.
    """
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(innermost.filename).name}:{innermost.lineno}, in {innermost.name}"
    tell_safely(
        f"tracing raised {type(error).__name__} ({where}), so some of it is lost: runs go on"
    )
