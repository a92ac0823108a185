"""Every way to call a door, and to end: no content but where the environment asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM

from integrations.llama_index.tests.tracing import rows
from integrations.llama_index.tests.tracing.rows import ROWS, World
from tests.contracts.traced import MARK, Trace, collected
from tests.contracts.walking import Walk
from thinktwice import Budget
from thinktwice.telemetry import content
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # pydantic, of agents of LlamaIndex
]
WORDS = (MARK, "capital", "Eiffel")
"""Of answers, of the question and of a document."""


class Marked(World):
    """With a mark in all that is said."""

    def reply(self, message: ChatMessage, issued: list[int]) -> Any:
        if message.content and message.content != "YES":
            message = ChatMessage(f"{MARK} {message.content}")
        return super().reply(message, issued)


async def traced(row: Any, scripted: Any, index: Any, asks_tools: Any) -> Trace:
    """A way to call it."""
    trace = Trace()
    with collected(trace):
        await row(Marked(scripted, index, asks_tools))
    return trace


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_nothing_by_default(row, scripted, index, asks_tools):
    """In no attribute, event, name or status of a span, no log record and no metric."""
    trace = await traced(row, scripted, index, asks_tools)
    assert Walk(trace.spans).of("call")
    assert not [word for word in WORDS if word in trace.text]
    assert not trace.open


@pytest.mark.parametrize("row", [rows.aquery, rows.query, rows.streaming_aquery, rows.llm_chat])
@pytest.mark.parametrize(
    ("word", "spans", "events"),
    [
        ("no_content", False, False),
        ("SPAN_ONLY", True, False),
        ("event_only", False, True),
        ("Span_And_Event", True, True),
        ("true", False, False),
    ],
)
async def test_where_it_is_written(
    row, *, word, spans, events, scripted, index, asks_tools, monkeypatch
):
    """As the variable says, in capitals or not; an unknown word says no."""
    monkeypatch.setenv(content.CAPTURE_VARIABLE, word)
    trace = await traced(row, scripted, index, asks_tools)
    calls = Walk(trace.spans).of("call")
    for call in calls:
        assert (MARK in call.to_json()) is spans
    exchanges = [log.log_record.span_id for log in trace.logs]
    assert sorted(exchanges) == (sorted(c.context.span_id for c in calls) if events else [])


def failing(w: World) -> Any:
    """An engine whose LLM fails once in three calls, and says by what."""
    replies = [lambda _: w.reply(ChatMessage("a b"), w.issued), RuntimeError(MARK)]
    llm = w.scripted(*replies, lambda _: w.reply(ChatMessage("a b"), w.issued))
    return w.engine(w.index.as_query_engine(llm=llm))


async def fails(w: World) -> None:
    await failing(w).aquery("capital?")


async def fails_on_a_thread(w: World) -> None:
    await w.on_a_thread(lambda: failing(w).query("capital?"))


async def all_fail(w: World) -> None:
    llm = w.scripted(RuntimeError(MARK))
    with pytest.raises(RuntimeError, match=MARK):
        await w.engine(w.index.as_query_engine(llm=llm)).aquery("capital?")


async def is_cancelled(w: World) -> None:
    engine = w.engine(w.index.as_query_engine(llm=w.llm(seconds=60)))
    task = asyncio.ensure_future(engine.aquery("capital?"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def is_cut(w: World) -> None:
    llm = StrategyLLM(
        llm=w.llm(), strategy=rows.all_of(3), budget=Budget(calls=2), prices=rows.PRICES
    )
    await llm.achat([ChatMessage(MARK)])


ENDS = [fails, fails_on_a_thread, all_fail, is_cancelled, is_cut]


@pytest.mark.parametrize("row", ENDS, ids=lambda row: row.__name__)
async def test_the_contract_holds_however_it_ends(row, scripted, index, asks_tools):
    """No span is left open, none is in the wrong place, and the calls are the ledger's."""
    with collect() as results:
        trace = await traced(row, scripted, index, asks_tools)
    walk = Walk(trace.spans)
    walk.hold()
    walk.equals(*(result.ledger for result in results))
    assert walk.of("call")
    assert not trace.open
    assert not [word for word in WORDS if word in trace.text]
