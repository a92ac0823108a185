"""What a request may say in its config: a smaller n, a tighter budget, a cap on concurrency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables.config import get_config_list, patch_config
from langchain_core.runnables.utils import ConfigurableFieldSpec

from thinktwice import AtMost, Budget, Limiter, Stop, UsageError
from thinktwice.budget import DEFAULT_SECONDS

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from thinktwice import Strategy

PREFIX = "thinktwice_"
LIMITER = "__thinktwice_limiter"
"""Where the cap on concurrency of a batch travels in `configurable`."""
SHARED = "thinktwice_limiter"
"""Where a request can give a `Limiter`, for all wrappers that its config reaches."""

_NEARLY = 0.9
_CAPS = "give caps such as {'cost': '0.05', 'tokens': 2000, 'calls': 8, 'seconds': 20}"


def specs(prefix: str) -> list[ConfigurableFieldSpec]:
    """What `config_schema` shows; the same for all wrappers of a prefix: they may share a chain."""
    return [
        ConfigurableFieldSpec(
            id=f"{prefix}n",
            name="n",
            description="Samples at the most; only lowers the number set in code.",
            annotation=int | None,
            default=None,
        ),
        ConfigurableFieldSpec(
            id=f"{prefix}budget",
            name="budget",
            description="Caps of this request; only tighten those set in code.",
            annotation=dict[str, Any] | None,
            default=None,
        ),
    ]


def refuse_misspelt(config: RunnableConfig, prefix: str) -> None:
    """Refuse a key that is nearly one of ours: a cap that nobody reads binds nothing.

    Raises:
        UsageError: As above.
    """
    known = [f"{prefix}n", f"{prefix}budget"]
    for key, value in config.get("configurable", {}).items():
        if key not in known and get_close_matches(key, known, n=1, cutoff=_NEARLY):
            raise UsageError(key, value, f"a request may set {' and '.join(known)}")


def asked_n(config: RunnableConfig, prefix: str) -> int | None:
    """Samples that a request wants at the most.

    Raises:
        UsageError: It is no number of samples.
    """
    asked = config.get("configurable", {}).get(f"{prefix}n")
    if asked is None:
        return None
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
        raise UsageError(f"{prefix}n", asked, "give a whole number of samples, at least 1")
    return asked


def tightened_strategy(strategy: Strategy, config: RunnableConfig, prefix: str) -> Strategy:
    """The strategy with the smaller n of code and request.

    A stop rule that can then no longer fire gives way to the cap itself.

    Raises:
        UsageError: The request's n is no number of samples, or the strategy has none.
    """
    asked = asked_n(config, prefix)
    if asked is None:
        return strategy
    own = getattr(strategy, "n", None)
    if not isinstance(own, int) or not is_dataclass(strategy):
        raise UsageError(f"{prefix}n", asked, f"{strategy.name} has no number of samples to lower")
    if asked >= own:
        return strategy
    stop = getattr(strategy, "stop", None)
    if isinstance(stop, Stop) and stop.least > asked:
        return cast("Strategy", replace(cast("Any", strategy), n=asked, stop=AtMost(asked)))
    return cast("Strategy", replace(cast("Any", strategy), n=asked))


def tightened_budget(budget: Budget | None, config: RunnableConfig, prefix: str) -> Budget | None:
    """Cap by cap the lower of code and request.

    Raises:
        UsageError: The request's budget is none.
    """
    asked = config.get("configurable", {}).get(f"{prefix}budget")
    if asked is None:
        return budget
    return (budget or Budget(seconds=DEFAULT_SECONDS)).tightened(_read(asked, f"{prefix}budget"))


def _read(asked: object, name: str) -> Budget:
    if isinstance(asked, Budget):
        return asked
    if isinstance(asked, Mapping):
        with suppress(TypeError):  # a cap that does not exist
            return Budget(**cast("Mapping[str, Any]", asked))
    raise UsageError(name, cast("object", asked), _CAPS)


def limiters(config: RunnableConfig) -> tuple[Limiter, ...]:
    """The caps on concurrency of a request: those that it shares, and its own if that is lower.

    Raises:
        UsageError: `max_concurrency` is no number of calls, or what is shared is no `Limiter`.
    """
    values, asked = config.get("configurable", {}), config.get("max_concurrency")
    given, of_batch = values.get(SHARED), values.get(LIMITER)
    if not isinstance(given, Limiter | None):
        raise UsageError(SHARED, given, "give a Limiter of thinktwice")
    known = tuple(each for each in (given, of_batch) if isinstance(each, Limiter))
    if asked is None:
        return known
    own = Limiter(asked)
    return known if any(each.max_concurrency <= asked for each in known) else (*known, own)


def sharing_a_cap(
    config: RunnableConfig | Sequence[RunnableConfig] | None, length: int
) -> list[RunnableConfig]:
    """Configs of a batch, in which `max_concurrency` is one cap on the calls of all its inputs."""
    configs = get_config_list(config, length)
    found = limiters(configs[0]) if configs else ()
    if not found:
        return configs
    return [patch_config(each, configurable={LIMITER: found[-1]}) for each in configs]


def of_samples(config: RunnableConfig) -> RunnableConfig:
    """The config for what is sampled: without the cap of a batch, which the run itself keeps.

    A model that `init_chat_model` made configurable takes every key for one of its own.
    """
    values = config.get("configurable", {})
    if LIMITER not in values:
        return config
    return {**config, "configurable": {k: v for k, v in values.items() if k != LIMITER}}
