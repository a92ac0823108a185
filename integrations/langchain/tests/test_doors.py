"""Every way to call a wrapper goes through the strategy, and keeps the types."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import best_of_n, vote, with_strategy
from pydantic import BaseModel

from thinktwice import AtMost, Budget, Result, Vote, collect

PROMPT = ChatPromptTemplate.from_template("{question}")
ASKED = {"question": "2 + 2?"}


class Answer(BaseModel):
    value: int


@pytest.fixture
def model(scripted):
    # The first answer is wrong: whatever gets past the vote returns it.
    return scripted("5", "4", "4")


@pytest.fixture
def chain(model):
    return vote(PROMPT | model | StrOutputParser(), n=3)


def test_invoke(chain):
    """The plurality comes out, with the type of the chain."""
    assert chain.invoke(ASKED) == "4"


async def test_ainvoke(chain):
    """The plurality comes out, with the type of the chain."""
    assert await chain.ainvoke(ASKED) == "4"


async def test_invoke_inside_a_running_loop(chain):
    """A notebook's loop is no obstacle."""
    assert chain.invoke(ASKED) == "4"


def test_batch(chain, model):
    """Each input gets its own vote."""
    model.replies = ["4"]
    assert chain.batch([ASKED] * 3) == ["4"] * 3
    assert chain.batch([]) == []
    assert sorted(chain.batch_as_completed([ASKED] * 2)) == [(0, "4"), (1, "4")]


async def test_abatch(chain, model):
    """Each input gets its own vote."""
    model.replies = ["4"]
    assert await chain.abatch([ASKED] * 3) == ["4"] * 3
    assert await chain.abatch([]) == []
    done = [each async for each in chain.abatch_as_completed([ASKED] * 2)]
    assert sorted(done) == [(0, "4"), (1, "4")]


def test_batch_returns_exceptions(scripted):
    """As LangChain's own batch does."""
    chain = vote(scripted(ValueError("no")), n=2)
    [error] = chain.batch(["x"], return_exceptions=True)
    assert type(error) is ValueError


def test_stream_is_one_chunk(chain):
    """A vote is known at its end; no token of a losing sample gets out."""
    assert list(chain.stream(ASKED)) == ["4"]


async def test_astream_is_one_chunk(chain):
    """As `stream`."""
    assert [chunk async for chunk in chain.astream(ASKED)] == ["4"]


async def test_mid_chain(chain):
    """Between other steps, called and streamed."""
    around = RunnableLambda(lambda text: {"question": text}) | chain | (lambda text: text + "!")
    assert around.invoke("2 + 2?") == "4!"
    chain.bound.steps[1].log.clear()
    assert [chunk async for chunk in around.astream("2 + 2?")] == ["4!"]


async def test_events_of_samples_can_be_left_out(chain):
    """A tag is on everything inside a sample."""
    events = chain.astream_events(ASKED, exclude_tags=["thinktwice:sample"])
    names = [event["name"] async for event in events if event["event"] != "on_custom_event"]
    assert set(names) == {"Vote[RunnableSequence]"}


async def test_messages_stay_messages(model, call):
    """A model's message comes out, as a copy with a summary; its id is kept."""
    seen: list[Any] = []
    tapped = model | RunnableLambda(lambda message: seen.append(message) or message)
    answer = await call(vote(tapped, n=3, stop=AtMost(3)), "2 + 2?")
    assert isinstance(answer, AIMessage)
    original = next(message for message in seen if message.id == answer.id)
    assert "thinktwice" not in original.response_metadata
    assert answer.response_metadata["thinktwice"] == {
        "launched": 3,
        "used": 3,
        "agreement": 2 / 3,
        "stopped_by": "AtMost(n=3)",
        "cost": None,
        "tokens": 33,
    }


@pytest.mark.filterwarnings("ignore:a budget cut the run short")
async def test_a_budget_that_ended_it_is_told_by_its_kind(model, call):
    """A rule is told as it is written."""
    answer = await call(vote(model, n=3, stop=AtMost(3), budget=Budget(calls=1)), "2 + 2?")
    assert answer.response_metadata["thinktwice"]["stopped_by"] == "calls"


def _calls(*values: int) -> list[AIMessage]:
    return [
        AIMessage("", tool_calls=[{"name": "Answer", "args": {"value": value}, "id": str(at)}])
        for at, value in enumerate(values)
    ]


async def test_structured_output(scripted, call):
    """Objects vote by their content."""
    model = scripted(*_calls(5, 4, 4))
    assert await call(vote(model.with_structured_output(Answer), n=3), "?") == Answer(value=4)
    assert await call(vote(model, n=3).with_structured_output(Answer), "?") == Answer(value=4)


async def test_include_raw(scripted, call):
    """The dict stays whole; votes go by what was parsed, and a parsing error abstains."""
    model = scripted(AIMessage("no call"), AIMessage("no call"), *_calls(4))
    structured = vote(model.with_structured_output(Answer, include_raw=True), n=3, stop=AtMost(3))
    answer = await call(structured, "?")
    assert answer["parsed"] == Answer(value=4)
    assert answer["parsing_error"] is None
    assert answer["raw"].response_metadata["thinktwice"]["used"] == 3


async def test_include_result(chain, call):
    """The value stands beside all that was done for it."""
    wrapped = vote(chain.bound, n=3, include_result=True)
    answer = await call(wrapped, ASKED)
    assert answer["value"] == "4"
    assert isinstance(answer["result"], Result)
    assert answer["result"].ledger.total.usage.output_tokens == 15


async def test_collect_finds_results(chain, call):
    """Code that sees values only can still ask for the results."""
    with collect() as results:
        await call(chain, ASKED)
        await call(chain, ASKED)
    assert [result.value for result in results] == ["4", "4"]


async def test_other_strategies(model, call):
    """`with_strategy` and `best_of_n` take the same doors."""
    assert (await call(with_strategy(model, Vote(3), key="number"), "?")).text == "4"
    judged = best_of_n(model | StrOutputParser(), n=3, verifier=lambda text: text == "4")
    assert await call(judged, "?") == "4"


async def test_sync_model_in_async_chain(scripted):
    """A step that is sync only runs in LangChain's executor, and is booked all the same."""
    model = scripted("4")
    step = RunnableLambda(lambda text: model.invoke(text).text)
    answer = await vote(step, n=1, include_result=True).ainvoke("?")
    assert answer["result"].ledger.total.usage.output_tokens == 5


def test_async_code_in_sync_chain(scripted):
    """Code that runs a loop of its own inside a sync sample is booked all the same."""
    model = scripted("4")
    step = RunnableLambda(lambda text: asyncio.run(model.ainvoke(text)).text)
    answer = vote(step, n=1, include_result=True).invoke("?")
    assert answer["result"].ledger.total.usage.output_tokens == 5


def test_an_async_only_runnable_under_invoke_raises_what_langchain_raises():
    """The TypeError is LangChain's own."""

    async def later(text: str) -> str:
        return text

    with pytest.raises(TypeError, match="coroutine function synchronously"):
        vote(RunnableLambda(later), n=2).invoke("?")
