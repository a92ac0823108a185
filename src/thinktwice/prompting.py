"""How an input is edited: asking for a better answer, and asking to go on from a partial one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from thinktwice.protocols import Prompting

P = TypeVar("P")

Message = Mapping[str, object]
_PARSED = {"raw", "parsed", "parsing_error"}


class TextPrompting:
    """Edits a `str`."""

    def revise(self, prompt: str, draft: object, feedback: str) -> str:
        """The prompt, the draft and what is wrong with it; no draft if it is None."""
        if draft is None:
            return f"{prompt}\n\nFeedback:\n{feedback}\n\nAnswer:"
        shown = draft_text(draft)
        return f"{prompt}\n\nDraft:\n{shown}\n\nFeedback:\n{feedback}\n\nImproved answer:"

    def extend(self, prompt: str, partial: str) -> str:
        """The prompt with the partial answer behind it."""
        return f"{prompt}{partial}"


class MessagesPrompting:
    """Edits a list of chat messages, each a mapping with `role` and `content`."""

    def revise(self, prompt: Sequence[Message], draft: object, feedback: str) -> Sequence[Message]:
        """The conversation with the draft as the assistant's turn, the feedback as the user's."""
        asked = {"role": "user", "content": feedback}
        if draft is None:
            return [*prompt, asked]
        return [*prompt, {"role": "assistant", "content": draft_text(draft)}, asked]

    def extend(self, prompt: Sequence[Message], partial: str) -> Sequence[Message]:
        """The conversation with the partial answer as the start of the assistant's turn."""
        return [*prompt, {"role": "assistant", "content": partial}] if partial else prompt


class FieldsPrompting:
    """Edits a mapping with a `feedback` key, such as the variables of a prompt template.

    A `draft` key gets the draft as text, if there is one.
    """

    def revise(self, prompt: Message, draft: object, feedback: str) -> Message:
        """The mapping with the feedback, and with the draft where it has a place."""
        shown = {"draft": "" if draft is None else draft_text(draft)} if "draft" in prompt else {}
        return {**prompt, "feedback": feedback, **shown}

    def extend(self, prompt: Message, partial: str) -> Message:
        """Only where there is nothing to go on from.

        Raises:
            UsageError: There is a partial answer, and no place for it.
        """
        if not partial:
            return prompt
        remedy = "give one with extend(): a mapping has no place for a partial answer"
        raise UsageError("prompting", None, remedy)


class PlaceholderPrompting:
    """Edits a mapping with a list of chat messages under `messages`."""

    def revise(self, prompt: Message, draft: object, feedback: str) -> Message:
        """The mapping with the draft and the feedback as the last turns of its messages."""
        messages = cast("Sequence[Message]", prompt["messages"])
        return {**prompt, "messages": MessagesPrompting().revise(messages, draft, feedback)}

    def extend(self, prompt: Message, partial: str) -> Message:
        """The mapping with the partial answer as the start of the assistant's turn."""
        messages = cast("Sequence[Message]", prompt["messages"])
        return {**prompt, "messages": MessagesPrompting().extend(messages, partial)}


def prompting_for(prompt: P) -> Prompting[P]:
    """The editing that fits an input.

    Raises:
        UsageError: There is no place in it for feedback.
    """
    if isinstance(prompt, str):
        return cast("Prompting[P]", TextPrompting())
    if is_conversation(prompt):
        return cast("Prompting[P]", MessagesPrompting())
    if isinstance(prompt, Mapping):
        fields = cast("Message", prompt)
        if "feedback" in fields:
            return cast("Prompting[P]", FieldsPrompting())
        if is_conversation(fields.get("messages")):
            return cast("Prompting[P]", PlaceholderPrompting())
    remedy = (
        "the input has no place for feedback: give text, chat messages, a dict with a 'feedback' "
        "key (and a 'draft' key, if the draft is to be shown) or with a list of chat messages "
        "under 'messages', or pass prompting= an object with revise() and extend()"
    )
    raise UsageError("prompting", None, remedy)


def is_conversation(prompt: object) -> bool:
    """Whether it is a list of chat messages, each a mapping."""
    if not isinstance(prompt, Sequence) or isinstance(prompt, str | bytes):
        return False
    messages = cast("Sequence[object]", prompt)
    return all(isinstance(each, Mapping) for each in messages)


def draft_text(draft: object) -> str:
    """A draft as it is shown to a model: its text, or its data as JSON."""
    if isinstance(draft, Mapping):
        fields = cast("Mapping[str, object]", draft)
        if set(fields) == _PARSED and fields["raw"] is not None:
            return draft_text(fields["raw"])
        content = fields.get("content")
    else:
        content = getattr(draft, "content", None)
    if isinstance(content, str):
        return content
    dump = getattr(cast("object", draft), "model_dump", None)
    plain = cast("Callable[[], object]", dump)() if callable(dump) else cast("object", draft)
    has_parts = isinstance(plain, Mapping | list | tuple)
    return _json(cast("object", plain)) if has_parts else str(plain)


def _json(plain: object) -> str:
    try:
        return json.dumps(plain, ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # keys that JSON does not have, or a circle
        return str(plain)
