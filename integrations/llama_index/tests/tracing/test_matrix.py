"""Every way to call a door under every party that traces: one trace, no token twice."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry import trace

from integrations.llama_index.tests.tracing.columns import LOSES, NAMES, Column, column
from integrations.llama_index.tests.tracing.rows import ROWS, World
from integrations.llama_index.tests.tracing.state import unchanged
from integrations.llama_index.tests.tracing.traces import SAMPLE, Trace, Tree, tokens, tree
from tests.contracts.walking import Walk
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # pydantic, of agents of LlamaIndex
]

INDEX, RUN = "thinktwice.sample.index", "thinktwice.run.id"


@pytest.fixture(scope="module", params=NAMES)
def party(request):
    """Each party in turn."""
    with column(request.param) as made:
        yield made


@pytest.fixture
def seen(party: Column, index):
    """The party, with nothing told to it yet: of the making of the index neither."""
    party.spans()
    party.exporter.clear()
    return party


@pytest.fixture
def world(seen: Column, scripted, index, asks_tools):
    """What the rows need."""
    return World(scripted, index, asks_tools, leaks=seen.name == "both", party=seen.name)


@pytest.mark.parametrize("outer", [True, False], ids=["outer", "alone"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_cell(row, outer, seen: Column, world: World, caplog):
    """See the checks."""
    if "streaming_engine" in row.__name__ and version("llama-index-core") == "0.14.0":
        pytest.skip("streams of engines make another tree in this release")

    if (row.__name__, seen.name) in LOSES:
        pytest.skip("this party has no tokens of it, or never ends what is around it")

    async def request() -> list[Any]:
        with unchanged(leaks=world.leaks), collect() as results:
            if outer:
                with trace.get_tracer("test").start_as_current_span("outer"):
                    await row(world)
            else:
                await row(world)
        return results

    with caplog.at_level(logging.WARNING), tree() as nodes:  # in a context of its own
        results = await asyncio.create_task(request(), context=Context())
    told = Trace(seen.spans())
    # Agents of older releases log of a keyword argument of their own.
    assert [each for each in caplog.records if each.name != "workflows.workflow"] == []
    assert len(told.ids) == (1 if outer else world.traces)
    assert told.orphans == []
    check_tokens(told, world, seen, results)
    check_samples(told, world)
    check_money(told, seen, results)
    check_contract(told, seen, results)
    check_nodes(nodes, world)


def check_tokens(told: Trace, world: World, seen: Column, results):
    """Of the spans of LLM calls: what LLMs issued, which is what the ledger has."""
    booked = sum(result.ledger.total.usage.total_tokens for result in results)
    assert booked == sum(world.issued)
    assert sum(result.ledger.total.calls for result in results) == len(world.issued)
    if seen.ours:
        assert len(told.calls) == len(told.own()) == len(world.issued)
        assert sum(map(tokens, told.calls)) == booked
    else:
        assert told.own() == []
        assert len(told.calls) == len(world.issued) + len(world.outside)
        assert sum(map(tokens, told.calls)) == booked + sum(world.outside)


def check_samples(told: Trace, world: World):
    """Each LLM call is below the sample, or verdict, that counts it."""
    assert len(told.named(SAMPLE)) == world.samples
    verdicts = [span for span in told.spans if span.name.startswith("thinktwice.verify")]
    assert len(verdicts) == world.verdicts
    for span in told.spans:
        kept = span.attributes
        if span.instrumentation_scope.name == "thinktwice" and "thinktwice.calls" in kept:
            counts = [
                kept.get(f"thinktwice.usage.{kind}_tokens", 0) for kind in ("input", "output")
            ]
            assert sum(map(tokens, told.below(span))) == sum(counts)
    for span in told.spans:
        if RUN in span.attributes and span.instrumentation_scope.name != "thinktwice":
            around = (s for s in told.above(span) if s.instrumentation_scope.name == "thinktwice")
            nearest = next(
                s for s in around if s.attributes.get("openinference.span.kind") != "LLM"
            )
            assert span.attributes.get(INDEX) == nearest.attributes.get(INDEX)
            assert span.attributes[RUN] == nearest.attributes.get(RUN, span.attributes[RUN])


def check_money(told: Trace, seen: Column, results):
    """On our own spans of LLM calls, where there are any; and on the run."""
    marked = [span.attributes.get("gen_ai.usage.cost") for span in told.spans]
    costs = [each for each in marked if each is not None]
    spent = sum(float(result.ledger.total.cost) for result in results)
    assert spent > 0
    assert sum(costs) == pytest.approx(spent if seen.ours else 0)
    roots = [span for span in told.spans if span.name.startswith("invoke_workflow")]
    shown = sorted(root.attributes.get("thinktwice.cost", 0) for root in roots)
    every = [float(each.ledger.total.cost) for each in everything(results)]
    assert shown == pytest.approx(sorted(every))


def check_contract(told: Trace, seen: Column, results):
    """As for the spans of any request; and the LLM calls are the ledger's, to the last digit."""
    walk = Walk(told.spans)
    walk.hold()
    if seen.ours:
        walk.equals(*(result.ledger for result in results))


def everything(results):
    """Results, and those of the runs inside."""
    return [each for result in results for each in (result, *everything(result.nested))]


def check_nodes(nodes: Tree, world: World):
    """LlamaIndex's own tree: its roots, all ended, a node for each sample."""
    assert nodes.open_spans == {}
    assert len(nodes.roots) == world.roots
    assert len(nodes.named("sample")) == world.samples
    assert len(nodes.named("verify")) == world.verdicts
