"""One trace, and no token twice, whoever else traces."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_thinktwice.chat_model import StrategyChatModel
from opentelemetry import trace

from integrations.langchain.tests.tracing.columns import Column, column
from integrations.langchain.tests.tracing.state import suppressed, unchanged
from integrations.langchain.tests.tracing.traces import SAMPLE, Trace, tokens
from thinktwice import AtMost, Vote

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore:Calling .text"),  # OpenInference does
]

PROMPT = ChatPromptTemplate.from_template("{x}")
CALL = 6
"""Tokens of each call of the scripted model for `?`."""


async def ainvoke(model: Any, config: Any) -> None:
    await model.ainvoke("?", config)


async def invoke(model: Any, config: Any) -> None:
    await asyncio.to_thread(model.invoke, "?", config)


async def invoke_in_loop(model: Any, config: Any) -> None:
    model.invoke("?", config)


async def astream(model: Any, config: Any) -> None:
    [_ async for _ in model.astream("?", config)]


async def events(model: Any, config: Any) -> None:
    [_ async for _ in model.astream_events("?", config, version="v2")]


async def events_of_version_3(model: Any, config: Any) -> None:
    await (await model.astream_events("?", config, version="v3"))


async def stream_of_version_3(model: Any, config: Any) -> None:
    assert model.stream_events("?", config, version="v3").output.text


async def sequence(model: Any, config: Any) -> None:
    chain = ChatPromptTemplate.from_messages([("user", "?")]) | model | StrOutputParser()
    await asyncio.to_thread(chain.invoke, {}, config)


async def agent(model: Any, config: Any) -> None:
    create_agent = pytest.importorskip("langchain.agents").create_agent
    await create_agent(model, []).ainvoke({"messages": [("user", "?")]}, config)


ROWS = [ainvoke, invoke, invoke_in_loop, astream, events, sequence, agent]
if hasattr(BaseChatModel, "_chat_model_stream_v3"):  # older versions of LangChain have none
    ROWS += [events_of_version_3, stream_of_version_3]


@pytest.fixture(
    scope="module", params=["none", "openinference", "openllmetry", "langfuse", "environment"]
)
def party(request):
    """Each party that traces, in turn."""
    with column(request.param) as made:
        yield made


@pytest.fixture
def seen(party: Column):
    """The party, with nothing told to it yet."""
    party.clear()
    return party


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
@pytest.mark.parametrize("traced", [False, True], ids=["detached", "traced"])
async def test_cell(row, traced, seen: Column, scripted, caplog):
    """All tokens once; each call below its sample where anybody sees it."""
    model = StrategyChatModel(scripted("4"), Vote(3, stop=AtMost(3)), trace_samples=traced)
    tracer = trace.get_tracer("test")
    with caplog.at_level(logging.WARNING), tracer.start_as_current_span("outer"), unchanged():
        await row(model, {"callbacks": list(seen.callbacks)})
    if seen.flush:
        seen.flush()
    told = Trace(seen.exporter.get_finished_spans())
    assert not caplog.records
    assert len(told.ids) == 1
    assert told.orphans == []
    assert len(told.named(SAMPLE)) == 3
    if seen.name == "langfuse":
        _check_langfuse(told, traced=traced)
    else:
        _check_calls(told, seen)
    if seen.name == "environment":
        _check_langsmith(seen, traced=traced)


def _check_calls(told: Trace, seen: Column) -> None:
    """One span for each call of the model inside, below a sample of its own; none for its sum."""
    assert [tokens(call) for call in told.calls] == [CALL] * 3
    assert len(told.own()) == (3 if seen.ours else 0)
    above = [next(s for s in told.above(call) if s.name == SAMPLE) for call in told.calls]
    assert len({span.context.span_id for span in above}) == 3


def _check_langfuse(told: Trace, *, traced: bool) -> None:
    """It has one generation with the sum; where samples are traced one with the winner's, too."""
    counted = sorted(tokens(call) for call in told.calls)
    assert counted == ([CALL] * 4 if traced else [3 * CALL])


def _check_langsmith(seen: Column, *, traced: bool) -> None:
    """Its model runs: the one, and those of the samples where they are traced."""
    models = [run for run in seen.posted.values() if run["run_type"] == "llm"]
    assert len(models) == (4 if traced else 1)


@pytest.mark.parametrize("row", [ainvoke, invoke, sequence], ids=lambda row: row.__name__)
async def test_without_a_span_around(row, seen: Column, scripted):
    """There is one trace all the same."""
    model = StrategyChatModel(scripted("4"), Vote(3, stop=AtMost(3)))
    await row(model, {"callbacks": list(seen.callbacks)})
    if seen.flush:
        seen.flush()
    told = Trace(seen.exporter.get_finished_spans())
    assert len(told.ids) == 1
    assert told.orphans == []


async def test_suppression_by_the_caller_holds(seen: Column, scripted):
    """Below the model as well."""
    with suppressed():
        await StrategyChatModel(scripted("4"), Vote(3)).ainvoke("?")
    assert seen.exporter.get_finished_spans() == ()
