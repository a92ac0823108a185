"""A `StrategyChatModel` loses nothing either, whatever the way to call it."""

from __future__ import annotations

import warnings

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import PydanticToolsParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnableParallel
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_thinktwice.chat_model import StrategyChatModel
from langchain_thinktwice.messages import METADATA
from pydantic import BaseModel

from thinktwice import AtMost, Limiter, Vote

PROMPT = ChatPromptTemplate.from_template("{q}")
ASKED = {"q": "?"}
CALLS = [{"name": "Add", "args": {"a": 1, "b": 2}, "id": "call_1", "type": "tool_call"}]
USAGE = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}


class Add(BaseModel):
    """Add."""

    a: int
    b: int


def over(model, **settings) -> StrategyChatModel:
    return StrategyChatModel(model, Vote(3, stop=AtMost(3)), **settings)


@pytest.fixture
def reply():
    return AIMessage(
        "so",
        tool_calls=CALLS,
        usage_metadata=USAGE,
        additional_kwargs={"vendor": {"x": 1}},
        response_metadata={"model_name": "dated-1", "finish_reason": "tool_calls"},
    )


async def test_a_message_is_whole(style, scripted, reply):
    """Its usage is the sum, unless the samples are traced."""
    answer = await style(over(scripted(reply)), "?")
    assert isinstance(answer, AIMessage)
    assert (answer.content, answer.tool_calls) == ("so", CALLS)
    assert answer.usage_metadata["total_tokens"] == 3 * 12
    assert answer.additional_kwargs == {"vendor": {"x": 1}}
    own = {name: answer.response_metadata[name] for name in reply.response_metadata}
    assert own == reply.response_metadata
    assert answer.response_metadata[METADATA]["launched"] == 3
    traced = await style(over(scripted(reply), trace_samples=True), "?")
    assert traced.usage_metadata["total_tokens"] == 12


async def test_the_next_step_gets_it_whole(style, scripted, reply):
    """LangChain's parsers of tool calls read it, streamed or not."""
    chain = PROMPT | over(scripted(reply)).bind_tools([Add]) | PydanticToolsParser(tools=[Add])
    assert await style(chain, ASKED) == [Add(a=1, b=2)]


async def test_structured_output(style, scripted, reply):
    """Raw and parsed."""
    chain = over(scripted(reply)).with_structured_output(Add, include_raw=True)
    answer = await style(chain, "?")
    assert answer["parsed"] == Add(a=1, b=2)
    assert answer["raw"].tool_calls == CALLS


async def test_ids_differ(style, scripted):
    """From answer to answer."""
    model = over(scripted("so"))
    assert (await style(model, "?")).id != (await style(model, "?")).id


async def test_a_handler_sees_one_call(style, scripted, runs):
    """With the tags, metadata and name of the request; those of samples where asked for."""
    config = {"callbacks": [runs], "tags": ["mine"], "metadata": {"tenant": "a"}}
    await style(PROMPT | over(scripted("so")), ASKED, config)
    [seen] = [run for run in runs.runs.values() if run["kind"] == "model"]
    assert "mine" in seen["tags"]
    assert seen["metadata"]["tenant"] == "a"
    assert seen["end"] == "ok"
    runs.runs.clear()
    await style(PROMPT | over(scripted("so"), trace_samples=True), ASKED, config)
    assert len([run for run in runs.runs.values() if run["kind"] == "model"]) == 1 + 3


async def test_the_original_exception_arrives(style, scripted):
    """So that fallbacks by type go on working."""
    model = over(scripted(TimeoutError("slow")))
    with pytest.raises(TimeoutError):
        await style(model, "?")
    chain = model.with_fallbacks([scripted("later")], exceptions_to_handle=(TimeoutError,))
    assert (await style(chain, "?")).text == "later"


async def test_retry_around(call, scripted):
    """A second run after one in which all failed."""
    model = scripted(*[TimeoutError("slow")] * 3, "so")
    chain = over(model).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert (await call(chain, "?")).text == "so"
    assert model.calls == 6


async def test_configurable_alternatives(style, scripted):
    """A request chooses the strategy, or none."""
    chain = scripted("plain").configurable_alternatives(
        ConfigurableField(id="effort"), default_key="low", high=over(scripted("thought"))
    )
    assert (await style(chain, "?")).text == "plain"
    assert (await style(chain, "?", {"configurable": {"effort": "high"}})).text == "thought"


async def test_a_request_tightens_it(call, scripted):
    """By the keys of the other doors."""
    config = {"configurable": {"thinktwice_n": 1}}
    answer = await call(PROMPT | over(scripted("so")), ASKED, config)
    assert answer.response_metadata[METADATA]["launched"] == 1


async def test_one_limiter_over_several(call, scripted):
    """Of the request."""
    model = scripted("so", seconds=0.005)
    both = RunnableParallel(one=over(model), other=over(model))
    await call(both, "?", {"configurable": {"thinktwice_limiter": Limiter(2)}})
    assert model.calls == 6
    assert model.most_in_flight <= 2


async def test_in_a_history(style, scripted):
    """The answer is written once, and no sample."""
    with warnings.catch_warnings(action="ignore"):  # LangChain prefers its own successor
        kept = InMemoryChatMessageHistory()
        chain = RunnableWithMessageHistory(over(scripted("so")), lambda _: kept)
    await style(chain, "?", {"configurable": {"session_id": "1"}})
    assert [each.text for each in kept.messages] == ["?", "so"]


async def test_called_in_a_function_without_config(call, scripted, runs):
    """It inherits what the request says."""
    model = over(scripted("so")) | StrOutputParser()

    async def later(given):
        return await model.ainvoke(given)

    step = RunnableLambda(lambda given: model.invoke(given), later)  # noqa: PLW0108 - no config
    assert await call(step, "?", {"callbacks": [runs], "tags": ["mine"]}) == "so"
    [seen] = [run for run in runs.runs.values() if run["kind"] == "model"]
    assert "mine" in seen["tags"]


async def test_a_stream_is_one_chunk(scripted, reply):
    """Its last, with everything."""
    [chunk] = [each async for each in over(scripted(reply)).astream("?")]
    assert isinstance(chunk, AIMessageChunk)
    assert chunk.chunk_position == "last"
    assert chunk.tool_calls == CALLS
