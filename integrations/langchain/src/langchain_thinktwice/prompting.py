"""Asking a Runnable for a better answer: where a draft and its feedback go in its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import (
    Runnable,
    RunnableAssign,
    RunnablePassthrough,
    RunnableSequence,
)
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from langchain_thinktwice.messages import message_in
from langchain_thinktwice.tree import unit_of
from thinktwice import Sample, UsageError
from thinktwice.answers import canonical_json
from thinktwice.errors import TypeOf
from thinktwice.prompting import TextPrompting
from thinktwice.verifiers.judge_prompt import candidate_text

if TYPE_CHECKING:
    from langchain_thinktwice.tree import AnyRunnable

DRAFT: Final = "draft"
FEEDBACK: Final = "feedback"
MESSAGES: Final = "messages"
"""Keys of an input that take a draft, what is wrong with it, or the turns of both."""

_WAYS: Final = (
    "give the chain a place for it: MessagesPlaceholder('feedback', optional=True) at the end of "
    "its prompt, a variable {feedback} (and {draft}), a list under 'messages', or input that is a "
    "text or messages; or on_fail='inject' or 'reject' for a tool"
)


_PASSING: Final = (RunnableAssign, RunnablePassthrough)


@dataclass(frozen=True)
class RunnablePrompting:
    """Edits the input of a Runnable.

    Messages and prompt values get the draft as a turn of the model's and the feedback as one of the
    user's. A text to a chat model becomes such messages; a text to anything else gets both behind
    it. A dict gets them where its prompt template has a place: `feedback` (and `draft`), a
    placeholder for messages at the end, `messages`, or behind the text of its only variable.

    Attributes:
        bound: The Runnable whose input it is.
    """

    bound: AnyRunnable

    def revise(self, prompt: Any, draft: object, feedback: str) -> Any:  # noqa: ANN401
        """The input that asks for a better answer than the draft; without one if that is None.

        Raises:
            UsageError: The input has no place for feedback.
        """
        shown = None if draft is None else _text(draft)
        if isinstance(prompt, Mapping):
            known = cast("Mapping[str, Any]", prompt)
            return {**known, **self._filled(known, shown, feedback)}
        if isinstance(prompt, str) and not _is_chat(first_step(self.bound)):
            return TextPrompting().revise(prompt, shown, feedback)
        return _continued(prompt, _turns(shown, feedback))

    def extend(self, prompt: Any, partial: str) -> Any:  # noqa: ANN401
        """The input that asks to go on from a partial answer.

        Raises:
            UsageError: The input is neither text nor messages.
        """
        if not partial:
            return prompt
        if isinstance(prompt, str) and not _is_chat(first_step(self.bound)):
            return TextPrompting().extend(prompt, partial)
        if isinstance(prompt, Mapping):
            known = cast("Mapping[str, Any]", prompt)
            step = first_step(self.bound)
            if MESSAGES not in _places(step, known) and (name := _only_text(step, known)):
                return {**known, name: TextPrompting().extend(known[name], partial)}
            turns = _continued(_messages_of(step, known), [AIMessage(partial)])
            return {**known, MESSAGES: turns}
        return _continued(prompt, [AIMessage(partial)])

    def _filled(
        self, prompt: Mapping[str, Any], draft: str | None, feedback: str
    ) -> dict[str, Any]:
        """What changes in a dict."""
        step, turns = first_step(self.bound), _turns(draft, feedback)
        places = _places(step, prompt)
        if FEEDBACK in places:
            if _takes_messages(step, FEEDBACK):
                return {FEEDBACK: [*prompt.get(FEEDBACK, ()), *turns]}
            if DRAFT in places:
                return {DRAFT: draft or "", FEEDBACK: feedback}
            before = "" if draft is None else f"Draft:\n{draft}\n\nFeedback:\n"
            return {FEEDBACK: before + feedback}
        last = _last_placeholder(step)
        if last is not None:
            return {last: [*prompt.get(last, ()), *turns]}
        if MESSAGES not in places and (name := _only_text(step, prompt)):
            return {name: TextPrompting().revise(prompt[name], draft, feedback)}
        return {MESSAGES: _continued(_messages_of(step, prompt), turns)}


def check_revisable(bound: AnyRunnable) -> None:
    """Refuse a Runnable whose prompt template has no place for feedback.

    Raises:
        UsageError: As above.
    """
    step = first_step(bound)
    if not isinstance(step, BasePromptTemplate):
        return  # its input says, when there is one
    template = cast("BasePromptTemplate[Any]", step)
    names, takes_text = _variables(template), len(template.input_variables) == 1
    if not (takes_text or {FEEDBACK, MESSAGES} & names or _last_placeholder(template)):
        raise UsageError("runnable", sorted(names), f"its input has no place for feedback: {_WAYS}")


def first_step(runnable: AnyRunnable) -> AnyRunnable:
    """What reads the input of a chain, behind steps that pass it on with more keys."""
    if isinstance(runnable, RunnableSequence):
        steps = runnable.steps
        reading = (each for each in steps if not isinstance(each, _PASSING))
        return first_step(next(reading, steps[-1]))
    if unit_of(runnable) is not None:
        return runnable
    if isinstance(runnable, RunnableWithFallbacks):
        return first_step(runnable.runnable)
    bound = getattr(runnable, "bound", None)  # of a binding, or of a wrapper of ours
    return first_step(cast("AnyRunnable", bound)) if isinstance(bound, Runnable) else runnable


def _is_chat(step: AnyRunnable) -> bool:
    unit = unit_of(step)
    return unit is not None and isinstance(unit.model, BaseChatModel)


def _places(step: AnyRunnable, prompt: Mapping[str, Any]) -> set[str]:
    """What a dict is read by: the variables of its template, or where there is none its keys."""
    if isinstance(step, BasePromptTemplate):
        return _variables(cast("BasePromptTemplate[Any]", step))
    return set(prompt)


def _variables(template: BasePromptTemplate[Any]) -> set[str]:
    """Those with a default included."""
    own = (template.input_variables, template.optional_variables, template.partial_variables)
    return {name for names in own for name in names}


def _only_text(step: AnyRunnable, prompt: Mapping[str, Any]) -> str | None:
    """The one variable of a template, where a dict gives a text for it."""
    names = step.input_variables if isinstance(step, BasePromptTemplate) else []
    return names[0] if len(names) == 1 and isinstance(prompt.get(names[0]), str) else None


def _takes_messages(step: AnyRunnable, name: str) -> bool:
    parts = step.messages if isinstance(step, ChatPromptTemplate) else []
    return any(isinstance(p, MessagesPlaceholder) and p.variable_name == name for p in parts)


def _last_placeholder(step: AnyRunnable) -> str | None:
    """The variable that the messages at the end of a chat template come from."""
    last = step.messages[-1] if isinstance(step, ChatPromptTemplate) and step.messages else None
    return last.variable_name if isinstance(last, MessagesPlaceholder) else None


def _messages_of(step: AnyRunnable, prompt: Mapping[str, Any]) -> object:
    """Those of a graph's state, or of a dict like one."""
    if MESSAGES not in _places(step, prompt) or MESSAGES not in prompt:
        remedy = f"it has no place for feedback: {_WAYS}"
        raise UsageError("input", sorted(map(str, prompt)), remedy)
    return prompt[MESSAGES]


def _continued(prompt: object, turns: Sequence[BaseMessage]) -> object:
    """A conversation with further turns, as the model takes it."""
    if isinstance(prompt, PromptValue):
        return ChatPromptValue(messages=[*prompt.to_messages(), *turns])
    if isinstance(prompt, str):
        return [HumanMessage(prompt), *turns]
    if isinstance(prompt, BaseMessage):
        return [prompt, *turns]
    if isinstance(prompt, Sequence):
        return [*cast("Sequence[object]", prompt), *turns]
    raise UsageError("input", TypeOf(prompt), f"it has no place for feedback: {_WAYS}")


def _turns(draft: str | None, feedback: str) -> list[BaseMessage]:
    said = [] if draft is None else [AIMessage(draft)]
    return [*said, HumanMessage(feedback)]


def _text(draft: object) -> str:
    """What the draft says; its tool calls as data, since a turn must not leave calls unanswered."""
    message = message_in(draft)
    if message is not None and message.tool_calls and not message.text:
        return canonical_json([(call["name"], call["args"]) for call in message.tool_calls])
    return draft if isinstance(draft, str) else candidate_text(Sample(index=0, value=draft))
