"""Backends on loopback that take OTLP, or do not; and an application, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

KEY = "a-key-of-the-backend"
PASSWORD = "a-password-in-the-endpoint"


@dataclass
class Backend:
    """What it got, and how it answers.

    Attributes:
        answer: What a request gets.
        requests: Path, headers and body of each that was taken.
        clients: Where connections came from.
        over: It is being closed.
    """

    answer: Callable[[BaseHTTPRequestHandler, Backend, bytes], None]
    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    clients: set[tuple[str, int]] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url_with_password(self) -> str:
        return self.url.replace("//", f"//user:{PASSWORD}@")

    def of(self, path: str) -> list[bytes]:
        return [body for each, _, body in self.requests if each == path]

    def spans(self) -> list[Any]:
        """All that came."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.of("/v1/traces")]
        resources = [each for request in requests for each in request.resource_spans]
        return [s for each in resources for scope in each.scope_spans for s in scope.spans]

    def services(self) -> set[str]:
        """The names of the applications."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.of("/v1/traces")]
        return {
            attribute.value.string_value
            for request in requests
            for each in request.resource_spans
            for attribute in each.resource.attributes
            if attribute.key == "service.name"
        }


def answering(status: int = 200, **headers: str):
    """It answers at once."""

    def answer(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
        if status == 200:
            backend.requests.append((handler.path, dict(handler.headers), body))
        said = str(handler.headers).encode()  # a backend may repeat the key that it does not know
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    return answer


def silent(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
    """It takes a request, and never answers."""
    backend.over.wait()


def trickling(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
    """Its answer never ends."""
    handler.send_response(200)
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    while not backend.over.wait(0.05):
        handler.wfile.write(b"x")


def endless(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
    """Its answer has no end, and comes as fast as it is read."""
    handler.send_response(200)
    handler.end_headers()
    while not backend.over.is_set():
        handler.wfile.write(b"x" * 10_000)


def garbage(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
    """It does not speak HTTP."""
    handler.wfile.write(b"\x00\xff\x13 what?\r\n\r\n")
    handler.close_connection = True


def hanging_up(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
    """It closes the connection."""
    handler.close_connection = True


def small(most: int):
    """It takes no request that is larger."""

    def answer(handler: BaseHTTPRequestHandler, backend: Backend, body: bytes) -> None:
        answering(413 if len(body) > most else 200)(handler, backend, body)

    return answer


@contextmanager
def listening(answer: Callable[..., None] | None = None) -> Generator[Backend]:
    """A backend on a free port; connections are kept, as real ones do."""
    backend = Backend(answer or answering())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            backend.clients.add(self.client_address)
            body = self.rfile.read(int(self.headers["content-length"]))
            with suppress(OSError):  # who asked has gone
                backend.answer(self, backend, body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    backend.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield backend
    finally:
        backend.over.set()
        server.shutdown()
        server.server_close()


APPLICATION = """
import os, sys, threading, time
from thinktwice import BestOfN, Price, UsageError, Vote, solve_sync, telemetry
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Judge

{before}
settings = {settings}
if settings is not None:
    telemetry.configure(**settings)
    telemetry.configure(**settings)
judge = ScriptedSampler(['{{"reason": "r", "score": 7}}'])
best = BestOfN(3, verifier=Judge(judge, rubric="good"))
prices = {{"fake-model": Price("1", "2")}}

def vote(model):
    sampler = ScriptedSampler(["a"], model=model)
    return solve_sync("q", sampler=sampler, strategy=Vote(2, prefer="cost")).value

started = time.perf_counter()
result = solve_sync("q", sampler=ScriptedSampler(["a"]), strategy=best, prices=prices)
print(result.value, result.ledger.total.calls, time.perf_counter() - started, flush=True)
{more}
"""


@dataclass(frozen=True)
class Ended:
    """How the application ended.

    Attributes:
        code: Its exit status.
        said: On standard output, after its first line.
        complained: On standard error.
        run: Seconds of its first run.
        seconds: Seconds of the whole process.
    """

    code: int
    said: str
    complained: str
    run: float
    seconds: float


def ran(
    settings: dict[str, object] | None,
    more: str = "",
    *,
    before: str = "",
    code: int = 0,
    **environment: str,
) -> Ended:
    """The application: set up, if there are settings, one run, and then some more code."""
    inherited = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    started = time.monotonic()
    source = APPLICATION.format(settings=settings, more=more, before=before)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", source],
        check=False,
        capture_output=True,
        text=True,
        timeout=55,
        env={**inherited, "THINKTWICE_LLM_SPANS": "always", **environment},
    )
    assert done.returncode == code, done.stderr
    first, _, rest = done.stdout.partition("\n")
    value, calls, seconds = first.split()
    assert (value, calls) == ("a", "6")
    ended = time.monotonic() - started
    return Ended(done.returncode, rest, done.stderr, float(seconds), ended)
