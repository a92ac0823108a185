"""Each LLM call is booked once, whatever methods, wrappers and threads it goes through."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms import MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from integrations.llama_index.tests.accounting.conftest import MESSAGES, READ, WRITTEN, Drawer
from thinktwice import Budget, Price

METHODS = ["chat", "complete", "stream_chat", "stream_complete"]


def used(result):
    """Calls, and their input and output tokens."""
    total = result.ledger.total
    return total.calls, total.usage.input_tokens, total.usage.output_tokens


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_is_one_call(drawer, scripted, method):
    """With what it reports, and the sample that it is made for."""
    llm = scripted("a b")
    result = await drawer.ask(llm, method, n=3)
    assert used(result) == (3, 3 * READ, 3 * WRITTEN)
    assert sorted(each.sample for each in result.ledger.entries) == [0, 1, 2]
    assert {each.status for each in result.ledger.entries} == {"ok"}
    assert [each.usage.input_tokens for each in result.samples] == [READ] * 3
    assert llm.calls == 3


@pytest.mark.parametrize("method", METHODS)
async def test_an_llm_that_answers_by_another_method_makes_one_call(drawer, one_method, method):
    """`achat` through `chat` through `complete`; streams without a node around them as well."""
    llm = one_method()
    assert used(await drawer.ask(llm, method)) == (2, 40, 10)
    assert llm.calls == 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("capped", [False, True])
async def test_without_counts_a_call_is_unknown_or_estimated(drawer, method, capped):
    """Estimated where a cap needs it."""
    budget = Budget(tokens=10_000) if capped else None
    result = await drawer.ask(MockLLM(max_tokens=3), method, budget=budget)
    sources = {each.usage.source for each in result.ledger.entries}
    assert sources == {"estimated" if capped else "missing"}
    assert result.ledger.total.calls == 2
    assert bool(result.ledger.total.usage.total_tokens) is capped


# ---- LLMs that ask others ------------------------------------------------------------------------


class Answer(BaseModel):
    """A structured answer."""

    number: int


@pytest.mark.parametrize("method", ["chat", "complete"])
async def test_a_structured_llm_is_none_itself(drawer, scripted, method):
    """The one inside is: it knows the tokens."""
    llm = scripted('{"number": 4}', function_calling=False)
    result = await drawer.ask(llm.as_structured_llm(Answer), method)
    assert result.ledger.total.calls == llm.calls == 2
    assert result.ledger.total.usage.source == "provider"


class FallbackLLM(CustomLLM):
    """Asks each of several LLMs until one answers."""

    llms: list[Any]

    @property
    def metadata(self) -> Any:
        """Those of the first."""
        return self.llms[0].metadata

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Ask them."""
        for llm in self.llms:
            try:
                return llm.complete(prompt)
            except ConnectionError:
                continue
        raise ConnectionError

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Ask the last."""
        yield from self.llms[-1].stream_complete(prompt)


@pytest.mark.parametrize("method", METHODS)
async def test_the_calls_of_an_llm_that_asks_others_are_theirs(drawer, scripted, method):
    """Those that failed as well."""
    broken, good = scripted(ConnectionError(), model_name="bad"), scripted("a b", model_name="good")
    result = await drawer.ask(FallbackLLM(llms=[broken, good]), method, n=1)
    found = [(each.model, each.status) for each in result.ledger.entries]
    tried = [] if method.startswith("stream") else [("bad", "error")]
    assert found == [*tried, ("good", "ok")]
    assert result.ledger.total.usage.output_tokens == WRITTEN


class StreamingLLM(FallbackLLM):
    """Makes a real call of its own methods inside a stream, and one of another LLM."""

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """First another LLM, awaited, then itself."""

        async def chunks() -> Any:
            await self.llms[0].achat(messages)
            async for each in await self.llms[1].astream_chat(messages):
                yield each

        return chunks()


async def test_what_a_stream_asks_is_inside_it(scripted):
    """Though the method that made the stream has returned."""
    llm = StreamingLLM(llms=[scripted("a"), scripted("b c")])

    async def draw(_: object) -> str:
        return [each async for each in await llm.astream_chat(MESSAGES)][-1].message.content

    result = await Drawer(True).draw(draw, 3)
    assert used(result) == (6, 6 * READ, 6 * WRITTEN)


async def test_calls_beside_an_open_stream_count(drawer, scripted):
    """A stream that is half read, and meanwhile another call of the same LLM."""
    llm = scripted("a b c")

    def sync(_: object) -> str:
        stream = llm.stream_chat(MESSAGES)
        next(stream)
        llm.chat(MESSAGES)
        return list(stream)[-1].message.content

    async def asynchronous(_: object) -> str:
        stream = await llm.astream_chat(MESSAGES)
        await anext(stream)
        await asyncio.gather(llm.achat(MESSAGES), llm.achat(MESSAGES))
        return [each async for each in stream][-1].message.content

    result = await drawer.draw(asynchronous if drawer.awaits else sync)
    calls = 3 if drawer.awaits else 2
    assert used(result) == (2 * calls, 2 * calls * READ, 2 * calls * WRITTEN)


# ---- what goes through an LLM --------------------------------------------------------------------


async def test_predict_and_structured_predict(drawer, scripted):
    """The calls that they make."""
    llm = scripted(lambda request: '{"number": 4}', function_calling=False)
    prompt = PromptTemplate("{x}")

    def sync(_: object) -> str:
        return llm.predict(prompt, x="1") + str(llm.structured_predict(Answer, prompt, x="2"))

    async def asynchronous(_: object) -> str:
        told = await llm.apredict(prompt, x="1")
        return told + str(await llm.astructured_predict(Answer, prompt, x="2"))

    result = await drawer.draw(asynchronous if drawer.awaits else sync)
    assert result.ledger.total.calls == llm.calls == 4
    assert result.ledger.total.usage.source == "provider"


async def test_threads_with_the_context(scripted):
    """`asyncio.to_thread`, which copies it, to the right sample."""
    llm = scripted("a", seconds=0.002)

    async def draw(_: object) -> str:
        replies = await asyncio.gather(*(asyncio.to_thread(llm.chat, MESSAGES) for _ in range(3)))
        return text(replies[0])

    def text(reply: ChatResponse) -> str:
        return str(reply.message.content)

    result = await Drawer(True).draw(draw, 4)
    assert used(result) == (12, 12 * READ, 12 * WRITTEN)
    assert [each.usage.input_tokens for each in result.samples] == [3 * READ] * 4


async def test_samples_at_once_keep_their_own_calls(drawer, scripted):
    """16 of them, each with another input."""
    numbers = itertools.count(1)
    llm = scripted("a", seconds=0.002)

    def sync(_: object) -> int:
        number = next(numbers)
        llm.chat([ChatMessage("x" * number)])
        return number

    async def asynchronous(_: object) -> int:
        number = next(numbers)
        await llm.achat([ChatMessage("x" * number)])
        return number

    draw = asynchronous if drawer.awaits else sync
    result = await drawer.draw(draw, 16, max_concurrency=16)
    assert [each.usage.input_tokens for each in result.samples] == [
        each.value for each in result.samples
    ]


# ---- strategies inside strategies ---------------------------------------------------------------


async def test_a_call_belongs_to_the_innermost_sample(drawer, scripted):
    """Its total rolls up."""
    llm = scripted("a")

    def sync(_: object) -> str:
        return _run_sync(llm)

    async def asynchronous(_: object) -> str:
        result = await drawer.ask(llm, n=3)
        inner.append(result)
        return str(result.value)

    inner: list[Any] = []

    def _run_sync(llm: Any) -> str:
        result = asyncio.run(drawer.ask(llm, n=3))
        inner.append(result)
        return str(result.value)

    result = await drawer.draw(asynchronous if drawer.awaits else sync)
    assert [used(each) for each in inner] == [(3, 3 * READ, 3 * WRITTEN)] * 2
    assert used(result) == (6, 6 * READ, 6 * WRITTEN)
    assert len(result.ledger.entries) == llm.calls == 6


async def test_an_llm_that_is_a_strategy_is_none_itself(drawer, scripted):
    """It says so; what it asks is booked."""

    class Composite(FallbackLLM):
        thinktwice_composite: bool = True

    llm = scripted("a b")
    result = await drawer.ask(Composite(llms=[llm]), "complete")
    assert used(result) == (2, 2 * READ, 2 * WRITTEN)
    assert llm.calls == 2


# ---- who is asked --------------------------------------------------------------------------------


async def test_cost_by_the_model_that_answers(drawer, scripted):
    """Of each sample."""
    prices = {"fake-1": Price(input="1", output="10")}
    result = await drawer.ask(scripted("a"), prices=prices)
    expected = (READ + 10 * WRITTEN) / 1e6
    assert [float(each.cost) for each in result.samples] == pytest.approx([expected] * 2)
    assert {each.model for each in result.ledger.entries} == {"fake-1"}
