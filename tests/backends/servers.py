"""Phoenix and MLflow on loopback, and what they say that things took."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends.running import ask, program_of, running

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

SETTLING = 60  # seconds: both work through what they receive in the background


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

    def read(self, project: str, spans: int) -> Bill | None:
        """What it makes of a project, if it has so many of its spans."""
        found = self.query(
            """query($name: String!) { getProjectByName(name: $name) {
              recordCount traceCount tokenCountTotal costSummary { total { cost } }
            } }""",
            name=project,
        )["getProjectByName"]
        if found is None or found["recordCount"] < spans:
            return None
        cost = found["costSummary"]["total"]["cost"] or None  # 0 where it has no price at all
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

    def read(self, project: str, spans: int) -> Bill | None:
        """What it makes of an experiment, if it has traces; it reads all spans as they come."""
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

    def settings(port: int, other: int) -> Mapping[str, str]:
        return {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(other),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }

    with running(lambda *_: [program, "serve"], settings, folder, "/healthz") as url:
        yield Phoenix(url)


@contextmanager
def mlflow_server(folder: Path) -> Generator[MLflow]:
    """Start MLflow with its data in a folder; skips where it is not installed."""
    program = program_of("mlflow", "mlflow")

    def command(port: int, _: int) -> list[str]:
        begun = [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        begun += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        return [*begun, "--default-artifact-root", str(folder / "artifacts")]

    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with running(command, lambda *_: settings, folder, "/health") as url:
        yield MLflow(url)
