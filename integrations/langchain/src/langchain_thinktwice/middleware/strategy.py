"""A strategy over the next action of an agent, before any tool runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from langchain import __version__
from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain.agents.middleware.types import ContextT, ResponseT
from langchain_core.messages import AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_thinktwice.checking import check_names
from langchain_thinktwice.diversity.options import options_in
from langchain_thinktwice.messages import annotated
from langchain_thinktwice.middleware.actions import (
    StepKey,
    StepMessage,
    refused,
    response_of,
    step_message,
)
from langchain_thinktwice.middleware.checks import ActionCheck, reasons_of
from langchain_thinktwice.runnable import StrategyRunnable
from langchain_thinktwice.settings import Settings
from langchain_thinktwice.wrap import with_key
from thinktwice import CritiqueRepair, FieldVote, RunError, Strategy, ToolCheck, UsageError
from thinktwice.threads import run_sync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain.agents.middleware import ModelRequest, ModelResponse

    from thinktwice import Result
    from thinktwice.protocols import Verifier
    from thinktwice.verifiers import Check

# Before langchain 1.4 an agent whose tool calls all have an answer goes back to its model only from
# a node after the model step, or with a `response_format`; from elsewhere it ends in a KeyError.
_NEEDS_A_NODE_AFTER: Final = tuple(map(int, __version__.split(".")[:2])) < (1, 4)
_MEANINGLESS: Final = {"include_result", "repeatable", "shadow"}


class StrategyMiddleware(AgentMiddleware[AgentState[ResponseT], ContextT, ResponseT]):
    """Runs a strategy over each model step of an agent, before any tool runs.

    A vote or best-of-N is taken on the next action; critique-repair and tool-check mend it inside
    the step, so that drafts stay out of the history. Actions are told apart by the names and
    arguments of their tool calls, in any order and without ids; structured responses by value; and
    answers by their text. An invalid one abstains: its arguments or structured output cannot be
    read, or `checks` refuse it. If all abstain, the first goes out as it came, with what was wrong
    for the model to read, and the agent goes on as it would have.

    Verifiers, and keys that are callables, get the model's message, a `StepMessage`, and as their
    prompt the messages before it. Put the middleware last in the list, but for
    `ModelRetryMiddleware`, which then retries the call of each sample.

    Cost: in each step the samples, and the verdicts, of one run of the strategy.

    !!! example "Vote on the next action"

        ```python
        agent = create_agent(model, tools, middleware=[StrategyMiddleware(Vote(5))])
        ```

    !!! example "Mend what a policy refuses, and never do it"

        ```python
        middleware = StrategyMiddleware(ToolCheck(ActionCheck()), checks=[within_limit])
        ```
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        checks: ActionCheck | Sequence[Verifier[object] | Check] = (),
        **settings: Unpack[Settings],
    ) -> None:
        """Check what can be seen before there is an agent.

        Args:
            strategy: What is drawn in a step, and which of it is the step's.
            checks: What each tool call is checked by before it leaves the step, with the schema of
                its tool: functions of an `Action`, verifiers, or an `ActionCheck`. Of a message
                with a call that is refused nothing is done: it abstains, and if there is no other,
                the model is told why.
            **settings: As of the other wrappers, see `Settings`, but for `repeatable` and
                `shadow`. A budget is one of a step.

        Raises:
            UsageError: A parameter makes no sense, or the strategy cannot be run in a step.
        """
        super().__init__()
        self.tools = []
        for name in _MEANINGLESS & settings.keys():
            remedy = "the middleware has no such setting: it samples model calls, and returns one"
            raise UsageError(name, cast("dict[str, object]", settings)[name], remedy)
        check_names(
            cast("dict[str, object]", settings),
            {"checks", *Settings.__annotations__} - _MEANINGLESS,
        )
        self.strategy = strategy
        check = _action_check(checks)
        self._runnable = _StepStrategy(
            bound=ModelStep(check), strategy=_stepwise(strategy), **settings
        )
        if check is not None and _NEEDS_A_NODE_AFTER:
            self.__class__ = _with_a_node_after(type(self))

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelResponse[ResponseT]:
        """Run the strategy over the model step, on threads."""
        message = self._runnable.invoke(request.messages, step=Step(request, handler))
        return response_of(message, known=request.messages)

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]],
    ) -> ModelResponse[ResponseT]:
        """Run the strategy over the model step."""
        message = await self._runnable.ainvoke(request.messages, step=Step(request, handler))
        return response_of(message, known=request.messages)

    def __repr__(self) -> str:
        """As it is written, without settings."""
        return f"{type(self).__name__}({self.strategy!r})"


def _with_a_node_after(kind: type[StrategyMiddleware]) -> type[StrategyMiddleware]:
    """The class, with a hook that makes agents put a node after the model step, if it has none."""
    if kind.after_model is not AgentMiddleware.after_model:
        return kind

    def after_model(self: object, state: object, runtime: object) -> None:
        """Nothing; what matters is that the node is there."""

    return type(kind.__name__, (kind,), {"after_model": after_model})


@dataclass(frozen=True)
class Step:
    """One model step of an agent, that can be made many times.

    Attributes:
        request: What the model is asked.
        handler: Asks it, by way of the middleware further in.
    """

    request: ModelRequest[Any]
    handler: Callable[[ModelRequest[Any]], Any]

    def asked(self, messages: list[AnyMessage], config: RunnableConfig | None) -> Any:  # noqa: ANN401 - what the handler returns, perhaps to be awaited
        """Ask with these messages, and with the options of the sample that is drawn."""
        request, options = self.request, options_in(config)
        if messages is not request.messages:
            request = request.override(messages=messages)
        if options:
            request = request.override(model_settings={**request.model_settings, **options})
        return self.handler(request)


class ModelStep(Runnable[list[AnyMessage], StepMessage]):
    """The model step of an agent as a Runnable of its messages; what it asks comes with the call.

    Attributes:
        check: Checks the tool calls of each message.
    """

    name = "model step"
    takes_options = True  # as settings of the request, whatever model it is for

    def __init__(self, check: ActionCheck | None = None) -> None:
        """Take the check."""
        self.check = check

    def invoke(  # pyright: ignore[reportIncompatibleMethodOverride] - it takes a step besides
        self,
        input: list[AnyMessage],  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        step: Step,
    ) -> StepMessage:
        """Make the step once."""
        response = step.asked(input, config)
        if self.check is None:
            return step_message(response, step.request.tools)
        return run_sync(lambda: self._checked(response, step.request.tools, input))

    async def ainvoke(  # pyright: ignore[reportIncompatibleMethodOverride] - as above
        self,
        input: list[AnyMessage],  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        step: Step,
    ) -> StepMessage:
        """Make the step once."""
        response = await step.asked(input, config)
        return await self._checked(response, step.request.tools, input)

    async def _checked(
        self, response: ModelResponse[Any], tools: Sequence[Any], prompt: object
    ) -> StepMessage:
        """The message of a response, refused if a call of it may not be made."""
        message = step_message(response, tools)
        if self.check is None:
            return message
        decisions = await self.check.decide(message, prompt=prompt)
        if all(decisions):
            return message
        return step_message(refused(response, decisions), tools, reasons_of(decisions))


class _StepStrategy(StrategyRunnable[list[AnyMessage], StepMessage]):
    """A strategy over a model step, which always has a message."""

    def _output(self, result: Result[Any]) -> StepMessage:
        drawn = (result.value, *_drawn(result))
        message = next((each for each in drawn if isinstance(each, StepMessage)), None)
        if message is None:
            raise RunError(f"{self.strategy.name} returned no message of the model")
        return annotated(message, result)


def _drawn(result: Result[Any]) -> Iterator[object]:
    """What was drawn, in order, also by strategies inside."""
    yield from (each.value for each in sorted(result.samples, key=lambda each: each.index))
    for nested in result.nested:
        yield from _drawn(nested)


def _action_check(
    checks: ActionCheck | Sequence[Verifier[object] | Check],
) -> ActionCheck | None:
    if isinstance(checks, ActionCheck):
        return checks
    if not isinstance(checks, Sequence) or isinstance(checks, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("checks", checks, "give a list of functions of an Action, or ActionCheck")
    return ActionCheck(*checks) if checks else None


def _stepwise(strategy: Strategy) -> Strategy:
    """The strategy, and those inside, with keys that heed what is invalid.

    Raises:
        UsageError: It is none, or cannot be run in a step.
    """
    _check_strategy(strategy)
    if strategy.key is not None:
        strategy = with_key(strategy, StepKey(strategy.key))
    if strategy.of is None:
        return strategy
    copied = with_key(strategy, strategy.key) if strategy.key is None else strategy
    object.__setattr__(copied, "of", _stepwise(strategy.of))
    return copied


def _check_strategy(strategy: Strategy) -> None:
    if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("strategy", strategy, "give a strategy such as Vote(5)")
    if isinstance(strategy, FieldVote):
        remedy = "it makes an answer that no sample gave: take Vote, which votes on all of it"
        raise UsageError("strategy", strategy, remedy)
    if isinstance(strategy, ToolCheck) and strategy.on_fail == "reject":
        remedy = "a step must have an outcome: take 'repair', and checks= to refuse actions"
        raise UsageError("on_fail", strategy.on_fail, remedy)
    if (
        isinstance(strategy, CritiqueRepair)
        and strategy.critic is None
        and _asks_a_critic(strategy)
    ):
        remedy = "give critic=RunnableSampler(model): the agent's own would answer with tool calls"
        raise UsageError("critic", None, remedy)


def _asks_a_critic(strategy: CritiqueRepair) -> bool:
    return strategy.verifier is None or strategy.mode not in (None, "critic")
