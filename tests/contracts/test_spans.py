"""Every span of whole runs: what a backend adds up equals the ledger, and nothing else is there."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from thinktwice import BestOfN, Budget, Completion, Price, Usage, Vote, solve, telemetry
from thinktwice.stop import AtMost, Lead
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.verifiers import Judge

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")
CANARY = "sk-canary"
PRICES = {"m": Price("1.25", "10", cache_read="0.125"), "judge": Price("3", "15")}
VENDORS = ("gen_ai.usage.cost", "operation.cost")
TOKENS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


def answer(value: str, tokens: int) -> Completion[str]:
    usage = Usage(
        input_tokens=20 + tokens,
        output_tokens=tokens,
        cache_read_tokens=tokens,
        reasoning_tokens=tokens // 2,
        source="provider",
    )
    return Completion(value=value, usage=usage, model="m", raw=CANARY)


ANSWERS = [
    answer(f"{CANARY} a", 7),
    answer(f"{CANARY} b", 11),
    answer(f"{CANARY} a", 13),
    KeyError(CANARY),
    Completion(value=CANARY, finish_reason="length", model="m"),
    answer(f"{CANARY} a", 17),
    answer(f"{CANARY} c", 19),
]
SECONDS = [5, 3, 4, 1, 2, 6, 90]
GRADE = json.dumps({"reason": CANARY, "score": 7})


def scenario(name: str) -> tuple[object, dict[str, object]]:
    sampler = ScriptedSampler(ANSWERS, seconds=SECONDS, model="m", max_tokens=50)
    judge = ScriptedSampler([GRADE], seconds=1, model="judge", max_tokens=50)
    best = BestOfN(7, verifier=Judge(judge, rubric=CANARY))
    return {
        "vote": (Vote(7, stop=AtMost(7)), {}),
        "vote cut short": (Vote(7, stop=AtMost(7)), {"budget": Budget(seconds=4.5)}),
        "vote with losers": (Vote(7, stop=Lead(2), prefer="latency"), {}),
        "vote of votes": (Vote(2, of=Vote(3, stop=AtMost(3)), stop=AtMost(2)), {}),
        "best of n": (best, {}),
        "best of n under a cap": (best, {"budget": Budget(tokens=100_000, cost=1)}),
        "best of votes": (BestOfN(2, verifier=best.verifier, of=Vote(3, stop=AtMost(3))), {}),
    }[name], {"sampler": sampler}


NAMES = [
    "vote",
    "vote cut short",
    "vote with losers",
    "vote of votes",
    "best of n",
    "best of n under a cap",
    "best of votes",
]


def recorded(name: str) -> tuple[Result[object], list[ReadableSpan]]:
    (strategy, more), given = scenario(name)
    with captured_spans() as spans:
        run = solve(CANARY, strategy=strategy, prices=PRICES, **given, **more)
        result = run_virtual(run)
    return result, list(spans)


@pytest.fixture(params=NAMES)
def run(request: pytest.FixtureRequest) -> tuple[Result[object], list[ReadableSpan]]:
    return recorded(request.param)


def kind(span: ReadableSpan) -> object:
    return (span.attributes or {})["openinference.span.kind"]


def leaves(spans: list[ReadableSpan]) -> list[ReadableSpan]:
    return [span for span in spans if kind(span) == "LLM"]


def total(spans: list[ReadableSpan], name: str) -> float:
    return sum((span.attributes or {}).get(name, 0) for span in spans)


def test_usage_and_vendor_cost_stand_on_model_calls_alone(run):
    """So that no backend counts a token twice."""
    _, spans = run
    for span in spans:
        billed = {
            name
            for name in span.attributes
            if name.startswith(("gen_ai.usage", "gen_ai.request", "operation", "mlflow"))
        }
        if kind(span) != "LLM":
            assert not billed
    assert leaves(spans)


def test_model_calls_add_up_to_what_was_reported(run):
    """Tokens exactly, and money to the cent and far below."""
    result, spans = run
    reported = result.ledger.reported
    for name, attribute in TOKENS.items():
        assert total(leaves(spans), attribute) == (getattr(reported.usage, name) or 0)
    for vendor in VENDORS:
        assert total(leaves(spans), vendor) == pytest.approx(float(reported.cost), abs=1e-12)
    mlflow = [span.attributes.get("mlflow.llm.cost") for span in leaves(spans)]
    costs = [json.loads(each)["total_cost"] for each in mlflow if each]
    assert sum(costs) == pytest.approx(float(reported.cost), abs=1e-12)


def test_one_model_call_is_one_entry(run):
    """By role and status, with the same cost."""
    result, spans = run

    def key(role: object, status: object, cost: object) -> tuple[object, ...]:
        return role, status, None if cost is None else round(float(cost), 12)

    entries = Counter(key(e.role, e.status, e.cost) for e in result.ledger.entries)
    called = Counter(
        key(
            span.attributes["thinktwice.role"],
            span.attributes["thinktwice.status"],
            span.attributes.get("thinktwice.cost"),
        )
        for span in leaves(spans)
    )
    assert called == entries


def test_the_run_has_the_totals_of_its_ledger(run):
    """Under our own names."""
    result, spans = run
    outermost = [span for span in spans if span.parent is None]
    assert len(outermost) == 1
    attributes = outermost[0].attributes
    expected = result.ledger.total
    for name, theirs in TOKENS.items():
        attribute = theirs.replace("gen_ai", "thinktwice")
        assert attributes.get(attribute) == getattr(expected.usage, name)
    assert attributes["thinktwice.calls"] == expected.calls
    assert attributes["thinktwice.cost"] == pytest.approx(float(expected.cost))
    assert attributes["thinktwice.cost.complete"] == (expected.unpriced == 0)
    assert attributes["thinktwice.samples.launched"] == result.launched
    assert attributes["thinktwice.stopped_by"] == repr(result.stopped_by)
    assert attributes.get("thinktwice.selected.index") == (
        result.winner.index if result.winner else None
    )


def test_each_parent_adds_up_what_is_below(run):
    """Samples and verdicts of a run, model calls of a sample."""
    _, spans = run
    parents = {span.context.span_id: span for span in spans}
    below: dict[int, float] = {}
    for span in leaves(spans):
        above = span.parent
        while above is not None:
            below[above.span_id] = below.get(above.span_id, 0) + span.attributes.get(
                "thinktwice.cost", 0
            )
            above = parents[above.span_id].parent
    for span_id, cost in below.items():
        if kind(parents[span_id]) != "LLM":
            attributes = parents[span_id].attributes
            assert attributes.get("thinktwice.cost", 0) == pytest.approx(cost, abs=1e-12)


def test_no_content(run):
    """In no name, attribute, event or status."""
    _, spans = run
    for span in spans:
        assert CANARY not in span.to_json()


def test_names_are_few():
    """No index and no answer in them."""
    names = {span.name for name in NAMES for span in recorded(name)[1]}
    assert names == {
        "invoke_workflow Vote",
        "invoke_workflow BestOfN",
        "thinktwice.sample",
        "thinktwice.verify judge",
        "chat m",
        "chat judge",
    }


def test_a_sample_carries_its_place_and_the_ordinal_of_its_answer():
    """Enough to replay a stop rule: launch order, arrival, and who agrees with whom."""
    _, spans = recorded("vote")
    samples = [span.attributes for span in spans if span.name == "thinktwice.sample"]
    by_index = {each["thinktwice.sample.index"]: each for each in samples}
    arrivals = [by_index[index]["thinktwice.sample.arrival"] for index in range(7)]
    assert arrivals == [4, 2, 3, 0, 1, 5, 6]
    groups = [by_index[index]["thinktwice.sample.group"] for index in range(7)]
    assert groups == [1, 0, 1, -1, -1, 1, 2]
    assert by_index[3]["thinktwice.status"] == "error"
    assert len({each["thinktwice.run.id"] for each in samples}) == 1


def test_a_verdict_has_outcome_and_score():
    """And the sample that it is about; it lies beside it, below the run."""
    result, spans = recorded("best of n")
    judged = [span for span in spans if kind(span) == "EVALUATOR"]
    assert len(judged) == len(result.verdicts)
    for span in judged:
        assert span.attributes["thinktwice.outcome"] == "scored"
        assert span.attributes["thinktwice.score"] == 0.7
        assert span.attributes["thinktwice.verifier"] == "judge"
    assert sorted(span.attributes["thinktwice.sample.index"] for span in judged) == [
        verdict.sample for verdict in result.verdicts
    ]


def test_metrics_equal_the_ledger(monkeypatch: pytest.MonkeyPatch):
    """Exact where traces are sampled; by strategy, role and model, without run or answer."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    result, _ = recorded("best of n")
    data = reader.get_metrics_data()
    assert data is not None
    points = {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    usage = result.ledger.total.usage
    tokens: Counter[object] = Counter()
    for point in points["thinktwice.tokens"]:
        tokens[point.attributes["thinktwice.token.type"]] += point.value
    assert tokens == {"input": usage.input_tokens, "output": usage.output_tokens}
    cost = sum(point.value for point in points["thinktwice.cost"])
    assert cost == pytest.approx(float(result.ledger.total.cost))
    assert sum(p.value for p in points["thinktwice.calls.unpriced"]) == result.ledger.total.unpriced
    statuses = {p.attributes["thinktwice.status"]: p.value for p in points["thinktwice.samples"]}
    assert statuses == {"ok": 6, "error": 1}
    (duration,) = points["thinktwice.strategy.duration"]
    assert (duration.count, duration.sum) == (1, result.ledger.seconds)
    names = {name for each in points.values() for point in each for name in point.attributes}
    assert not names & {telemetry.RUN_ID, telemetry.INDEX, telemetry.GROUP}
