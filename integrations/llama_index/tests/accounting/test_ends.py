"""How calls end: failed, cancelled, given up, late, over the budget, without a price."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index_thinktwice.accounting import calls
from llama_index_thinktwice.solver import AsyncDrawing, Solver

from integrations.llama_index.tests.accounting.conftest import (
    MESSAGES,
    READ,
    WRITTEN,
    Drawer,
    OneMethodLLM,
    all_of,
)
from thinktwice import Budget, BudgetExceeded, Settled, UsageError, Vote
from thinktwice.history import History
from thinktwice.testing import run_virtual

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


async def test_a_failed_call_is_unknown_and_there(drawer, scripted):
    """Not zero, not lost; and the sample's error is the user's."""
    result = await drawer.ask(scripted(ConnectionResetError("gone"), "a"), n=2)
    by_status = {each.status: each for each in result.ledger.entries}
    assert set(by_status) == {"ok", "error"}
    assert by_status["error"].usage.source == "missing"
    assert by_status["error"].cost is None
    assert by_status["error"].error == "ConnectionResetError"
    failed = next(each for each in result.samples if each.error is not None)
    assert isinstance(failed.error, ConnectionResetError)


async def test_a_call_that_fails_inside_a_sample_that_goes_on(drawer, scripted):
    """Both calls are there."""
    llm = scripted(ConnectionResetError(), "a", ConnectionResetError(), "a")

    def sync(_: object) -> str:
        try:
            llm.chat(MESSAGES)
        except ConnectionResetError:
            return str(llm.chat(MESSAGES))
        return ""

    async def asynchronous(_: object) -> str:
        try:
            await llm.achat(MESSAGES)
        except ConnectionResetError:
            return str(await llm.achat(MESSAGES))
        return ""

    result = await drawer.draw(asynchronous if drawer.awaits else sync, 1)
    assert [each.status for each in result.ledger.entries] == ["error", "ok"]
    assert result.ledger.total.usage.output_tokens == WRITTEN


@pytest.mark.parametrize("method", ["chat", "stream_chat"])
def test_a_recalled_call_is_unknown_and_there(scripted, method):
    """Of the samples that were under way when the answer was settled."""
    llm = scripted(lambda request: "same")

    async def ask(_: object) -> str:
        llm.seconds = 1.0 if llm.calls < 2 else 60.0
        reply = await getattr(llm, f"a{method}")(MESSAGES)
        return str(reply if isinstance(reply, ChatResponse) else [each async for each in reply][-1])

    async def run():
        strategy = Vote(3, key=lambda _: "same", stop=Settled(), prefer="latency")
        result = await Drawer(True).draw(ask, strategy=strategy)
        return result, asyncio.all_tasks() - {asyncio.current_task()}

    result, left = run_virtual(run())
    assert not left
    assert sorted(each.status for each in result.ledger.entries) == ["cancelled", "ok", "ok"]
    cancelled = next(each for each in result.ledger.entries if each.status == "cancelled")
    assert cancelled.usage.source == "estimated"  # by those that ended
    assert not calls._streams


# ---- streams -------------------------------------------------------------------------------------


class ChunksLLM(OneMethodLLM):
    """Streams what it is given: chunks, of which an exception is raised."""

    chunks: list[object]

    @llm_chat_callback()
    def stream_chat(self, messages, **kwargs):
        """Stream."""
        for each in self.chunks:
            if isinstance(each, Exception):
                raise each
            yield each

    @llm_chat_callback()
    async def astream_chat(self, messages, **kwargs):
        """Stream."""

        async def chunks():
            for each in self.chunks:
                if isinstance(each, Exception):
                    raise each
                yield each

        return chunks()


def chunk(**raw):
    """A chunk of a stream."""
    return ChatResponse(message=ChatMessage("a"), delta="a", raw=raw)


async def test_usage_before_the_last_chunk_counts(drawer):
    """The latest that is told of."""
    early = {"input_tokens": 7, "output_tokens": 1}
    late = {"input_tokens": 7, "output_tokens": 3}
    llm = ChunksLLM(chunks=[chunk(usage=early), chunk(usage=late), chunk()])
    result = await drawer.ask(llm, "stream_chat", n=1)
    assert result.ledger.total.usage.total_tokens == 10


async def test_a_stream_that_breaks_is_unknown(drawer):
    """Though it has said something."""
    usage = {"input_tokens": 7, "output_tokens": 1}
    llm = ChunksLLM(chunks=[chunk(usage=usage), ConnectionResetError()])
    with pytest.raises(ConnectionResetError) as raised:
        await drawer.ask(llm, "stream_chat", n=1)
    [entry] = raised.value.thinktwice_result.ledger.entries
    assert (entry.status, entry.usage.source) == ("error", "missing")


async def test_a_stream_that_is_given_up_ends_with_its_sample(drawer, scripted):
    """After its first word, or before it."""
    llm = scripted("a b c")

    def sync(_: object) -> str:
        llm.stream_chat(MESSAGES)
        return str(next(llm.stream_chat(MESSAGES)).delta)

    async def asynchronous(_: object) -> str:
        await llm.astream_chat(MESSAGES)
        stream = await llm.astream_chat(MESSAGES)
        delta = str((await anext(stream)).delta)
        await stream.aclose()
        return delta

    result = await drawer.draw(asynchronous if drawer.awaits else sync, 1)
    assert result.value == "a"
    found = [(each.status, each.usage.source) for each in result.ledger.entries]
    assert found == [("cancelled", "missing")] * 2
    gc.collect()
    assert not calls._streams


async def test_a_stream_that_is_read_after_its_sample_is_unknown(scripted):
    """The sample had ended; reading it changes nothing and breaks nothing."""
    llm = scripted("a b c")

    async def draw(_: object):
        return await llm.astream_chat(MESSAGES)

    result = await Drawer(True).draw(draw, 1)
    assert [each.status for each in result.ledger.entries] == ["cancelled"]
    assert [each.delta async for each in result.value] == ["a", " b", " c"]
    assert [each.status for each in result.ledger.entries] == ["cancelled"]


# ---- late ----------------------------------------------------------------------------------------


async def test_a_call_on_a_thread_that_was_given_up_settles_late(scripted):
    """When it ends: what it took is known then."""
    begun, go = threading.Event(), threading.Event()

    def reply(request):
        if request["index"] == 2:
            begun.set()
            go.wait(5)
        begun.wait(5)
        return "same"

    llm = scripted(reply)
    strategy = Vote(3, key=lambda _: "same", stop=Settled(), prefer="latency")
    result = await Drawer(False).draw(lambda _: str(llm.chat(MESSAGES)), strategy=strategy)
    [given_up] = [each for each in result.ledger.entries if each.status == "abandoned"]
    assert given_up.usage.source == "estimated"
    go.set()
    for _ in range(500):
        entry = next(each for each in result.ledger.entries if each.status == "abandoned")
        if entry.usage.source == "provider":
            break
        await asyncio.sleep(0.002)
    assert entry.usage.total_tokens == READ + WRITTEN
    assert result.ledger.total.calls == 3


async def test_a_call_that_a_given_up_thread_begins_late_is_booked(scripted):
    """It is paid for all the same."""
    begun, go = threading.Event(), threading.Event()
    llm = scripted("same")
    turns = itertools.count()

    def draw(_: object) -> str:
        if next(turns) == 2:
            begun.set()
            go.wait(5)
        begun.wait(5)
        return str(llm.chat(MESSAGES))

    strategy = Vote(3, key=lambda _: "same", stop=Settled(), prefer="latency")
    result = await Drawer(False).draw(draw, strategy=strategy)
    go.set()
    for _ in range(500):
        if llm.calls == 3 and result.ledger.total.usage.total_tokens == 3 * (READ + WRITTEN):
            break
        await asyncio.sleep(0.002)
    assert result.ledger.total.usage.total_tokens == 3 * (READ + WRITTEN)
    assert result.ledger.total.calls == 3


# ---- budgets -------------------------------------------------------------------------------------


async def test_a_call_over_the_budget_cuts_its_sample_off(scripted):
    """Before it has got far; and the run ends, with an estimated level."""
    llm = scripted("a", seconds=0.005)
    went_on = []

    async def draw(_: object) -> str:
        for _step in range(3):
            await llm.achat(MESSAGES)
        went_on.append(True)
        return "a"

    solver = Solver(all_of(2), budget=Budget(calls=4), max_concurrency=1)
    result = await solver.solve("?", AsyncDrawing(draw, History()))
    assert len(went_on) == 1
    assert result.value == "a"
    assert result.ledger.enforcement["calls"] == "estimated"
    assert [each.status for each in result.ledger.entries] == ["ok"] * 4 + ["cancelled"]
    assert "calls" in str(result.stopped_by)


async def test_tokens_that_nobody_counts_end_a_run_too(drawer):
    """They are estimated."""
    llm = OneMethodLLM(reports=False)
    result = await drawer.ask(llm, n=8, budget=Budget(tokens=60), max_concurrency=1)
    assert 1 <= len(result.samples) < 8
    assert "tokens" in str(result.stopped_by)


async def test_no_answer_under_a_budget_says_so(scripted):
    """With the ledger."""
    llm = scripted("a", seconds=0.005)

    async def draw(_: object) -> str:
        for _step in range(3):
            await llm.achat(MESSAGES)
        return "a"

    with pytest.raises(BudgetExceeded) as raised:
        await Drawer(True).draw(draw, 1, budget=Budget(calls=1))
    assert raised.value.ledger.total.calls == 2


# ---- what a handler cannot raise -----------------------------------------------------------------


class Broken:
    """Prices that are."""

    def price(self, usage, *, model, provider):
        raise KeyError(model)


async def test_prices_that_break_are_told_of(drawer, scripted):
    """LlamaIndex drops what a handler raises: it is raised with the sample, which is booked."""
    with pytest.raises(UsageError, match=r"price\(\) raised KeyError"):
        await drawer.ask(scripted("a"), n=2, prices=Broken())


async def test_a_stream_without_callbacks_ends_with_its_sample():
    """Nobody tells of its end."""

    class Undecorated(OneMethodLLM):
        def stream_complete(self, prompt, formatted=False, **kwargs):
            yield CompletionResponse(text="a", delta="a")

    result = await Drawer(False).ask(Undecorated(), "stream_complete", n=1)
    [entry] = result.ledger.entries
    assert (entry.status, entry.usage.source) == ("cancelled", "missing")
