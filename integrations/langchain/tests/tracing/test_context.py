"""Context and baggage of a request, where a model inside a chain would send them on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import best_of_n
from opentelemetry import baggage, context, trace
from opentelemetry.propagate import inject

from tests.contracts.walking import Walk
from thinktwice import AtMost
from thinktwice.testing import captured_spans

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def ainvoke(chain: Any) -> Any:
    return chain.ainvoke("q")


async def invoke(chain: Any) -> Any:
    return await asyncio.to_thread(chain.invoke, "q")


async def invoke_in_loop(chain: Any) -> Any:
    return chain.invoke("q")


async def batch(chain: Any) -> Any:
    return await asyncio.to_thread(chain.batch, ["q", "r"])


@pytest.mark.parametrize("call", [ainvoke, invoke, invoke_in_loop, batch])
async def test_models_and_checks_are_inside_their_sample(call, scripted):
    """On whatever thread they run: what they send leads there, and has the baggage."""
    seen: list[dict[str, str]] = []

    def note(result: Any) -> Any:
        carrier: dict[str, str] = {}
        inject(carrier)
        seen.append(carrier)
        return result

    model = scripted(lambda _: note(AIMessage("a")))
    judge = RunnableLambda(lambda _: note(0.5))
    chain = best_of_n(model | StrOutputParser(), n=2, verifier=judge, stop=AtMost(2))
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        tracer = trace.get_tracer("app")
        with captured_spans() as spans, tracer.start_as_current_span("request") as request:
            await call(chain)
    finally:
        context.detach(token)
    walk = Walk(spans)
    walk.hold()
    assert {carrier["baggage"] for carrier in seen} == {"tenant=acme"}
    parents = [carrier["traceparent"].split("-")[1:3] for carrier in seen]
    assert {each for each, _ in parents} == {f"{request.get_span_context().trace_id:032x}"}
    inside = [*walk.of("sample"), *walk.of("verify")]
    assert {each for _, each in parents} == {f"{s.context.span_id:016x}" for s in inside}
    assert "acme" not in "".join(span.to_json() for span in spans)
