"""A proposed tool call, and what the tool says of its arguments."""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NotRequired, get_type_hints

from thinktwice.answers.shapes import attribute, tool_call
from thinktwice.errors import TypeOf, UsageError
from thinktwice.verifiers.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BY_NAME: Final = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True, repr=False)
class Action:
    """A tool call that was proposed.

    Attributes:
        name: Of the tool.
        args: Its arguments by name.
        id: By which the model knows the call, if it has one.
    """

    name: str
    args: Mapping[str, object]
    id: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """One line without content."""
        return f"<Action {self.name}>"


def action_of(given: object) -> Action:
    """What is proposed, as a copy that nobody else can change.

    Args:
        given: A tool call in the shape of any interface.

    Raises:
        UsageError: It is no tool call, or it cannot be copied.
    """
    name, args = tool_call(given)
    if name in {"", "None"} or isinstance(given, str):
        remedy = "give one tool call: a mapping or an object with a name and arguments"
        raise UsageError("action", TypeOf(given), remedy)
    try:
        kept: Any = deepcopy(args)
    except Exception as error:
        raise UsageError("action", TypeOf(given), "give arguments that can be copied") from error
    number = attribute(given, "id")
    return Action(name, kept, number if isinstance(number, str) else None)


def is_of(action: Action, tool: object) -> bool:
    """Whether the call is one of this tool; of a tool without a name it may be."""
    own = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    return own is None or own == action.name


def schema_of(tool: object) -> Schema | None:
    """What the arguments of a tool must be, if it says so."""
    given = getattr(tool, "args_schema", None)
    if given is not None:
        return Schema(given, name="arguments")
    return Schema(_arguments(tool), name="arguments") if inspect.isroutine(tool) else None


def _arguments(function: Callable[..., object]) -> object:
    """The arguments of a function, as a type."""
    from pydantic import ConfigDict
    from typing_extensions import TypedDict

    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        remedy = "its annotations cannot be read: give a Schema of its arguments instead"
        raise UsageError("tool", function, remedy) from error
    named = [each for each in parameters if each.kind in _BY_NAME]
    types: dict[str, Any] = {each.name: hints.get(each.name, object) for each in named}
    for each in named:
        if each.default is not each.empty:
            types[each.name] = NotRequired[types[each.name]]
    made: Any = TypedDict("Arguments", types)  # type: ignore[misc]
    free = any(each.kind is each.VAR_KEYWORD for each in parameters)
    made.__pydantic_config__ = ConfigDict(
        extra="allow" if free else "forbid", arbitrary_types_allowed=True
    )
    return made
