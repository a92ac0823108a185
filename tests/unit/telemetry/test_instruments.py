"""Counts: the first of a kind at once, as its exemplar, and the others when the run ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import TracerProvider

from thinktwice import Entry, Usage
from thinktwice.telemetry.instruments import Counts, Instruments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRACER = TracerProvider().get_tracer("test")


class Counted:
    """Instruments, and what has been counted by them."""

    def __init__(self, *, together: bool) -> None:
        self.reader = InMemoryMetricReader()
        self.instruments = Instruments(MeterProvider([self.reader]))
        self.counts = Counts(together=together)

    def call(self, entry: Entry) -> int:
        """Count a call; the id of its span."""
        span = TRACER.start_span("chat")
        on = trace.set_span_in_context(span)
        self.counts.add(self.instruments.counted("Vote", entry), on)
        return span.get_span_context().span_id

    def points(self, name: str) -> Sequence[NumberDataPoint]:
        """Of a metric."""
        data = self.reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        points = [p for metric in metrics if metric.name == name for p in metric.data.data_points]
        return [point for point in points if isinstance(point, NumberDataPoint)]

    def sums(self, name: str, *by: str) -> Mapping[tuple[object, ...], float]:
        """Values of a metric by some attributes."""
        points = self.points(name)
        return {tuple((p.attributes or {}).get(each) for each in by): p.value for p in points}


def call(tokens: int | None = 10, *, cost: str | None = "0.1", model: str = "m") -> Entry:
    """One with as many tokens read."""
    usage = Usage(input_tokens=tokens, output_tokens=1, source="provider")
    price = None if cost is None else Decimal(cost)
    return Entry(role="sample", status="ok", usage=usage, cost=price, model=model)


def test_a_run_counts_its_first_call_at_once_and_the_rest_when_it_ends():
    """Nothing is counted twice."""
    counted = Counted(together=True)
    for tokens in (10, 20, 30):
        counted.call(call(tokens))
    assert counted.sums("thinktwice.tokens", "thinktwice.token.type")["input",] == 10
    counted.counts.end()
    by_type = counted.sums("thinktwice.tokens", "thinktwice.token.type")
    assert by_type == {("input",): 60, ("output",): 3}
    counted.counts.end()
    assert counted.sums("thinktwice.tokens", "thinktwice.token.type") == by_type


def test_the_exemplar_is_one_call():
    """Its span, and what it alone took: not the sum of the others."""
    counted = Counted(together=True)
    span = counted.call(call(10))
    for _ in range(20):
        counted.call(call(1000))
    counted.counts.end()
    exemplars = [
        (exemplar.span_id, exemplar.value)
        for point in counted.points("thinktwice.tokens")
        if (point.attributes or {})["thinktwice.token.type"] == "input"
        for exemplar in point.exemplars
    ]
    assert exemplars == [(span, 10)]


def test_money_is_added_up_before_it_becomes_a_float():
    """Ten times ten cents are a dollar."""
    counted = Counted(together=True)
    counted.call(call(cost="0"))
    for _ in range(10):
        counted.call(call(cost="0.1"))
    counted.counts.end()
    assert list(counted.sums("thinktwice.cost").values()) == [1.0]


@pytest.mark.parametrize("ended", [False, True])
def test_outside_a_run_and_after_it_calls_are_counted_at_once(ended: bool):
    """Such as those of a session, and of a thread that a run has left behind."""
    counted = Counted(together=ended)
    counted.counts.end()
    for _ in range(3):
        counted.call(call(5))
    assert counted.sums("thinktwice.tokens", "thinktwice.token.type")["input",] == 15


def test_threads_lose_no_count():
    """Also where the run ends in between."""
    counted = Counted(together=True)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(counted.call, [call(1)] * 200))
        late = [pool.submit(counted.call, call(1)) for _ in range(200)]
        counted.counts.end()
        for each in late:
            each.result()
    counted.counts.end()
    assert counted.sums("thinktwice.tokens", "thinktwice.token.type")["input",] == 400


@settings(max_examples=30)
@given(
    st.lists(
        st.builds(
            call,
            st.none() | st.integers(0, 100),
            cost=st.sampled_from([None, "0", "0.5", "0.25"]),
            model=st.sampled_from(["a", "b"]),
        )
    )
)
def test_sums_are_those_of_the_calls(entries: Sequence[Entry]):
    """By model, of tokens, money and calls without a price."""
    counted = Counted(together=True)
    for entry in entries:
        counted.call(entry)
    counted.counts.end()
    tokens = counted.sums("thinktwice.tokens", "thinktwice.model", "thinktwice.token.type")
    money = counted.sums("thinktwice.cost", "thinktwice.model")
    unpriced = counted.sums("thinktwice.calls.unpriced", "thinktwice.model")
    for model in ("a", "b"):
        of = [entry for entry in entries if entry.model == model]
        assert tokens.get((model, "input"), 0) == sum(e.usage.input_tokens or 0 for e in of)
        assert money.get((model,), 0) == float(sum(e.cost or 0 for e in of))
        assert unpriced.get((model,), 0) == sum(e.cost is None for e in of)
