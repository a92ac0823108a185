"""How an input is edited."""

from __future__ import annotations

from types import SimpleNamespace

import pydantic
import pytest

from thinktwice import UsageError
from thinktwice.prompting import draft_text, prompting_for

CHAT = [{"role": "user", "content": "2 + 2?"}]


def test_text():
    """The draft and the feedback go behind the prompt; a partial answer follows it directly."""
    editing = prompting_for("2 + 2?")
    revised = editing.revise("2 + 2?", "5", "too large")
    assert revised == "2 + 2?\n\nDraft:\n5\n\nFeedback:\ntoo large\n\nImproved answer:"
    assert editing.extend("2 + 2? ", "It is") == "2 + 2? It is"


def test_messages():
    """The draft is the assistant's turn; the conversation given is not touched."""
    editing = prompting_for(CHAT)
    revised = editing.revise(CHAT, 5, "too large")
    assert revised == [
        *CHAT,
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": "too large"},
    ]
    assert editing.extend(CHAT, "It is")[-1] == {"role": "assistant", "content": "It is"}
    assert editing.extend(CHAT, "") == CHAT
    assert len(CHAT) == 1


def test_a_dict_with_a_feedback_key():
    """The variables of a template; the draft where it has a place."""
    given = {"question": "2 + 2?", "feedback": "", "draft": "", "n": 3}
    revised = prompting_for(given).revise(given, "5", "too large")
    assert revised == {"question": "2 + 2?", "feedback": "too large", "draft": "5", "n": 3}
    bare = {"question": "2 + 2?", "feedback": ""}
    assert prompting_for(bare).revise(bare, "5", "no") == {"question": "2 + 2?", "feedback": "no"}
    assert bare["feedback"] == ""


def test_a_dict_with_a_feedback_key_cannot_go_on_from_a_part():
    """There is no place for one."""
    given = {"feedback": ""}
    assert prompting_for(given).extend(given, "") == given
    with pytest.raises(UsageError, match="extend"):
        prompting_for(given).extend(given, "It is")


def test_a_dict_with_messages():
    """They are edited as a conversation is."""
    given = {"messages": CHAT, "language": "en"}
    editing = prompting_for(given)
    revised = editing.revise(given, "5", "too large")
    assert revised["language"] == "en"
    assert revised["messages"] == prompting_for(CHAT).revise(CHAT, "5", "too large")
    assert editing.extend(given, "It is")["messages"][-1]["content"] == "It is"


@pytest.mark.parametrize(
    "prompt", ["q", CHAT, {"feedback": "", "draft": "old"}, {"messages": CHAT}], ids=repr
)
def test_no_draft(prompt):
    """None shows no draft: the next attempt starts anew."""
    revised = prompting_for(prompt).revise(prompt, None, "it failed before")
    assert "it failed before" in str(revised)
    assert "None" not in str(revised)
    assert "Draft" not in str(revised)
    assert "assistant" not in str(revised)
    assert "old" not in str(revised)


@pytest.mark.parametrize(
    "prompt", [3, None, [1, 2], {"a": 1}, b"x", {"messages": [1]}, {"messages": "hi"}], ids=repr
)
def test_other_inputs_need_one_of_their_own(prompt: object):
    """The message shows the ways, and not the input."""
    with pytest.raises(UsageError, match=r"'feedback'.*'messages'.*revise") as caught:
        prompting_for(prompt)
    assert caught.value.value is None


class Person(pydantic.BaseModel):
    name: str


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("draft", "shown"),
    [
        ("5", "5"),
        (5, "5"),
        (SimpleNamespace(content="hi"), "hi"),
        ({"role": "assistant", "content": "hi"}, "hi"),
        (Person(name="Ada"), '{"name": "Ada"}'),
        ({"name": "Zoë"}, '{"name": "Zoë"}'),
        ([1, "a"], '[1, "a"]'),
        ({"raw": SimpleNamespace(content="{"), "parsed": None, "parsing_error": 1}, "{"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (CIRCLE, "[[...]]"),
    ],
    ids=repr,
)
def test_how_a_draft_is_shown(draft, shown):
    """Its text, or its data as JSON."""
    assert draft_text(draft) == shown
