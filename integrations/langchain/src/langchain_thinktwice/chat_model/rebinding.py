"""Taking over what a chat model makes of itself: with tools, with structured output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnablePassthrough

from langchain_thinktwice.detached import detached
from langchain_thinktwice.tree import replaced, units
from thinktwice import UsageError
from thinktwice.answers import default_key
from thinktwice.instrumentation import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from langchain_core.messages import AIMessage

    from langchain_thinktwice.tree import AnyRunnable, Unit


@dataclass(frozen=True, repr=False)
class ParsedKey:
    """Counts a message by what is parsed of it; one that cannot be parsed abstains.

    Where values of that class cannot be compared, the messages are.

    Attributes:
        parser: Makes of a message what the caller gets.
    """

    parser: AnyRunnable

    def __call__(self, message: AIMessage) -> Hashable | None:
        """The default key of the parsed value."""
        with detached(), hidden():
            try:
                parsed = self.parser.invoke(message)
            except Exception:  # noqa: BLE001 - whatever a parser raises: it is no answer
                return None
        try:
            return None if parsed is None else default_key(parsed)
        except UsageError:
            return default_key(message)

    def __repr__(self) -> str:
        """Without the schema, which is in the arguments of the call."""
        return "ParsedKey()"


def rebound(made: AnyRunnable, over: Callable[[BaseChatModel], BaseChatModel]) -> AnyRunnable:
    """A Runnable around one chat model, with another model in its place.

    Args:
        made: What a model made of itself.
        over: Makes the other one of the one inside.

    Raises:
        UsageError: There is not one chat model in it, in reach.
    """
    model = _unit(made).model
    assert isinstance(model, BaseChatModel)  # noqa: S101 - `_unit` has looked
    return replaced(made, model, over(model))


def parser_of(made: AnyRunnable) -> AnyRunnable:
    """What a Runnable around one chat model does with the message.

    Raises:
        UsageError: As `rebound`.
    """
    return replaced(made, _unit(made).step, RunnablePassthrough[Any]())


def _unit(made: AnyRunnable) -> Unit:
    found = list(units(made))
    if len(found) == 1 and found[0].movable and isinstance(found[0].model, BaseChatModel):
        return found[0]
    remedy = (
        "what the model makes of itself has not one chat model that could be sampled in its place: "
        "put the strategy around all of it, with_strategy(runnable, strategy)"
    )
    raise UsageError("model", made.get_name(), remedy)
