"""Ready checks of a rewrite, for `ToolCheckQueryTransform`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index_thinktwice.transforms.evidence import Evidence
from thinktwice import UsageError, Verdict
from thinktwice.errors import is_number, status_of
from thinktwice.verifiers.adapt import called, name_of
from thinktwice.verifiers.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.schema import NodeWithScore

    from llama_index_thinktwice.finding import Finder


def parses(function: Callable[[str], Any]) -> Tool:
    """A check that a function takes a rewrite without raising: a parser of SQL or filters, say.

    What it raises is what the next rewrite is asked for with.

    Args:
        function: Called with the text of a rewrite, sync (on a thread) or async.

    Raises:
        UsageError: It cannot be called.
    """
    if not callable(function):
        remedy = "give a function of the text, such as sqlglot.parse_one, that raises at a bad one"
        raise UsageError("function", function, remedy)

    async def parsed(text: str) -> Verdict:
        try:
            await called(function, text)
        except Exception as error:  # noqa: BLE001 - whatever a parser raises
            said = str(error) or status_of(error)
            return Verdict(outcome="fail", feedback=f"It cannot be read: {said}")
        return Verdict(outcome="pass")

    return Tool(parsed, name=f"parses:{name_of(function)}")


def retrieves(retriever: Finder, *, at_least: int = 1) -> Evidence:
    """A check that something is found.

    Of use with a retriever that has a cutoff or filters: one that fills its top k always finds k.

    Args:
        retriever: What finds: a retriever, or a query engine with its postprocessors.
        at_least: Nodes that it must find.

    Raises:
        UsageError: It cannot retrieve, or the number is below 1.
    """
    if not is_number(at_least) or at_least < 1:
        raise UsageError("at_least", at_least, "give a whole number from 1")

    def enough(nodes: Sequence[NodeWithScore]) -> Verdict:
        if len(nodes) >= at_least:
            return Verdict(outcome="pass")
        return Verdict(outcome="fail", feedback=f"It must find at least {at_least}.")

    return Evidence(retriever, enough, name=f"retrieves:{at_least}")
