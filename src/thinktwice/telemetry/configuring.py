"""OpenTelemetry for those who have not set it up."""

from __future__ import annotations

import threading
from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from opentelemetry import metrics, trace

from thinktwice.errors import TypeOf, UsageError, is_encodable
from thinktwice.remarks import tell_once
from thinktwice.telemetry.dialects import chosen_dialects, named_dialects, say_dialects
from thinktwice.telemetry.environment import SIGNALS, Signal, Target, targets
from thinktwice.telemetry.flushing import flush_at_exit
from thinktwice.telemetry.harmless import attempted
from thinktwice.telemetry.recording import llm_spans
from thinktwice.telemetry.troubles import watch
from thinktwice.telemetry.variables import check_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice.telemetry.connection import Connection

_OTLP: Final = "opentelemetry.exporter.otlp.proto.http"

_lock: Final = threading.Lock()
_configured: Mapping[str, object] | None = None


def configure(
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    service_name: str | None = None,
    signals: Sequence[Signal] | None = None,
    dialects: Sequence[str] | None = None,
) -> None:
    """Send traces, metrics and log events over OTLP, where the application has not set that up.

    What it has set up stays: runs write to that. What is not given comes from the standard
    environment variables, `OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
    `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_{TRACES,METRICS,LOGS}_EXPORTER=none` and
    `OTEL_SDK_DISABLED`. Needs the `otel` extra. It is the application that calls it, and not a
    library: a process has one of each provider, and the first that is set stays.

    Sending is done in batches on threads of their own and never blocks or fails a run. A backend
    that does not take it is told of once. What waits at exit is sent then, in five seconds at most;
    `flush` sends it before.

    Args:
        endpoint: Base URL, such as "http://localhost:4318"; the paths of the signals are added.
        headers: Of each request, such as a key of the backend's; beside those of the environment.
        service_name: What the backend calls the application.
        signals: What is sent; by default all that the application does not send itself.
        dialects: Vendors whose attributes model calls carry: "default", "langfuse",
            "openinference" or "draft"; by default those of `THINKTWICE_COST_DIALECTS`.

    Raises:
        UsageError: The application has set up a provider of a signal that is asked for, this was
            called before with other arguments, a parameter or a variable makes no sense, or the SDK
            is missing. Then nothing is set up.
    """
    global _configured  # noqa: PLW0603 - a process has one of each provider
    _check(service_name, signals, dialects)
    chosen = chosen_dialects() if dialects is None else named_dialects(dialects)
    llm_spans()
    found = targets(SIGNALS if signals is None else signals, endpoint, headers)
    asked: dict[str, object] = {
        "endpoint": endpoint,
        "headers": dict(headers or {}),
        "service_name": service_name,
        "signals": None if signals is None else list(signals),
    }
    with _lock:
        if _configured is None:
            free = [each for each in found if _is_free(each.signal, named=signals is not None)]
            check_variables([each.signal for each in free])
            _set_up(free, service_name)
            _configured = asked
            if len(free) < len(found) and any(asked.values()):
                _tell_of_others(free)
        for name, value in asked.items():
            if _configured[name] != value:
                remedy = "it was configured with another one before: that stays in this process"
                raise UsageError(name, TypeOf(value), remedy)
    if dialects is not None:
        say_dialects(chosen)


def _check(service_name: object, signals: object, dialects: object) -> None:
    if service_name is not None and not _is_name(service_name):
        raise UsageError(
            "service_name", service_name, "give a name such as 'shop', or leave it out"
        )
    for name, words in (("signals", signals), ("dialects", dialects)):
        if isinstance(words, str):
            raise UsageError(name, words, f"give a list: {name}=[{words!r}]")
        if not isinstance(words, Collection | None):
            raise UsageError(name, words, f"give a list of words, or leave {name}= out")
    asked = None if signals is None else list(cast("Collection[object]", signals))
    if asked == []:
        raise UsageError("signals", asked, f"give some of {', '.join(SIGNALS)}, or leave it out")
    if unknown := [each for each in asked or () if each not in SIGNALS]:
        raise UsageError("signals", unknown[0], f"give some of {', '.join(SIGNALS)}")


def _is_name(name: object) -> bool:
    """Whether it says something, and can be sent."""
    return isinstance(name, str) and bool(name.strip()) and is_encodable(name)


def _is_free(signal: Signal, *, named: bool) -> bool:
    """Whether the application has left a signal to us.

    Raises:
        UsageError: It has not, but names the signal.
    """
    from opentelemetry import _logs

    getters: Mapping[Signal, Callable[[], object]] = {
        "traces": trace.get_tracer_provider,
        "metrics": metrics.get_meter_provider,
        "logs": _logs.get_logger_provider,
    }
    free = "Proxy" in type(attempted(getters[signal], None)).__name__
    if named and not free:
        remedy = (
            f"the application has a provider of {signal}, which runs write to already: add an OTLP "
            f"exporter to it, or leave {signal!r} out of signals="
        )
        raise UsageError("signals", signal, remedy)
    return free


def _tell_of_others(free: Sequence[Target]) -> None:
    """Say what the arguments do not hold for."""
    names = ", ".join(each.signal for each in free) or "none of the signals"
    tell_once(
        "the application has providers of its own, which configure() leaves as they are: its "
        f"arguments hold for {names}"
    )


def _set_up(found: Sequence[Target], service_name: str | None) -> None:
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        from thinktwice.telemetry.connection import Connection

        homes = [import_module(f"{_OTLP}.{_MODULES[each.signal]}") for each in found]
    except ImportError:
        remedy = "it needs the OpenTelemetry SDK: pip install 'thinktwice[otel]'"
        raise UsageError("configure", None, remedy) from None
    connections = [Connection(each.url, used=not each.credentials) for each in found]
    made: list[tuple[Any, Callable[[Any], None]]] = []
    try:
        # As later SDKs do: the counters of several processes must not be taken for one.
        itself = Resource({"service.instance.id": str(uuid4())})
        named = {SERVICE_NAME: service_name} if service_name else {}
        resource = itself.merge(Resource.create(named))
        for home, target, connection in zip(homes, found, connections, strict=True):
            made.append(_MAKERS[target.signal](_exporter(home, target, connection), resource))
    except Exception as error:
        for provider, _ in made:  # which has a thread already
            provider.shutdown()
        remedy = "the SDK does not take a setting of the environment, OTEL_*: see the cause"
        raise UsageError("configure", TypeOf(error), remedy) from error
    for (provider, install), connection in zip(made, connections, strict=True):
        install(provider)
        flush_at_exit(provider.force_flush, connection)


_MODULES: Final[Mapping[Signal, str]] = {
    "traces": "trace_exporter",
    "metrics": "metric_exporter",
    "logs": "_log_exporter",
}
_CLASSES: Final[Mapping[Signal, str]] = {
    "traces": "OTLPSpanExporter",
    "metrics": "OTLPMetricExporter",
    "logs": "OTLPLogExporter",
}


def _exporter(home: object, target: Target, connection: Connection) -> Any:  # noqa: ANN401 - one of three classes without a common one
    made = getattr(home, _CLASSES[target.signal])
    session = connection if connection.used else None
    exporter = made(endpoint=target.url, headers=dict(target.headers), session=session)
    return watch(exporter, connection)


def _traces(exporter: Any, resource: Any) -> tuple[Any, Callable[[Any], None]]:  # noqa: ANN401 - as above
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, trace.set_tracer_provider


def _metrics(exporter: Any, resource: Any) -> tuple[Any, Callable[[Any], None]]:  # noqa: ANN401
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    MeterProvider(resource=resource, shutdown_on_exit=False)  # raises while there is no thread yet
    reader = PeriodicExportingMetricReader(exporter)
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return provider, metrics.set_meter_provider


def _logs(exporter: Any, resource: Any) -> tuple[Any, Callable[[Any], None]]:  # noqa: ANN401
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider, set_logger_provider


_MAKERS: Final[Mapping[Signal, Callable[[Any, Any], tuple[Any, Callable[[Any], None]]]]] = {
    "traces": _traces,
    "metrics": _metrics,
    "logs": _logs,
}
