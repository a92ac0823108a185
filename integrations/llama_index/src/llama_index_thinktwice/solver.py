"""Running strategies over what LlamaIndex has: what all doors share."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Unpack, cast

import llama_index_thinktwice.answers  # noqa: F401 - registers LlamaIndex's types
from llama_index_thinktwice.accounting.booking import install
from llama_index_thinktwice.settings import Settings
from llama_index_thinktwice.tracing import around_run
from thinktwice import Budget, BudgetExceeded, Limiter, Strategy, UsageError, solve, solve_sync
from thinktwice.answers import awaited_key
from thinktwice.errors import TypeOf
from thinktwice.limiter import DEFAULT_CONCURRENCY
from thinktwice.pricing import default_prices
from thinktwice.scope import current_scope
from thinktwice.shadow import as_shadow
from thinktwice.strategy import check_flags
from thinktwice.threads import in_thread
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from thinktwice import Result
    from thinktwice.budget import Limit
    from thinktwice.history import History
    from thinktwice.protocols import Options, Prompting, Sampler

P = TypeVar("P")
T = TypeVar("T")

blocking: ContextVar[bool] = ContextVar("llama_index_thinktwice_blocking", default=False)
"""Whether the running request came in by a sync method, so that sync methods are what it calls:
a client of a provider may be bound to the loop of the application."""

_WORDS: Final = {"on_exhausted": ("best", "raise"), "llm_spans": ("auto", "always", "never")}
_UNREFUSED: Final = (
    "a strict budget refuses calls before they are sent, and here they are only heard of: put the "
    "strategy on the LLM, StrategyLLM(llm=..., strategy=..., budget=...), or leave strict out"
)


class Solver:
    """A strategy with its settings.

    Attributes:
        strategy: What to draw and which of it to return.
        draws: Samples at the most; None if the strategy does not say.
        shadow: What runs behind the requests, if anything does.
    """

    def __init__(
        self, strategy: Strategy, *, refuses: bool = False, **settings: Unpack[Settings]
    ) -> None:
        """Check what can be seen before anything is drawn.

        Args:
            strategy: What to draw and which of it to return.
            refuses: Model calls are booked before they are sent, so that any budget can be kept;
                else they are heard of when they are on their way.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense, or a strict budget could not be kept.
        """
        if not isinstance(strategy, Strategy):
            raise UsageError("strategy", strategy, "give a strategy such as Vote(8)")
        _check(settings)
        awaited_key(strategy.key)  # which says if no key has that name
        self.strategy = strategy
        self.shadow = as_shadow(settings.get("shadow"))
        self._refuses = refuses
        self._budget = budget = settings.get("budget")
        self._llm_spans = settings.get("llm_spans", "auto")
        names = set(settings) - {"llm_spans", "shadow"}
        self._settings = {name: settings[name] for name in names}  # type: ignore[literal-required]
        if budget is not None and budget.strict and not refuses:
            raise UsageError("budget", budget, _UNREFUSED)
        install()  # so that runs of others around what it wraps are told of its calls as well

    @property
    def draws(self) -> int | None:
        """Samples at the most; None if the strategy does not say."""
        return self.strategy.draws

    @property
    def budget(self) -> Budget | None:
        """Caps of one request, where some are set."""
        return self._budget

    async def solve(
        self,
        prompt: P,
        sampler: Sampler[P, T],
        *,
        prompting: Prompting[P] | None = None,
        options: Options | Callable[[int], Options] | None = None,
    ) -> Result[T]:
        """`thinktwice.solve`, for a request that came in by an async method.

        Inside one that came in by a sync method it leaves async clients alone as well.
        """
        self._prepare()
        with around_run(self._llm_spans):
            return await solve(prompt, sampler=sampler, **self._given(prompting, options))

    def solve_sync(
        self,
        prompt: P,
        sampler: Sampler[P, T],
        *,
        prompting: Prompting[P] | None = None,
        options: Options | Callable[[int], Options] | None = None,
    ) -> Result[T]:
        """`thinktwice.solve_sync`, for a request that came in by a sync method."""
        self._prepare()
        token = blocking.set(True)
        try:
            with around_run(self._llm_spans):
                return solve_sync(prompt, sampler=sampler, **self._given(prompting, options))
        finally:
            blocking.reset(token)

    def _prepare(self) -> None:
        around = ledger_around()
        if not self._refuses and around is not None and around.strict:
            raise UsageError("budget", around.budget, _UNREFUSED)
        install()  # again where somebody has removed it

    def _given(
        self,
        prompting: Prompting[Any] | None,
        options: Options | Callable[[int], Options] | None,
    ) -> dict[str, Any]:
        return {
            **self._settings,
            "strategy": self.strategy,
            "prompting": prompting,
            "options": options,
            "shadow": self.shadow,
        }


def _check(settings: Mapping[str, Any]) -> None:
    _check_names(settings)
    for name, kind in (("budget", Budget), ("limiter", Limiter)):
        if not isinstance(settings.get(name), kind | None):
            raise UsageError(name, settings[name], f"give a {kind.__name__}")
    if "require_budget" in settings:
        check_flags(require_budget=settings["require_budget"])
    for name, words in _WORDS.items():
        if settings.get(name, words[0]) not in words:
            raise UsageError(name, settings[name], f"give {' or '.join(map(repr, words))}")
    if settings.get("progress") is not None and not callable(settings["progress"]):
        raise UsageError("progress", settings["progress"], "give a function of a Progress, or None")
    Limiter(settings.get("max_concurrency", DEFAULT_CONCURRENCY))  # which says what is wrong
    default_prices(settings.get("prices"))  # likewise


def _check_names(settings: Mapping[str, Any]) -> None:
    known = Settings.__annotations__
    for name, value in settings.items():
        if name not in known:
            remedy = f"there is no such setting, only {', '.join(sorted(known))}"
            raise UsageError(name, TypeOf(value), remedy)  # it may be a key for the model


# ---- samplers of what makes its LLM calls itself ----------------------------------------------


class _Drawing(Generic[P, T]):
    """What both samplers share.

    Attributes:
        leaf: False: LLM calls are booked where they are made.
        refusable: False: they are heard of when they are on their way.
        draws: Draws that the strategies inside make for one sample.
        history: What past requests tell about its latencies.
    """

    leaf = False
    refusable = False

    def __init__(self, draw: Callable[[P], Any], history: History, *, draws: int = 1) -> None:
        """Sample by a function.

        Args:
            draw: From the prompt to a value or a `Completion`.
            history: What past requests tell about it; one for each door.
            draws: Draws inside one sample.
        """
        self.draws = draws
        self.history = history
        self._draw = draw


class AsyncDrawing(_Drawing[P, T]):
    """Draws by an async function.

    A call inside that does not fit into the budget ends the sample: it is cancelled before the call
    has got far.
    """

    async def __call__(self, prompt: P, /, *, options: Options) -> T:
        """Draw once."""
        del options
        scope, task = current_scope(), asyncio.current_task()
        if scope is None or task is None:
            return cast("T", await self._draw(prompt))
        cutting = _Cutting(task)
        scope.on_overrun = cutting.ask
        try:
            value = cast("T", await self._draw(prompt))
        except asyncio.CancelledError:
            if cutting.was_all():
                raise BudgetExceeded(cutting.limits[0]) from None
            raise
        finally:
            cutting.end()
        return value


class _Cutting:
    """Ends a sample that has overrun its budget."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.limits: list[Limit] = []
        self._task: asyncio.Task[Any] | None = task
        self._loop = asyncio.get_running_loop()
        self._cut = False

    def ask(self, limit: Limit) -> None:
        """Cancel it soon, from whatever thread: before the call has got far."""
        if not self.limits:
            self.limits.append(limit)
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._cut = self._task.cancel()

    def was_all(self) -> bool:
        """Nobody else has cancelled it."""
        return self._cut and self._task is not None and self._task.cancelling() == 1

    def end(self) -> None:
        """It has ended: leave the task as it was."""
        task, self._task = self._task, None
        if self._cut and task is not None:
            task.uncancel()


class BlockingDrawing(_Drawing[P, T]):
    """Draws by a sync function, on the thread it is called in."""

    def __call__(self, prompt: P, /, *, options: Options) -> T:
        """Draw once."""
        del options
        return cast("T", self._draw(prompt))


async def either(sync: Callable[[], T], asynchronous: Callable[[], Awaitable[T]]) -> T:
    """Call as the running request came in: the sync way on a thread, or the async way.

    Args:
        sync: Calls sync methods of LlamaIndex.
        asynchronous: Calls async ones.
    """
    return await in_thread(sync) if blocking.get() else await asynchronous()
