"""Who writes the span of a call where OpenLLMetry leaves it to its instrumentation of the SDK."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM

from integrations.llama_index.tests.tracing.columns import column
from thinktwice import collect

pytest.importorskip("opentelemetry.instrumentation.llamaindex", reason="it is not installed")
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor


@pytest.fixture
def sdk_traced():
    """Stands for an instrumentation of the OpenAI SDK that is switched on."""

    class OpenAIInstrumentor(BaseInstrumentor):
        """Opens no spans, for it is only looked at."""

        _instance = None
        __module__ = "opentelemetry.instrumentation.openai"

        def instrumentation_dependencies(self):
            return []

        def _instrument(self, **kwargs):
            """Nothing."""

        def _uninstrument(self, **kwargs):
            """Nothing."""

    made = OpenAIInstrumentor()
    made.instrument(skip_dep_check=True)
    yield
    made.uninstrument()


async def calls(served, chat, all_of):
    """Our spans of the calls of a vote, and its ledger."""
    with served() as server, column("openllmetry") as party, collect() as results:
        llm = StrategyLLM(llm=chat(server), strategy=all_of(2))
        await llm.achat([ChatMessage("2 + 2?")])
        spans = party.spans()
    ours = [span for span in spans if span.attributes.get("openinference.span.kind") == "LLM"]
    return ours, results[0].ledger


async def test_ours_where_the_sdk_is_not_traced(served, chat, all_of):
    """Else nobody would write them, and their tokens would be in no backend."""
    ours, ledger = await calls(served, chat, all_of)
    written = sum(
        span.attributes[f"gen_ai.usage.{kind}_tokens"]
        for span in ours
        for kind in ("input", "output")
    )
    assert len(ours) == 2
    assert written == ledger.reported.usage.total_tokens > 0


@pytest.mark.usefixtures("sdk_traced")
async def test_theirs_where_it_is(served, chat, all_of):
    """That instrumentation writes them."""
    ours, ledger = await calls(served, chat, all_of)
    assert not ours
    assert ledger.total.calls == 2
