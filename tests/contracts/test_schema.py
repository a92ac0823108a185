"""Every span, log record and metric of every strategy: exact sums, and no content."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import thinktwice
from tests.contracts import endings, traced, verdicts
from tests.contracts.traced import MARK, Trace
from tests.contracts.walking import Walk, counted, money, tokens
from thinktwice import verifiers
from thinktwice.strategy import Strategy
from thinktwice.telemetry import attributes as names

pytestmark = pytest.mark.usefixtures("silent_remarks")
SCENARIOS = {**traced.SCENARIOS, **endings.ENDINGS, **verdicts.VERDICTS}
SEVERAL = {"shadow", "vote with a hedge", *endings.SEVERAL}
"""Scenarios of several runs: the sums of one are not those of all."""


@cache
def trace_of(name: str) -> Trace:
    return traced.traced(SCENARIOS[name])


@pytest.fixture(params=SCENARIOS)
def trace(request: pytest.FixtureRequest) -> Trace:
    return trace_of(request.param)


@pytest.fixture(params=[name for name in SCENARIOS if name not in SEVERAL])
def one(request: pytest.FixtureRequest) -> Trace:
    """Of one run."""
    return trace_of(request.param)


def test_no_content(trace: Trace):
    """In no attribute, event, name or status of a span, no log record and no metric."""
    assert trace.spans
    assert MARK not in trace.text


def test_no_span_is_left_open(trace: Trace):
    """However the run ends."""
    assert not trace.open


def test_the_spans_hold_the_contract(trace: Trace):
    """Names, kinds, places in the tree, and the sums of each parent; see `Walk`."""
    Walk(trace.spans).hold()


def test_reported_and_estimated_are_kept_apart(one: Trace):
    """Leaves add up to each, to the token and to the last digit."""
    Walk(one.spans).equals(one.ledger)


def test_the_calls_of_several_runs_are_those_of_all_ledgers():
    """None is missing, and none is there twice."""
    found = trace_of("steps of a workflow")
    Walk(found.spans).equals(*found.ledgers)


def test_the_outermost_span_has_the_totals(one: Trace):
    """Under our names; what its samples, verdicts and other questions cost is all of it."""
    (root,) = [span for span in one.spans if span.parent is None]
    total = one.ledger.total
    assert tokens([root], names.USAGE) == counted(total)
    assert root.attributes[names.CALLS] == total.calls
    assert root.attributes.get(names.UNPRICED, 0) == total.unpriced
    assert money([root], names.COST) == (total.cost or 0)
    inside = [s for s in one.spans if s.parent and s.parent.span_id == root.context.span_id]
    assert money(inside, names.COST) == (total.cost or 0)


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
        cost = sum(
            point.value
            for point in points.get("thinktwice.cost", [])
            if point.attributes[names.USAGE_SOURCE] == source
        )
        assert cost == pytest.approx(float(total.cost or 0), rel=1e-12)
    written = {name for each in points.values() for point in each for name in point.attributes}
    of_metrics = {names.STRATEGY, names.ROLE, names.MODEL, names.TOKEN_TYPE, names.USAGE_SOURCE}
    assert written <= {*of_metrics, names.CURRENCY, names.STATUS, names.ERROR_TYPE}


def test_every_draw_that_was_launched_is_counted(trace: Trace):
    """Once, and none that was recalled before anything was sent; as the runs say."""
    runs = [span.attributes for span in Walk(trace.spans).of("run")]
    drawn = Counter[object]()
    for metric in trace.metrics:
        if metric.name == "thinktwice.samples":
            for point in metric.data.data_points:
                drawn[point.attributes[names.STATUS]] += point.value
    assert drawn.total() == sum(each[names.LAUNCHED] for each in runs)
    assert drawn["cancelled"] + drawn["abandoned"] <= sum(each[names.CANCELLED] for each in runs)


def test_every_run_is_counted(trace: Trace):
    """Once, with the type of what it raised; also where it was cancelled or interrupted."""
    runs = Counter(
        (span.attributes[names.STRATEGY], span.attributes.get(names.STATUS) == "cancelled")
        for span in Walk(trace.spans).of("run")
    )
    counted: Counter[tuple[object, bool]] = Counter()
    for metric in trace.metrics:
        if metric.name == "thinktwice.strategy.duration":
            for point in metric.data.data_points:
                error = point.attributes.get(names.ERROR_TYPE)
                cancelled = error == "CancelledError"
                counted[point.attributes[names.STRATEGY], cancelled] += point.count
    assert counted == runs


def test_verdicts_are_log_events(trace: Trace):
    """One for each that was made, on its span."""
    made = {
        span.context.span_id: span.attributes
        for span in Walk(trace.spans).of("verify")
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
        assert record.attributes.get(names.ERROR_TYPE) == span.get(names.ERROR_TYPE)
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


@pytest.mark.parametrize("name", ["vote", "best of n", "vote with choices", "codet"])
def test_somebody_else_writes_the_calls(name: str, monkeypatch: pytest.MonkeyPatch):
    """Ours have the sums all the same, and the metrics are complete."""
    monkeypatch.setenv("THINKTWICE_LLM_SPANS", "never")
    found = traced.traced(SCENARIOS[name])
    walk = Walk(found.spans)
    walk.hold()
    assert not walk.of("call")
    total = found.ledger.total
    outermost = [span for span in found.spans if span.parent is None]
    assert money(outermost, names.COST) == (total.cost or 0)
    assert tokens(outermost, names.USAGE) == counted(total)
    test_metrics_equal_the_ledger(found)


def modules():
    """All modules of the core."""
    return [
        importlib.import_module(each.name)
        for each in pkgutil.walk_packages(thinktwice.__path__, "thinktwice.")
        if not each.name.endswith("__main__") and ".cli" not in each.name
    ]


def kinds_of(base: type) -> set[type]:
    """The classes below one that have none below them."""
    below = base.__subclasses__()
    return set().union(*map(kinds_of, below)) if below else {base}


def test_every_strategy_is_walked():
    """One that is added must be among the scenarios."""
    there = {
        each for each in kinds_of(Strategy) if each.__module__ in {m.__name__ for m in modules()}
    }
    walked = {
        span.attributes[names.STRATEGY]
        for name in SCENARIOS
        for span in Walk(trace_of(name).spans).of("run")
    }
    names_of = {each.__name__ for each in there}
    assert len(names_of) > 8
    assert not names_of - walked - {"Judging"}  # of a shadow with a verifier


def test_every_verifier_is_walked():
    """Likewise."""
    public = {name: getattr(verifiers, name) for name in verifiers.__all__}
    there = {
        name
        for name, each in public.items()
        if isinstance(each, type) and "prompt" in inspect.signature(each.__call__).parameters
    } - {"Confidence"}  # of which others are made
    assert len(there) > 12
    assert not there - set(verdicts.VERIFIERS)


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
    operations = {"invoke_workflow", "invoke_agent", "chat", "execute_tool"}
    assert {a.get(names.OPERATION) for a in attributes} - {None} == {*operations, "sample"}
    raised = {type(trace_of(name).error).__name__ for name in endings.ENDINGS}
    assert raised >= {"CancelledError", "KeyboardInterrupt", "ControlFlow", "BudgetExceeded"}
