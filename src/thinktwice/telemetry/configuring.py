"""OpenTelemetry for those who have not set it up."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry import metrics, trace

from thinktwice.errors import UsageError
from thinktwice.telemetry.dialects import named_dialects, say_dialects
from thinktwice.telemetry.flushing import flush_at_exit
from thinktwice.telemetry.providers import is_sdk
from thinktwice.telemetry.troubles import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Signal = Literal["traces", "metrics", "logs"]

_SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")
_PROTOCOL: Final = "http/protobuf"
_OTLP: Final = "opentelemetry.exporter.otlp.proto.http"

_lock: Final = threading.Lock()
_configured: tuple[object, ...] | None = None


def configure(
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    service_name: str | None = None,
    signals: Sequence[Signal] = _SIGNALS,
    dialects: Sequence[str] | None = None,
) -> None:
    """Send traces, metrics and log events over OTLP, where the application has not set that up.

    Where it has, there is nothing to do: runs write to what it has
    set. What is not given comes from the standard environment variables, `OTEL_EXPORTER_OTLP_*`,
    `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*` and
    `OTEL_{TRACES,METRICS,LOGS}_EXPORTER=none`. Needs the `otel` extra.

    Sending is done in batches on threads of their own and never blocks or fails a run. A backend
    that does not answer is told of once. What waits at exit is sent then, in five seconds at most.

    Args:
        endpoint: Base URL, such as "http://localhost:4318"; the paths of the signals are added.
        headers: Of each request, such as a key of the backend's.
        service_name: What the backend calls the application.
        signals: What is sent.
        dialects: Vendors whose attributes model calls carry: "default", "langfuse",
            "openinference" or "draft"; by default those of `THINKTWICE_COST_DIALECTS`.

    Raises:
        UsageError: The application has set a provider up itself, this was called before with other
            arguments, a parameter makes no sense, or the SDK is missing.
    """
    global _configured  # noqa: PLW0603 - a process has one of each provider
    _check(endpoint, signals)
    chosen = None if dialects is None else named_dialects(dialects)
    asked = (endpoint, tuple(sorted((headers or {}).items())), service_name, tuple(signals))
    with _lock:
        if _configured is None:
            sent = _not_switched_off(signals)
            for each in sent:
                _refuse_another(each)
            _set_up(sent, endpoint, headers, service_name)
            _configured = asked
        elif _configured != asked:
            remedy = "it is configured with other settings already: call it once"
            raise UsageError("configure", endpoint or signals, remedy)
    if chosen is not None:
        say_dialects(chosen)


def _check(endpoint: str | None, signals: Sequence[Signal]) -> None:
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise UsageError("endpoint", endpoint, "give a URL such as 'http://localhost:4318'")
    if unknown := [each for each in signals if each not in _SIGNALS]:
        raise UsageError("signals", unknown[0], f"give some of {', '.join(_SIGNALS)}")
    name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    if (protocol := os.environ.get(name, _PROTOCOL)) != _PROTOCOL:
        raise UsageError(name, protocol, f"only {_PROTOCOL} is spoken here: port 4318, mostly")


def _not_switched_off(signals: Sequence[Signal]) -> list[Signal]:
    return [each for each in signals if os.environ.get(f"OTEL_{each.upper()}_EXPORTER") != "none"]


def _refuse_another(signal: Signal) -> None:
    from opentelemetry import _logs

    getters: Mapping[Signal, object] = {
        "traces": trace.get_tracer_provider(),
        "metrics": metrics.get_meter_provider(),
        "logs": _logs.get_logger_provider(),
    }
    if is_sdk(getters[signal]):
        remedy = (
            f"the application has a provider of {signal}, which runs write to already: add an OTLP "
            f"exporter to it, or leave {signal!r} out of signals="
        )
        raise UsageError("signals", signal, remedy)


def _set_up(
    signals: Sequence[Signal],
    endpoint: str | None,
    headers: Mapping[str, str] | None,
    service_name: str | None,
) -> None:
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        homes = [import_module(f"{_OTLP}.{_MODULES[each]}") for each in signals]
    except ImportError:
        remedy = "it needs the OpenTelemetry SDK: pip install 'thinktwice[otel]'"
        raise UsageError("configure", endpoint, remedy) from None
    resource = Resource.create({SERVICE_NAME: service_name} if service_name else {})
    for each, home in zip(signals, homes, strict=True):
        exporter = _exporter(getattr(home, _CLASSES[each]), each, endpoint, headers)
        _SENDERS[each](exporter, resource)


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


def _exporter(
    made: Any,  # noqa: ANN401 - one of three classes without a common one
    signal: Signal,
    endpoint: str | None,
    headers: Mapping[str, str] | None,
) -> Any:  # noqa: ANN401
    url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/{signal}"
    given = None if headers is None else dict(headers)
    return watch(made(endpoint=url, headers=given))


def _send_traces(exporter: Any, resource: Any) -> None:  # noqa: ANN401 - as above
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    flush_at_exit(provider.force_flush)


def _send_metrics(exporter: Any, resource: Any) -> None:  # noqa: ANN401
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(exporter)
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    flush_at_exit(provider.force_flush)


def _send_logs(exporter: Any, resource: Any) -> None:  # noqa: ANN401
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)
    flush_at_exit(provider.force_flush)


_SENDERS: Final[Mapping[Signal, Callable[[Any, Any], None]]] = {
    "traces": _send_traces,
    "metrics": _send_metrics,
    "logs": _send_logs,
}
