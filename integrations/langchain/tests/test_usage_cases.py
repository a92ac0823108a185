"""What is booked of each kind of model call that LangChain makes: once, and never made up."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal

import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseLLM
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote

from thinktwice import AtMost, Price, Usage

langchain_openai = pytest.importorskip("langchain_openai")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

READ, WRITTEN = 100, 10


def all_of(runnable, n=2, **settings):
    """A vote that draws all n, with its result."""
    settings = {"key": lambda _: "same", **settings}
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **settings)


def said(text="a", *, read=READ, written=WRITTEN, **details) -> AIMessage:
    """A message with usage."""
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    return AIMessage(text, usage_metadata={**usage, **details})


async def ledger(call, runnable, given="?", n=2, **settings):
    """Of a vote over the Runnable."""
    return (await call(all_of(runnable, n, **settings), given))["result"].ledger


def served(**faults):
    """A server that answers 4."""
    return ArithmeticServer.in_thread(reply=lambda prompt, number: "4", faults=Faults(**faults))


def client(server, **settings):
    """A real client of it that does not retry."""
    given = {"model": "arithmetic-lm", "api_key": "none", "max_retries": 0, **settings}
    return langchain_openai.ChatOpenAI(base_url=server.url, **given)


# ---- several choices ----------------------------------------------------------------------------


async def test_several_choices_on_the_wire(call):
    """Each choice repeats the usage of its request, which is booked once."""
    with served() as server:
        alone = (await ledger(call, client(server), "2 + 2", 1)).total.usage
        books = await ledger(call, client(server, n=3), "2 + 2", 2)
        assert [record.n for record in server.log] == [1, 3, 3]
    assert books.total.calls == 2
    assert books.total.usage.input_tokens == 2 * alone.input_tokens
    assert books.total.usage.output_tokens == 2 * 3 * alone.output_tokens


# ---- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reports", [False, True])
async def test_streams_with_and_without_usage(reports):
    """A call that events turn into a stream has usage if the client asks for it; else unknown."""
    with served() as server:
        chain = all_of(client(server, stream_usage=reports), 2)
        events = [event async for event in chain.astream_events("2 + 2")]
        assert [record.stream for record in server.log] == [True, True]
    books = events[-1]["data"]["output"]["result"].ledger
    assert books.total.calls == 2
    assert books.total.usage.source == ("provider" if reports else "missing")
    assert (books.total.usage.total_tokens or 0) > 0 or not reports


async def test_calls_that_are_not_to_be_streamed():
    """The other remedy."""
    with served() as server:
        chain = all_of(client(server, disable_streaming=True), 2)
        events = [event async for event in chain.astream_events("2 + 2")]
        assert [record.stream for record in server.log] == [False, False]
    books = events[-1]["data"]["output"]["result"].ledger
    assert books.total.usage.source == "provider"


# ---- caches -------------------------------------------------------------------------------------


class Overtaken(InMemoryCache):
    """A hit comes between the end of a call and the news of it, which the same entry is in."""

    def update(self, prompt, llm_string, return_val):
        super().update(prompt, llm_string, return_val)
        for each in return_val:
            marked = {**each.message.usage_metadata, "total_cost": 0}
            each.message = each.message.model_copy(update={"usage_metadata": marked})

    async def aupdate(self, prompt, llm_string, return_val):
        self.update(prompt, llm_string, return_val)


async def test_a_hit_does_not_make_the_call_free_that_it_comes_from(scripted, call):
    """LangChain's mark is on the entry by then; the call was paid for all the same."""
    books = await ledger(call, scripted(said(), cache=Overtaken()), n=1, prices=PRICES)
    [entry] = books.entries
    assert not entry.cached
    assert entry.usage.input_tokens == READ
    assert entry.cost > 0


async def test_hits_cost_nothing(scripted, call):
    """They are calls of the run, without tokens."""
    model = scripted(said(), cache=InMemoryCache())
    books = await ledger(call, model, n=3, max_concurrency=1, prices=PRICES)
    assert [entry.cached for entry in books.entries] == [False, True, True]
    assert books.total.usage.input_tokens == READ
    assert books.total.cost == PRICES["fake-1"].of(books.entries[0].usage)


async def test_hits_of_models_that_report_nothing(scripted, call):
    """Are free, too, and the first call stays unknown."""
    model = scripted("a", reports=False, cache=InMemoryCache())
    books = await ledger(call, model, max_concurrency=1, prices=PRICES)
    assert [entry.cached for entry in books.entries] == [False, True]
    assert [entry.cost for entry in books.entries] == [None, 0]


# ---- what is not known --------------------------------------------------------------------------

PRICES = {"fake-1": Price(1, 2, cache_read="0.1"), "fake-2": Price(100, 200)}


async def test_models_that_report_nothing(scripted, call):
    """Unknown, and not zero."""
    books = await ledger(call, scripted("a", reports=False), prices=PRICES)
    assert books.total.usage == Usage()
    assert (books.total.cost, books.total.unpriced) == (None, 2)


async def test_cancelled_calls(scripted):
    """A recalled call is in the books with what is known of it: no report, and no price of 0."""
    model = scripted("a", "a", "b")
    hang = asyncio.Event()

    class Hanging(type(model)):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            request = self._begin(messages, kwargs)
            if request["index"] == 2:
                await hang.wait()
            return self._end(request)

    chain = vote(Hanging(replies=["a"]), n=3, prefer="latency", hedge=False, include_result=True)
    books = (await chain.ainvoke("?"))["result"].ledger
    assert sorted(entry.status for entry in books.entries) == ["cancelled", "ok", "ok"]
    [cancelled] = [entry for entry in books.entries if entry.status == "cancelled"]
    assert cancelled.usage.source != "provider"
    assert cancelled.cost is None
    assert cancelled.model == "fake-1"


async def test_a_retried_call(scripted, call):
    """Each attempt is booked: the failed one unknown, the other one with its usage."""
    model = scripted(ConnectionError(), said())
    books = await ledger(call, model.with_retry(wait_exponential_jitter=False), n=1)
    assert [(entry.status, entry.usage.source) for entry in books.entries] == [
        ("error", "missing"),
        ("ok", "provider"),
    ]
    assert books.total.usage.source == "missing"


async def test_a_retried_chain(scripted, call):
    """An attempt whose reply did not parse was paid for in full."""
    chain = (scripted(said("x"), said("5")) | (lambda message: int(message.text))).with_retry(
        wait_exponential_jitter=False
    )
    books = await ledger(call, chain, n=1)
    assert books.total.calls == 2
    assert books.total.usage.input_tokens == 2 * READ


async def test_a_retry_on_the_wire(call):
    """What the server refused costs nothing; what it answered does."""
    with served(schedule={1: "500"}) as server:
        chain = client(server).with_retry(wait_exponential_jitter=False)
        books = await ledger(call, chain, "2 + 2", 1)
        assert len(server.log) == 2
    assert [entry.status for entry in books.entries] == ["error", "ok"]
    assert "500" in books.entries[0].error
    assert books.total.usage.input_tokens == books.entries[1].usage.input_tokens


# ---- who is paid --------------------------------------------------------------------------------


async def test_several_models_in_one_chain(scripted, call):
    """Each is priced by its own name."""
    cheap, dear = scripted(said(), model_name="fake-1"), scripted(said(), model_name="fake-2")
    books = await ledger(call, cheap | StrOutputParser() | dear, n=1, prices=PRICES)
    assert {entry.model for entry in books.entries} == {"fake-1", "fake-2"}
    assert books.total.cost == Decimal("0.00012") + Decimal("0.012")


async def test_cached_and_reasoning_tokens(scripted, call):
    """Are parts of input and output, priced as such."""
    details = {
        "input_token_details": {"cache_read": 60},
        "output_token_details": {"reasoning": 8},
    }
    books = await ledger(call, scripted(said(**details)), n=1, prices=PRICES)
    usage = books.total.usage
    assert (usage.cache_read_tokens, usage.reasoning_tokens) == (60, 8)
    assert (usage.input_tokens, usage.output_tokens) == (READ, WRITTEN)
    assert books.total.cost == Decimal("0.000066")  # 40 at 1, 60 at 0.1 and 10 at 2 per million


async def test_dated_names(scripted, call):
    """The name that answered is in the books; the price may be that of the name asked for."""
    reply = said()
    reply.response_metadata = {"model_name": "fake-1-2026-06-01"}
    books = await ledger(call, scripted(reply), n=1, prices=PRICES)
    assert books.entries[0].model == "fake-1-2026-06-01"
    assert books.total.cost == Decimal("0.00012")
    dated = {**PRICES, "fake-1-2026-06-01": Price(10, 20)}
    books = await ledger(call, scripted(reply), n=1, prices=dated)
    assert books.total.cost == Decimal("0.0012")


async def test_no_name(scripted, call):
    """The model that was asked for stands in."""
    reply = said()
    reply.response_metadata = {"model_name": None}
    books = await ledger(call, scripted(reply), n=1, prices=PRICES)
    assert books.entries[0].model == "fake-1"
    assert books.total.cost == Decimal("0.00012")


# ---- other shapes -------------------------------------------------------------------------------


async def test_usage_of_the_request_alone(model_class, call):
    """In `llm_output`, with its parts, and not in the message."""

    class Old(model_class):
        def _end(self, request):
            tokens = {
                "prompt_tokens": READ,
                "completion_tokens": WRITTEN,
                "prompt_tokens_details": {"cached_tokens": 60},
                "completion_tokens_details": {"reasoning_tokens": 8},
            }
            output = {"token_usage": tokens, "model_name": "fake-1"}
            generations = [ChatGeneration(message=AIMessage("a"))]
            return ChatResult(generations=generations, llm_output=output)

    books = await ledger(call, Old(replies=["a"]), n=1, prices=PRICES)
    assert books.total.usage == Usage(
        input_tokens=READ,
        output_tokens=WRITTEN,
        cache_read_tokens=60,
        reasoning_tokens=8,
        source="provider",
    )
    assert books.total.cost == Decimal("0.000066")


class TextModel(BaseLLM):
    """A completion model, whose usage is that of all prompts of a request."""

    @property
    def _llm_type(self):
        return "text"

    def _generate(self, prompts, stop=None, run_manager=None, **kwargs):
        count = len(prompts)
        tokens = {"prompt_tokens": READ * count, "completion_tokens": WRITTEN * count}
        return LLMResult(
            generations=[[Generation(text="a")] for _ in prompts],
            llm_output={"token_usage": tokens, "model_name": "fake-1"},
        )


async def test_text_models(call):
    """From the output of the request."""
    books = await ledger(call, TextModel(), prices=PRICES)
    assert books.total.usage.input_tokens == 2 * READ
    assert books.total.cost == 2 * Decimal("0.00012")


async def test_a_batch_of_texts_in_one_sample(call):
    """The first of them has the usage of all, which is neither lost nor counted for each."""
    several = RunnableLambda(lambda text: TextModel().batch([text, text, text]))
    books = await ledger(call, several, n=1)
    assert books.total.calls == 3
    assert books.total.usage.input_tokens == 3 * READ


async def test_a_batch_in_one_sample(scripted, call):
    """Each call of it is booked in the sample."""
    model = scripted(said())
    books = await ledger(call, RunnableLambda(lambda text: model.batch([text] * 3)))
    assert books.total.calls == 6
    assert books.total.usage.input_tokens == 6 * READ
    assert sorted(entry.sample for entry in books.entries) == [0, 0, 0, 1, 1, 1]


async def test_threads_in_a_sample(scripted, call):
    """Where the context is carried along; where it is not, the call is not seen, and no zero."""
    model = scripted(said())

    def carried(text):
        with ThreadPoolExecutor() as pool:
            return pool.submit(copy_context().run, model.invoke, text).result()

    def alone(text):
        thread = threading.Thread(target=model.invoke, args=(text,))
        thread.start()
        thread.join()
        return text

    books = await ledger(call, RunnableLambda(carried))
    assert books.total.usage.input_tokens == 2 * READ
    books = await ledger(call, RunnableLambda(alone))
    assert books.total.calls == 2
    assert books.total.usage == Usage()
