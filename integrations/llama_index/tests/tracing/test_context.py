"""Context and baggage of a request, where an LLM inside an engine would send them on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.propagate import inject

from integrations.llama_index.tests.tracing import rows
from integrations.llama_index.tests.tracing.rows import World
from tests.contracts.walking import Walk
from thinktwice.testing import captured_spans

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@dataclass
class Noting(World):
    """Notes what an LLM would send on with its request.

    Attributes:
        seen: Headers.
    """

    seen: list[dict[str, str]] = field(default_factory=list)

    def reply(self, message: ChatMessage, issued: list[int]):
        carrier: dict[str, str] = {}
        inject(carrier)
        self.seen.append(carrier)
        return super().reply(message, issued)


@pytest.mark.parametrize(
    "row",
    [
        *(rows.aquery, rows.query, rows.query_in_loop, rows.per_sample_query, rows.nested_query),
        *(rows.llm_achat, rows.llm_chat, rows.llm_complete, rows.transform_run, rows.judged_query),
    ],
    ids=lambda row: row.__name__,
)
async def test_llms_are_inside_their_sample(row, scripted, index, asks_tools):
    """On whatever thread they run: what they send leads there, and has the baggage."""
    world = Noting(scripted, index, asks_tools)
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        tracer = trace.get_tracer("app")
        with captured_spans() as spans, tracer.start_as_current_span("request") as request:
            await row(world)
    finally:
        context.detach(token)
    assert {carrier["baggage"] for carrier in world.seen} == {"tenant=acme"}
    parents = [carrier["traceparent"].split("-")[1:3] for carrier in world.seen]
    assert {each for each, _ in parents} == {f"{request.get_span_context().trace_id:032x}"}
    walk = Walk(spans)
    calls = walk.of("call")
    made_by_us = {f"{call.context.span_id:016x}" for call in calls}
    by_others = {f"{walk.parent(call).context.span_id:016x}" for call in calls}
    sent = {each for _, each in parents}
    assert len(sent) > 1
    assert sent <= made_by_us | by_others
    assert "acme" not in "".join(span.to_json() for span in spans)
