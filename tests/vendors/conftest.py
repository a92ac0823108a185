"""Applications that vendors' SDKs trace, and what these send, taken on loopback."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
ROOT = Path(__file__).parents[2]
APPLICATION = Path(__file__).with_name("application.py")
DATADOG = "ormsgpack"
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "gpt-4o",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "391"}}
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
}
AGENT = {"endpoints": ["/v0.4/traces", "/evp_proxy/v2/", "/evp_proxy/v4/"]}
QUIET = {
    "DD_TRACE_API_VERSION": "v0.4",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "TRACELOOP_TELEMETRY": "false",
    "TRACELOOP_TRACE_CONTENT": "false",
}


def interpreter(vendor: str) -> str:
    """The Python that has a vendor's SDK; skips where none has."""
    own = ROOT / f".venv-vendor-{vendor}" / "bin" / "python"
    if own.exists():
        return str(own)
    if find_spec(vendor) is None:
        pytest.skip(f"{vendor} is not installed: `make test-vendors` does that")
    return sys.executable


@dataclass
class Span:
    """One that was sent, over whatever protocol."""

    name: str
    scope: str
    id: object
    parent: object
    trace: object
    attributes: dict[str, object]


@dataclass
class Sent:
    """What an application sent, and what its ledger says.

    Attributes:
        spans: All of them.
        reported: Tokens in and out, and cost, of the ledger.
        paths: Where requests went.
    """

    spans: list[Span]
    reported: list[float]
    paths: set[str]

    def named(self, *names: str) -> list[Span]:
        """Those with a name that begins so."""
        return [span for span in self.spans if span.name.startswith(names)]

    @property
    def orphans(self) -> list[Span]:
        """Spans whose parent did not come."""
        known = {span.id for span in self.spans}
        return [span for span in self.spans if span.parent and span.parent not in known]

    def total(self, attribute: str) -> float:
        """The sum over all spans."""
        return sum(span.attributes.get(attribute, 0) for span in self.spans)

    def tokens(self) -> list[float]:
        """Those under the names of the conventions, in and out."""
        kinds = ("input_tokens", "output_tokens")
        return [self.total(f"gen_ai.usage.{kind}") for kind in kinds]


@dataclass
class Sink:
    """Plays the model provider, and takes all that is sent."""

    url: str = ""
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """Those that came, decoded."""
        found: list[Span] = []
        for path, body in self.requests:
            if path.endswith("/v1/traces"):
                found += _otlp(body)
            elif path.endswith("/v0.4/traces"):
                found += _datadog(body)
        return found


def _otlp(body: bytes) -> list[Span]:
    request = trace_service.ExportTraceServiceRequest.FromString(body)
    scopes = [scope for each in request.resource_spans for scope in each.scope_spans]
    return [
        Span(
            span.name,
            scope.scope.name,
            span.span_id,
            span.parent_span_id,
            span.trace_id,
            {each.key: _value(each.value) for each in span.attributes},
        )
        for scope in scopes
        for span in scope.spans
    ]


def _value(value) -> object:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def _datadog(body: bytes) -> list[Span]:
    pack = pytest.importorskip(DATADOG, reason="needed to read what goes to the agent")
    traces = pack.unpackb(body, option=pack.OPT_NON_STR_KEYS)
    return [
        Span(
            span["resource"],
            span["name"],
            span["span_id"],
            span.get("parent_id"),
            span["trace_id"],
            {**span.get("meta", {}), **span.get("metrics", {})},
        )
        for trace in traces
        for span in trace
    ]


@contextmanager
def listening():  # noqa: C901 - a server is one class
    """A sink on a free port."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            reply: object = {}
            if self.path.endswith("/chat/completions"):
                reply = REPLY
            elif self.path == "/info":
                reply = AGENT
            else:
                sink.requests.append((self.path, body))
            sent = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_PUT = do_POST  # noqa: N815 - so the base class calls them

        def _body(self) -> bytes:
            body = b""
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
            zipped = self.headers.get("content-encoding") == "gzip"
            return gzip.decompress(body) if zipped else body

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionResetError:  # a client that ended
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    sink.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def sent():
    """Runs an application with a party and a request; gives what it sent. Each is run once."""
    done: dict[object, Sent] = {}

    def run(party: str, request: str, **settings: str) -> Sent:
        key = party, request, tuple(settings.items())
        if key not in done:
            done[key] = _ran(party, request, settings)
        return done[key]

    return run


def _ran(party: str, request: str, settings: dict[str, str]) -> Sent:
    python = interpreter(party.partition("_")[0])
    with listening() as sink:
        printed = ended([python, str(APPLICATION), party, request], sink, settings)
    return Sent(sink.spans(), json.loads(printed[-1]), {path for path, _ in sink.requests})


def ended(command: list[str], sink: Sink, settings: dict[str, str]) -> list[str]:
    """Runs an application that sends to a sink; gives the lines that it printed."""
    words = ("OTEL_", "DD_", "LANGFUSE_", "THINKTWICE_", "PYTHONWARNINGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(words)}
    there = ("SINK", "OTEL_EXPORTER_OTLP_ENDPOINT", "DD_TRACE_AGENT_URL", "LANGFUSE_BASE_URL")
    ran = subprocess.run(  # noqa: S603 - our own application
        command,
        env={**kept, **QUIET, **dict.fromkeys(there, sink.url), **settings},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.fixture
def example():
    """Runs an example of a vendor; gives the spans that it sent and the cost that it printed."""
    names = {"datadog": "ddtrace"}
    settings = {
        "DD_TRACE_OTEL_ENABLED": "true",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
        "LANGFUSE_SECRET_KEY": "sk-lf-1",
    }

    def run(vendor: str) -> tuple[list[Span], float]:
        python = interpreter(names.get(vendor, vendor))
        script = ROOT / "examples" / "observability" / f"with_{vendor}.py"
        with listening() as sink:
            printed = ended([python, str(script)], sink, settings)
        said = next(line for line in printed if line.startswith("reported by the model"))
        return sink.spans(), float(said.partition("$")[2])

    return run
