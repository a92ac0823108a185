"""A Runnable with a strategy in its shadow: callers get what the Runnable itself returns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables.config import (
    RunnableConfig,
    get_async_callback_manager_for_config,
    patch_config,
)
from langchain_core.runnables.utils import Input, Output

from langchain_thinktwice import config as configs
from langchain_thinktwice.detached import detached
from langchain_thinktwice.runnable import StrategyRunnable
from langchain_thinktwice.shadow.followed import Followed, akeeping, astreaming, keeping, streaming
from langchain_thinktwice.tracing import inside
from thinktwice import solve
from thinktwice.instrumentation import hidden
from thinktwice.pricing import default_prices
from thinktwice.shadow import Behind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from thinktwice import Result, Strategy


class ShadowedRunnable(StrategyRunnable[Input, Output]):
    """The bound Runnable itself to its callers; the strategy runs behind a share of the requests.

    Made by `vote`, `best_of_n` and `with_strategy` with `shadow=`. All ways to call it call the
    same way of the bound Runnable, with the config as it came: same values, chunks, exceptions and
    traces. On the requests that are chosen, a callback handler looks on.
    """

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:  # noqa: A002 - LangChain's name
        """As the bound Runnable's."""
        request = self._request(input, config, kwargs, blocks=True)
        output = self.bound.invoke(input, _config(request, config), **kwargs)
        _answered(request, output)
        return output

    async def ainvoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """As the bound Runnable's."""
        request = self._request(input, config, kwargs)
        output = await self.bound.ainvoke(input, _config(request, config), **kwargs)
        _answered(request, output)
        return output

    def batch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> list[Output]:
        """As the bound Runnable's."""
        requests, given = self._requests(inputs, config, kwargs, blocks=True)
        outputs = self.bound.batch(inputs, given, **kwargs)
        for request, output in zip(requests, outputs, strict=False):
            _answered(request, output)
        return outputs

    async def abatch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> list[Output]:
        """As the bound Runnable's."""
        requests, given = self._requests(inputs, config, kwargs)
        outputs = await self.bound.abatch(inputs, given, **kwargs)
        for request, output in zip(requests, outputs, strict=False):
            _answered(request, output)
        return outputs

    def batch_as_completed(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Output | Exception]]:
        """As the bound Runnable's."""
        requests, given = self._requests(inputs, config, kwargs, blocks=True)
        for index, output in self.bound.batch_as_completed(inputs, given, **kwargs):
            _answered(requests[index], output)
            yield index, output

    async def abatch_as_completed(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, Output | Exception]]:
        """As the bound Runnable's."""
        requests, given = self._requests(inputs, config, kwargs)
        async for index, output in self.bound.abatch_as_completed(inputs, given, **kwargs):
            _answered(requests[index], output)
            yield index, output

    def stream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Output]:
        """As the bound Runnable's, chunk by chunk."""
        request = self._request(input, config, kwargs, blocks=True)
        return streaming(self.bound.stream(input, _config(request, config), **kwargs), request)

    def astream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Output]:
        """As the bound Runnable's, chunk by chunk."""
        request = self._request(input, config, kwargs)
        return astreaming(self.bound.astream(input, _config(request, config), **kwargs), request)

    def transform(
        self,
        input: Iterator[Input],  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Output]:
        """As the bound Runnable's, chunk by chunk."""
        request = self._request(None, config, kwargs, blocks=True)
        chunks, given = keeping(input, request), _config(request, config)
        return streaming(self.bound.transform(chunks, given, **kwargs), request)

    def atransform(
        self,
        input: AsyncIterator[Input],  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Output]:
        """As the bound Runnable's, chunk by chunk."""
        request = self._request(None, config, kwargs)
        chunks, given = akeeping(input, request), _config(request, config)
        return astreaming(self.bound.atransform(chunks, given, **kwargs), request)

    # ---- in the shadow --------------------------------------------------------------------------

    def _request(
        self,
        given: Input | None,
        config: RunnableConfig | None,
        kwargs: Mapping[str, Any],
        *,
        blocks: bool = False,
    ) -> Followed | None:
        return self.shadow.chosen(
            lambda: Followed(given, config, kwargs, self._follow, blocks=blocks)
        )

    def _requests(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None,
        kwargs: Mapping[str, Any],
        *,
        blocks: bool = False,
    ) -> tuple[Sequence[Followed | None], Any]:
        """Those of a batch that are chosen, and the config to pass on."""

        def keep(index: int) -> Followed:
            own = _own(config, index)
            return Followed(inputs[index], own, kwargs, self._follow, blocks=blocks)

        requests: list[Followed | None]
        requests = [self.shadow.chosen(partial(keep, index)) for index in range(len(inputs))]
        mistaken = isinstance(config, Sequence) and len(config) != len(inputs)
        if mistaken or not any(requests):
            return requests, config
        return requests, [_config(each, _own(config, at)) or {} for at, each in enumerate(requests)]

    def _follow(self, request: Followed, keep: Callable[[], None]) -> None:
        def behind() -> Behind[Any]:
            keep()
            return self._behind(request)

        self.shadow.follow(behind)

    def _behind(self, request: Followed) -> Behind[Any]:
        settings = self._settings(request.apart)
        own = () if self.limiter is None else (self.limiter,)
        shared = (*self.shadow.beside(own), *configs.limiters(request.apart))
        strategy = settings.pop("strategy")
        return Behind(
            strategy=strategy,
            single=lambda: request.single(default_prices(self.prices)),
            run=partial(self._run, request, {**settings, "limiter": shared}),
        )

    async def _run(
        self, request: Followed, settings: dict[str, Any], strategy: Strategy
    ) -> Result[Any]:
        """Run a strategy on a request once more, as a root run of its own."""
        given, config = request.given(), request.apart
        with detached(apart=True), hidden():
            manager = get_async_callback_manager_for_config(config)
            name = f"{strategy.name}[{self.bound.get_name()}]"
            run = await manager.on_chain_start(None, given, name=name)
            config = patch_config(config, callbacks=run.get_child())
            try:
                with inside(run):
                    sampler = self._drawing(config, request.kwargs, blocks=request.blocks)
                    result = await solve(given, sampler=sampler, strategy=strategy, **settings)
            except BaseException as error:
                await run.on_chain_error(error)
                raise
            await run.on_chain_end(result.value)
            return result


def wrapped(**fields: Any) -> StrategyRunnable[Any, Any]:
    """A wrapper, with a shadow if there is one."""
    if fields.get("shadow") is None:
        return StrategyRunnable(**fields)
    return ShadowedRunnable(**fields)


def _own(
    config: RunnableConfig | Sequence[RunnableConfig] | None, index: int
) -> RunnableConfig | None:
    """The config of one input of a batch; an id can be that of one run only."""
    if isinstance(config, Sequence):
        return config[index]
    if not index or config is None:
        return config
    return cast("RunnableConfig", {k: v for k, v in config.items() if k != "run_id"})


def _config(request: Followed | None, config: RunnableConfig | None) -> RunnableConfig | None:
    return config if request is None else request.config


def _answered(request: Followed | None, output: object) -> None:
    if request is not None and not isinstance(output, BaseException):
        request.answered(output)
