"""Every way to call a wrapper under every party that traces: one trace, no token twice."""

from __future__ import annotations

import logging

import pytest
from langchain.agents import factory
from opentelemetry import trace

from integrations.langchain.tests.tracing.columns import NAMES, Column, column
from integrations.langchain.tests.tracing.rows import ROWS, World
from integrations.langchain.tests.tracing.state import unchanged
from integrations.langchain.tests.tracing.traces import SAMPLE, Trace, Tree, noted, tokens
from tests.contracts.walking import Walk
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore:Calling .text"),  # OpenInference does
]

# What the parties do of themselves, without us as well, and only where no span is around the
# request; see the table in docs/langchain/tracing.md.
_AGENTS = (
    "agent_ainvoke",
    "agent_invoke",
    "agent_astream",
    "sampled_agent_ainvoke",
    "sampled_agent_invoke",
    "middleware_ainvoke",
    "middleware_invoke",
)
_SYNC = ("sequence_invoke", "sequence_invoke_in_loop", "sequence_stream", "nested_invoke")
ONE_TRACE_MORE = {
    # OpenInference and Langfuse do not make their spans current, so the user's own begins a trace.
    *(("own_span_ainvoke", party) for party in ("openinference", "langfuse")),
    *(("own_span_invoke", party) for party in ("openinference", "both")),
    # OpenLLMetry has a span for the making of an agent.
    *((row, party) for row in _AGENTS for party in ("openllmetry", "both")),
    # OpenInference, switched on first, does not see that OpenLLMetry opened a span.
    *((row, "both") for row in _SYNC),
}
LEAKS = {
    # OpenLLMetry leaves the span of an awaited sequence current.
    (row, party)
    for row in ("sequence_ainvoke", "own_span_ainvoke", "openai_sequence_ainvoke")
    for party in ("openllmetry", "both")
}

# LangChain tells LangSmith alone of the middleware that a model step goes through, and gives it as
# the parent of what is called in it to all; older versions tell nobody.
BESIDE_LANGSMITH = {
    (row, party)
    for row in ("middleware_ainvoke", "middleware_invoke")
    for party in ("langsmith", "environment")
    if hasattr(factory, "traceable")
}


@pytest.fixture(scope="module", params=NAMES)
def party(request):
    """Each party in turn."""
    with column(request.param) as made:
        yield made


@pytest.fixture
def seen(party: Column):
    """The party, with nothing told to it yet."""
    party.clear()
    return party


@pytest.mark.parametrize("outer", [True, False], ids=["outer", "alone"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_cell(row, outer, seen: Column, scripted, caplog):
    """See the checks."""
    tree, cell = Tree(), (row.__name__, seen.name)
    leaks = cell in LEAKS and not outer
    world = World(scripted, [*seen.callbacks, tree], leaks=leaks)
    with caplog.at_level(logging.WARNING), collect() as results, unchanged(leaks=leaks):
        if outer:
            with trace.get_tracer("test").start_as_current_span("outer"):
                await row(world)
        else:
            await row(world)
    seen.flush()
    told = Trace(seen.exporter.get_finished_spans())
    assert not caplog.records
    assert len(told.ids) == (1 if outer else world.requests + (cell in ONE_TRACE_MORE))
    assert told.orphans == []
    check_tokens(told, world, seen, results)
    check_samples(told, world, seen)
    check_money(told, world, seen, results)
    check_contract(told, seen, results)
    check_runs(tree, world, results, roots=world.requests + (cell in BESIDE_LANGSMITH))
    if seen.posted:
        check_posted(tree, seen)


def check_tokens(told: Trace, world: World, seen: Column, results):
    """Of the spans of model calls: what models issued, which is what the ledger has."""
    booked = sum(result.ledger.total.usage.total_tokens for result in results)
    assert booked == (sum(world.issued) or booked)
    calls = sum(result.ledger.total.calls for result in results)
    if seen.ours:
        assert len(told.calls) == len(told.own()) == calls
        assert sum(map(tokens, told.calls)) == booked
    else:
        assert told.own() == []
        assert len(told.calls) == seen.copies * (calls + len(world.outside))
        assert sum(map(tokens, told.calls)) == seen.copies * (booked + sum(world.outside))


def check_samples(told: Trace, world: World, seen: Column):
    """Each model call is below the sample, or verdict, that counts it, and says so itself."""
    samples = told.named(SAMPLE)
    assert len(samples) == world.samples
    for call in told.calls:
        own = noted(call)
        nearest = next((s for s in told.above(call) if s.name.startswith("thinktwice.")), None)
        if own is not None and nearest is not None:
            kept = nearest.attributes
            assert own[1] == kept.get("thinktwice.sample.index")
            assert own[0] == kept.get("thinktwice.run.id", own[0])
    if seen.name == "langfuse":
        return
    for span in told.spans:
        if span.name.startswith("thinktwice."):
            kept = span.attributes
            counts = [kept.get(f"thinktwice.usage.{kind}_tokens") for kind in ("input", "output")]
            assert sum(map(tokens, told.below(span))) == seen.copies * sum(counts)


def check_money(told: Trace, world: World, seen: Column, results):
    """On our own spans of model calls, where there are any; and on the run."""
    marked = [span.attributes.get("gen_ai.usage.cost") for span in told.spans]
    costs = [each for each in marked if each is not None]
    spent = sum(map(cost_of, results))
    assert bool(spent) is world.priced
    assert sum(costs) == pytest.approx(spent if seen.ours else 0)
    roots = [span for span in told.spans if span.name.startswith("invoke_workflow")]
    shown = sorted(root.attributes.get("thinktwice.cost", 0) for root in roots)
    assert shown == pytest.approx(sorted(map(cost_of, everything(results))))


def check_contract(told: Trace, seen: Column, results):
    """As for the spans of any request; and the model calls are the ledger's, to the last digit."""
    walk = Walk(told.spans)
    walk.hold()
    if seen.ours:
        walk.equals(*(result.ledger for result in results))


def everything(results):
    """Results, and those of the runs inside."""
    return [each for result in results for each in (result, *everything(result.nested))]


def cost_of(result) -> float:
    """USD of all that a run did."""
    return float(result.ledger.total.cost or 0)


def check_runs(tree: Tree, world: World, results, *, roots: int):
    """A callback tracer sees the request, its samples, and below them their model calls."""
    assert len(tree.roots) == roots
    assert tree.open == []
    models = tree.of("llm")
    inside = [run for run in models if "thinktwice_run_id" in run.metadata]
    assert len(models) - len(inside) == len(world.outside)
    assert len(inside) == sum(result.ledger.total.calls for result in results)
    for run in inside:
        marked = [each for each in tree.above(run) if "thinktwice_run_id" in each.metadata]
        assert marked[-1].run_type == "chain"
        assert marked[-1].name in {"sample", "repair", "verify", "critique"}
        assert "thinktwice:sample" in run.tags
    samples = [run for run in tree.runs.values() if run.name in {"sample", "repair"}]
    assert len(samples) == world.samples


def check_posted(tree: Tree, seen: Column):
    """LangSmith is sent the same runs in one tree for each request, each with its end."""
    posted = [run["name"] for run in seen.posted.values() if "wrap_model_call" not in run["name"]]
    assert sorted(posted) == sorted(run.name for run in tree.runs.values())
    assert all(run.get("end_time") for run in seen.posted.values())
    parents = [run.get("parent_run_id") for run in seen.posted.values()]
    assert {each for each in parents if each} <= set(seen.posted)
    known = [run for run in tree.roots if seen.posted[run.id].get("parent_run_id") is None]
    assert parents.count(None) == len(known)
