"""A strategy over a Runnable, as a Runnable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import patch_config, var_child_runnable_config
from langchain_core.runnables.utils import (
    ConfigurableFieldSpec,
    Input,
    Output,
    get_unique_config_specs,
)
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_thinktwice import config as configs
from langchain_thinktwice.checking import checked
from langchain_thinktwice.composite import Composite
from langchain_thinktwice.diversity.native import AsyncChoices, BlockingChoices
from langchain_thinktwice.graphs.sampling import as_sample, paid_once, unstreamed
from langchain_thinktwice.messages import annotated, as_chunk
from langchain_thinktwice.progress import watcher
from langchain_thinktwice.prompting import RunnablePrompting
from langchain_thinktwice.samples import (
    AsyncDrawing,
    BlockingDrawing,
    blocking,
    keep_books_of_each,
    manager_of,
)
from langchain_thinktwice.tracing import inside, llm_spans
from langchain_thinktwice.tree import walk
from thinktwice import Result, Strategy, solve, solve_sync
from thinktwice.history import History
from thinktwice.instrumentation import hidden
from thinktwice.limiter import DEFAULT_CONCURRENCY
from thinktwice.shadow import as_shadow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.runnables.graph import Graph
    from langchain_core.utils.pydantic import TypeBaseModel

    from thinktwice.protocols import Sampler


class StrategyRunnable(Composite[Input, Output], RunnableSerializable[Input, Output]):
    """A Runnable that draws several samples of another and returns one answer.

    Made by `vote`, `best_of_n` and `with_strategy`, which say what its fields mean. Whatever way it
    is called, it goes through `invoke` or `ainvoke`, so that no call gets past the strategy; a
    stream has one chunk.
    """

    bound: Runnable[Input, Any]
    strategy: Strategy
    budget: Any = None
    options: Any = Field(default=None, repr=False)  # values may be secret
    include_result: bool = False
    repeatable: bool = False
    prices: Any = None
    max_concurrency: int = DEFAULT_CONCURRENCY
    limiter: Any = None
    on_exhausted: Any = "best"
    require_budget: bool = False
    configurable_prefix: str = configs.PREFIX
    llm_spans: Any = "auto"
    native_n: bool = False
    shadow: Any = None
    model_config = ConfigDict(arbitrary_types_allowed=True)
    _draws: int = PrivateAttr(default=1)
    _drawn: Any = PrivateAttr(default=None)
    _history: History = PrivateAttr(default_factory=History)

    def __init__(self, **fields: Any) -> None:
        """Check what can be seen before anything is drawn.

        Raises:
            UsageError: A parameter makes no sense, the Runnable acts or remembers, or options
                would not reach a model.
        """
        fields["shadow"] = as_shadow(fields.get("shadow"))
        fields["bound"] = bound = checked(fields, wrapper=StrategyRunnable)
        super().__init__(**fields)
        parts = walk(bound, closed=(StrategyRunnable,))
        self._draws = sum(part.draws for part in parts if isinstance(part, Composite)) or 1
        self._drawn = bound, self._as_sample(bound)

    @property
    def draws(self) -> int:
        """Samples of the bound Runnable for one answer at the most."""
        return (self.strategy.draws or 1) * self._draws

    # ---- what it looks like ---------------------------------------------------------------------

    @property
    def InputType(self) -> type[Input]:  # noqa: N802  # pyright: ignore[reportGeneralTypeIssues]
        """That of the bound Runnable."""
        return self.bound.InputType

    @property
    def OutputType(self) -> type[Output]:  # noqa: N802
        """That of the bound Runnable; a dict with `include_result`."""
        shown = dict[str, Any] if self.include_result else self.bound.OutputType
        return cast("type[Output]", shown)

    def get_input_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """That of the bound Runnable."""
        return self.bound.get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """That of the bound Runnable; a dict with `include_result`."""
        if self.include_result:
            return super().get_output_schema(config)
        return self.bound.get_output_schema(config)

    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """That of the bound Runnable."""
        return self.bound.get_graph(config)

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The strategy and the bound Runnable."""
        own = name or self.name or f"{self.strategy.name}[{self.bound.get_name()}]"
        return super().get_name(suffix, name=own)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """Those of the bound Runnable, and the n and budget of a request."""
        own = configs.specs(self.configurable_prefix)
        return get_unique_config_specs([*self.bound.config_specs, *own])

    def bind_tools(self, *args: Any, **kwargs: Any) -> StrategyRunnable[Input, Any]:
        """The same strategy over the bound model with tools."""
        return self._over(cast("Any", self.bound).bind_tools(*args, **kwargs))

    def with_structured_output(self, *args: Any, **kwargs: Any) -> StrategyRunnable[Input, Any]:
        """The same strategy over the bound model with structured output."""
        return self._over(cast("Any", self.bound).with_structured_output(*args, **kwargs))

    def _over(self, bound: Runnable[Input, Any]) -> StrategyRunnable[Input, Any]:
        return type(self)(**{**dict(self), "bound": bound})

    # ---- what it does ---------------------------------------------------------------------------

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:  # noqa: A002 - LangChain's name
        """Run the strategy over `bound.invoke`, on threads.

        Works where an event loop is running, too. Calls still under way when the strategy has
        decided cannot be recalled: they run to their end unseen.
        """
        run = cast("Any", self._invoke)  # LangChain passes what its signature asks for
        with hidden():
            return self._call_with_config(run, input, config, **kwargs)

    async def ainvoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Run the strategy over `bound.ainvoke`."""
        run = cast("Any", self._ainvoke)
        with hidden():
            return await self._acall_with_config(run, input, config, **kwargs)

    # A stream goes through `invoke` or `ainvoke`: LangChain's parsers take chunks of messages, and
    # drop the tool calls of a whole one.

    def stream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Output]:
        """Run the strategy; yield its answer as one chunk."""
        yield as_chunk(self.invoke(input, config, **kwargs))

    async def astream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Output]:
        """Run the strategy; yield its answer as one chunk."""
        yield as_chunk(await self.ainvoke(input, config, **kwargs))

    def _invoke(
        self, given: Input, run_manager: BaseRunManager, config: RunnableConfig, **kwargs: Any
    ) -> Output:
        with inside(run_manager), paid_once(config, self):
            drawing = self._drawing(config, kwargs, blocks=True)
            return self._output(solve_sync(given, sampler=drawing, **self._settings(config)))

    async def _ainvoke(
        self, given: Input, run_manager: BaseRunManager, config: RunnableConfig, **kwargs: Any
    ) -> Output:
        with inside(run_manager), paid_once(config, self):
            drawing = self._drawing(config, kwargs, blocks=False)
            return self._output(await solve(given, sampler=drawing, **self._settings(config)))

    def _drawing(
        self, config: RunnableConfig, kwargs: dict[str, Any], *, blocks: bool
    ) -> Sampler[Input, Any]:
        """The bound Runnable as a sampler, and all made ready for it; see `_entered`."""
        if self.llm_spans != "auto":
            llm_spans.set(self.llm_spans)
        if blocks:
            config = _entered(config, manager_of(CallbackManager, config), blocks=True)
            kind = BlockingChoices if self.native_n else BlockingDrawing
            return kind(self._sampled(), config, kwargs, self._history, draws=self._draws)
        config = _entered(config, manager_of(AsyncCallbackManager, config), blocks=False)
        kind = AsyncChoices if self.native_n else AsyncDrawing
        return kind(self._sampled(), config, kwargs, self._history, draws=self._draws)

    def _sampled(self) -> Runnable[Input, Any]:
        """The bound Runnable as it is sampled; in a copy it may have been replaced."""
        bound, drawn = self._drawn
        return drawn if bound is self.bound else self._as_sample(self.bound)

    def _as_sample(self, bound: Runnable[Input, Any]) -> Runnable[Input, Any]:
        return as_sample(bound, closed=(StrategyRunnable,), shadow=self.shadow)

    def _settings(self, config: RunnableConfig) -> dict[str, Any]:
        prefix = self.configurable_prefix
        own = (self.limiter,) if self.limiter is not None else ()
        configs.refuse_misspelt(config, prefix)
        return {
            "strategy": configs.tightened_strategy(self.strategy, config, prefix),
            "budget": configs.tightened_budget(self.budget, config, prefix),
            "options": self.options,
            "max_concurrency": self.max_concurrency,
            "limiter": (*own, *configs.limiters(config)),
            "prices": self.prices,
            "on_exhausted": self.on_exhausted,
            "require_budget": self.require_budget,
            "prompting": RunnablePrompting(self.bound),
            "progress": watcher(config, self),
        }

    def _output(self, result: Result[Any]) -> Output:
        value = annotated(result.value, result)
        return cast("Output", {"value": value, "result": result} if self.include_result else value)


def _entered(
    config: RunnableConfig, manager: BaseCallbackManager, *, blocks: bool
) -> RunnableConfig:
    """Make ready for what is called without a config, such as a model inside a verifier.

    Changes context variables, in the context that LangChain made for this call.
    """
    keep_books_of_each(manager)
    config = unstreamed(patch_config(configs.of_samples(config), callbacks=manager))
    var_child_runnable_config.set(config)
    blocking.set(blocks)
    return config
