"""Looking into a Runnable: what it is made of, and where its models are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import (
    RunnableConfigurableAlternatives,
    RunnableConfigurableFields,
)
from pydantic import BaseModel

AnyRunnable: TypeAlias = Runnable[Any, Any]
R = TypeVar("R", bound=AnyRunnable)

# Fields that hold settings of a step and no step: the tools of `bind_tools` are among them.
_SETTINGS = frozenset({"callbacks", "config", "config_factories", "kwargs", "metadata"})


def walk(runnable: AnyRunnable, *, closed: tuple[type, ...] = ()) -> Iterator[AnyRunnable]:
    """The Runnable and all that it is made of, outside in.

    Args:
        runnable: Where to begin.
        closed: Types that are not looked into; a model never is.
    """
    yield runnable
    if isinstance(runnable, (BaseLanguageModel, *closed)):
        return
    for _, value in _fields(runnable):
        for inner in _runnables(value):
            yield from walk(inner, closed=closed)
    if isinstance(runnable, RunnableLambda):
        for used in runnable.deps:
            yield from walk(used, closed=closed)


@dataclass(frozen=True)
class Unit:
    """A model with all that is bound to it: call kwargs given to `step` reach the model.

    Attributes:
        step: The outermost Runnable that is only this model.
        model: The model.
        kwargs: What is bound to it.
        movable: It stands in a field, and not in the closure of a function: it can be replaced.
    """

    step: AnyRunnable
    model: BaseLanguageModel[Any]
    kwargs: Mapping[str, object] = field(default_factory=dict[str, object])
    movable: bool = True


def unit_of(runnable: AnyRunnable) -> Unit | None:
    """The Runnable as a model with what is bound to it; None if it is more than that."""
    if isinstance(runnable, BaseLanguageModel):
        return Unit(runnable, runnable)
    if isinstance(runnable, RunnableBindingBase):
        inner, own = unit_of(runnable.bound), dict(runnable.kwargs)
    elif isinstance(runnable, RunnableConfigurableFields):
        inner, own = unit_of(runnable.default), dict[str, object]()
    elif isinstance(runnable, RunnableConfigurableAlternatives):  # one of them is called
        inner, own = _alternative(runnable), dict[str, object]()
    elif type(runnable).__name__ == "_ConfigurableModel":
        inner, own = _by_default(runnable), dict[str, object]()
    else:
        return None
    return None if inner is None else Unit(runnable, inner.model, {**inner.kwargs, **own})


def _alternative(runnable: RunnableConfigurableAlternatives[Any, Any]) -> Unit | None:
    """The model that is called by default, if each of those that can be called is one alone.

    What a function will make is taken to be one, too.
    """
    others = (each for each in runnable.alternatives.values() if isinstance(each, Runnable))
    found = [unit_of(each) for each in (runnable.default, *others)]
    return None if None in found else found[0]


def _by_default(runnable: AnyRunnable) -> Unit | None:
    """What `init_chat_model(configurable_fields=...)` makes where a config asks for nothing else.

    It is known by its name, so that `langchain` need not be imported.
    """
    try:
        made = cast("Any", runnable)._model()
    except Exception:  # noqa: BLE001 - there is no default model, or no key for one yet
        return None
    reading = cast("Any", made).first if isinstance(made, RunnableSequence) else made
    return unit_of(cast("AnyRunnable", reading))


def units(runnable: AnyRunnable, *, movable: bool = True) -> Iterator[Unit]:
    """All models of a Runnable, each with what is bound to it."""
    if (unit := unit_of(runnable)) is not None:
        yield unit if movable else Unit(unit.step, unit.model, unit.kwargs, movable=False)
        return
    for _, value in _fields(runnable):
        for inner in _runnables(value):
            yield from units(inner, movable=movable)
    if isinstance(runnable, RunnableLambda):
        for used in runnable.deps:
            yield from units(used, movable=False)


def replaced(runnable: AnyRunnable, old: AnyRunnable, new: AnyRunnable) -> AnyRunnable:
    """A copy of the Runnable that has `new` in the place of `old`; itself if `old` is not in it."""
    if runnable is old:
        return new
    if isinstance(runnable, BaseLanguageModel) or not isinstance(runnable, BaseModel):
        return runnable
    changed = {
        name: swapped
        for name, value in _fields(runnable)
        if (swapped := _swapped(value, old, new)) is not value
    }
    return runnable.model_copy(update=changed) if changed else runnable


def _swapped(value: object, old: AnyRunnable, new: AnyRunnable) -> object:
    if isinstance(value, Runnable):
        return replaced(cast("AnyRunnable", value), old, new)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        pairs = {key: _swapped(each, old, new) for key, each in items.items()}
        return pairs if any(pairs[key] is not items[key] for key in items) else items
    if isinstance(value, list | tuple):
        parts = cast("Sequence[object]", value)
        fresh = [_swapped(each, old, new) for each in parts]
        if all(a is b for a, b in zip(fresh, parts, strict=True)):
            return parts
        return tuple(fresh) if isinstance(value, tuple) else fresh
    return value


def _fields(runnable: AnyRunnable) -> Iterator[tuple[str, object]]:
    if isinstance(runnable, BaseModel):
        for name in type(runnable).model_fields:
            if name not in _SETTINGS:
                yield name, runnable.__dict__.get(name)


def _runnables(value: object) -> Iterator[AnyRunnable]:
    if isinstance(value, Runnable):
        yield cast("AnyRunnable", value)
    elif isinstance(value, Mapping):
        for each in cast("Mapping[object, object]", value).values():
            yield from _runnables(each)
    elif isinstance(value, list | tuple):
        for each in cast("Sequence[object]", value):
            yield from _runnables(each)
