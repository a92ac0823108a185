"""Refusing to sample what acts or remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_thinktwice.tree import walk
from thinktwice import UsageError

if TYPE_CHECKING:
    from langchain_thinktwice.tree import AnyRunnable

# By name, so that nothing has to be imported to look for it.
_KINDS = {
    "langchain_core.runnables.history.RunnableWithMessageHistory": "a message history",
    "langchain_core.tools.base.BaseTool": "a tool",
}
_GRAPHS = "langgraph"
_A_GRAPH = "a compiled graph or a part of one"
_THREADS = (
    ". Samples of a graph run on copies of its thread; what its tools do and its store keeps is "
    "done and kept by each. In create_agent, StrategyMiddleware samples before tools run"
)


def refuse_side_effects(runnable: AnyRunnable, *, closed: tuple[type, ...] = ()) -> None:
    """Refuse a graph, a tool or a message history anywhere inside a Runnable.

    Args:
        runnable: What is about to be sampled.
        closed: Types that have looked into themselves.

    Raises:
        UsageError: There is one: each sample would run it again.
    """
    for part in walk(runnable, closed=closed):
        if (kind := _acts(part)) is not None:
            remedy = (
                f"{part.get_name()} is {kind}: every sample would run it again, with all that it "
                "does and writes. Vote over the model inside it, which answers before anything "
                "is done, or pass repeatable=True if running it many times does no harm"
                f"{_THREADS if kind is _A_GRAPH else ''}"
            )
            raise UsageError("runnable", runnable.get_name(), remedy)


def _acts(part: AnyRunnable) -> str | None:
    for kind in type(part).__mro__:
        if kind.__module__.partition(".")[0] == _GRAPHS:
            return _A_GRAPH
        if (named := _KINDS.get(f"{kind.__module__}.{kind.__qualname__}")) is not None:
            return named
    return None
