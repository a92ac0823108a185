"""What is inside a query engine, as far as it can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.base import BaseLLM


def engines_in(engine: BaseQueryEngine) -> Iterator[BaseQueryEngine]:
    """An engine, and those that it passes its queries on to."""
    yield engine
    below: list[object] = [getattr(engine, "_query_engine", None)]
    several: object = getattr(engine, "_query_engines", None)  # of a router, or by name
    if isinstance(several, Mapping):
        below += cast("Mapping[str, object]", several).values()
    elif isinstance(several, Sequence):
        below += cast("Sequence[object]", several)
    for each in below:
        if isinstance(each, BaseQueryEngine):
            yield from engines_in(each)


def synthesizing_llms(engine: BaseQueryEngine) -> list[BaseLLM]:
    """The LLMs that write the answers of an engine, as far as they can be found."""
    found: list[BaseLLM] = []
    for each in engines_in(engine):
        synthesizer: object = getattr(each, "_response_synthesizer", each)
        llm: object = getattr(synthesizer, "_llm", None)
        if isinstance(llm, BaseLLM) and not any(llm is other for other in found):
            found.append(llm)
    return found
