"""Every span, log record and metric of every strategy: exact sums, and no content."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from tests.contracts.traced import MARK, SCENARIOS, Trace, traced
from thinktwice.telemetry import attributes as names

pytestmark = pytest.mark.usefixtures("silent_remarks")
VENDORS = ("gen_ai.usage", "gen_ai.request", "gen_ai.response", "operation", "mlflow", "llm")
SEVERAL = {"shadow", "vote with a hedge"}
"""Scenarios of several runs: the sums of one are not those of all."""


@cache
def trace_of(name: str) -> Trace:
    return traced(name)


@pytest.fixture(params=SCENARIOS)
def trace(request: pytest.FixtureRequest) -> Trace:
    return trace_of(request.param)


@pytest.fixture(params=[name for name in SCENARIOS if name not in SEVERAL])
def one(request: pytest.FixtureRequest) -> Trace:
    """Of one run."""
    return trace_of(request.param)


def leaves(trace: Trace):
    return [span for span in trace.spans if span.attributes[names.KIND] == "LLM"]


def money(spans, name: str) -> Decimal:
    """A float that came of a price is written with its digits: so sums are exact."""
    written = [span.attributes[name] for span in spans if name in span.attributes]
    return sum((Decimal(repr(each)) for each in written), Decimal(0))


def tokens(spans, table) -> dict[str, int]:
    return {
        name: sum(span.attributes.get(attribute, 0) for span in spans)
        for name, attribute in table.items()
    }


def counted(total) -> dict[str, int]:
    return {name: getattr(total.usage, name) or 0 for name in names.USAGE}


def test_no_content(trace: Trace):
    """In no attribute, event, name or status of a span, no log record and no metric."""
    assert trace.spans
    assert MARK not in trace.text


def test_usage_and_vendor_cost_stand_on_model_calls_alone(trace: Trace):
    """Everything else carries ours."""
    for span in trace.spans:
        if span.attributes[names.KIND] != "LLM":
            assert not [name for name in span.attributes if name.startswith(VENDORS)]
        else:
            assert names.ROLE in span.attributes
            assert names.STATUS in span.attributes


def test_reported_and_estimated_are_kept_apart(one: Trace):
    """Leaves add up to each, to the token and to the last digit."""
    reported, estimated = one.ledger.reported, one.ledger.estimated
    called = leaves(one)
    guessed = [s for s in called if s.attributes.get(names.USAGE_SOURCE) == "estimated"]
    assert tokens(called, names.GEN_AI_USAGE) == counted(reported)
    assert tokens(guessed, names.USAGE) == counted(estimated)
    for vendor in (names.GEN_AI_COST, names.OPERATION_COST):
        assert money(called, vendor) == (reported.cost or 0)
    total = one.ledger.total.cost
    assert money(called, names.COST) == (total or 0)


def test_what_has_no_price_has_no_cost(trace: Trace):
    """Not even one of nothing, under any name."""
    for span in leaves(trace):
        costs = {name for name in span.attributes if "cost" in name}
        priced = names.COST in costs
        assert priced or not costs
        if names.GEN_AI_USAGE["input_tokens"] in span.attributes and priced:
            mlflow = json.loads(span.attributes[names.MLFLOW_COST])
            assert mlflow == {"total_cost": span.attributes[names.COST]}


def test_the_outermost_span_has_the_totals(one: Trace):
    """Under our names."""
    (root,) = [span for span in one.spans if span.parent is None]
    total = one.ledger.total
    assert tokens([root], names.USAGE) == counted(total)
    assert root.attributes[names.CALLS] == total.calls
    assert root.attributes.get(names.UNPRICED, 0) == total.unpriced
    assert money([root], names.COST) == (total.cost or 0)


def test_parents_add_up_what_is_below(one: Trace):
    """Each sample, each verdict and each run inside."""
    spans = {span.context.span_id: span for span in one.spans}
    below: Counter[int] = Counter()
    for span in leaves(one):
        above = span.parent
        while above is not None:
            below[above.span_id] += money([span], names.COST)
            above = spans[above.span_id].parent
    for span_id, cost in below.items():
        if spans[span_id].attributes[names.KIND] != "LLM":
            assert money([spans[span_id]], names.COST) == cost


def test_samples_can_be_replayed(trace: Trace):
    """Each has its index; what arrived has its place, and the ordinal of its answer."""
    samples = [span for span in trace.spans if span.name == "thinktwice.sample"]
    arrivals: dict[object, list[int]] = {}
    for span in samples:
        attributes = span.attributes
        assert attributes[names.INDEX] >= 0
        if attributes[names.STATUS] in {"ok", "error"} and names.ARRIVAL in attributes:
            arrivals.setdefault(attributes[names.RUN_ID], []).append(attributes[names.ARRIVAL])
            assert attributes[names.GROUP] >= -1
            assert attributes[names.STATUS] == "ok" or attributes[names.GROUP] == -1
    for places in arrivals.values():
        assert sorted(places) == list(range(len(places)))


def test_metrics_equal_the_ledger(one: Trace):
    """To the token, by source; and no name of a run, a sample or an answer is in them."""
    points = {metric.name: list(metric.data.data_points) for metric in one.metrics}
    spent: Counter[tuple[str, str]] = Counter()
    for point in points.get("thinktwice.tokens", []):
        kind, source = point.attributes[names.TOKEN_TYPE], point.attributes[names.USAGE_SOURCE]
        spent[source, kind] += point.value
    for source, total in (("provider", one.ledger.reported), ("estimated", one.ledger.estimated)):
        assert spent[source, "input"] == (total.usage.input_tokens or 0)
        assert spent[source, "output"] == (total.usage.output_tokens or 0)
    cost = sum(point.value for point in points.get("thinktwice.cost", []))
    assert cost == pytest.approx(float(one.ledger.total.cost or 0), rel=1e-12)
    written = {name for each in points.values() for point in each for name in point.attributes}
    assert not written & {names.RUN_ID, names.INDEX, names.GROUP, names.ARRIVAL}


def test_verdicts_are_log_events(trace: Trace):
    """One for each that was made, on its span."""
    made = {
        span.context.span_id: span.attributes
        for span in trace.spans
        if names.OUTCOME in span.attributes
    }
    told = [log.log_record for log in trace.logs]
    assert {record.event_name for record in told} <= {names.EVALUATION}
    assert Counter(record.span_id for record in told) == Counter(dict.fromkeys(made, 1))
    for record in told:
        span = made[record.span_id]
        assert record.attributes[names.EVALUATION_LABEL] == span[names.OUTCOME]
        assert record.attributes[names.EVALUATION_NAME] == span[names.VERIFIER]
        assert record.attributes.get(names.EVALUATION_SCORE) == span.get(names.SCORE)
        assert names.EVALUATION_EXPLANATION not in record.attributes


def test_every_attribute_is_documented():
    """By its name; in the page, names of one kind share their beginning."""
    page = Path("docs/telemetry.md").read_text(encoding="utf-8")
    shared = re.findall(r"`([a-z_.]+\.)[a-z_]+`((?:, `\.[a-z_.]+`)+)", page)
    page += "".join(
        start + end for start, ends in shared for end in re.findall(r"`\.([a-z_.]+)`", ends)
    )
    known = (names.BUDGET, "gen_ai.usage.", *names.USAGE.values())
    written = {
        name for scenario in SCENARIOS for s in trace_of(scenario).spans for name in s.attributes
    }
    metrics = {metric.name for scenario in SCENARIOS for metric in trace_of(scenario).metrics}
    missing = [name for name in written | metrics if name not in page]
    assert not [name for name in missing if not name.startswith(known)]


def test_the_scenarios_are_what_they_say():
    """Losers, hedges, failures, caches, guesses and unpriced calls are among them."""
    attributes = [s.attributes for name in SCENARIOS for s in trace_of(name).spans]
    statuses = {each.get(names.STATUS) for each in attributes}
    assert {"ok", "error", "cancelled"} <= statuses
    assert any(each.get(names.HEDGE) for each in attributes)
    assert any(each.get(names.CACHED) for each in attributes)
    assert any(each.get(names.UNPRICED) for each in attributes)
    assert {"provider", "estimated", "missing"} <= {a.get(names.USAGE_SOURCE) for a in attributes}
    assert {"sample", "verify", "critique", "repair"} <= {a.get(names.ROLE) for a in attributes}
    assert any(names.SHADOW in each for each in attributes)
    assert {a.get("gen_ai.operation.name") for a in attributes} >= {"invoke_agent", "chat"}
