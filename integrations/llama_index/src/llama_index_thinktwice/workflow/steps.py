"""A strategy over a step of a workflow."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from llama_index.core.workflow import Context

from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver
from llama_index_thinktwice.workflow.events import is_event, told
from llama_index_thinktwice.workflow.held import HeldContext
from thinktwice import Strategy, ToolCheck, UsageError
from thinktwice.history import History
from thinktwice.strategy import check_flags

if TYPE_CHECKING:
    from llama_index_thinktwice.settings import Settings
    from thinktwice import Result
    from thinktwice.protocols import Prompting

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def sampled(
    strategy: Strategy,
    *,
    prompting: Prompting[Any] | None = None,
    repeatable: bool = False,
    **settings: Unpack[Settings],
) -> Callable[[F], F]:
    """Run a strategy over a step of a workflow: its body is the sample, and one event comes of it.

    It goes below `@step`, and takes async and plain functions. Events are told apart by their type
    and fields, and a `StopEvent` by its result. What verifiers get is the event that a sample
    returned, and as their prompt the event that the step was called with. If all samples abstain,
    the first one's event goes out, so that the workflow goes on as it would have.

    The event that goes out is a copy with a summary under "thinktwice", which `event["thinktwice"]`
    reads; `collect()` has the whole result.

    A sample gets a `Context` that holds events back: those that the winner has written to the
    stream, or sent, go out when it has won, and nobody sees those of the others. What it would
    write to the store, or wait for, is a UsageError: return it in the event, and let the next step
    do it.

    Cost: in each call of the step the samples, and the verdicts, of one run of the strategy. A
    `retry_policy` of the step repeats all of it, and only where all samples have failed.

    Args:
        strategy: What is drawn in a call of the step, and which of it goes out.
        prompting: How the event that comes in is edited, for strategies that repair.
        repeatable: Give the samples the step's own context: each may write to it.
        **settings: See `Settings`.

    Raises:
        UsageError: A parameter makes no sense, or the strategy cannot be run in a step.

    !!! example "A vote on what a step returns"

        ```python
        class Answering(Workflow):
            @step
            @sampled(Vote(5))
            async def answer(self, ev: Asked) -> Answered:
                return Answered(text=str(await llm.acomplete(ev.question)))
        ```
    """
    solver = Solver(strategy, **settings)
    check_flags(repeatable=repeatable)
    if isinstance(strategy, ToolCheck) and strategy.on_fail == "reject":
        remedy = "a step must have an outcome: take 'repair', and let a later step refuse"
        raise UsageError("on_fail", strategy.on_fail, remedy)

    def decorate(function: F) -> F:
        if not inspect.isfunction(function) or hasattr(function, "_step_config"):
            remedy = "put it between @step and the function of the step"
            raise UsageError("function", function, remedy)
        body = _Body(function, solver, prompting, repeatable)
        return cast("F", body.wrapper())

    return decorate


class _Body:
    """The body of a step, which is called once a sample."""

    def __init__(
        self,
        function: Callable[..., Any],
        solver: Solver,
        prompting: Prompting[Any] | None,
        repeatable: bool,  # noqa: FBT001 - as in `sampled`
    ) -> None:
        self._function = function
        self._solver = solver
        self._prompting = prompting
        self._repeatable = repeatable
        self._signature = inspect.signature(function)
        self._history = History()

    def wrapper(self) -> Callable[..., Any]:
        """The step as a workflow calls it; annotations and all are those of the function."""
        return self._async() if inspect.iscoroutinefunction(self._function) else self._sync()

    def _async(self) -> Callable[..., Any]:
        @functools.wraps(self._function)
        async def step(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
            call = self._call(args, kwargs)
            sampler = AsyncDrawing[Any, Any](call.awaited, self._history)
            result = await self._solver.solve(call.prompt, sampler, prompting=self._prompting)
            return call.outcome(result)

        return step

    def _sync(self) -> Callable[..., Any]:
        @functools.wraps(self._function)
        def step(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
            call = self._call(args, kwargs)
            sampler = BlockingDrawing[Any, Any](call.called, self._history)
            result = self._solver.solve_sync(call.prompt, sampler, prompting=self._prompting)
            return call.outcome(result)

        return step

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        given = self._signature.bind(*args, **kwargs).arguments
        return _Call(self._function, given, holds=not self._repeatable)


class _Call:
    """One call of a step.

    Attributes:
        prompt: The event that it was called with; by name, where there are several.
    """

    def __init__(
        self, function: Callable[..., Any], given: Mapping[str, Any], *, holds: bool
    ) -> None:
        self._function = function
        self._given = given
        contexts = (name for name, each in given.items() if isinstance(each, Context))
        self._context = next(contexts, None) if holds else None
        events = {name: each for name, each in given.items() if is_event(each)}
        self._event = next(iter(events)) if len(events) == 1 else None
        self.prompt: Any = events if self._event is None else events[self._event]
        self._held: list[tuple[object, HeldContext]] = []

    def called(self, prompt: object) -> Any:  # noqa: ANN401 - what the step returns
        """One sample; where the step is async, one that is yet to be awaited."""
        return self._keep(*self._started(prompt))

    async def awaited(self, prompt: object) -> Any:  # noqa: ANN401
        """One sample."""
        made, held = self._started(prompt)
        return self._keep(await made, held)

    def _started(self, prompt: object) -> tuple[Any, HeldContext | None]:
        given, held = dict(self._given), None
        given.update({self._event: prompt} if self._event else cast("dict[str, Any]", prompt))
        if self._context is not None:
            held = given[self._context] = HeldContext(given[self._context])
        return self._function(**given), held

    def _keep(self, value: T, held: HeldContext | None) -> T:
        if held is not None:
            self._held.append((value, held))
        return value

    def outcome(self, result: Result[Any]) -> Any:  # noqa: ANN401
        """What goes out, after the events that its sample held back."""
        value = result.value
        if value is None:
            value = next((each.value for each in result.samples if each.value is not None), None)
        for made, held in self._held:
            if made is value:
                held.release()
                break
        return told(value, result)
