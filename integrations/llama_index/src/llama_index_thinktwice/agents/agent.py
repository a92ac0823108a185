"""A strategy over the next step of an agent, before any tool runs."""

from __future__ import annotations

import functools
import types
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Unpack, cast

from llama_index.core.agent.workflow import AgentWorkflow, BaseWorkflowAgent

from llama_index_thinktwice.agents.keys import StepKey, reading
from llama_index_thinktwice.agents.llm import AgentLLM, taken
from llama_index_thinktwice.keys import with_key
from llama_index_thinktwice.llm.checking import check_critic
from llama_index_thinktwice.responses import METADATA
from thinktwice import FieldVote, Strategy, ToolCheck, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from llama_index.core.agent.workflow import AgentOutput

    from llama_index_thinktwice.agents.keys import Said
    from llama_index_thinktwice.settings import Settings

_CRITIC: Final = "give critic=LLMSampler(llm): the agent's own would answer with tool calls"

A = TypeVar("A", bound=BaseWorkflowAgent | AgentWorkflow)


def strategy_agent(
    agent: A,
    strategy: Strategy,
    *,
    exit_behavior: Literal["end", "error"] = "end",
    options: Mapping[str, object] | Callable[[int], Mapping[str, object]] | None = None,
    **settings: Unpack[Settings],
) -> A:
    """A copy of an agent that runs a strategy over each of its steps, before any tool runs.

    A vote or best-of-N is taken on the next action; tools run once, on the action that was chosen.
    For a `FunctionAgent` actions are told apart by the names and arguments of their tool calls, in
    any order; for a `ReActAgent` by the action and its input, whatever the thoughts before them;
    for a `CodeActAgent` by the code. Answers are told apart by their text, or the strategy's
    `key="number"` and the like. What cannot be read abstains; if all samples do, the first goes out
    as it came, and the agent goes on as it would have.

    It puts a `StrategyLLM` in the place of the agent's `llm`, so that calls are booked and refused
    before they are sent. Verifiers, and keys that are callables, get the model's `ChatResponse`,
    and verifiers as their prompt the messages before it. The `AgentOutput` of a step has a summary
    under "thinktwice": `output["thinktwice"]`.

    Cost: in each step the samples, and the verdicts, of one run of the strategy. So it is for the
    structured output of an agent with `output_cls`, which is a step of its own.

    Args:
        agent: A `FunctionAgent`, `ReActAgent` or `CodeActAgent`, or an agent of your own; or an
            `AgentWorkflow`, all of whose agents are then copied.
        strategy: What is drawn in a step, and which of it is the step's.
        exit_behavior: What a refused call leads to where a step has no sample yet. "end": the agent
            ends with a message that says so. "error": `BudgetExceeded` leaves the run.
        options: Settings of every model call, such as `{"temperature": 0.7}`, or a function of the
            sample's index.
        **settings: See `Settings`. A budget is one of a step; for one of a run put
            `budget_scope(Budget(...))` around it.

    Raises:
        UsageError: A parameter makes no sense, or the strategy cannot be run in a step.

    !!! example "Vote on the next action"

        ```python
        agent = strategy_agent(FunctionAgent(tools=[pay], llm=llm), Vote(5))
        response = await agent.run("Pay Ada what we owe her.")
        ```
    """
    if exit_behavior not in ("end", "error"):
        raise UsageError("exit_behavior", exit_behavior, "give 'end' or 'error'")
    given = cast("dict[str, Any]", {"options": options, **settings})
    if isinstance(agent, AgentWorkflow):
        flow = copy(agent)
        flow.agents = {
            name: _with_strategy(each, strategy, exit_behavior, given)
            for name, each in agent.agents.items()
        }
        return cast("A", flow)
    if not isinstance(agent, BaseWorkflowAgent):
        remedy = "give a FunctionAgent, a ReActAgent, an AgentWorkflow or the like"
        raise UsageError("agent", agent, remedy)
    return cast("A", _with_strategy(agent, strategy, exit_behavior, given))


def _with_strategy(
    agent: BaseWorkflowAgent,
    strategy: Strategy,
    exit_behavior: Literal["end", "error"],
    given: Mapping[str, Any],
) -> BaseWorkflowAgent:
    llm = AgentLLM(
        llm=agent.llm,
        strategy=_stepwise(strategy, reading(agent)),
        exit_behavior=exit_behavior,
        **given,
    )
    copied = agent.model_copy(update={"llm": llm})
    copied.__class__ = _telling(cast("Hashable", type(agent)))
    return copied


class _Telling:
    """Of an agent: what a step took stands in its output, as `output["thinktwice"]`.

    It cannot stand in the message, which goes back to the provider.
    """

    async def take_step(self, *args: Any, **kwargs: Any) -> AgentOutput:
        """Take it, and tell."""
        token = taken.set(None)
        try:
            output = await cast("Any", super()).take_step(*args, **kwargs)
            if (told := taken.get()) is not None:
                output[METADATA] = told
            return output
        finally:
            taken.reset(token)


@functools.cache
def _telling(of: Hashable) -> type[BaseWorkflowAgent]:
    """The class of an agent, with outputs that tell; under its own name, for tracers."""
    kind = cast("type[BaseWorkflowAgent]", of)
    if issubclass(kind, _Telling):
        return kind
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    made: Any = types.new_class(
        kind.__name__, (_Telling, kind), {}, lambda body: body.update(named)
    )
    made._step_functions = cast("Any", kind)._step_functions  # else each class has its own
    return cast("type[BaseWorkflowAgent]", made)


def _stepwise(strategy: Strategy, read: Callable[[str], Said]) -> Strategy:
    """The strategy, and those inside, with keys that heed what an agent does.

    Raises:
        UsageError: It is none, or cannot be run in a step.
    """
    _check_strategy(strategy)
    keyed = with_key(strategy, StepKey(strategy.key, read))
    if strategy.of is not None:
        object.__setattr__(keyed, "of", _stepwise(strategy.of, read))
    return keyed


def _check_strategy(strategy: Strategy) -> None:
    if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("strategy", strategy, "give a strategy such as Vote(5)")
    if isinstance(strategy, FieldVote):
        remedy = "it makes an answer that no sample gave: take Vote, which votes on all of it"
        raise UsageError("strategy", strategy, remedy)
    if isinstance(strategy, ToolCheck) and strategy.on_fail == "reject":
        remedy = "a step must have an outcome: take 'repair'"
        raise UsageError("on_fail", strategy.on_fail, remedy)
    check_critic(strategy, _CRITIC)
