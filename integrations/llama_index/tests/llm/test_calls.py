"""What each sample of an LLM is asked, and how."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    CompletionResponse,
    ImageBlock,
    LLMMetadata,
    TextBlock,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.llm.calls import blocks, settings_of

from thinktwice import UsageError, Vote, collect

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


async def test_what_callers_pass_reaches_every_sample(scripted, voting, ask):
    """Such as tools, stop or a response format."""
    inner = scripted("4")
    await ask(voting(inner), stop=["!"], response_format={"type": "json_object"})
    assert len(inner.log) == 3
    for each in inner.log:
        assert each["kwargs"]["stop"] == ["!"]
        assert each["kwargs"]["response_format"] == {"type": "json_object"}


async def test_options_go_over_what_callers_pass(scripted, voting, ask):
    """A mapping, or a function of the sample's index."""
    inner = scripted("4")
    await ask(voting(inner, options={"temperature": 0.9}), temperature=0.0, top_p=0.5)
    assert {each["kwargs"]["temperature"] for each in inner.log} == {0.9}
    assert {each["kwargs"]["top_p"] for each in inner.log} == {0.5}
    seeded = scripted("4")
    await ask(voting(seeded, options=lambda index: {"seed": index}))
    assert sorted(each["kwargs"]["seed"] for each in seeded.log) == [0, 1, 2]


async def test_messages_are_copied_for_each_sample(scripted, voting, call):
    """An LLM that changes them changes nothing of the caller's, or of another sample's."""

    def change(request: Any) -> str:
        text = request["given"][0].content
        request["given"][0].blocks.append(TextBlock(text="!"))
        request["given"][0].additional_kwargs["seen"] = True
        request["given"].append(ChatMessage("more"))
        return text

    asked = [ChatMessage("2 + 2")]
    inner = scripted(change)
    await call(voting(inner), "chat", asked)
    assert asked == [ChatMessage("2 + 2")]
    assert {len(each["given"]) for each in inner.log} == {2}
    assert {each["given"][0].content for each in inner.log} == {"2 + 2\n!"}


async def test_images_pass_through(scripted, voting, call):
    """As blocks of the message."""
    image = ImageBlock(image=b"iVBORw0KGgo=", image_mimetype="image/png")
    inner = scripted("a cat")
    message = ChatMessage(blocks=[TextBlock(text="What is it?"), image])
    await call(voting(inner), "chat", [message])
    assert [each["given"][0].blocks[1].image for each in inner.log] == [image.image] * 3


async def test_a_text_keeps_its_formatting_flag(voting, scripted, monkeypatch):
    """`formatted` is an argument of its own to an LLM of texts."""
    seen = []

    class Texts(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(model_name="texts")

        @llm_completion_callback()
        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            seen.append((formatted, kwargs))
            return CompletionResponse(text="4")

        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            raise AssertionError("nothing is to be streamed")

    voting(Texts()).complete("2 + 2", formatted=True)
    await voting(Texts()).acomplete("2 + 2", True)
    assert seen == [(True, {})] * 6


class Slow(CustomLLM):
    """Its async methods are LlamaIndex's, which call the sync ones."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="slow")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        time.sleep(0.1)
        return CompletionResponse(text="4")

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise AssertionError("nothing is to be streamed")


async def test_a_custom_llm_never_blocks_the_event_loop(voting, question):
    """Where its async methods only call the sync ones, these go to threads, side by side."""
    waits = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            waits.append(time.perf_counter() - before)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    with collect() as results:
        response = await voting(Slow(), 5).achat(question)
    taken = time.perf_counter() - began
    watching.cancel()
    assert response.message.content == "4"
    assert results[0].ledger.total.calls == 5  # and not ten: chat() calls complete()
    assert taken < 0.4  # five of them one after the other take 0.5
    assert sorted(waits)[len(waits) // 2] < 0.05


async def test_custom_llms_with_async_methods_are_awaited():
    """Only those of LlamaIndex block."""

    class Awaited(Slow):
        async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            return CompletionResponse(text="4")

        async def achat(self, messages: Any, **kwargs: Any) -> Any:
            raise AssertionError("not asked")

    assert blocks(Slow())
    assert not blocks(Awaited())


async def test_cancelling_cancels_the_samples(scripted, voting, question):
    """Nothing is left behind."""
    inner, before = scripted("4", seconds=60), asyncio.all_tasks()
    task = asyncio.create_task(voting(inner).achat(question))
    while inner.calls < 3:  # noqa: ASYNC110 - they are being launched
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not inner._in_flight
    assert asyncio.all_tasks() == before


async def test_a_sync_call_works_where_a_loop_is_running(scripted, voting, question):
    """As in a notebook."""
    assert voting(scripted("4")).chat(question).message.content == "4"


def test_n_is_refused(scripted, voting, question):
    """The number of samples is the strategy's."""
    with pytest.raises(UsageError, match="samples are the strategy's to draw"):
        voting(scripted("4")).chat(question, n=3)
    assert voting(scripted("4")).chat(question, n=1).message.content == "4"


class TestRealSettings:
    """Of OpenAI, some of whose own settings go over call arguments."""

    @pytest.fixture
    def openai(self):
        """Its class; nothing is sent."""
        module = pytest.importorskip("llama_index.llms.openai")
        return lambda **given: module.OpenAI(model="gpt-4o-mini", api_key="k", **given)

    def test_options_that_would_not_arrive_are_refused(self, openai):
        """Since the LLM overrules them."""
        for inner, lost in (
            (openai(max_tokens=10), {"max_tokens": 20}),
            (openai(additional_kwargs={"seed": 1}), {"seed": 2}),
        ):
            with pytest.raises(UsageError, match="sends its own"):
                StrategyLLM(llm=inner, strategy=Vote(3), options=lost)

    async def test_also_those_of_a_function(self, openai, question):
        """Before the first call."""
        llm = StrategyLLM(
            llm=openai(max_tokens=10), strategy=Vote(3), options=lambda index: {"max_tokens": index}
        )
        with pytest.raises(UsageError, match="sends its own"):
            await llm.achat(question)

    def test_others_are_taken(self, openai):
        """Also where the LLM has a setting of that name that gives way."""
        inner = openai(temperature=0.0)
        assert StrategyLLM(llm=inner, strategy=Vote(3), options={"temperature": 0.7}).draws == 3
        assert settings_of(inner, {"temperature": 0.7})["temperature"] == 0.7
