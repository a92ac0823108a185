"""Every model call of a sample is in its books, once, with what the provider reported."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_thinktwice import vote
from langchain_thinktwice.accounting.usage import read_reply

from thinktwice import AtMost, Budget, Price, Usage
from thinktwice.errors import ThinktwiceWarning

PRICES = {"fake-1": Price(1, 2), "fake-2": Price(100, 200)}


def all_of(runnable, n, **settings):
    """A vote that draws all n, with its result."""
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **settings)


async def test_usage_of_each_sample_under_concurrency(scripted, call):
    """Four samples at once, two calls in each: nobody gets another's tokens."""
    first = scripted(lambda request: "x" * (request["index"] + 1), seconds=0.01)
    second = scripted("done")
    answer = await call(all_of(first | StrOutputParser() | second, 4, prefer="latency"), "four")
    samples = answer["result"].samples
    assert sorted(s.usage.input_tokens for s in samples) == [5, 6, 7, 8]
    assert all(s.usage.output_tokens == 10 for s in samples)
    assert answer["result"].ledger.total.calls == 8


async def test_implicit_calls_are_found(scripted, call):
    """A model that user code calls without a config lands in the right sample."""
    model = scripted("a")
    blocking = RunnableLambda(lambda text: model.invoke(text).text + model.invoke(text).text)
    answer = await call(all_of(blocking, 3), "abc")
    assert [s.usage.input_tokens for s in answer["result"].samples] == [6, 6, 6]
    entries = answer["result"].ledger.entries
    assert sorted(entry.sample for entry in entries) == [0, 0, 1, 1, 2, 2]


async def test_a_runnable_that_passes_no_config_on(scripted):
    """Neither its own nor LangChain's code passes the config: the context does."""
    model = scripted("a")

    class Bare(Runnable[str, str]):
        def invoke(self, input, config=None, **kwargs):  # noqa: A002 - LangChain's name
            raise NotImplementedError

        async def ainvoke(self, input, config=None, **kwargs):  # noqa: A002 - as above
            return (await asyncio.create_task(model.ainvoke(input))).text

    answer = await all_of(Bare(), 2).ainvoke("abc")
    assert answer["result"].ledger.total.usage.input_tokens == 6


def test_callbacks_on_threads_of_the_chain(scripted):
    """Parallel branches of a sync chain run on threads of LangChain's."""
    branches = RunnableParallel(a=scripted("a"), b=scripted("b"), c=scripted("c"))
    answer = all_of(branches, 2).invoke("abc")
    assert answer["result"].ledger.total.calls == 6


async def test_cost(scripted, call):
    """The price of the model that answered, in the result and on the message."""
    answer = await call(all_of(scripted("a"), 2, prices=PRICES), "x" * 100)
    assert answer["result"].ledger.total.cost == Decimal("0.00022")
    assert answer["value"].response_metadata["thinktwice"]["cost"] == pytest.approx(0.00022)


async def test_n_choices_of_one_request_count_once(scripted, call):
    """Each choice repeats the usage of the whole request."""
    answer = await call(all_of(scripted("a").bind(n=3), 2), "abc")
    assert answer["result"].ledger.total.usage == Usage(
        input_tokens=6, output_tokens=10, source="provider"
    )


async def test_cache_hits_cost_nothing(scripted, call):
    """And say so in the sample."""
    model = scripted("a", cache=InMemoryCache())
    with pytest.warns(ThinktwiceWarning, match="cache"):
        chain = all_of(model, 2, prices=PRICES, max_concurrency=1)
    first, second = (await call(chain, "abc"))["result"].samples
    assert (first.cached, second.cached) == (False, True)
    assert first.usage.input_tokens == 3
    assert second.cost == 0
    assert second.usage.input_tokens == 0


async def test_streamed_calls_without_usage_are_unknown(streamed):
    """Under `astream_events` a model streams; where it reports nothing, nothing is made up."""
    chain = all_of(streamed("abc"), 1)
    events = [event async for event in chain.astream_events("?")]
    assert any(event["event"] == "on_chat_model_stream" for event in events)
    result = events[-1]["data"]["output"]["result"]
    assert result.ledger.total.usage == Usage()
    assert result.samples[0].text == "abc"


async def test_a_cap_binds_where_nobody_counts(streamed, call):
    """An estimate, flagged as one, stands in where tokens are capped."""
    answer = await call(all_of(streamed("some words"), 1, budget=Budget(tokens=10_000)), "abc")
    assert answer["result"].ledger.total.usage.source == "estimated"


async def test_failed_calls_are_in_the_books(scripted, call):
    """With the type of what they raised."""
    model = scripted(ValueError("secret"), "a", "a")
    answer = await call(all_of(model, 3), "abc")
    entries = answer["result"].ledger.entries
    assert [e.error for e in entries if e.status == "error"] == ["ValueError"]


async def test_text_models(call):
    """Completion models are booked as well; this one reports nothing."""
    answer = await call(all_of(FakeListLLM(responses=["a"]), 2), "abc")
    assert answer["result"].ledger.total.calls == 2
    assert answer["value"] == "a"


async def test_nested_wrappers_book_a_call_once(scripted, call):
    """Inner calls are in the inner books and, through them, in the outer ones."""
    inner = vote(scripted("a"), n=2, stop=AtMost(2))
    answer = await call(all_of(inner | StrOutputParser(), 3), "abc")
    result = answer["result"]
    assert result.ledger.total.calls == 6
    assert len(result.nested) == 3
    assert any("3 x 2 = 6 draws" in warning for warning in result.warnings)


async def test_a_sample_without_model_calls_counts_as_one(call):
    """Of unknown size."""
    answer = await call(all_of(RunnableLambda(lambda text: text), 2), "abc")
    assert answer["result"].ledger.total.calls == 2
    assert answer["result"].ledger.total.usage.input_tokens is None


async def test_cancelled_calls_are_in_the_books(scripted):
    """LangChain reports nothing of them; the core does."""
    model = scripted("a", "a", lambda _: "b")
    slow = RunnableLambda(lambda text: text)

    async def wait(message: AIMessage) -> str:
        if message.text == "b":
            await asyncio.sleep(60)
        return message.text

    model.replies = ["a", "b", "a"]
    chain = vote(slow | model | wait, n=3, prefer="latency", include_result=True)
    result = (await chain.ainvoke("abc"))["result"]
    assert result.launched == 3
    assert result.ledger.total.calls == 3


def test_calls_of_an_abandoned_sample_are_refused(scripted):
    """Nobody waits for the second call of a sync sample that lost: it is not sent."""
    model, gate, refused = scripted("a"), threading.Event(), threading.Event()
    count = iter(range(9))

    def act(text: str) -> str:
        if next(count) != 1:
            return model.invoke(text).text
        gate.wait(10)
        try:
            return model.invoke(text).text
        except RuntimeError:
            refused.set()
            raise

    chain = vote(RunnableLambda(act), n=3, prefer="latency", include_result=True)
    result = chain.invoke("abc")["result"]
    gate.set()
    assert refused.wait(10)
    assert result.launched == 3
    assert model.calls == 2


def _reply(message: AIMessage, **output: object) -> LLMResult:
    result = ChatResult(generations=[ChatGeneration(message=message)], llm_output=output or None)
    return LLMResult(generations=[result.generations], llm_output=result.llm_output)


def test_details_are_mapped():
    """Cached and reasoning tokens; Anthropic's cache writes by how long they live."""
    message = AIMessage(
        "a",
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {
                "cache_read": 20,
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 7,
                "ephemeral_1h_input_tokens": 3,
            },
            "output_token_details": {"reasoning": 40},
        },
        response_metadata={"model": "claude", "model_provider": "anthropic"},
    )
    reply = read_reply(_reply(message))
    assert reply.usage == Usage(
        input_tokens=100,
        output_tokens=50,
        cache_read_tokens=20,
        cache_write_tokens=10,
        reasoning_tokens=40,
        source="provider",
    )
    assert (reply.model, reply.provider, reply.cached) == ("claude", "anthropic", False)


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_a_service_tier_that_is_put_before_the_keys(tier: str):
    """As OpenAI's client does: its cached and reasoning tokens are not lost."""
    client = pytest.importorskip("langchain_openai.chat_models.base")
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    made = client._create_usage_metadata(counts, tier)
    message = AIMessage("a", usage_metadata=made, response_metadata={"service_tier": tier})
    usage = read_reply(_reply(message)).usage
    assert usage == Usage(
        input_tokens=100,
        output_tokens=50,
        cache_read_tokens=20,
        reasoning_tokens=40,
        source="provider",
    )
    assert usage.tier == tier


@pytest.mark.parametrize(
    ("metadata", "output", "tier"),
    [
        ({"usage": {"service_tier": "batch"}}, {}, "batch"),  # of Anthropic
        ({}, {"service_tier": "flex"}, "flex"),
        ({"service_tier": "default"}, {}, None),
        ({}, {}, None),
    ],
)
def test_a_service_tier(metadata: dict[str, object], output: dict[str, object], tier: str | None):
    """Wherever the provider names it; the standard one is none."""
    counts = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    message = AIMessage("a", usage_metadata=counts, response_metadata=metadata)
    assert read_reply(_reply(message, **output)).usage.tier == tier


def test_usage_in_the_output_of_the_request():
    """Where the message has none."""
    tokens = {"prompt_tokens": 7, "completion_tokens": 2}
    reply = read_reply(_reply(AIMessage("a"), token_usage=tokens, model_name="gpt"))
    assert reply.usage == Usage(input_tokens=7, output_tokens=2, source="provider")
    assert reply.model == "gpt"


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("a"),
        AIMessage("a", usage_metadata={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}),
    ],
)
def test_no_usage_is_unknown_and_never_zero(message: AIMessage):
    """Also where a provider reports zeros for want of knowledge."""
    assert read_reply(_reply(message)).usage is None


def test_results_of_text_models_are_read():
    """Text and the reason why it ended."""
    generation = Generation(text="a", generation_info={"finish_reason": "length"})
    reply = read_reply(LLMResult(generations=[[generation]]))
    assert (reply.reading.text, reply.reading.finish_reason) == ("a", "length")
    assert read_reply(LLMResult(generations=[[]])).usage is None


async def test_a_global_cache_is_warned_of(scripted):
    """When the wrapper is made."""
    set_llm_cache(InMemoryCache())
    try:
        with pytest.warns(ThinktwiceWarning, match="cache"):
            vote(scripted("a"), n=2)
    finally:
        set_llm_cache(None)


async def test_the_model_that_was_asked_stands_in_for_one_that_gives_no_name(scripted, call):
    """Prices need a name."""
    message = AIMessage("a", response_metadata={"model_name": None})
    answer = await call(all_of(scripted(message), 1, prices=PRICES), "abc")
    assert answer["result"].ledger.entries[0].model == "fake-1"
    assert answer["result"].ledger.total.cost is not None
