"""What is made of a provider is made once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from thinktwice import Vote, solve
from thinktwice.telemetry.providers import once_each
from thinktwice.testing import ScriptedSampler


@dataclass
class Proxy:
    """A provider without a hash, as that of Logfire: equal ones are not the same."""

    inner: object = None

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_once_each():
    """By identity, as long as it is among the last four."""
    made = []
    make = once_each(lambda provider: made.append(provider) or len(made))
    first, second = Proxy(), Proxy()
    assert (first == second, make(first), make(second), make(first)) == (True, 1, 2, 1)
    for _ in range(3):
        make(Proxy())
    assert make(second) == 2
    make(Proxy())
    assert make(first) == 7


async def test_a_provider_without_a_hash(monkeypatch):
    """Gets spans and metrics as any other."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.raises(TypeError):
        hash(Proxy(tracers))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: Proxy(tracers))
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: Proxy(meters))
    await solve("?", sampler=ScriptedSampler(["a"]), strategy=Vote(2))
    assert "invoke_workflow Vote" in {span.name for span in exporter.get_finished_spans()}
    [resource] = reader.get_metrics_data().resource_metrics
    metrics = {each.name for scope in resource.scope_metrics for each in scope.metrics}
    assert "thinktwice.samples" in metrics
    meters.shutdown()
    tracers.shutdown()
