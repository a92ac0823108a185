"""One budget for all model calls of an agent's run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    ExtendedModelResponse,
    ModelResponse,
)
from langchain.agents.middleware.types import ContextT, ResponseT
from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables import ensure_config
from langgraph.types import Command

from langchain_thinktwice import config as configs
from langchain_thinktwice.middleware.covering import covered
from langchain_thinktwice.middleware.sessions import Attempt, Sessions, worked
from langchain_thinktwice.middleware.state import (
    LIVE,
    RUN,
    SPENT,
    BudgetState,
    last_words,
    noted,
    unanswered,
)
from langchain_thinktwice.samples import manager_of
from langchain_thinktwice.tracing import emitted
from thinktwice import Budget, BudgetExceeded, Limiter, UsageError
from thinktwice.entry import Spent
from thinktwice.pricing import default_prices
from thinktwice.scope import current_scope
from thinktwice.session import Session
from thinktwice.threads import in_thread, run_sync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from langchain.agents.middleware import ModelRequest
    from langchain.agents.middleware.types import ToolCallRequest
    from langchain_core.messages import ToolMessage
    from langgraph.runtime import Runtime

    from langchain_thinktwice.middleware.sessions import Manager
    from thinktwice import Price
    from thinktwice.protocols import PriceSource


T = TypeVar("T")
M = TypeVar("M", bound=AgentMiddleware[Any, Any, Any])


class BudgetMiddleware(AgentMiddleware[BudgetState[ResponseT], ContextT, ResponseT]):
    """Caps what one run of an agent may spend, on all its model calls together.

    It counts the calls of the model steps, each sample and verdict of a strategy, each retry, and
    what tools and the agents in them call. A call that does not fit is refused before it is sent.
    A run is what follows a user's turn: interrupts belong to it, however long they take, and their
    time does not count.

    Put it first in the list, so that it is around whatever else calls a model.

    Cost: none.

    !!! example "An agent that may spend ten cents and a minute on a turn"

        ```python
        middleware = [BudgetMiddleware(Budget(cost="0.10", seconds=60)), ...]
        agent = create_agent(model, tools, middleware=middleware)
        agent.invoke(...)["thinktwice_spent"]  # {"calls": 7, "tokens": 4211, "cost": 0.031, ...}
        ```
    """

    state_schema = BudgetState  # type: ignore[assignment]

    def __init__(
        self,
        budget: Budget,
        *,
        exit_behavior: Literal["end", "error"] = "end",
        prices: Mapping[str, Price] | PriceSource | None = None,
        limiter: Limiter | Sequence[Limiter] = (),
        configurable_prefix: str = configs.PREFIX,
    ) -> None:
        """Check what can be seen before there is an agent.

        Args:
            budget: The caps of one run. A request can tighten them, by "thinktwice_budget" in its
                `configurable`.
            exit_behavior: What a refused call leads to. "end": the agent ends with a message that
                says so. "error": `BudgetExceeded` leaves the agent; its `ledger` has every call.
            prices: USD per million tokens by model, over the list prices.
            limiter: Caps that are shared with other agents and strategies. A model step holds a
                place in each; strategies inside heed them as well.
            configurable_prefix: Of the key that a request may set.

        Raises:
            UsageError: A parameter makes no sense.
        """
        super().__init__()
        self.tools = []
        _check(budget, exit_behavior, limiter)
        default_prices(prices)  # which says what is wrong with them
        self.budget = budget
        self.exit_behavior = exit_behavior
        self._prices = prices
        self._limiters = (limiter,) if isinstance(limiter, Limiter) else tuple(limiter)
        self._prefix = configurable_prefix
        self._sessions = Sessions()

    # ---- a run begins and ends ------------------------------------------------------------------

    def before_agent(
        self, state: BudgetState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any]:
        """Begin a run."""
        del state, runtime
        session = self._session()
        self._sessions.keep(session.id, session)
        return {RUN: session.id, **noted(session)}

    async def abefore_agent(
        self, state: BudgetState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any]:
        """Begin a run."""
        return self.before_agent(state, runtime)

    def after_agent(
        self, state: BudgetState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any]:
        """End it: what tools of the last step spent is in the sum."""
        del runtime
        session = self._session_of(state)
        session.close()
        self._sessions.drop(state.get(RUN, ""))
        return noted(session)

    async def aafter_agent(
        self, state: BudgetState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any]:
        """End it."""
        return self.after_agent(state, runtime)

    def _session_of(self, state: Mapping[str, Any]) -> Session:
        """The session of a run: the one of this process, or what another process has left of it."""
        run, left = state.get(RUN), state.get(SPENT)
        if run is None:  # it began before the agent had a budget
            return self._session()
        session, found = self._sessions.find(
            run, lambda: self._session(Spent.read(left) if left else None)
        )
        if found and not state.get(LIVE):
            session.resume()
        return session

    def _session(self, before: Spent | None = None) -> Session:
        config = ensure_config()
        configs.refuse_misspelt(config, self._prefix)
        configs.asked_n(config, self._prefix)
        return Session(
            configs.tightened_budget(self.budget, config, self._prefix),
            name="agent",
            prices=self._prices,
            limiter=self._limiters,
            before=before,
            emitted=emitted(manager_of(CallbackManager, config)),
        )

    # ---- a model step ---------------------------------------------------------------------------

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ExtendedModelResponse[ResponseT]:
        """Make the step on a thread, so that it can be left when time is up."""
        return run_sync(
            lambda: self._step(
                request, CallbackManager, lambda: in_thread(lambda: handler(request))
            )
        )

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]],
    ) -> ExtendedModelResponse[ResponseT]:
        """Make the step."""
        return await self._step(request, AsyncCallbackManager, partial(handler, request))

    async def _step(
        self,
        request: ModelRequest[ContextT],
        kind: Manager,
        ask: Callable[[], Awaitable[ModelResponse[ResponseT]]],
    ) -> ExtendedModelResponse[ResponseT]:
        session = self._session_of(cast("Mapping[str, Any]", request.state))
        if current_scope() is not session.around:
            remedy = "put it before StrategyMiddleware in the list: it must be around all samples"
            raise UsageError("middleware", self, remedy)
        config = ensure_config()
        try:
            session.check()
            response = await worked(session, kind, config, ask, slot=True)
        except BudgetExceeded as error:
            self._end(session, error)
            response = ModelResponse(result=[last_words(session, request.messages)])
        update = noted(session)
        if request.state.get(RUN) is None:
            self._sessions.keep(session.id, session)
            update[RUN] = session.id
        return ExtendedModelResponse(response, Command(update=update))

    # ---- tools ----------------------------------------------------------------------------------

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run the tool on a thread, so that it can be left when time is up."""
        run = partial(in_thread, partial(handler, request))
        return run_sync(lambda: self._act(request, CallbackManager, run))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Run the tool."""
        return await self._act(request, AsyncCallbackManager, partial(handler, request))

    async def _act(
        self,
        request: ToolCallRequest,
        kind: Manager,
        run: Callable[[], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        session = self._session_of(cast("Mapping[str, Any]", request.state))
        attempt = Attempt(run)
        try:
            return await worked(session, kind, request.runtime.config, attempt, slot=False)
        except BudgetExceeded as error:
            self._end(session, error)
            if attempt.value is not None:  # it did without the call: the next step ends the run
                return attempt.value
            return unanswered(request.tool_call, error.limit, attempt.seconds)

    # ---- what other middleware calls ------------------------------------------------------------

    def covering(self, middleware: M) -> M:
        """A copy of another middleware, with the model calls of its own nodes counted as well.

        What middleware calls from `before_model` and the like is made outside of model step and
        tools, as a summary is. What it calls from `wrap_model_call` needs no covering.

        Args:
            middleware: Stands after this one in the list.

        Raises:
            UsageError: It is no middleware.
        """
        return covered(middleware, self._hooked)

    async def _hooked(
        self, state: Mapping[str, Any], kind: Manager, run: Callable[[], Awaitable[T]]
    ) -> T | None:
        session = self._session_of(state)
        try:
            return await worked(session, kind, ensure_config(), run, slot=False)
        except BudgetExceeded as error:
            self._end(session, error)
            return None  # the next model step says so

    def _end(self, session: Session, error: BudgetExceeded) -> None:
        exceeded = session.ended(error)
        if exceeded is None:
            raise error
        if self.exit_behavior == "error":
            session.close()
            raise exceeded from error

    def __repr__(self) -> str:
        """As it is written."""
        return f"{type(self).__name__}({self.budget!r}, exit_behavior={self.exit_behavior!r})"


def _check(budget: object, exit_behavior: object, limiter: object) -> None:
    if not isinstance(budget, Budget) or budget == Budget(strict=budget.strict):
        raise UsageError("budget", budget, "give Budget(calls=, tokens=, cost=, seconds=)")
    if exit_behavior not in {"end", "error"}:
        raise UsageError("exit_behavior", exit_behavior, "give 'end' or 'error'")
    several = limiter if isinstance(limiter, (list, tuple)) else [limiter]
    if not all(isinstance(each, Limiter) for each in cast("list[object]", several)):
        raise UsageError("limiter", limiter, "give a Limiter, or a list of them")
