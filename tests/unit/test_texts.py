"""The text of prompts and messages, of any framework."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from thinktwice.texts import content_text, has_media, messages_in, text_of


def message(**fields: object) -> SimpleNamespace:
    return SimpleNamespace(**fields)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("hi", "hi"),
        ([{"role": "user", "content": "hi"}], "user: hi"),
        ([("system", "be brief"), ("user", "hi")], "system: be brief\nuser: hi"),
        (["a", "b"], "a\nb"),
        ([message(type="human", content="hi")], "human: hi"),
        (message(messages=[message(type="ai", content="hi")]), "ai: hi"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "user: hi"),
        (message(content="hi"), "hi"),
        (message(text="hi"), "hi"),
        ({"question": "hi"}, '{"question": "hi"}'),
        (42, "42"),
        ([{"role": "user", "content": None}], '{"role": "user", "content": null}'),
    ],
)
def test_prompts_are_flattened(prompt: object, text: str):
    """Texts, dicts, pairs and objects, of any framework."""
    assert text_of(prompt) == text


def test_blocks_of_a_message_are_flattened():
    """Text as it is, tool results as JSON, and no bytes of images."""
    blocks = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:" + "A" * 1000}},
        {"type": "tool_result", "content": "7"},
        message(text=" here"),
    ]
    flat = text_of([{"role": "user", "content": blocks}])
    assert flat == 'user: look here{"type": "tool_result", "content": "7"}'
    assert content_text(blocks) == "look here"


def test_tool_calls_of_a_message_count():
    """They are part of the input of the next turn."""
    calls = [{"name": "f", "args": {"a": 1}}]
    assert '"f"' in text_of([message(type="ai", content="", tool_calls=calls)])


def test_content_of_other_shapes():
    """Nothing, or something printable."""
    assert content_text(None) == ""
    assert content_text(7) == "7"
    assert content_text(["a", {"type": "text", "text": "b"}]) == "ab"


def test_each_message_has_a_text_of_its_own():
    """A prompt that is no list of messages is one; a list of none has none."""
    assert list(messages_in([("user", "a"), "b"])) == ["user: a", "b"]
    assert list(messages_in("a\nb")) == ["a\nb"]
    assert list(messages_in([])) == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("text", False),
        ([{"role": "user", "content": "text"}], False),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], False),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], True),
    ],
)
def test_media_are_not_bounded_by_text(prompt, expected):
    """So that the worst case of such a call is unknown."""
    assert has_media(prompt) is expected
