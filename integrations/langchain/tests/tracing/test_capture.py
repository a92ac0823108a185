"""Every way to call a wrapper, and to end: no content but where the environment asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from integrations.langchain.tests.tracing import rows
from integrations.langchain.tests.tracing.rows import ROWS, World
from tests.contracts.traced import MARK, Trace, collected
from tests.contracts.walking import Walk
from thinktwice.telemetry import content
from thinktwice.workflow import collect

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
CASES = [
    (None, False, False),
    ("NO_CONTENT", False, False),
    ("no_content", False, False),
    ("SPAN_ONLY", True, False),
    ("event_only", False, True),
    ("Span_And_Event", True, True),
    ("true", False, False),  # of an earlier convention
]


class Marked(World):
    """With a mark in all that is said."""

    def reply(self, text: str, issued: list[int], **fields: Any) -> Any:
        return super().reply(text if text == ".9" else f"{MARK} {text}", issued, **fields)


async def traced(row: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> Trace:
    """A way to call it, with a mark in its prompt, too."""
    monkeypatch.setattr(rows, "PROMPT", ChatPromptTemplate.from_template(MARK + "{x}"))
    trace = Trace()
    with collected(trace):
        await row(Marked(scripted, []))
    return trace


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_nothing_by_default(row, scripted, monkeypatch):
    """In no attribute, event, name or status of a span, no log record and no metric."""
    trace = await traced(row, scripted, monkeypatch)
    assert Walk(trace.spans).of("call")
    assert MARK not in trace.text
    assert not trace.open


@pytest.mark.parametrize("row", [rows.ainvoke, rows.invoke, rows.middleware_ainvoke])
@pytest.mark.parametrize(("word", "spans", "events"), CASES)
async def test_where_it_is_written(row, *, word, spans, events, scripted, monkeypatch):
    """As the variable says, in capitals or not; an unknown word says no."""
    if word is not None:
        monkeypatch.setenv(content.CAPTURE_VARIABLE, word)
    trace = await traced(row, scripted, monkeypatch)
    calls = Walk(trace.spans).of("call")
    for call in calls:
        assert (MARK in call.to_json()) is spans
    exchanges = [log.log_record for log in trace.logs]
    assert len(exchanges) == (len(calls) if events else 0)
    assert {each.span_id for each in exchanges} == (
        {call.context.span_id for call in calls} if events else set()
    )


def failing(w: World) -> Any:
    """A chain of which one call in three fails, and says by what."""
    replies = [lambda _: w.reply("a", w.issued), ValueError(MARK), lambda _: w.reply("b", w.issued)]
    return w.vote(rows.PROMPT | w.scripted(*replies) | StrOutputParser())


async def fails(w: World) -> None:
    await failing(w).ainvoke({"x": "?"}, w.config)


async def fails_on_a_thread(w: World) -> None:
    await w.on_a_thread(lambda: failing(w).invoke({"x": "?"}, w.config))


async def all_fail(w: World) -> None:
    with pytest.raises(ValueError, match=MARK):
        await w.vote(w.scripted(ValueError(MARK))).ainvoke(MARK, w.config)


async def is_cancelled(w: World) -> None:
    model = w.scripted(lambda _: w.reply("a", w.issued))
    model.seconds = 60
    task = asyncio.ensure_future(w.vote(model).ainvoke(MARK, w.config))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def is_cut(w: World) -> None:
    w.issued.clear()
    budget = {"calls": 2}
    config = {**w.config, "configurable": {"thinktwice_budget": budget}}
    await w.vote(w.model()).ainvoke(MARK, config)


async def breaks_in_a_parser(w: World) -> None:
    def parse(message: Any) -> str:
        raise KeyError(message.text)

    with pytest.raises(KeyError):
        await w.vote(w.model() | RunnableLambda(parse)).ainvoke(MARK, w.config)


ENDS = [fails, fails_on_a_thread, all_fail, is_cancelled, is_cut, breaks_in_a_parser]


@pytest.mark.parametrize("row", ENDS, ids=lambda row: row.__name__)
async def test_the_contract_holds_however_it_ends(row, scripted, monkeypatch):
    """No span is left open, none is in the wrong place, and the calls are the ledger's."""
    with collect() as results:
        trace = await traced(row, scripted, monkeypatch)
    walk = Walk(trace.spans)
    walk.hold()
    walk.equals(*(result.ledger for result in results))
    assert walk.of("call")
    assert not trace.open
    assert MARK not in trace.text
