"""An application without OpenTelemetry, and a backend on loopback: what arrives there, and when."""

from __future__ import annotations

import os

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.otlp import KEY, PASSWORD, answering, listening, ran, silent

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def test_all_arrives_at_exit_by_the_standard_variables():
    """Traces, metrics and log events, under the service's name, with the headers."""
    with listening() as backend:
        ended = ran(
            {},
            OTEL_EXPORTER_OTLP_ENDPOINT=backend.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-key=1",
            OTEL_SERVICE_NAME="shop",
        )
    assert ended.complained == ""
    assert backend.services() == {"shop"}
    spans = backend.spans()
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


def test_arguments_go_over_the_variables():
    """And signals that are not asked for, or are switched off, are not sent."""
    settings = {
        "headers": {"X-Key": "2"},
        "service_name": "mine",
        "signals": ["traces", "logs"],
        "dialects": ["draft"],
    }
    with listening() as backend:
        ran(
            {**settings, "endpoint": f"{backend.url}/"},
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
            OTEL_EXPORTER_OTLP_HEADERS="x-key=1,x-tenant=t",
            OTEL_SERVICE_NAME="shop",
            OTEL_LOGS_EXPORTER="none",
        )
    assert backend.services() == {"mine"}
    assert {path for path, _, _ in backend.requests} == {"/v1/traces"}
    for _, headers, _ in backend.requests:
        assert (headers["x-key"], headers["x-tenant"]) == ("2", "t")
    written = {each.key for span in backend.spans() for each in span.attributes}
    assert "gen_ai.usage.cost.amount" in written
    assert "gen_ai.usage.cost" not in written


def test_other_settings_later_are_refused():
    """A process has one of each provider; the error shows no key."""
    more = f"""
for other in ({{"service_name": "another"}}, {{"headers": {{"x-key": "{KEY}"}}}}):
    try:
        telemetry.configure(**{{**settings, **other}})
    except UsageError as error:
        print(error)
"""
    with listening() as backend:
        ended = ran({"endpoint": backend.url_with_password}, more)
    name, headers = ended.said.splitlines()
    assert name.startswith("service_name=a str: it was configured with another one before")
    assert headers.startswith("headers=a dict: it was configured with another one before")
    assert KEY not in ended.said + ended.complained


def one_warning(complained: str) -> str:
    """All that was said: a warning, and the line of code that Python shows below it."""
    lines = [line for line in complained.splitlines() if not line.startswith(" ")]
    assert len(lines) == 1, complained
    assert "does not take all telemetry: what cannot be sent is lost" in lines[0]
    assert KEY not in complained
    assert PASSWORD not in complained
    return lines[0]


def test_a_backend_that_refuses_is_told_of_once():
    """With its status; the application ends as ever, and no key is shown."""
    with listening(answering(401)) as backend:
        ended = ran({"endpoint": backend.url_with_password, "headers": {"x-key": KEY}})
    assert "(HTTP 401)" in one_warning(ended.complained)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [silent, None])
def test_a_backend_that_hangs_holds_nobody(answer):
    """Neither the run nor, for more than the five seconds, the exit; nor one that is down."""
    with listening(answer) as backend:
        endpoint = backend.url_with_password if answer else f"http://user:{PASSWORD}@127.0.0.1:9"
        ended = ran({"endpoint": endpoint, "headers": {"x-key": KEY}})
    said = one_warning(ended.complained)
    assert ("(no answer)" if answer else "(Connection refused)") in said
    assert ended.run < 5
    assert ended.seconds < 50


@forks
def test_processes_that_are_forked_send_their_own():
    """Once, by connections of their own; whether they end as a process, or as multiprocessing's."""
    more = """
import multiprocessing
assert telemetry.flush(40)  # the connection is open
workers = []
for index in range(3):
    if not (worker := os.fork()):
        for _ in range(2):
            vote(f"forked-{index}")
            assert telemetry.flush(40)
        sys.exit(0)
    workers.append(worker)
vote("parent")
assert telemetry.flush(40)
assert [os.waitpid(each, 0)[1] for each in workers] == [0, 0, 0]
process = multiprocessing.get_context("fork").Process(target=vote, args=("worker",))
process.start()
process.join()
assert process.exitcode == 0
"""
    with listening() as backend:
        ended = ran({"endpoint": backend.url}, more)
    assert ended.complained == ""
    names = [span.name for span in backend.spans()]
    for index in range(3):
        assert names.count(f"chat forked-{index}") == 2
    assert names.count("chat parent") == names.count("chat worker") == 1
    assert names.count("invoke_workflow BestOfN") == 1


@forks
@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(3)", 3),
        ("telemetry.flush(); os._exit(0)", 0),
        ("time.sleep(3); os.kill(os.getpid(), 9)", -9),
        (
            "import signal; signal.signal(15, lambda *_: sys.exit(15)); os.kill(os.getpid(), 15)",
            15,
        ),
    ],
)
def test_what_is_finished_when_the_process_ends_is_there(end, code):
    """While another run is under way; when killed, what is older than a batch waits."""
    more = f"""
import asyncio
async def slow(prompt):
    await asyncio.sleep(60)
run = lambda: solve_sync("q", sampler=slow, strategy=Vote(2))
threading.Thread(target=run, daemon=True).start()
{end}
"""
    with listening() as backend:
        ran({"endpoint": backend.url}, more, code=code, OTEL_BSP_SCHEDULE_DELAY="100")
    names = [span.name for span in backend.spans()]
    assert names.count("invoke_workflow BestOfN") == 1
    assert "invoke_workflow Vote" not in names


def test_providers_that_are_shut_down_early_harm_nothing():
    """By the application, before a run and before our flush at exit; the run says so."""
    more = """
from opentelemetry import _logs, metrics, trace
trace.get_tracer_provider().shutdown()
metrics.get_meter_provider().shutdown()
_logs.get_logger_provider().shutdown()
print(vote("later"))
"""
    with listening() as backend:
        ended = ran({"endpoint": backend.url}, f"{more}print(vote('again'))")
    assert ended.said == "a\na\n"
    (line,) = ended.complained.splitlines()
    assert "ThinktwiceWarning: the tracer provider was shut down" in line
    assert "chat fake-model" in {span.name for span in backend.spans()}


def test_what_the_application_has_set_up_stays():
    """The other signals are sent all the same, and it is told which these are."""
    before = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
mine = TracerProvider()
trace.set_tracer_provider(mine)
"""
    more = "print(trace.get_tracer_provider() is mine)"
    with listening() as backend:
        ended = ran({"endpoint": backend.url}, more, before=before)
    assert ended.said == "True\n"
    assert "its arguments hold for metrics, logs" in ended.complained
    assert {path for path, _, _ in backend.requests} == {"/v1/metrics", "/v1/logs"}


def test_it_can_be_called_by_many_threads():
    """One of them sets it up."""
    more = """
threads = [threading.Thread(target=telemetry.configure, kwargs=settings) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(sum(each.name == "thinktwice-flush" for each in threading.enumerate()))
"""
    with listening() as backend:
        assert ran({"endpoint": backend.url}, more).said == "3\n"
    assert len(backend.spans()) == 1 + 3 * 4


def test_where_the_sdk_is_switched_off_nothing_is_sent():
    """By the variable that is there for that."""
    with listening() as backend:
        ended = ran({"endpoint": backend.url}, OTEL_SDK_DISABLED="true")
    assert not backend.requests
    assert ended.complained == ""


def test_a_provider_that_cannot_be_loaded_is_told_of_once():
    """As with a word in the environment that nobody knows; runs are not traced."""
    ended = ran(None, OTEL_PYTHON_TRACER_PROVIDER="nonsense")
    assert ended.complained.count("tracing raised StopIteration") == 1
