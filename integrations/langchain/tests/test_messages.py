"""Messages with another text, and messages as the chunks of a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_thinktwice.messages import as_chunk

from thinktwice.answers import text_in, with_text

THOUGHT = {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "s"}}
IMAGE = {"type": "image", "url": "https://example.org/a.png"}


def _text(text, **more):
    return {"type": "text", "text": text, **more}


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        ("3 * 4 = 13", "3 * 4 = 12"),
        ([_text("3 * 4 = 13")], [_text("3 * 4 = 12")]),
        ([_text("3 * 4 = 13", id="t1")], [_text("3 * 4 = 12", id="t1")]),
        (["3 * 4 = 13"], ["3 * 4 = 12"]),
        ([THOUGHT, _text("3 * 4 = 13"), IMAGE], [THOUGHT, _text("3 * 4 = 12"), IMAGE]),
        ([_text("3 * 4 = 13", annotations=[])], [_text("3 * 4 = 12", annotations=[])]),
    ],
    ids=["text", "block", "named", "bare", "among others", "no marks"],
)
def test_the_text_is_replaced_and_all_else_stays(content, changed):
    """In a copy."""
    message = AIMessage(content, id="m", response_metadata={"finish_reason": "stop"})
    corrected = with_text(message, "3 * 4 = 12")
    assert corrected == message.model_copy(update={"content": changed})
    assert text_in(corrected) == "3 * 4 = 12"
    assert message.content == content


@pytest.mark.parametrize(
    "content",
    [
        [],
        [THOUGHT],
        [_text("3 * 4"), _text(" = 13")],
        ["3 * 4", _text(" = 13")],
        [_text("3 * 4 = 13", annotations=[{"type": "citation", "start_index": 0}])],
        [_text("3 * 4 = 13", citations=[{"start_char_index": 0}])],
    ],
    ids=["nothing", "no text", "two blocks", "two kinds", "annotated", "cited"],
)
def test_where_nobody_can_tell_what_changed_there_is_no_correction(content):
    """Rather than a message that says something else in one of its parts."""
    assert with_text(AIMessage(content), "3 * 4 = 12") is None


def test_other_messages_as_well():
    """A correction keeps the type."""
    assert with_text(HumanMessage("a"), "b") == HumanMessage("b")


calls = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["add", "send"]),
            "args": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)),
            "id": st.uuids().map(str),
            "type": st.just("tool_call"),
        }
    ),
    max_size=3,
)
usages = st.none() | st.builds(
    lambda read, written: {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written,
    },
    st.integers(0, 99),
    st.integers(0, 99),
)


@given(
    content=st.text(max_size=9) | st.just([THOUGHT, _text("so")]),
    tool_calls=calls,
    usage=usages,
    metadata=st.dictionaries(st.text(max_size=3), st.integers()),
    name=st.none() | st.just("n"),
)
def test_a_chunk_has_all_of_its_message(content, tool_calls, usage, metadata, name):
    """And is the last of its stream."""
    message = AIMessage(
        content,
        id="m",
        name=name,
        tool_calls=tool_calls,
        usage_metadata=usage,
        response_metadata=metadata,
        additional_kwargs={"vendor": {"x": 1}},
    )
    chunk = as_chunk(message)
    assert isinstance(chunk, AIMessageChunk)
    assert chunk.chunk_position == "last"
    for field, value in message:
        if field != "type":
            assert getattr(chunk, field) == value


def test_invalid_tool_calls_stay():
    """A consumer may want to repair them."""
    broken = {"name": "add", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}
    assert as_chunk(AIMessage("", invalid_tool_calls=[broken])).invalid_tool_calls == [broken]


@pytest.mark.parametrize("value", ["text", None, 3, {"raw": AIMessage("a")}, HumanMessage("a")])
def test_what_is_no_message_of_a_model_is_its_own_chunk(value):
    """As it is."""
    assert as_chunk(value) is value


def test_a_chunk_stays_the_chunk_that_it_is():
    """With its position."""
    chunk = AIMessageChunk("a")
    assert as_chunk(chunk) is chunk
