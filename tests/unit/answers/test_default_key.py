"""The key of a value by its type."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from types import SimpleNamespace

import pydantic
import pytest

from thinktwice.answers import default_key
from thinktwice.errors import UsageError
from thinktwice.sample import Completion


class Colour(Enum):
    RED = "Red!"
    NONE = None
    TRUE = True
    TWO = 2


class Word(StrEnum):
    UPPER = "A"
    LOWER = "a"


class Answer(pydantic.BaseModel):
    x: int


@dataclass(frozen=True)
class Message:
    content: object
    type: str = "ai"
    tool_calls: tuple[object, ...] = ()
    id: str = "1"


def call(name: str, identity: str, **args: object) -> dict[str, object]:
    return {"name": name, "args": args, "id": identity}


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("  The CAT. ", "the cat"),
        ("Stra\u00dfe", "strasse"),
        ("e\u0301", "\u00e9"),
        ("?", "?"),
        (" ", None),
        (None, None),
        (1.0, 1),
        (Decimal("0.10"), Decimal("0.1")),
        (float("nan"), None),
        (True, ("bool", True)),
        (Colour.RED, "Red!"),
        (Colour.NONE, ("enum", "NONE")),
        (Colour.TRUE, ("enum", "TRUE")),
        (Colour.TWO, 2),
        (Word.UPPER, "A"),
        ({"b": 1, "a": 2.0}, '{"a":2,"b":1}'),
        ([1, 2], "[1,2]"),
        (frozenset({2, 1}), "[1,2]"),
        (Answer(x=1), '{"x":1}'),
        (1j, 1j),
        (Completion(value="Hi."), "hi"),
    ],
)
def test_key_by_type(value: object, key: object):
    """The table of the documentation."""
    found = default_key(value)
    assert found == key
    assert type(found) is type(key)


def test_members_that_differ_in_case_stay_different():
    """An enum member is exact where a text is folded."""
    assert default_key(Word.UPPER) != default_key(Word.LOWER)


def test_parsed_output_counts_and_a_parsing_error_abstains():
    """The shape of structured output that keeps the raw message."""
    ok = {"raw": object(), "parsed": Answer(x=1), "parsing_error": None}
    bad = {"raw": object(), "parsed": None, "parsing_error": ValueError("no")}
    assert default_key(ok) == '{"x":1}'
    assert default_key(bad) is None


def test_a_state_is_its_last_message_from_the_model():
    """What comes after it, such as a tool's message, does not count."""
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "No."},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
        {"role": "tool", "content": "x"},
    ]
    assert default_key({"messages": messages, "other": object()}) == "yes"
    assert default_key({"messages": messages[:1]}) is None


def test_a_message_object_is_its_text_and_not_its_id():
    """By shape, since no framework is imported here."""
    assert default_key(Message("Hi.", id="1")) == default_key(Message("hi", id="2")) == "hi"
    assert default_key({"messages": [Message("q", type="human"), Message("Hi.")]}) == "hi"


def test_a_role_may_be_an_enum():
    """As in chat messages that hold their role so."""
    role = SimpleNamespace(value="assistant")
    assert default_key(SimpleNamespace(role=role, content="Hi")) == "hi"


def test_hidden_reasoning_is_not_the_answer():
    """Blocks that are no text do not count."""
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}]
    assert default_key(Message(content)) == "hi"


def test_tool_calls_count_in_any_order_and_without_ids():
    """Two calls are the same action whichever comes first."""
    one = Message("", tool_calls=(call("f", "1", a=1, b=2.0), call("g", "2")))
    two = Message("x", tool_calls=(call("g", "9"), call("f", "8", b=2, a=1)))
    assert default_key(one) == default_key(two)
    assert default_key(one) != default_key(Message("", tool_calls=(call("f", "1", a=1),)))


def test_arguments_may_be_json():
    """Some interfaces hand arguments on as text."""
    text = {"id": "1", "function": {"name": "f", "arguments": '{"b": 1, "a": 2}'}}
    raw = {"role": "assistant", "content": None, "tool_calls": [text]}
    assert default_key(raw) == default_key(Message("", tool_calls=(call("f", "2", a=2, b=1),)))


def test_an_adapter_registers_its_types():
    """Also for messages within a state."""

    class Special:
        role, content = "assistant", "x"

    default_key.register(Special, lambda _: "special")
    assert default_key(Special()) == default_key({"messages": [Special()]}) == "special"


def test_an_object_without_a_value_is_refused():
    """Two of them would never be the same answer, so the vote would be void."""
    with pytest.raises(UsageError, match="values of type Thing cannot be compared") as caught:
        default_key(type("Thing", (), {"__repr__": lambda _: "secret"})())
    assert "secret" not in str(caught.value)
