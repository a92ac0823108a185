"""Strategies over functions that ask LLMs, and over whole runs of workflows and agents."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, cast

from llama_index.core.agent.workflow import AgentWorkflow, BaseWorkflowAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.workflow import InputRequiredEvent, Workflow

import llama_index_thinktwice.workflow.events  # noqa: F401  # pyright: ignore[reportUnusedImport] - registers events as answers
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver
from thinktwice import Strategy, UsageError
from thinktwice.errors import TypeOf
from thinktwice.history import History
from thinktwice.strategy import check_flags

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llama_index_thinktwice.settings import Settings
    from thinktwice import Result
    from thinktwice.protocols import Prompting, Sampler

P = TypeVar("P")
T = TypeVar("T")


async def run_strategy(
    runs: Workflow | Callable[[P], Awaitable[T]] | Callable[[P], T],
    prompt: P,
    *,
    strategy: Strategy,
    prompting: Prompting[Any] | None = None,
    repeatable: bool = False,
    **settings: Unpack[Settings],
) -> Result[Any]:
    """Run a strategy over a function that asks LLMs, or over whole runs of a workflow or an agent.

    LLM calls inside are booked, wherever they are made: in tools, in steps, on other tasks.

    A run of a workflow acts: what its tools do is done by each sample. With more than one sample
    this is asked for by `repeatable=True`. With `Vote(1)` it is a plain run that a budget caps: it
    is cancelled when it exceeds that. Each run has a context and a memory of its own; one that
    nobody waits for any more is cancelled, and what it has spent is booked. Runs that wait for a
    human cannot be sampled.

    Args:
        runs: A function of the prompt, async or plain (on threads); or a workflow, an agent among
            them.
        prompt: What the function takes. For an agent a text or a `ChatMessage`; for any workflow a
            mapping of what its `run` takes.
        strategy: What is drawn, and which of it is returned.
        prompting: How the prompt is edited, for strategies that repair.
        repeatable: Running the workflow many times does no harm.
        **settings: See `Settings`.

    Returns:
        The `Result` of the core: `value` is what the function or the workflow returned.

    Raises:
        UsageError: A parameter makes no sense; or a workflow would be run several times.
        BudgetExceeded: There was no answer when a budget ended the run.

    !!! example "In a step"

        ```python
        result = await run_strategy(self.draft, ev.question, strategy=Vote(5))
        return Drafted(text=result.value)
        ```
    """
    solver = Solver(strategy, **settings)
    check_flags(repeatable=repeatable)
    sampler: Sampler[Any, Any]
    if isinstance(runs, Workflow):
        _check_run(runs, prompt, strategy, repeatable=repeatable)
        sampler = AsyncDrawing(functools.partial(_run, runs), History())
    elif not callable(runs):
        raise UsageError("runs", runs, "give an async function of the prompt, a workflow, an agent")
    elif inspect.iscoroutinefunction(runs):
        sampler = AsyncDrawing(runs, History())
    else:
        sampler = BlockingDrawing(runs, History())
    return await solver.solve(prompt, sampler, prompting=prompting)


_SHARED: Final = {
    "ctx": "leave it out: each run has a context of its own",
    "memory": "give chat_history=await memory.aget(): each run would write to the same memory",
}


def _check_run(workflow: Workflow, prompt: object, strategy: Strategy, *, repeatable: bool) -> None:
    if strategy.draws != 1 and not repeatable:
        remedy = (
            "every sample would run all of it again, with all that its tools and steps do. "
            "strategy_agent(agent, strategy) samples each step of an agent before tools run; or "
            "pass repeatable=True if running it many times does no harm"
        )
        raise UsageError("runs", TypeOf(workflow), remedy)
    if isinstance(prompt, str | ChatMessage):
        if not isinstance(workflow, BaseWorkflowAgent | AgentWorkflow):
            remedy = "give a mapping of what its run() takes, such as {'question': ...}"
            raise UsageError("prompt", TypeOf(prompt), remedy)
    elif not isinstance(prompt, Mapping):
        raise UsageError("prompt", TypeOf(prompt), "give a text, a ChatMessage or a mapping")
    else:
        given = cast("Mapping[str, object]", prompt)
        for name in _SHARED.keys() & given.keys():
            raise UsageError(name, TypeOf(given[name]), _SHARED[name])


async def _run(workflow: Workflow, prompt: object) -> Any:  # noqa: ANN401 - what it ends with
    """One run of a workflow, which ends with the sample."""
    asked = {"user_msg": prompt} if isinstance(prompt, str | ChatMessage) else prompt
    handler = workflow.run(**cast("dict[str, Any]", asked))
    try:
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                remedy = (
                    "it waits for a human, and a sample cannot: put what asks outside of what is "
                    "sampled"
                )
                raise UsageError("runs", TypeOf(workflow), remedy)
        return cast("Any", await handler)
    finally:
        if not handler.is_done():
            await handler.cancel_run()
