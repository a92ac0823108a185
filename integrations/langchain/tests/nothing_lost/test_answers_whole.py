"""What a model says of its answer is still there, whatever the door and the way to call it."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import PydanticToolsParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_thinktwice.messages import METADATA
from pydantic import BaseModel

PROMPT = ChatPromptTemplate.from_template("{q}")


class Add(BaseModel):
    """Add."""

    a: int
    b: int


USAGE = {
    "input_tokens": 7,
    "output_tokens": 5,
    "total_tokens": 12,
    "input_token_details": {"cache_read": 3},
    "output_token_details": {"reasoning": 2},
}
REPLY = AIMessage(
    "so",
    name="adder",
    tool_calls=[
        {"name": "Add", "args": {"a": 1, "b": 2}, "id": "call_1"},
        {"name": "Add", "args": {"a": 3, "b": 4}, "id": "call_2"},
    ],
    usage_metadata=USAGE,
    additional_kwargs={"refusal": None, "vendor": {"x": 1}},
    response_metadata={"model_name": "dated-1", "finish_reason": "tool_calls", "fingerprint": "f"},
)


@pytest.fixture
def model(scripted):
    return scripted(REPLY)


async def test_a_message_is_whole(door, style, model):
    """Text, tool calls with their ids, usage with its details, metadata, name and kwargs."""
    answer = await style(door(model), "?")
    assert isinstance(answer, AIMessage)
    assert answer.content == "so"
    assert answer.name == "adder"
    assert answer.tool_calls == REPLY.tool_calls
    assert answer.usage_metadata == USAGE
    assert answer.additional_kwargs == REPLY.additional_kwargs
    own = {key: value for key, value in answer.response_metadata.items() if key != METADATA}
    assert own == REPLY.response_metadata
    assert answer.response_metadata[METADATA]["launched"] in {1, 3}
    assert METADATA not in REPLY.response_metadata


async def test_a_message_is_whole_to_the_next_step(door, style, model):
    """LangChain's parsers of tool calls read it, streamed or not."""
    parsed = await style(door(model) | PydanticToolsParser(tools=[Add]), "?")
    assert parsed == [Add(a=1, b=2), Add(a=3, b=4)]


async def test_structured_output_is_whole(way, scripted):
    """Raw and parsed."""
    door, style = way
    model = scripted(AIMessage("", tool_calls=REPLY.tool_calls[:1], usage_metadata=USAGE))
    chain = door(model.with_structured_output(Add, include_raw=True))
    answer = await style(chain, "?")
    assert answer["parsed"] == Add(a=1, b=2)
    assert answer["parsing_error"] is None
    assert answer["raw"].usage_metadata == USAGE
    assert answer["raw"].response_metadata[METADATA]["launched"] in {1, 3}


async def test_other_values_come_as_they_are(way, model):
    """The very objects of the chain, since nothing has to be said on them."""
    door, style = way
    made: list[dict[str, object]] = []

    def keep(value):
        made.append({"value": value, "kept": object()})
        return made[-1]

    answer = await style(door(model | keep, key=lambda _: 1), "?")
    assert any(answer is each for each in made) or answer in made


async def test_ids_are_those_of_the_model_and_no_two_are_alike(way, model):
    """An id is what LangGraph replaces a message by."""
    door, style = way
    seen: list[str | None] = []
    tapped = model | (lambda message: seen.append(message.id) or message)
    first = await style(door(tapped), "?")
    second = await style(door(tapped), "?")
    assert {first.id, second.id} <= set(seen)
    assert first.id != second.id
    assert len(set(seen)) == len(seen)


async def test_an_id_of_the_provider_stays(way, scripted):
    """It may be needed to go on from there."""
    door, style = way
    answer = await style(door(scripted(AIMessage("so", id="resp_1"))), "?")
    assert answer.id == "resp_1"


async def test_content_blocks_stay(way, scripted):
    """Reasoning with its signature, which a provider wants back as it was."""
    door, style = way
    blocks = [
        {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "s"}},
        {"type": "text", "text": "so"},
    ]
    answer = await style(door(scripted(AIMessage(blocks))), "?")
    assert answer.content == blocks


async def test_bound_tools_reach_the_model_and_their_calls_come_back(way, model):
    """Bound before the strategy or after it."""
    door, style = way
    for chain in (door(model.bind_tools([Add])), door(model).bind_tools([Add])):
        model.log.clear()
        answer = await style(chain, "?")
        assert len(answer.tool_calls) == 2
        assert all(each["kwargs"]["tools"] for each in model.log)


async def test_values_beside_the_answer_stay(way, scripted):
    """What `assign` adds to a dict, inside the wrapper and around it."""
    door, style = way
    chain = RunnablePassthrough.assign(answer=PROMPT | scripted("so")).assign(
        length=lambda given: len(given["answer"].text)
    )
    wrapped = door(chain, key=lambda value: value["answer"].text)
    chain = wrapped.assign(twice=lambda given: 2 * given["length"])
    answer = await style(chain, {"q": "?", "feedback": ""})  # a place for the feedback of a repair
    assert answer["answer"].text == "so"
    assert {**answer, "answer": None} == {
        "q": "?",
        "feedback": "",
        "answer": None,
        "length": 2,
        "twice": 4,
    }
