"""Context and baggage of a request: in its samples and their threads, and never in a sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.propagate import inject

from thinktwice import BestOfN, Vote, solve, solve_sync
from thinktwice.sandbox.bubblewrap import Bubblewrap
from thinktwice.sandbox.protocol import Case, Limits
from thinktwice.sandbox.unsafe import UnsafeSubprocess
from thinktwice.stop import AtMost
from thinktwice.testing import captured_spans

pytestmark = pytest.mark.usefixtures("silent_remarks")
TWO = Vote(2, stop=AtMost(2))


@pytest.fixture
def tenant():
    """Baggage of a request."""
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    yield "acme"
    context.detach(token)


class Seen(list):
    """What a sampler finds around it, as another process would get it."""

    def note(self) -> str:
        carrier: dict[str, str] = {}
        inject(carrier)
        self.append(carrier)
        return "a"

    def on_thread(self, prompt: str) -> str:
        return self.note()

    async def in_task(self, prompt: str) -> str:
        return self.note()

    def check(self, value: str) -> bool:
        return bool(self.note())


def of(spans, name):
    return {f"{span.context.span_id:016x}" for span in spans if span.name == name}


@pytest.mark.parametrize("kind", ["on_thread", "in_task"])
async def test_samplers_are_inside_their_call(kind):
    """A header that they send leads to the span of the model call, in the trace of the request."""
    seen = Seen()
    tracer = trace.get_tracer("app")
    token = context.attach(baggage.set_baggage("tenant", "acme"))  # no fixture: a test has its task
    try:
        with captured_spans() as spans, tracer.start_as_current_span("request") as request:
            await solve("q", sampler=getattr(seen, kind), strategy=TWO)
    finally:
        context.detach(token)
    assert [carrier["baggage"] for carrier in seen] == ["tenant=acme"] * 2
    parents = [carrier["traceparent"].split("-")[1:3] for carrier in seen]
    assert {each for each, _ in parents} == {f"{request.get_span_context().trace_id:032x}"}
    assert {each for _, each in parents} == of(spans, "chat")


def test_blocking_code_and_its_checks(tenant):
    """On a loop and on threads of their own."""
    seen = Seen()
    with captured_spans() as spans:
        solve_sync("q", sampler=seen.on_thread, strategy=BestOfN(2, verifier=seen.check))
    assert {carrier["baggage"] for carrier in seen} == {"tenant=acme"}
    parents = {carrier["traceparent"].split("-")[2] for carrier in seen}
    assert parents == of(spans, "chat") | of(spans, "thinktwice.verify check")


WORKER = """
import json, sys
from opentelemetry.propagate import extract
from opentelemetry import baggage, context
from thinktwice import Vote, solve_sync
from thinktwice.testing import ScriptedSampler, captured_spans

context.attach(extract(json.loads(sys.argv[1])))
with captured_spans() as spans:
    solve_sync("q", sampler=ScriptedSampler(["a"]), strategy=Vote(2))
root = spans[-1]
print(f"{root.context.trace_id:032x} {root.parent.span_id:016x} {baggage.get_baggage('tenant')}")
"""


def test_a_run_in_a_worker_process_goes_on_with_the_trace(tenant):
    """By the headers of the standard, as any code in it does."""
    with captured_spans(), trace.get_tracer("app").start_as_current_span("request") as request:
        carrier: dict[str, str] = {}
        inject(carrier)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WORKER, json.dumps(carrier)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    around = request.get_span_context()
    assert done.stdout.split() == [f"{around.trace_id:032x}", f"{around.span_id:016x}", "acme"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "sandbox", [UnsafeSubprocess(allow_unsafe=True), Bubblewrap()], ids=["subprocess", "bubblewrap"]
)
async def test_no_sandbox_sees_any_of_it(sandbox, tenant, monkeypatch):
    """Neither the context nor the environment that a collector is configured by."""
    if isinstance(sandbox, Bubblewrap) and (reason := await sandbox.unusable()):
        pytest.skip(reason)
    monkeypatch.setenv("TRACEPARENT", "00-mark-mark-01")
    monkeypatch.setenv("BAGGAGE", "tenant=acme")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=mark")
    program = "import os\ndef f():\n    return sorted(os.environ.items())"
    with captured_spans(), trace.get_tracer("app").start_as_current_span("request"):
        ended = await sandbox.execute(program, [Case("f()")], limits=Limits())
    (run,) = ended.cases
    assert run.status == "ok", ended
    assert "mark" in str(os.environ)
    for word in ("mark", "acme", "TRACE", "OTEL"):
        assert word not in str(run.value)
