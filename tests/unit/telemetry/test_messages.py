"""Messages of any framework, in the shape of the conventions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace

import pytest

from thinktwice.telemetry.messages import LONGEST, MOST, cut, messages_of, read_message

CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "what"}, {"type": "image_url"}]},
]
ARGUMENTS = {"city": "Größe", "days": 2}
WRITTEN = json.dumps(ARGUMENTS, ensure_ascii=False)
CYCLE: dict[str, object] = {"city": "Rome"}
CYCLE["again"] = CYCLE
CALL = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": WRITTEN}


class Role(Enum):
    """As LlamaIndex has it."""

    USER = "user"
    TOOL = "tool"
    ASSISTANT = "assistant"


@dataclass
class Message:
    """As frameworks have them."""

    content: object
    type: str | None = None
    role: Role | None = None
    tool_calls: list[object] | None = None
    tool_call_id: str | None = None
    additional_kwargs: dict[str, object] = field(default_factory=dict)
    blocks: list[object] | None = None


def texts(messages) -> list[tuple[str, str]]:
    return [(each["role"], each["parts"][0]["content"]) for each in messages]


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("q", [("user", "q")]),
        (CHAT, [("system", "be brief"), ("user", "what")]),
        ({"messages": CHAT}, [("system", "be brief"), ("user", "what")]),
        (["a", "b"], [("user", "a"), ("user", "b")]),
        ([("human", "h"), ("ai", "i")], [("user", "h"), ("assistant", "i")]),
        (("system", "s"), [("system", "s")]),
        (
            [Message("m", type="human"), Message("n", role=Role.USER)],
            [("user", "m"), ("user", "n")],
        ),
        ([Message("part", type="AIMessageChunk")], [("assistant", "part")]),
        (7, [("user", "7")]),
        ({"type": "invoice", "total": 3}, [("user", '{"type": "invoice", "total": 3}')]),
        ([], []),
    ],
)
def test_prompts(prompt, messages):
    """Texts, pairs, dicts, states, and messages of frameworks; media is left out."""
    assert texts(messages_of(prompt)) == messages


@pytest.mark.parametrize(
    "message",
    [
        Message("", "ai", tool_calls=[{"name": "weather", "args": ARGUMENTS, "id": "c1"}]),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": WRITTEN}}],
        },
        Message(
            None,
            role=Role.ASSISTANT,
            additional_kwargs={
                "tool_calls": [
                    SimpleNamespace(
                        id="c1", function=SimpleNamespace(name="weather", arguments=WRITTEN)
                    )
                ]
            },
        ),
        Message(
            None,
            role=Role.ASSISTANT,
            blocks=[
                SimpleNamespace(text=None),
                SimpleNamespace(tool_name="weather", tool_kwargs=ARGUMENTS, tool_call_id="c1"),
            ],
        ),
    ],
    ids=["LangChain", "OpenAI", "LlamaIndex", "LlamaIndex's blocks"],
)
def test_tool_calls(message):
    """A part each, with its name, its id and its arguments; no text where none was said."""
    assert read_message(message, "assistant") == {"role": "assistant", "parts": [CALL]}


def test_a_tool_call_beside_a_text():
    """Both are parts of the message."""
    call = {"name": "weather", "args": ARGUMENTS, "id": "c1"}
    found = read_message(Message("I look.", "ai", tool_calls=[call]), "assistant")
    assert found["parts"] == [{"type": "text", "content": "I look."}, CALL]


@pytest.mark.parametrize(
    "message",
    [
        Message("rain", "tool", tool_call_id="c1"),
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]},
        Message("rain", role=Role.TOOL, additional_kwargs={"tool_call_id": "c1"}),
    ],
    ids=["LangChain", "OpenAI", "LlamaIndex"],
)
def test_results_of_tools(message):
    """With the id of the call that they answer."""
    part = {"type": "tool_call_response", "id": "c1", "response": "rain"}
    assert messages_of([message]) == [{"role": "tool", "parts": [part]}]


def test_what_cannot_be_sent():
    """In no role, name, id, argument or text."""
    half = "a\ud83d"
    call = {"name": half, "args": {half: half}, "id": half}
    read = [
        Message(half, half, tool_calls=[call]),
        Message(half, "tool", tool_call_id=half),
        half,
    ]
    assert "a?" in json.dumps(messages_of(read))
    json.dumps(messages_of(read), ensure_ascii=False).encode()


@pytest.mark.parametrize("arguments", [{("a", 1): "Rome"}, CYCLE], ids=["key", "cycle"])
def test_arguments_that_json_cannot_hold(arguments):
    """They are written as Python shows them, and the rest of the message is not lost."""
    call = {"name": "weather", "args": arguments, "id": "c1"}
    (message,) = messages_of([Message("I look.", "ai", tool_calls=[call])])
    text, part = message["parts"]
    assert text["content"] == "I look."
    assert part["arguments"] == str(arguments)


def test_long_texts_are_cut():
    """A batch that is too large would be lost as a whole."""
    long = "x" * (LONGEST + 5)
    assert cut(long) == "x" * LONGEST + "... [5 more characters]"
    call = {"name": "f", "args": long, "id": "c1"}
    (message,) = messages_of([Message(long, "ai", tool_calls=[call])])
    assert [len(part.get("content", "")) for part in message["parts"]] == [len(cut(long)), 0]
    assert message["parts"][1]["arguments"] == cut(long)


def test_of_a_long_conversation_the_last_messages_are_written():
    """With a word on how many there were before."""
    turns = [f"turn {index}" for index in range(MOST + 2)]
    assert texts(messages_of(turns)) == [
        ("user", "[2 earlier messages]"),
        *(("user", each) for each in turns[2:]),
    ]
    assert len(messages_of(turns[:MOST])) == MOST
