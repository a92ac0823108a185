"""An application without OpenTelemetry, and a backend on loopback: up, down, slow, refusing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

APPLICATION = """
import sys, time
from thinktwice import BestOfN, Price, solve_sync, telemetry
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Judge

settings = {settings}
telemetry.configure(**settings)
telemetry.configure(**settings)
judge = ScriptedSampler(['{{"reason": "r", "score": 7}}'])
best = BestOfN(3, verifier=Judge(judge, rubric="good"))
prices = {{"fake-model": Price("1", "2")}}
started = time.perf_counter()
result = solve_sync("q", sampler=ScriptedSampler(["a"]), strategy=best, prices=prices)
print(result.value, result.ledger.total.calls, time.perf_counter() - started)
{more}
"""

as_it_exports_now = pytest.mark.skipif(
    tuple(map(int, version("opentelemetry-sdk").split(".")[:2])) < (1, 45),
    reason="earlier exporters log their troubles in other words",
)


@dataclass
class Backend:
    """What it got, and how it answers."""

    status: int = 200
    seconds: float = 0.0
    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def of(self, path: str) -> list[bytes]:
        return [body for each, _, body in self.requests if each == path]


@contextmanager
def listening(backend: Backend):
    """A server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            backend.requests.append((self.path, dict(self.headers), body))
            time.sleep(backend.seconds)
            self.send_response(backend.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    backend.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield backend
    finally:
        server.shutdown()
        server.server_close()


def ran(settings: dict[str, object] | None = None, more: str = "", **environment: str):
    """The application, as a process of its own, and how long it took."""
    inherited = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", APPLICATION.format(settings=settings or {}, more=more)],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        env={**inherited, **environment},
    )
    assert done.returncode == 0, done.stderr
    value, calls, _ = done.stdout.split()[:3]
    assert (value, calls) == ("a", "6")
    return done, time.monotonic() - started


def spans_of(backend: Backend):
    """Service names, and spans."""
    requests = [ExportTraceServiceRequest.FromString(body) for body in backend.of("/v1/traces")]
    resources = [resource for request in requests for resource in request.resource_spans]
    services = {
        each.value.string_value
        for resource in resources
        for each in resource.resource.attributes
        if each.key == "service.name"
    }
    spans = [s for resource in resources for scope in resource.scope_spans for s in scope.spans]
    return services, spans


def test_all_arrives_at_exit_by_the_standard_variables():
    """Traces, metrics and log events, under the service's name, with the headers."""
    with listening(Backend()) as backend:
        done, _ = ran(
            OTEL_EXPORTER_OTLP_ENDPOINT=backend.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-key=1",
            OTEL_SERVICE_NAME="shop",
        )
    assert done.stderr == ""
    services, spans = spans_of(backend)
    assert services == {"shop"}
    assert sorted({span.name for span in spans}) == [
        "chat fake-model",
        "invoke_workflow BestOfN",
        "thinktwice.sample",
        "thinktwice.verify judge",
    ]
    assert len(spans) == 1 + 3 * 4
    assert all(headers["x-key"] == "1" for _, headers, _ in backend.requests)
    metrics = ExportMetricsServiceRequest.FromString(backend.of("/v1/metrics")[-1])
    names = {m.name for s in metrics.resource_metrics[0].scope_metrics for m in s.metrics}
    assert {"thinktwice.tokens", "thinktwice.cost"} <= names
    logs = ExportLogsServiceRequest.FromString(backend.of("/v1/logs")[0])
    records = [r for s in logs.resource_logs[0].scope_logs for r in s.log_records]
    assert {record.event_name for record in records} == {"gen_ai.evaluation.result"}
    verified = {span.span_id for span in spans if span.name == "thinktwice.verify judge"}
    assert {record.span_id for record in records} == verified


@as_it_exports_now
def test_arguments_go_over_the_variables():
    """And signals that are not asked for, or are switched off, are not sent."""
    settings = {
        "headers": {"X-Key": "2"},
        "service_name": "mine",
        "signals": ["traces", "logs"],
        "dialects": ["draft"],
    }
    with listening(Backend()) as backend:
        given = {**settings, "endpoint": f"{backend.url}/"}
        ran(
            given,
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
            OTEL_SERVICE_NAME="shop",
            OTEL_LOGS_EXPORTER="none",
        )
    services, spans = spans_of(backend)
    assert services == {"mine"}
    assert {path for path, _, _ in backend.requests} == {"/v1/traces"}
    assert all(headers["x-key"] == "2" for _, headers, _ in backend.requests)
    written = {each.key for span in spans for each in span.attributes}
    assert "gen_ai.usage.cost.amount" in written
    assert "gen_ai.usage.cost" not in written


def test_other_settings_later_are_refused():
    """A process has one of each provider."""
    more = """
from thinktwice import UsageError
try:
    telemetry.configure(service_name="another")
except UsageError as error:
    print(error)
"""
    with listening(Backend()) as backend:
        done, _ = ran({"endpoint": backend.url}, more)
    assert "it is configured with other settings already" in done.stdout


def one_warning(stderr: str) -> str:
    """All that was said: a warning, and the line of code that Python shows below it."""
    lines = [line for line in stderr.splitlines() if not line.startswith(" ")]
    assert len(lines) == 1, stderr
    assert "takes no telemetry: what cannot be sent is lost" in lines[0]
    return lines[0]


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_backend_that_refuses_is_told_of_once(status):
    """With its status; the application ends as ever."""
    with listening(Backend(status=status)) as backend:
        done, seconds = ran({"endpoint": backend.url})
    assert str(status) in one_warning(done.stderr)
    assert seconds < 15


@as_it_exports_now
@pytest.mark.slow
@pytest.mark.parametrize("backend", [Backend(seconds=60), Backend(status=503)], ids=["slow", "503"])
def test_a_backend_that_hangs_holds_nobody(backend):
    """Neither the run nor, for more than a moment, the exit."""
    with listening(backend):
        done, seconds = ran({"endpoint": backend.url}, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    one_warning(done.stderr)
    assert float(done.stdout.split()[2]) < 5
    assert seconds < 20


@as_it_exports_now
@pytest.mark.slow
def test_a_backend_that_is_down_holds_nobody():
    """Likewise."""
    done, seconds = ran({"endpoint": "http://127.0.0.1:9"}, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    one_warning(done.stderr)
    assert seconds < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_sends_its_own():
    """And waits for no thread of its parent's."""
    more = """
import os
if os.fork():
    assert os.wait()[1] == 0
else:
    solve_sync("q", sampler=ScriptedSampler(["a"], model="forked"), strategy=best, prices=prices)
"""
    with listening(Backend()) as backend:
        ran({"endpoint": backend.url}, more)
    _, spans = spans_of(backend)
    names = [span.name for span in spans]
    assert names.count("chat forked") == 3
    assert names.count("invoke_workflow BestOfN") == 2
