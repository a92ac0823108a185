"""What is made of a provider is made once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from thinktwice import Vote, solve
from thinktwice.telemetry import providers
from thinktwice.telemetry.providers import add_processor, once_each
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


class Replacing(TracerProvider):
    """As that of Phoenix: its own processor goes when another one is added, unless told so."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        super().add_span_processor(SimpleSpanProcessor(self.exporter))

    def add_span_processor(self, *given, replace_default_processor: bool = True):
        if replace_default_processor:
            self.exporter.shutdown()
        super().add_span_processor(*given)


async def test_the_exporter_of_a_provider_stays_when_a_processor_is_added(monkeypatch):
    """By us, as by the store."""
    provider, besides = Replacing(), InMemorySpanExporter()
    assert add_processor(provider, SimpleSpanProcessor(besides))
    assert not add_processor(object(), SimpleSpanProcessor(besides))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    await solve("?", sampler=ScriptedSampler(["a"]), strategy=Vote(2))
    names = [span.name for span in provider.exporter.get_finished_spans()]
    assert "invoke_workflow Vote" in names
    assert names == [span.name for span in besides.get_finished_spans()]


async def test_a_provider_that_is_shut_down_early_is_told_of_once(monkeypatch, fresh_remarks):
    """By the first run that loses spans to that; those of the application say nothing."""
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)

    async def run():
        await solve("?", sampler=ScriptedSampler(["a"]), strategy=Vote(2))

    await run()
    provider.shutdown()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        provider.get_tracer("app").start_span("a request").end()
        assert not told
        await run()
        await run()
    (warning,) = told
    assert str(warning.message).startswith("the tracer provider was shut down: spans of runs")


async def test_a_filter_that_raises_ends_no_run(monkeypatch, fresh_remarks):
    """The warning is one of telemetry."""
    provider = TracerProvider(shutdown_on_exit=False)
    providers.tracer_of(provider)
    provider.shutdown()
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    result = await solve("?", sampler=ScriptedSampler(["a"]), strategy=Vote(2))
    assert result.value == "a"


def test_a_provider_is_watched_once():
    """However many others there are."""
    provider = TracerProvider(shutdown_on_exit=False)
    made = []
    provider.add_span_processor = made.append
    for _ in range(3):
        providers.tracer_of(provider)
        for _ in range(5):
            providers.tracer_of(TracerProvider(shutdown_on_exit=False))
    assert len(made) == 1


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
