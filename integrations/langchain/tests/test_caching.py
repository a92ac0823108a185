"""A cache that keeps entries for each sample: the same samples again, and not one of them twice."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import random
import warnings

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseLLM
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import Generation, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_thinktwice import RunnableSampler, best_of_n, critique_repair, vote
from langchain_thinktwice.diversity.caching import SampleKeyedCache

from thinktwice import AtMost, UsageError, Vote, solve
from thinktwice.errors import ThinktwiceWarning
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Judge

PROMPT = ChatPromptTemplate.from_template("{x}")


def numbered(request):
    """A different reply to each request."""
    return f"reply {request['index']}"


@pytest.fixture
def cache() -> SampleKeyedCache:
    return SampleKeyedCache(InMemoryCache())


def all_of(runnable, n=4, **settings):
    """A vote that draws all n, with its result."""
    settings = {"key": lambda _: "same", "stop": AtMost(n), "include_result": True, **settings}
    return vote(runnable, n=n, **settings)


def texts(answer) -> list[str]:
    """Of the samples, in order of their index."""
    return [getattr(s.value, "text", s.value) for s in answer["result"].samples]


async def test_the_same_samples_again(scripted, call, cache):
    """Cold it takes n requests; warm none, and each sample has the reply that it had."""
    model = scripted(numbered, cache=cache)
    chain = all_of(PROMPT | model | StrOutputParser())
    cold = await call(chain, {"x": "?"})
    assert len(set(texts(cold))) == 4
    warm = await call(chain, {"x": "?"})
    assert texts(warm) == texts(cold)
    assert model.calls == 4


async def test_they_cost_nothing_and_say_so(scripted, call, cache):
    """In the samples, in the ledger, and without a word of samples that are the same."""
    model = scripted(numbered, cache=cache)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ThinktwiceWarning)
        chain = all_of(model)
        await call(chain, "?")
        result = (await call(chain, "?"))["result"]
    assert all(sample.cached and sample.cost == 0 for sample in result.samples)
    assert result.ledger.total.usage.total_tokens == 0
    assert result.ledger.total.cost == 0
    assert result.warnings == ()


async def test_sync_and_async_share_entries(scripted, cache):
    """Whichever came first."""
    model = scripted(numbered, cache=cache)
    chain = all_of(model)
    cold = await chain.ainvoke("?")
    assert texts(await asyncio.to_thread(chain.invoke, "?")) == texts(cold)
    assert texts(chain.invoke("?")) == texts(cold)
    assert model.calls == 4


async def test_outside_of_a_run_it_is_the_inner_cache(scripted, call):
    """One entry for all, which samples do not see."""
    inner = InMemoryCache()
    cache = SampleKeyedCache(inner)
    model = scripted(numbered, cache=cache)
    first = await call(model, "?")
    assert (await call(model, "?")).text == first.text
    plain = model.model_copy(update={"cache": inner})
    assert (await call(plain, "?")).text == first.text
    assert len(set(texts(await call(all_of(model), "?")))) == 4
    assert model.calls == 5


async def test_nested_runs(scripted, call, cache):
    """Two samples of three draws each are six requests, and none when they are drawn again."""
    model = scripted(numbered, cache=cache)
    inner = all_of(model, 3, include_result=False)
    chain = all_of(inner | StrOutputParser(), 2)
    cold = await call(chain, "?")
    assert model.calls == 6
    assert texts(await call(chain, "?")) == texts(cold)
    assert model.calls == 6


@pytest.mark.parametrize("seed", range(3))
async def test_launching_does_not_change_which_sample_gets_which_entry(scripted, cache, seed):
    """Samples that overtake each other keep their own."""
    draw = random.Random(seed)
    model = scripted(numbered, cache=cache)

    async def delayed(value):
        await asyncio.sleep(0.003 * draw.random())
        return value

    chain = all_of(RunnableLambda(delayed) | model | delayed, 6)
    cold = await chain.ainvoke("?")
    one_by_one = all_of(RunnableLambda(delayed) | model | delayed, 6, max_concurrency=1)
    assert texts(await one_by_one.ainvoke("?")) == texts(cold)
    assert texts(await chain.ainvoke("?")) == texts(cold)
    assert model.calls == 6


async def test_a_larger_n_tops_up(scripted, call, cache):
    """It pays for the samples that are new."""
    model = scripted(numbered, cache=cache)
    few = texts(await call(all_of(model, 2), "?"))
    many = await call(all_of(model, 5), "?")
    assert texts(many)[:2] == few
    assert [sample.cached for sample in many["result"].samples] == [True] * 2 + [False] * 3
    assert model.calls == 5


async def test_an_early_stop_leaves_fewer_entries(scripted, call, cache):
    """Where nothing is in flight beyond what is needed, the vote repeats for nothing."""
    model = scripted("a", cache=cache)
    chain = vote(model, n=9, prefer="cost", include_result=True)
    first = (await call(chain, "?"))["result"]
    again = (await call(chain, "?"))["result"]
    assert model.calls == first.launched < 9
    assert again.launched == first.launched
    assert all(sample.cached for sample in again.samples)


async def test_what_was_recalled_is_asked_again(scripted, cache):
    """It never had an answer to keep."""
    model = scripted("a", cache=cache)
    waiting, seen = asyncio.Event(), list[str]()

    async def hang(given):
        seen.append(given)
        if len(seen) == 4:
            await waiting.wait()
        return given

    chain = vote(RunnableLambda(hang) | model, n=4, prefer="latency", hedge=False)
    await chain.ainvoke("?")
    assert model.calls == 3
    again = await all_of(RunnableLambda(hang) | model, 4).ainvoke("?")
    assert [sample.cached for sample in again["result"].samples] == [True, True, True, False]
    assert model.calls == 4


async def test_a_retry_does_not_get_the_answer_it_was_made_for(scripted, call, cache):
    """A reply that did not parse is asked for again; both attempts are replayed."""
    model = scripted("unreadable", "5", cache=cache)
    chain = (model | (lambda message: int(message.text))).with_retry(
        retry_if_exception_type=(ValueError,), wait_exponential_jitter=False
    )
    for requests in (2, 2):
        answer = await call(all_of(chain, 1), "?")
        assert answer["value"] == 5
        assert model.calls == requests


async def test_a_request_that_failed_leaves_no_gap(scripted, call, cache):
    """The retry's answer is found at the first attempt."""
    model = scripted(ConnectionError(), "a", cache=cache)
    chain = model.with_retry(wait_exponential_jitter=False)
    assert (await call(all_of(chain, 1), "?"))["value"].text == "a"
    answer = await call(all_of(chain, 1), "?")
    assert model.calls == 2
    assert answer["result"].ledger.total.calls == 1


async def test_a_failed_sample_is_drawn_again(scripted, call, cache):
    """Errors are not kept."""
    model = scripted("a", ConnectionError(), "c", "d", cache=cache)
    cold = await call(all_of(model, 3, max_concurrency=1), "?")
    assert [sample.error is None for sample in cold["result"].samples] == [True, False, True]
    warm = await call(all_of(model, 3), "?")
    assert texts(warm) == ["a", "d", "c"]
    assert model.calls == 4


async def test_equal_calls_in_one_sample_differ(scripted, call, cache):
    """One after another, and side by side on branches."""
    model = scripted(numbered, cache=cache)
    branches = RunnableParallel(a=model, b=model) | (lambda both: {both["a"].text, both["b"].text})
    cold = await call(all_of(branches, 2), "?")
    warm = await call(all_of(branches, 2), "?")
    assert [s.value for s in warm["result"].samples] == [s.value for s in cold["result"].samples]
    assert all(len(sample.value) == 2 for sample in cold["result"].samples)
    assert model.calls == 4


async def test_judges(scripted, call, cache):
    """Each sample's judge has entries of its own, and so has each of its votes."""
    writer = scripted("same", cache=cache)
    grader = scripted(lambda r: json.dumps({"score": 5 + r["index"] % 4}), cache=cache)
    judge = Judge(RunnableSampler(grader), rubric="good", repeats=2)
    chain = best_of_n(writer, n=3, verifier=judge, stop=AtMost(3), include_result=True)
    cold = (await call(chain, "?"))["result"]
    calls = writer.calls, grader.calls
    assert calls == (3, 6)
    warm = (await call(chain, "?"))["result"]
    assert (writer.calls, grader.calls) == calls
    assert [v.score for v in warm.verdicts] == [v.score for v in cold.verdicts]
    assert warm.ledger.total.cost == 0


async def test_repairs(scripted, call, cache):
    """Draft and revisions come again, in their places."""
    model = scripted("wrong", "still wrong", "right", cache=cache)
    chain = critique_repair(model, verifier=lambda message: message.text == "right")
    for _ in range(2):
        assert (await call(chain, "?")).text == "right"
        assert model.calls == 3


async def test_hedges(scripted, cache):
    """A hedge is a sample of its own; its entry is found by its index."""
    model = scripted(numbered, cache=cache)
    waits = iter([0, 0, 60])

    async def straggle(given):
        await asyncio.sleep(next(waits, 0))
        return given

    chain = all_of(RunnableLambda(straggle) | model, 3)
    for _ in range(100):
        chain._history.latencies.add(0.001)
    cold = (await chain.ainvoke("?"))["result"]
    assert (cold.hedges, model.calls) == (1, 3)
    assert [sample.index for sample in cold.samples] == [0, 1, 3]
    warm = (await chain.ainvoke("?"))["result"]
    assert [sample.cached for sample in warm.samples] == [True, True, False]
    assert texts({"result": warm})[:2] == texts({"result": cold})[:2]
    assert model.calls == 4  # the straggler, which never had an answer


async def test_agents(scripted, call, cache):
    """Every step of every sample is replayed, tool calls and all."""
    langchain_agents = pytest.importorskip("langchain.agents")

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    def step(request):
        if request["text"] == "2 + 3":
            called = {"name": "add", "args": {"a": 2, "b": 3}, "id": str(request["index"])}
            return AIMessage("", tool_calls=[called])
        return f"{request['text']} by {request['index']}"

    model = scripted(step, cache=cache)
    agent = langchain_agents.create_agent(model, [add])
    chain = all_of(agent, 2, repeatable=True)
    given = {"messages": [("user", "2 + 3")]}
    cold = await call(chain, given)
    assert model.calls == 4
    warm = await call(chain, given)
    assert model.calls == 4
    last = [sample.value["messages"][-1].text for sample in warm["result"].samples]
    assert last == [sample.value["messages"][-1].text for sample in cold["result"].samples]
    assert last[0].startswith("5 by")


async def test_as_the_cache_of_all_models(scripted, call, cache):
    """`set_llm_cache` takes it, and the wrapper does not warn of it."""
    set_llm_cache(cache)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ThinktwiceWarning)
            chain = all_of(scripted(numbered))
        cold = await call(chain, "?")
        assert texts(await call(chain, "?")) == texts(cold)
        assert chain.bound.calls == 4
    finally:
        set_llm_cache(None)


async def test_several_choices_of_a_request(scripted, call, cache):
    """They are one entry, under the n that was asked for."""
    model = scripted(numbered, cache=cache)
    await call(all_of(model.bind(n=3), 2), "?")
    answer = await call(all_of(model.bind(n=3), 2), "?")
    assert model.calls == 2
    assert answer["result"].ledger.total.calls == 2
    await call(all_of(model.bind(n=2), 2), "?")
    assert model.calls == 4


async def test_streamed_calls(streamed, cache):
    """What `astream_events` makes a model stream is kept and replayed, too."""
    model = streamed("abc", cache=cache)
    chain = all_of(model, 2)
    for _ in range(2):
        events = [event async for event in chain.astream_events("?")]
        assert [s.value.text for s in events[-1]["data"]["output"]["result"].samples] == ["abc"] * 2
        assert model.calls == 2


class Serialising(BaseCache):
    """Keeps texts, as a cache behind a network does."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def lookup(self, prompt, llm_string):
        found = self.texts.get(prompt + llm_string)
        return (
            None
            if found is None
            else [loads(each, allowed_objects="all") for each in json.loads(found)]
        )

    def update(self, prompt, llm_string, return_val):
        self.texts[prompt + llm_string] = json.dumps([dumps(each) for each in return_val])

    def clear(self, **kwargs):
        self.texts.clear()


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
async def test_an_inner_cache_that_serialises(scripted, call):
    """Keys and entries survive it; a new process has the same keys."""
    inner = Serialising()
    model = scripted(numbered, cache=SampleKeyedCache(inner))
    cold = await call(all_of(model), "?")
    model.cache = SampleKeyedCache(inner)
    warm = await call(all_of(model), "?")
    assert texts(warm) == texts(cold)
    assert all(sample.cached for sample in warm["result"].samples)
    assert model.calls == 4
    model.cache.clear()
    assert inner.texts == {}
    await model.cache.aclear()


class TextModel(BaseLLM):
    """A completion model that counts its requests."""

    log: list[str] = []  # noqa: RUF012 - pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "text"

    def _generate(self, prompts, stop=None, run_manager=None, **kwargs):
        self.log.extend(prompts)
        return LLMResult(generations=[[Generation(text=f"reply {len(self.log)}")] for _ in prompts])


async def test_text_models(call, cache):
    """LangChain tells nobody of their cache hits; they are in the books all the same."""
    model = TextModel(cache=cache)
    chain = all_of(model, 3)
    cold = await call(chain, "?")
    warm = await call(chain, "?")
    assert sorted(texts(warm)) == sorted(texts(cold)) == ["reply 1", "reply 2", "reply 3"]
    assert len(model.log) == 3
    assert all(sample.cached for sample in warm["result"].samples)
    assert warm["result"].ledger.total.calls == 3
    assert warm["result"].ledger.total.usage.total_tokens == 0


async def test_what_was_answered_is_not_marked_as_free_afterwards(scripted, cache):
    """LangChain writes a price of 0 on what it takes from a cache; here that is a copy."""
    model = scripted("a", cache=cache)
    [[first]] = (await model.agenerate([[HumanMessage("?")]])).generations
    await model.ainvoke("?")
    assert model.calls == 1
    assert "total_cost" not in first.message.usage_metadata


async def test_other_samplers_are_not_concerned():
    """A run of the core has no cache of LangChain's."""
    result = await solve("?", sampler=ScriptedSampler(["a"]), strategy=Vote(3))
    assert not any(sample.cached for sample in result.samples)


def test_what_is_no_cache():
    """Is refused."""
    with pytest.raises(UsageError, match="InMemoryCache"):
        SampleKeyedCache(True)  # type: ignore[arg-type] - that is the mistake
    assert repr(SampleKeyedCache(InMemoryCache())).startswith("SampleKeyedCache(<")


def pickled(cache):
    return pickle.loads(pickle.dumps(cache))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
async def test_copies(scripted, call, cache, copied):
    """They have the entries; requests under way stay behind."""
    model = scripted(numbered, cache=cache)
    first = await call(all_of(model), "?")
    again = await call(all_of(model.model_copy(update={"cache": copied(cache)})), "?")
    assert texts(again) == texts(first)
    assert all(sample.cached for sample in again["result"].samples)
    assert len(model.log) == 4
