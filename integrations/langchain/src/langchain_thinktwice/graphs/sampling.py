"""Whole graphs as samples: threads of their own, and nothing in the stream of a graph around."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable, ensure_config
from langchain_core.runnables.utils import Input, Output
from pydantic import ConfigDict, PrivateAttr

from langchain_thinktwice.graphs.checkpoints import (
    Memory,
    Thread,
    acopied,
    copied,
    memories,
    own_id,
)
from langchain_thinktwice.tree import walk
from thinktwice import UsageError
from thinktwice.remarks import tell_once

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_thinktwice.tree import AnyRunnable

TASK = "__pregel_task_id"
"""In `configurable` of all that a LangGraph node calls."""

_STREAM, _NAMESPACE, _ATTEMPT = "__pregel_stream", "checkpoint_ns", "__pregel_scratchpad"
_THREAD = "thread_id"
_INTERRUPT = "__interrupt__"
_COORDINATES = frozenset({"checkpoint_id", "checkpoint_map", _NAMESPACE})
# By name, so that nothing has to be imported to look for them.
_STREAMING = frozenset({"langgraph.pregel._messages", "langgraph.pregel._tools"})

AGAIN = (
    "{} was called before in this step of this thread, and its samples are drawn and paid for once "
    "more: a node that is interrupted runs again from its start. Call it in a node of its own or "
    "in a @task, whose result LangGraph keeps"
)


class GraphSample(RunnableSerializable[Input, Output]):
    """Runs a Runnable with graphs inside for one sample, on a copy of the caller's thread.

    In a node of another graph it leaves all to LangGraph, which keeps each call of a subgraph in a
    namespace of its own.

    Attributes:
        bound: The Runnable.
        closed: Types of Runnables that see to the graphs inside them themselves.
    """

    bound: Runnable[Input, Output]
    closed: tuple[type, ...] = ()
    model_config = ConfigDict(arbitrary_types_allowed=True)
    _memories: Sequence[Memory] = PrivateAttr(default=())

    def model_post_init(self, context: object, /) -> None:
        """See what the graphs remember."""
        super().model_post_init(context)
        self._memories = memories(graphs_in(self.bound, closed=self.closed))

    def invoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Run it.

        Raises:
            GraphInterrupt: It waits for a human, which a sample cannot.
        """
        config = ensure_config(config)
        thread = self._thread(config)
        if thread is None:
            return _finished(self.bound.invoke(input, config, **kwargs))
        with copied(thread, self._memories):
            return _finished(self.bound.invoke(input, _on(thread, config), **kwargs))

    async def ainvoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Run it.

        Raises:
            GraphInterrupt: It waits for a human, which a sample cannot.
        """
        config = ensure_config(config)
        thread = self._thread(config)
        if thread is None:
            return _finished(await self.bound.ainvoke(input, config, **kwargs))
        async with acopied(thread, self._memories):
            return _finished(await self.bound.ainvoke(input, _on(thread, config), **kwargs))

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The Runnable's own name."""
        return self.bound.get_name(suffix, name=name or self.name)

    def _thread(self, config: RunnableConfig) -> Thread | None:
        """The caller's thread and the sample's; None where there is nothing to keep apart."""
        asked: Mapping[str, Any] = config.get("configurable", {})
        thread = asked.get(_THREAD) or _bound_thread(self.bound)
        if thread is None or TASK in asked or not self._memories:
            return None
        return Thread(str(thread), own_id(thread), asked.get("checkpoint_id"))


def as_sample(
    bound: Runnable[Input, Output], *, closed: tuple[type, ...], shadow: object = None
) -> Runnable[Any, Any]:
    """What a sample calls in the place of a Runnable: itself, if there is no graph in it.

    Args:
        bound: The Runnable.
        closed: Types of Runnables that see to the graphs inside them themselves.
        shadow: In which samples run, behind the caller's own call; None for in its place.

    Raises:
        UsageError: A graph in it has one memory for all its calls, or has moved on before a shadow
            sees its thread.
    """
    found = graphs_in(bound, closed=closed)
    for graph in found:
        if graph.checkpointer is True:
            remedy = (
                f"{graph.get_name()} is compiled with checkpointer=True, one memory for all that "
                "call it, samples included: compile it without, so that each starts afresh"
            )
            raise UsageError("runnable", bound.get_name(), remedy)
        if graph.checkpointer and shadow is not None:
            remedy = (
                f"{graph.get_name()} has a checkpointer: its thread has the caller's answer before "
                "the shadow begins. Compile it without, or shadow a Runnable inside it"
            )
            raise UsageError("shadow", shadow, remedy)
    return GraphSample(bound=bound, closed=closed) if found else bound


def graphs_in(runnable: AnyRunnable, *, closed: tuple[type, ...] = ()) -> Sequence[Any]:
    """The compiled graphs anywhere inside a Runnable."""
    langgraph = sys.modules.get("langgraph.pregel")
    if langgraph is None:  # then there is none
        return ()
    return [part for part in walk(runnable, closed=closed) if isinstance(part, langgraph.Pregel)]


def unstreamed(config: RunnableConfig) -> RunnableConfig:
    """A config below which nothing reaches the streams of the graph that it comes from.

    Takes LangGraph's handlers out of its callbacks, too: samples are no answer of the graph's.
    """
    asked = config.get("configurable", {})
    if TASK not in asked:
        return config
    callbacks = config.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        for name in ("handlers", "inheritable_handlers"):
            kept = [each for each in getattr(callbacks, name) if not _streams(each)]
            setattr(callbacks, name, kept)
    below = {name: each for name, each in asked.items() if name != _STREAM}
    return {**config, "configurable": below}


def _streams(handler: object) -> bool:
    return any(kind.__module__ in _STREAMING for kind in type(handler).__mro__)


_paid: OrderedDict[tuple[str, str, str], int] = OrderedDict()
_REMEMBERED = 1024


@contextmanager
def paid_once(config: RunnableConfig, wrapper: AnyRunnable) -> Generator[None]:
    """Warn where a node of a graph runs again, and draws what it has drawn and paid for before.

    It knows what this process did lately, and so not of calls in another. What a graph did in a
    sample is kept by LangGraph, and not done again.

    Args:
        config: Of the wrapper's run.
        wrapper: What runs.
    """
    asked: Mapping[str, Any] = config.get("configurable", {})
    if TASK not in asked or _THREAD not in asked or asked.get("__pregel_checkpointer") is None:
        yield
        return
    name = wrapper.get_name()
    step, attempt = (str(asked[_THREAD]), str(asked.get(_NAMESPACE)), name), id(asked.get(_ATTEMPT))
    if _paid.get(step, attempt) != attempt and not graphs_in(wrapper):
        tell_once(AGAIN.format(name))
    yield
    _paid.pop(step, None)
    _paid[step] = attempt
    while len(_paid) > _REMEMBERED:
        _paid.popitem(last=False)


def _on(thread: Thread, config: RunnableConfig) -> RunnableConfig:
    asked = config.get("configurable", {})
    kept = {name: each for name, each in asked.items() if name not in _COORDINATES}
    return {**config, "configurable": {**kept, _THREAD: thread.own}}


def _bound_thread(runnable: AnyRunnable) -> object:
    """The thread that `with_config` sets on a part of a Runnable."""
    for part in walk(runnable):
        config: RunnableConfig = getattr(part, "config", None) or {}  # of a binding, or a graph
        if (found := config.get("configurable", {}).get(_THREAD)) is not None:
            return found
    return None


def _finished(value: Output) -> Output:
    """What a graph returned; an interrupt, which a graph of its own returns, is raised."""
    known: object = value
    if not isinstance(known, Mapping):
        return value
    if interrupts := cast("Mapping[str, Any]", known).get(_INTERRUPT):
        raise sys.modules["langgraph.errors"].GraphInterrupt(tuple(interrupts))
    return value
