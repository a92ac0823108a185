"""Seeing to it that samples can differ: options that reach the model, and what would undo them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable, ensure_config
from langchain_core.runnables.config import patch_config
from langchain_core.runnables.utils import Input, Output
from pydantic import ConfigDict

from langchain_thinktwice.diversity.caching import SampleKeyedCache
from langchain_thinktwice.diversity.dropped import watched
from langchain_thinktwice.tree import replaced, unit_of, units, walk
from thinktwice import UsageError
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping

    from langchain_thinktwice.tree import AnyRunnable, Unit
    from thinktwice.protocols import Options

OPTIONS = "__thinktwice_options"
"""Where a sample's options travel in `configurable`; LangChain traces no key with underscores."""

_ROUTES = (
    "options= reach a model, the one model of a chain, or configurable fields of that name: "
    "model.configurable_fields(temperature=ConfigurableField(id='temperature')). What is the same "
    "for all samples can be bound: model.bind(temperature=0.7)"
)


class ModelOptions(RunnableSerializable[Input, Output]):
    """Gives a model the options of the sample that is being drawn, as call kwargs.

    It takes the place of the model in a chain that is sampled with `options=`.

    Attributes:
        bound: The model, with what is bound to it.
    """

    bound: Runnable[Input, Output]
    model_config = ConfigDict(arbitrary_types_allowed=True)

    def invoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Call the model with them."""
        return self.bound.invoke(input, config, **{**kwargs, **options_in(config)})

    async def ainvoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Call the model with them."""
        return await self.bound.ainvoke(input, config, **{**kwargs, **options_in(config)})

    def stream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Output]:
        """Stream from the model with them."""
        yield from self.bound.stream(input, config, **{**kwargs, **options_in(config)})

    async def astream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Output]:
        """Stream from the model with them."""
        async for chunk in self.bound.astream(input, config, **{**kwargs, **options_in(config)}):
            yield chunk

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The model's own name."""
        return self.bound.get_name(suffix, name=name or self.name)


def options_in(config: RunnableConfig | None) -> dict[str, Any]:
    """The options of the sample that a config belongs to."""
    found = ensure_config(config).get("configurable", {}).get(OPTIONS)
    return dict(cast("Mapping[str, Any]", found)) if found else {}


def configurable_in(runnable: AnyRunnable) -> frozenset[str]:
    """What a config can set in a Runnable: ids of its configurable fields."""
    if isinstance(runnable, BaseLanguageModel):
        return frozenset()
    return frozenset(spec.id for spec in runnable.config_specs)


def accepting_options(runnable: AnyRunnable, names: Collection[str] | None = None) -> AnyRunnable:
    """The Runnable, with its one model in a `ModelOptions`; a model itself takes call kwargs.

    What has `takes_options` reads `options_in` its config by itself. Options that are configurable
    fields need no model.

    Args:
        runnable: What is sampled.
        names: Of the options; None while they are not known.

    Raises:
        UsageError: There is no model in it, or there are several, or it is out of reach.
    """
    if unit_of(runnable) is not None or getattr(runnable, "takes_options", False):
        return runnable
    found = list(units(runnable))
    reachable = len(found) == 1 and found[0].movable
    if not reachable and _all_configurable(runnable, names):
        return runnable
    if len(found) != 1:
        count = f"{len(found)} models were" if found else "no model was"
        raise UsageError("options", runnable.get_name(), f"{count} found in it. {_ROUTES}")
    if not found[0].movable:
        remedy = f"its model stands inside a function, where it cannot be rebound. {_ROUTES}"
        raise UsageError("options", runnable.get_name(), remedy)
    if _is_rebound(runnable, found[0]):
        return runnable
    step = found[0].step
    return replaced(runnable, step, ModelOptions(bound=step))


def prepared(
    bound: Runnable[Input, Output],
    config: RunnableConfig,
    kwargs: dict[str, Any],
    options: Options,
) -> tuple[Runnable[Input, Output], RunnableConfig, dict[str, Any]]:
    """What to call, with which config and arguments, so that options reach the model.

    Raises:
        UsageError: There are options, and not one model for them.
    """
    if not options:
        return bound, config, kwargs
    declared = {name: options[name] for name in options if name in configurable_in(bound)}
    if declared:
        config = patch_config(config, configurable=declared)
        options = {name: options[name] for name in options if name not in declared}
        if not options:
            return bound, config, kwargs
    bound = cast("Runnable[Input, Output]", accepting_options(bound, options))
    config = watched(config, options)
    if unit_of(bound) is not None:
        return bound, config, {**kwargs, **options}
    merged = {**options_in(config), **options}
    return bound, patch_config(config, configurable={OPTIONS: merged}), kwargs


def _all_configurable(runnable: AnyRunnable, names: Collection[str] | None) -> bool:
    """Whether options need no model; while they are not known, whether that could be."""
    declared = configurable_in(runnable)
    return bool(declared) if names is None else set(names) <= declared


def _is_rebound(runnable: AnyRunnable, unit: Unit) -> bool:
    return any(
        isinstance(each, ModelOptions) and each.bound is unit.step for each in walk(runnable)
    )


def warn_of_sameness(
    runnable: AnyRunnable, options: Options | Callable[[int], Options] | None
) -> None:
    """Warn where every sample must come out the same: temperature 0, or a cache."""
    found = list(units(runnable))
    if not found or callable(options):
        return
    given = options or {}
    if all(_temperature(unit, given) == 0 for unit in found):
        _warn("the temperature is 0", "set one with options={'temperature': 0.7}")
    if all(_is_cached(unit) for unit in found):
        remedy = (
            "set cache=False on the model, keep entries for each sample by SampleKeyedCache(...), "
            "or give options=lambda index: {'seed': index}"
        )
        _warn("a cache answers equal requests", remedy)


def _temperature(unit: Unit, given: Options) -> object:
    settings = {**unit.kwargs, **given}
    return settings.get("temperature", getattr(unit.model, "temperature", None))


def _is_cached(unit: Unit) -> bool:
    cache = unit.model.cache
    if not isinstance(cache, BaseCache):
        cache = None if cache is False else get_llm_cache()
    return not isinstance(cache, SampleKeyedCache | None)


def _warn(cause: str, remedy: str) -> None:
    message = f"{cause}, so all samples will be the same one: {remedy}"
    warnings.warn(message, ThinktwiceWarning, stacklevel=7)
