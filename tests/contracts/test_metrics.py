"""Metrics are exact whatever traces are sampled, and lead to spans that were recorded."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import (
    AlwaysOnExemplarFilter,
    Histogram,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics import (
    Counter as CounterKind,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased

from tests.contracts.traced import PRICES, A, B, judge, model, said
from tests.contracts.verdicts import asks
from thinktwice import BestOfN, Vote, solve
from thinktwice.stop import AtMost
from thinktwice.telemetry import attributes as names
from thinktwice.testing import run_virtual

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.sdk.trace.sampling import Sampler

    from thinktwice.ledger import Ledger

pytestmark = pytest.mark.usefixtures("silent_remarks")
DELTA = {CounterKind: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}


class Collected:
    """Spans and metrics of a block."""

    def __init__(self, sampler: Sampler, reader: InMemoryMetricReader, **meters: object) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = reader
        self.meters = MeterProvider([reader], shutdown_on_exit=False, **meters)  # type: ignore[arg-type]

    @contextmanager
    def set(self) -> Generator[None]:
        with (
            patch.object(trace, "get_tracer_provider", lambda: self.tracers),
            patch.object(metrics, "get_meter_provider", lambda: self.meters),
        ):
            yield

    def read(self) -> dict[str, list]:
        data = self.reader.get_metrics_data()
        found: dict[str, list] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                assert scope.scope.schema_url == names.SCHEMA_URL
                for metric in scope.metrics:
                    found[metric.name] = list(metric.data.data_points)
        return found


def ledgers(runs: int = 1) -> list[Ledger]:
    """Of runs with samples, verdicts, failures and calls without a price."""
    script = [said(A), said(B, 11), KeyError("k"), said(A, 13), said(B, 17)]
    found = []
    for _ in range(runs):
        strategy = BestOfN(5, verifier=asks())
        prices = {"m": PRICES["m"]}  # the judge has none
        run = solve("q", sampler=model(script, 1), strategy=strategy, prices=prices)
        found.append(run_virtual(run).ledger)
    return found


def spent(points: dict[str, list]) -> tuple[Counter[str], Decimal, int]:
    """Tokens by type, money to the last digit that a float has, and calls without a price."""
    tokens: Counter[str] = Counter()
    for point in points["thinktwice.tokens"]:
        tokens[point.attributes[names.TOKEN_TYPE]] += point.value
    cost = sum(point.value for point in points["thinktwice.cost"])
    unpriced = sum(point.value for point in points.get("thinktwice.calls.unpriced", []))
    return tokens, round(Decimal(cost), 12), unpriced


def booked(of: list[Ledger]) -> tuple[Counter[str], Decimal, int]:
    """The same of ledgers."""
    totals = [ledger.total for ledger in of]
    tokens = Counter(
        input=sum(total.usage.input_tokens for total in totals),
        output=sum(total.usage.output_tokens for total in totals),
    )
    cost = sum((total.cost for total in totals), Decimal(0))
    return tokens, round(cost, 12), sum(total.unpriced for total in totals)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_totals_are_exact_whatever_is_sampled(share: float):
    """Of forty runs, of which none, a tenth or all is traced."""
    here = Collected(ParentBased(TraceIdRatioBased(share)), InMemoryMetricReader())
    with here.set():
        of = ledgers(40)
    points = here.read()
    assert spent(points) == booked(of)
    (duration,) = points["thinktwice.strategy.duration"]
    assert duration.count == 40
    roots = [span for span in here.exporter.get_finished_spans() if span.parent is None]
    assert len(roots) == {0.0: 0, 1.0: 40}.get(share, len(roots))
    assert len(roots) < 40 or share == 1.0


def test_exemplars_lead_to_recorded_spans():
    """Of the model call that was counted, or of the run."""
    here = Collected(
        ParentBased(TraceIdRatioBased(0.5)),
        InMemoryMetricReader(),
        exemplar_filter=TraceBasedExemplarFilter(),
    )
    with here.set():
        ledgers(20)
    spans = {span.context.span_id: span for span in here.exporter.get_finished_spans()}
    led: Counter[str] = Counter()
    for name, points in here.read().items():
        for exemplar in (each for point in points for each in point.exemplars):
            span = spans[exemplar.span_id]
            assert span.context.trace_id == exemplar.trace_id
            led[f"{name} -> {span.name.partition(' ')[0]}"] += 1
    assert led.keys() >= {
        "thinktwice.tokens -> chat",
        "thinktwice.cost -> chat",
        "thinktwice.calls.unpriced -> chat",
        "thinktwice.strategy.duration -> invoke_workflow",
        "thinktwice.strategy.cost -> invoke_workflow",
        "thinktwice.samples -> thinktwice.sample",
    }
    assert len(led) == 6


def test_an_exemplar_is_the_call_that_was_counted():
    """Its tokens are those of the span that it leads to."""
    here = Collected(ALWAYS_ON, InMemoryMetricReader(), exemplar_filter=AlwaysOnExemplarFilter())
    with here.set():
        run_virtual(solve("q", sampler=model([said(A, 41)], 1), strategy=Vote(1), prices=PRICES))
    spans = {span.context.span_id: span for span in here.exporter.get_finished_spans()}
    for point in here.read()["thinktwice.tokens"]:
        (exemplar,) = point.exemplars
        table = {"input": "input_tokens", "output": "output_tokens"}
        attribute = names.GEN_AI_USAGE[table[point.attributes[names.TOKEN_TYPE]]]
        assert spans[exemplar.span_id].attributes[attribute] == exemplar.value == point.value


def test_deltas_add_up():
    """Each reading has what came since the one before; the whole is the same."""
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    here = Collected(ALWAYS_ON, reader)
    found = []
    with here.set():
        of = [ledgers() for _ in range(3)]
        found.append(here.read())
        of += [ledgers()]
        found.append(here.read())
    several = [spent(each) for each in found]
    assert several[0] == booked([each for some in of[:3] for each in some])
    assert several[1] == booked(of[3])


def test_views_of_the_user():
    """Other buckets, fewer attributes: totals stay."""
    views = [
        View(
            instrument_name="thinktwice.strategy.cost",
            aggregation=ExplicitBucketHistogramAggregation([0.001]),
        ),
        View(instrument_name="thinktwice.tokens", attribute_keys={names.TOKEN_TYPE}),
    ]
    here = Collected(ALWAYS_ON, InMemoryMetricReader(), views=views)
    with here.set():
        of = ledgers(2)
    points = here.read()
    assert spent(points) == booked(of)
    assert len(points["thinktwice.tokens"]) == 2
    (cost,) = points["thinktwice.strategy.cost"]
    assert cost.explicit_bounds == (0.001,)


def test_runs_inside_a_run_are_counted_as_runs_and_their_calls_once():
    """The cost of a run holds that of the runs inside; that of calls is the bill."""
    here = Collected(ALWAYS_ON, InMemoryMetricReader())
    strategy = Vote(2, of=Vote(2, stop=AtMost(2)), stop=AtMost(2))
    with here.set():
        run = solve("q", sampler=judge(said(A)), strategy=strategy, prices=PRICES)
        ledger = run_virtual(run).ledger
    points = here.read()
    assert spent(points) == booked([ledger])
    (cost,) = points["thinktwice.strategy.cost"]
    assert cost.count == 3
    assert cost.sum == pytest.approx(2 * float(ledger.total.cost))
