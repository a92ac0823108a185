"""How an input is edited."""

from __future__ import annotations

import pytest

from thinktwice import UsageError
from thinktwice.prompting import prompting_for

CHAT = [{"role": "user", "content": "2 + 2?"}]


def test_text():
    """The draft and the feedback go behind the prompt; a partial answer follows it directly."""
    editing = prompting_for("2 + 2?")
    revised = editing.revise("2 + 2?", "5", "too large")
    assert revised.startswith("2 + 2?")
    assert revised.index("5") < revised.index("too large")
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


@pytest.mark.parametrize("prompt", [3, None, [1, 2], {"a": 1}, b"x"])
def test_other_inputs_need_one_of_their_own(prompt: object):
    """The message does not show the input."""
    with pytest.raises(UsageError, match="revise") as caught:
        prompting_for(prompt)
    assert caught.value.value is None
