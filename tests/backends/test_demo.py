"""The examples as they are, in processes of their own, with nothing but environment variables."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.backends.conftest import PATIENCE
from tests.backends.running import ROOT

pytestmark = pytest.mark.timeout(300)


def run(project, *command):
    """Run a script whose telemetry goes to a backend; gives what it prints."""
    headers = ",".join(f"{name}={value}" for name, value in headers_of(project).items())
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": project.backend.url,
        "OTEL_EXPORTER_OTLP_HEADERS": headers,
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_TIMEOUT": str(PATIENCE),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, *command],
        cwd=ROOT,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def headers_of(project):
    """Those of its spans, for a variable: no spaces."""
    project.name = re.sub(r"\W", "-", project.name)
    return project.backend.headers(project.name)


def test_send(project):
    """What the backend says is what the script says: three questions in two ways."""
    said = run(project, "examples/observability/send.py")
    assert said.count("Vote: ") == said.count("BestOfN: ") == 3
    found = re.search(r"by the model: ([\d,]+) tokens, \$([\d.]+)", said)
    tokens, cost = int(found[1].replace(",", "")), float(found[2])
    bill = project.bill(tokens=tokens, cost=cost, traces=6)
    assert (bill.tokens, bill.traces) == (tokens, 6)
    assert bill.cost == pytest.approx(cost, abs=1e-9)


# The demo as it is, between the two calls that an application makes.
DEMO = """
import runpy, sys
from thinktwice import telemetry
from thinktwice.workflow import collect

telemetry.configure(service_name="demo")
sys.argv = ["examples/quickstart.py", "--problems", "3"]
with collect() as results:
    runpy.run_path(sys.argv[0], run_name="__main__")
totals = [each.ledger.reported for each in results]
telemetry.flush(60)
tokens = sum(each.usage.total_tokens for each in totals)
print(len(totals), tokens, sum(each.cost for each in totals))
"""


def test_quickstart(project):
    """A chain of LangChain, sampled in five ways, over several problems."""
    said = run(project, "-W", "ignore", "-c", DEMO)
    requests, tokens, cost = said.splitlines()[-1].split()
    bill = project.bill(tokens=int(tokens), cost=float(cost), traces=int(requests))
    assert (bill.tokens, bill.traces) == (int(tokens), int(requests))
    assert bill.cost == pytest.approx(float(cost), abs=1e-9)
