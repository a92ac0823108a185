"""What the doors refuse before anything is drawn."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.runnables import Runnable

from langchain_thinktwice.diversity.native import check_native
from langchain_thinktwice.diversity.options import accepting_options, warn_of_sameness
from langchain_thinktwice.safety import refuse_side_effects
from thinktwice import Budget, Limiter, Strategy, UsageError
from thinktwice.answers import awaited_key
from thinktwice.errors import TypeOf
from thinktwice.limiter import DEFAULT_CONCURRENCY
from thinktwice.pricing import default_prices
from thinktwice.strategy import check_flags

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydantic import BaseModel

    from thinktwice.vary import Vary

_FLAGS: Final = ("include_result", "repeatable", "require_budget", "native_n")
_WORDS: Final = {"on_exhausted": ("best", "raise"), "llm_spans": ("auto", "always", "never")}


def checked(fields: Mapping[str, Any], *, wrapper: type[BaseModel]) -> Runnable[Any, Any]:
    """The Runnable to sample, if it may be sampled as asked.

    Args:
        fields: Of a wrapper that is being made.
        wrapper: Its class. What is inside others of it has been looked at.

    Raises:
        UsageError: A parameter makes no sense, the Runnable acts or remembers, or options would
            not reach a model.
    """
    bound, strategy, options = fields["bound"], fields["strategy"], fields.get("options")
    check_names(fields, set(wrapper.model_fields) - {"bound"}, beside={"bound"})
    _check_settings(fields)
    if not isinstance(bound, Runnable):
        raise UsageError("runnable", bound, "give a Runnable: a model or a chain")
    if not isinstance(strategy, Strategy):
        raise UsageError("strategy", strategy, "give a strategy such as Vote(8)")
    awaited_key(strategy.key)  # which says if no key has that name
    bound = cast("Runnable[Any, Any]", bound)
    if not fields.get("repeatable"):
        refuse_side_effects(bound, closed=(wrapper,))
    vary: Vary | None = getattr(strategy, "vary", None)
    if vary is not None and vary.samplers:
        raise UsageError("samplers", vary.samplers, "a wrapper has one Runnable: vary its prompts")
    check_native(bound, options, vary, native_n=fields.get("native_n", False))
    varied = {"temperature"} if vary is not None and vary.temperatures else set[str]()
    if options or varied:
        names = None if callable(options) else {*(options or ()), *varied}
        accepting = accepting_options(bound, names)
        bound = accepting if fields["shadow"] is None else bound  # to callers it is as it was
    if strategy.draws != 1 and vary is None:
        warn_of_sameness(bound, options)
    return bound


def check_names(
    given: Mapping[str, object], known: Collection[str], *, beside: Collection[str] = ()
) -> None:
    """Refuse settings that there are not.

    Args:
        given: Settings by name.
        known: Names that there are.
        beside: Further ones, which are no settings.

    Raises:
        UsageError: As above.
    """
    for name, value in given.items():
        if name not in known and name not in beside:
            remedy = f"there is no such setting, only {', '.join(sorted(known))}"
            raise UsageError(name, TypeOf(value), remedy)  # it may be a key for the model


def takes(function: Callable[..., object], *given: object) -> bool:
    """Whether a callable can be called with these arguments, as far as it says."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of something built in
        return True
    try:
        signature.bind(*given)
    except TypeError:
        return False
    return True


def _check_settings(fields: Mapping[str, Any]) -> None:
    for name, kind in (("budget", Budget), ("limiter", Limiter)):
        if not isinstance(fields.get(name), kind | None):
            raise UsageError(name, fields[name], f"give a {kind.__name__}")
    check_flags(**{name: fields[name] for name in _FLAGS if name in fields})
    if fields.get("include_result") and fields["shadow"] is not None:
        remedy = "callers get what they would get without it: look at shadow.report instead"
        raise UsageError("include_result", fields["include_result"], remedy)
    _check_options(fields.get("options"))
    _check_words(fields)
    Limiter(fields.get("max_concurrency", DEFAULT_CONCURRENCY))  # which says what is wrong with it
    default_prices(fields.get("prices"))  # likewise


def _check_options(options: object) -> None:
    if options is None or isinstance(options, Mapping):
        return
    remedy = "give a mapping of call options, or a function of the sample's index"
    if not callable(options):
        raise UsageError("options", TypeOf(options), remedy)
    if not takes(options, 0):
        raise UsageError("options", options, remedy)


def _check_words(fields: Mapping[str, Any]) -> None:
    for name, words in _WORDS.items():
        if fields.get(name, words[0]) not in words:
            raise UsageError(name, fields[name], f"give {' or '.join(map(repr, words))}")
    if not isinstance(fields.get("name"), str | None):
        raise UsageError("name", fields["name"], "give a text, or None")
    if not isinstance(fields.get("configurable_prefix", ""), str):
        raise UsageError("configurable_prefix", fields["configurable_prefix"], "give a text")
