"""Another text in the place of a value's own."""

from __future__ import annotations

import pytest

from thinktwice.answers import with_text


def test_a_text_gives_way():
    """A value that is a text is nothing else."""
    assert with_text("old", "new") == "new"


def test_a_message_keeps_all_but_its_text():
    """A mapping is copied."""
    message = {"role": "assistant", "content": "old", "id": 1}
    assert with_text(message, "new") == {"role": "assistant", "content": "new", "id": 1}
    assert message["content"] == "old"


@pytest.mark.parametrize("value", [3, None, {"answer": "old"}, [{"type": "text", "text": "old"}]])
def test_what_holds_its_text_otherwise_cannot_be_edited(value):
    """Nobody can tell which part of it to change."""
    assert with_text(value, "new") is None
