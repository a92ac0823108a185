"""What an agent's model proposes in one step, and what tells two proposals apart."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from llama_index.core.agent.react.types import ActionReasoningStep, ResponseReasoningStep
from llama_index.core.agent.workflow import CodeActAgent, ReActAgent

from llama_index_thinktwice.answers import tool_calls
from thinktwice.answers import awaited_key, canonical_json, default_key, text_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from llama_index.core.agent.workflow import BaseWorkflowAgent
    from llama_index.core.base.llms.types import ChatResponse

_CODE: Final = re.compile(r"<execute>(.*?)</execute>", re.DOTALL)


@dataclass(frozen=True)
class Action:
    """What an agent would do next, as it stands in the text of its model.

    Attributes:
        key: What two of the same share; None of one that cannot be read.
    """

    key: Hashable | None


Said: TypeAlias = Action | str
"""What a text comes to: an action, or an answer to the user."""


@dataclass(frozen=True)
class StepKey:
    """A key for the steps of an agent: what it would do counts, and not how it came to that.

    Tool calls are told apart by names and arguments, in any order and without ids, and actions in a
    text by what the agent reads in it; what cannot be read abstains. A key by name, and the default
    one, is for answers to the user. A callable gets every response of the model.

    Attributes:
        key: A name, a callable, or None, as strategies take it.
        read: What a text comes to.
    """

    key: str | Callable[..., Hashable | None] | None
    read: Callable[[str], Said]

    async def __call__(self, response: ChatResponse) -> Hashable | None:
        """The key of a response."""
        if callable(self.key):
            return await awaited_key(self.key)(response)
        if tool_calls(response.message):
            return default_key(response)
        said = self.read(text_in(response) or "")
        return said.key if isinstance(said, Action) else await awaited_key(self.key)(said)


def reading(agent: BaseWorkflowAgent) -> Callable[[str], Said]:
    """How an agent reads a text of its model."""
    if isinstance(agent, ReActAgent):
        return ReAct(agent)
    return code_in if isinstance(agent, CodeActAgent) else str


@dataclass(frozen=True)
class ReAct:
    """Reads as the parser of an agent does: an action, or an answer; thoughts do not count.

    Attributes:
        agent: Whose parser it is; looked up late, as it can be replaced.
    """

    agent: ReActAgent

    def __call__(self, text: str) -> Said:
        """What a text comes to."""
        try:
            step = self.agent.output_parser.parse(text, is_streaming=False)
        except ValueError:
            return Action(None)
        if isinstance(step, ActionReasoningStep):
            asked = cast("Any", step).action_input
            return Action(("action", step.action, canonical_json(asked)))
        return step.response if isinstance(step, ResponseReasoningStep) else Action(None)


def code_in(text: str) -> Said:
    """The code that a `CodeActAgent` would run, without comments and layout; else an answer."""
    found = _CODE.findall(text)
    if not found:
        return text
    try:
        return Action(("code", ast.dump(ast.parse("\n\n".join(map(str.strip, found))))))
    except (SyntaxError, ValueError, RecursionError):
        return Action(None)
