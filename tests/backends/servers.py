"""Phoenix and MLflow on loopback, and what they say that things took."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

ROOT = Path(__file__).parents[2]
STARTING = 180  # seconds: each imports hundreds of modules, and makes a database
SETTLING = 30  # seconds: both work through what they receive in the background
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Bill:
    """What a backend makes of a project.

    Attributes:
        tokens: All of them.
        cost: USD; None if it knows none.
        traces: How many.
    """

    tokens: int
    cost: float | None
    traces: int


def ask(url: str, body: object | None = None) -> Any:
    """Get, or post JSON; reads JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"content-type": "application/json"})  # noqa: S310 - ours
    with _opener.open(request, timeout=20) as reply:
        text = reply.read()
    return json.loads(text) if text[:1] in (b"{", b"[") else text


@dataclass
class Phoenix:
    """A running one.

    Attributes:
        url: Of its pages.
    """

    url: str
    name: str = "phoenix"

    def headers(self, project: str) -> Mapping[str, str]:
        """Those that spans of a project are sent with."""
        return {"x-project-name": project}

    def query(self, text: str, **variables: object) -> Any:
        """Ask its GraphQL."""
        reply = ask(f"{self.url}/graphql", {"query": text, "variables": variables})
        assert "errors" not in reply, reply
        return reply["data"]

    def read(self, project: str) -> Bill | None:
        """What it makes of a project, if it has heard of it."""
        found = self.query(
            """query($name: String!) { getProjectByName(name: $name) {
              traceCount tokenCountTotal costSummary { total { cost } }
            } }""",
            name=project,
        )["getProjectByName"]
        if found is None:
            return None
        cost = found["costSummary"]["total"]["cost"]
        return Bill(int(found["tokenCountTotal"]), cost, found["traceCount"])

    def page(self, project: str) -> str:
        """Where the first trace of a project is shown."""
        found = self.query(
            """query($name: String!) { getProjectByName(name: $name) {
              id spans(first: 1) { edges { node { trace { traceId } } } }
            } }""",
            name=project,
        )["getProjectByName"]
        trace = found["spans"]["edges"][0]["node"]["trace"]["traceId"]
        return f"{self.url}/projects/{found['id']}/traces/{trace}"


@dataclass
class MLflow:
    """A running one.

    Attributes:
        url: Of its pages.
    """

    url: str
    name: str = "mlflow"
    _experiments: dict[str, str] = field(default_factory=dict)

    def headers(self, project: str) -> Mapping[str, str]:
        """Those that spans of an experiment are sent with; makes it."""
        if project not in self._experiments:
            made = ask(f"{self.url}/api/2.0/mlflow/experiments/create", {"name": project})
            self._experiments[project] = made["experiment_id"]
        return {"x-mlflow-experiment-id": self._experiments[project]}

    def traces(self, project: str) -> list[Any]:
        """What it says of each trace."""
        place = {"experiment_id": self._experiments[project]}
        found = ask(
            f"{self.url}/api/3.0/mlflow/traces/search",
            {
                "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": place}],
                "max_results": 100,
            },
        )
        return found.get("traces", [])

    def read(self, project: str) -> Bill | None:
        """What it makes of an experiment, if it has traces."""
        said = [each.get("trace_metadata", {}) for each in self.traces(project)]
        if not said:
            return None
        usages = [json.loads(each.get("mlflow.trace.tokenUsage", "{}")) for each in said]
        costs = [json.loads(each["mlflow.trace.cost"]) for each in said if _COST in each]
        cost = sum(each["total_cost"] for each in costs) if costs else None
        return Bill(sum(each.get("total_tokens", 0) for each in usages), cost, len(said))

    def page(self, project: str) -> str:
        """Where the first trace of an experiment is shown."""
        trace = self.traces(project)[0]["trace_id"]
        number = self._experiments[project]
        return f"{self.url}/#/experiments/{number}/traces?selectedEvaluationId={trace}"


_COST = "mlflow.trace.cost"


def settled(read: Callable[[], Bill | None], expected: Bill) -> Bill | None:
    """Ask again until it says what is expected, or for as long as it may take."""
    end = time.monotonic() + SETTLING
    while True:
        bill = read()
        if (bill is not None and _close(bill, expected)) or time.monotonic() > end:
            return bill
        time.sleep(0.25)


def _close(bill: Bill, expected: Bill) -> bool:
    same = (bill.tokens, bill.traces) == (expected.tokens, expected.traces)
    return same and bill.cost == pytest.approx(expected.cost, abs=1e-9)


@contextmanager
def phoenix_server(folder: Path) -> Generator[Phoenix]:
    """Start Phoenix with its data in a folder; skips where it is not installed."""
    program = program_of("phoenix", "phoenix")
    port, other = free_ports(2)
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(other),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with running([program, "serve"], settings, folder, f"{url}/healthz"):
        yield Phoenix(url)


@contextmanager
def mlflow_server(folder: Path) -> Generator[MLflow]:
    """Start MLflow with its data in a folder; skips where it is not installed."""
    program = program_of("mlflow", "mlflow")
    (port,) = free_ports(1)
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--default-artifact-root", str(folder / "artifacts")]
    url = f"http://127.0.0.1:{port}"
    with running(command, settings, folder, f"{url}/health"):
        yield MLflow(url)


def program_of(backend: str, name: str) -> str:
    """A program in the environment of a backend."""
    program = ROOT / f".venv-backend-{backend}" / "bin" / name
    if not program.is_file():
        pytest.skip(f"{backend} is not installed: make test-backends installs it")
    return str(program)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running(
    command: list[str], settings: Mapping[str, str], folder: Path, health: str
) -> Generator[None]:
    """A server and its children, from when it answers to the end of the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - out of our own environments
            command,
            env={**kept, **settings},
            cwd=folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            _wait(process, health, log)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            ask(health)
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.25)
        else:
            return
    pytest.fail(f"it does not answer at {health}:\n{log.read_text()[-3000:]}")
