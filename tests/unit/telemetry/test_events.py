"""Log events, and metrics that lead to a span."""

from __future__ import annotations

import pytest
from opentelemetry import _logs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.contracts.traced import Trace, collected, judge, model, said
from thinktwice import BestOfN, Verdict, Vote, solve
from thinktwice.stop import AtMost
from thinktwice.telemetry import events
from thinktwice.testing import captured_spans, run_virtual
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
BEST = BestOfN(2, verifier=Judge(judge(), rubric="good"))


def run(strategy=BEST):
    return run_virtual(solve("q", sampler=model([said("a")], 1), strategy=strategy))


@pytest.mark.parametrize(
    ("verdict", "attributes"),
    [
        (
            Verdict(outcome="scored", score=0.5, verifier="v", feedback="why"),
            {
                "gen_ai.evaluation.name": "v",
                "gen_ai.evaluation.score.label": "scored",
                "gen_ai.evaluation.score.value": 0.5,
            },
        ),
        (
            Verdict(outcome="error"),
            {
                "gen_ai.evaluation.name": "verify",
                "gen_ai.evaluation.score.label": "error",
                "error.type": "_OTHER",
            },
        ),
    ],
)
def test_a_verdict_in_the_words_of_the_conventions(verdict, attributes):
    """A score only if there is one; its reasons only where they are asked for."""
    assert events.evaluation(verdict, explained=False) == attributes
    more = events.evaluation(verdict, explained=True)
    assert more.get("gen_ai.evaluation.explanation") == verdict.feedback


def test_without_a_logger_provider_there_is_none():
    """The API's own one takes nothing."""
    assert events.events() is None


def test_an_old_opentelemetry_writes_none(monkeypatch):
    """Its records of events have another shape."""
    monkeypatch.setattr(_logs, "LogRecord", type("LogRecord", (), {"__init__": lambda _: None}))
    events._has_events.cache_clear()
    trace = Trace()
    try:
        with collected(trace):
            run()
    finally:
        events._has_events.cache_clear()
    assert trace.spans
    assert not trace.logs


def test_metrics_lead_to_the_call():
    """The exemplar of tokens and cost is the span of the model call, of a sample's draw its own."""
    trace = Trace()
    with collected(trace):
        run(Vote(2, stop=AtMost(2)))
    ids = {span.context.span_id: span.name for span in trace.spans}
    found = {
        metric.name: {
            ids[exemplar.span_id]
            for point in metric.data.data_points
            for exemplar in point.exemplars
        }
        for metric in trace.metrics
    }
    assert found["thinktwice.tokens"] == {"chat m"}
    assert found["thinktwice.calls.unpriced"] == {"chat m"}
    assert found["thinktwice.strategy.duration"] == {"invoke_workflow Vote"}


def test_metrics_are_exact_where_no_trace_is_sampled(monkeypatch):
    """Totals are taken from them."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    reader = InMemoryMetricReader()
    meters, tracers = MeterProvider([reader]), TracerProvider(sampler=ALWAYS_OFF)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    with captured_spans() as spans:
        result = run()
    assert not spans
    data = reader.get_metrics_data()
    points = {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    usage = result.ledger.total.usage
    assert sum(p.value for p in points["thinktwice.tokens"]) == usage.total_tokens
