"""Every way to call the adapters, under every party that traces: what backends make of it."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from opentelemetry import trace

from integrations.langchain.tests.conftest import ScriptedModel
from integrations.langchain.tests.tracing import rows as langchain
from integrations.langchain.tests.tracing.columns import column as under_langchain
from integrations.llama_index.tests.conftest import (
    ScriptedLLM,
    WordsEmbedding,
    make_index,
    tool_message,
)
from integrations.llama_index.tests.tracing import rows as llama_index
from integrations.llama_index.tests.tracing.columns import LOSES
from integrations.llama_index.tests.tracing.columns import column as under_llama_index
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # what the parties warn of themselves
]
LANGCHAIN = [row for row in langchain.ROWS if not row.__name__.startswith("openai")]
LLAMA_INDEX = llama_index.ROWS


class Chat(ScriptedModel):
    """Says what it is in the way in which OpenLLMetry asks."""

    @classmethod
    def is_lc_serializable(cls):
        """It is."""
        return True


async def each_in_a_trace(project, rows, world_of):
    """Call every way below a span of its own; gives what was called outside of strategies."""
    tracer, outside = trace.get_tracer("test"), []
    for row in rows:
        world = world_of()

        async def request(row=row, world=world):
            with tracer.start_as_current_span(row.__name__), collect() as results:
                await row(world)
            return results

        project.results += await asyncio.create_task(request(), context=Context())
        outside += world.outside
    return outside


def check(project, outside, rows, *, ours, named=True):
    """The tokens of the ledgers; the cost too where we write the leaves, or it has our prices.

    Args:
        project: Where they were sent.
        outside: Tokens of calls outside of strategies, which we write nothing of.
        rows: The requests.
        ours: We write the leaves.
        named: They name the model that was asked for.
    """
    seen = [] if ours else outside
    tokens = project.tokens + sum(seen)
    # Of each call outside 10 are read, at 1 dollar a million, and the rest is written, at 10.
    cost = project.cost + sum(10 + 10 * (each - 10) for each in seen) / 1e6
    if not ours and (project.backend.name == "mlflow" or not named):
        cost = None
    bill = project.bill(tokens=tokens, cost=cost, traces=len(rows))
    assert bill.tokens == tokens
    assert bill.traces == len(rows)
    assert bill.cost == pytest.approx(cost, abs=1e-9)


@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry"])
async def test_langchain(project, party):
    """Chains, agents, graphs, streams, judges, repairs, strategies inside strategies."""

    def scripted(*replies):
        return Chat(replies=list(replies), model_name="fake-1")

    with under_langchain(party), project.sent(trace.get_tracer_provider()):
        outside = await each_in_a_trace(project, LANGCHAIN, lambda: langchain.World(scripted, []))
    check(project, outside, LANGCHAIN, ours=party == "none")


@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry", "observability"])
async def test_llama_index(project, party):
    """Engines, agents, streams, transforms, evaluators, strategies inside strategies."""
    index = make_index(WordsEmbedding())

    def world():
        return llama_index.World(
            lambda *replies, **settings: ScriptedLLM(replies=list(replies), **settings),
            index,
            tool_message,
            party=party,
        )

    rows = [row for row in LLAMA_INDEX if (row.__name__, party) not in LOSES]
    with under_llama_index(party) as column, project.sent(trace.get_tracer_provider()):
        outside = await each_in_a_trace(project, rows, world)
        column.spans()  # those of streams end a moment after them
    check(project, outside, rows, ours=column.ours, named=party != "openllmetry")
