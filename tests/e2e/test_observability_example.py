"""The example sends its traces to where the environment says, with the cost that it prints."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
proto = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
measured = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[2] / "examples" / "observability" / "send.py"


@pytest.fixture
def collector():
    """Takes OTLP: its address, and the requests that came, with their path and project."""
    bodies: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            bodies.append((self.path, self.headers["x-project-name"], body))
            self.send_response(401 if self.headers["authorization"] else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def attributes(of):
    """By name; numbers and texts alone."""
    return {each.key: each.value.double_value or each.value.string_value for each in of.attributes}


def ran(url, *arguments, **settings):
    """Runs the example."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(  # noqa: S603 - our own example
        [sys.executable, str(EXAMPLE), *arguments],
        env={**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": url, **settings},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def sent_to(url, *arguments, **settings):
    """Runs the example; gives the cost that it prints."""
    done = ran(url, *arguments, **settings)
    assert done.returncode == 0
    assert done.stdout.endswith("has been taken\n")
    return float(re.findall(r"^reported by the model: .*\$([\d.]+)$", done.stdout, re.MULTILINE)[0])


def test_the_example(collector):
    """A trace for each request; the leaves add up to the cost, and nothing but traces is sent."""
    url, bodies = collector
    cost = sent_to(url, OTEL_EXPORTER_OTLP_HEADERS="x-project-name=mine")
    assert {(path, project) for path, project, _ in bodies} == {("/v1/traces", "mine")}
    requests = [proto.ExportTraceServiceRequest.FromString(body) for _, _, body in bodies]
    resources = [each for request in requests for each in request.resource_spans]
    assert attributes(resources[0].resource)["service.name"] == "thinktwice-example"
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    assert len({span.trace_id for span in spans}) == 6
    leaves = [span for span in spans if span.name == "chat arithmetic-lm"]
    assert cost > 0
    assert sum(attributes(leaf).get("gen_ai.usage.cost", 0) for leaf in leaves) == pytest.approx(
        cost
    )


def test_a_backend_that_refuses(collector):
    """Nothing is said of it that is not known: what the model reported, and that this was lost."""
    url, bodies = collector
    done = ran(url, OTEL_EXPORTER_OTLP_HEADERS="authorization=wrong")
    assert bodies
    assert (done.returncode, "has been taken" in done.stdout) == (1, False)
    assert "reported by the model: " in done.stdout
    assert "HTTP 401" in done.stderr
    assert "the backend has not taken all of it\n" in done.stderr


def test_a_collector_gets_metrics_too(collector):
    """Where that is said; the counter has the cost of all rounds."""
    url, bodies = collector
    cost = sent_to(url, "2", OTEL_METRICS_EXPORTER="otlp")
    *_, last = (body for path, _, body in bodies if path == "/v1/metrics")  # each has all so far
    sent = [
        metric
        for resource in measured.ExportMetricsServiceRequest.FromString(last).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    points = [
        point
        for each in sent
        if each.name == "thinktwice.cost"
        for point in each.sum.data_points
        if attributes(point)["thinktwice.usage.source"] == "provider"  # and not estimated
    ]
    assert sum(point.as_double for point in points) == pytest.approx(cost)
    runs = [each for each in sent if each.name == "thinktwice.strategy.cost"]
    assert sum(point.count for each in runs for point in each.histogram.data_points) == 12
