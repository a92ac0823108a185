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
pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[2] / "examples" / "observability" / "send.py"


@pytest.fixture
def collector():
    """Takes OTLP: its address, and the requests that came."""
    bodies: list[tuple[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            request = proto.ExportTraceServiceRequest.FromString(body)
            bodies.append((self.headers["x-project-name"], request))
            self.send_response(200)
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


def test_the_example(collector):
    """A trace for each request; the leaves add up to the cost."""
    url, bodies = collector
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-project-name=mine",
    }
    done = subprocess.run(  # noqa: S603 - our own example
        [sys.executable, str(EXAMPLE)],
        env={**kept, **settings},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    cost = float(re.findall(r"\$([\d.]+)$", done.stdout.strip())[0])
    assert {project for project, _ in bodies} == {"mine"}
    resources = [each for _, body in bodies for each in body.resource_spans]
    assert attributes(resources[0].resource)["service.name"] == "thinktwice-example"
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    assert len({span.trace_id for span in spans}) == 6
    leaves = [span for span in spans if span.name == "chat arithmetic-lm"]
    assert cost > 0
    assert sum(attributes(leaf).get("gen_ai.usage.cost", 0) for leaf in leaves) == pytest.approx(
        cost
    )
