"""How an input is edited: asking for a better answer, and asking to go on from a partial one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from thinktwice.protocols import Prompting

P = TypeVar("P")

Message = Mapping[str, object]


class TextPrompting:
    """Edits a `str`."""

    def revise(self, prompt: str, draft: object, feedback: str) -> str:
        """The prompt, the draft and what is wrong with it."""
        return f"{prompt}\n\nDraft:\n{draft}\n\nFeedback:\n{feedback}\n\nImproved answer:"

    def extend(self, prompt: str, partial: str) -> str:
        """The prompt with the partial answer behind it."""
        return f"{prompt}{partial}"


class MessagesPrompting:
    """Edits a list of chat messages, each a mapping with `role` and `content`."""

    def revise(self, prompt: Sequence[Message], draft: object, feedback: str) -> Sequence[Message]:
        """The conversation with the draft as the assistant's turn, the feedback as the user's."""
        return [
            *prompt,
            {"role": "assistant", "content": str(draft)},
            {"role": "user", "content": feedback},
        ]

    def extend(self, prompt: Sequence[Message], partial: str) -> Sequence[Message]:
        """The conversation with the partial answer as the start of the assistant's turn."""
        return [*prompt, {"role": "assistant", "content": partial}] if partial else prompt


def prompting_for(prompt: P) -> Prompting[P]:
    """The editing that fits an input.

    Raises:
        UsageError: The input is neither a `str` nor a list of chat messages.
    """
    if isinstance(prompt, str):
        return cast("Prompting[P]", TextPrompting())
    if is_conversation(prompt):
        return cast("Prompting[P]", MessagesPrompting())
    remedy = "pass one with revise() and extend(): inputs other than str and chat messages differ"
    raise UsageError("prompting", None, remedy)


def is_conversation(prompt: object) -> bool:
    """Whether it is a list of chat messages, each a mapping."""
    if not isinstance(prompt, Sequence) or isinstance(prompt, str | bytes):
        return False
    messages = cast("Sequence[object]", prompt)
    return all(isinstance(each, Mapping) for each in messages)
