"""What would make all samples of an LLM the same one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from llama_index.core.constants import DEFAULT_TEMPERATURE

from llama_index_thinktwice.llm.calls import COMPOSITE, settings_of
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice import Strategy
    from thinktwice.protocols import Options

IN_OPTIONS: Final = "set one with options={'temperature': 0.7}"
IN_LLM: Final = "give it an LLM with another, such as OpenAI(temperature=0.7)"


def warn_of_sameness(
    llm: object,
    strategy: Strategy,
    options: Options | Callable[[int], Options] | None = None,
    *,
    remedy: str = IN_LLM,
    stacklevel: int = 3,
) -> None:
    """Warn where every sample must come out the same, or nearly so: a temperature of 0.

    LlamaIndex's own default, 0.1, counts as such.

    Args:
        llm: What is asked.
        strategy: Draws several samples, or one.
        options: Settings of every call.
        remedy: What to do.
        stacklevel: Of the warning; 3 points at who calls the caller.
    """
    if callable(options) or hasattr(llm, COMPOSITE) or not _asks_again(strategy.of or strategy):
        return
    temperature = _temperature(llm, options or {})
    if temperature == 0:
        cause = "the temperature is 0, so all samples will be the same one"
    elif temperature == DEFAULT_TEMPERATURE:
        cause = f"the temperature is {DEFAULT_TEMPERATURE}, so samples will hardly differ"
    else:
        return
    warnings.warn(f"{cause}: {remedy}", ThinktwiceWarning, stacklevel=stacklevel)


def _asks_again(strategy: Strategy) -> bool:
    """Whether it asks the same question several times; a repair asks another one."""
    differs = getattr(strategy, "vary", None) is not None or hasattr(strategy, "rounds")
    return strategy.draws != 1 and not differs


def _temperature(llm: object, options: Options) -> object:
    """That of every call."""
    own = getattr(llm, "temperature", None)
    return settings_of(llm, options).get("temperature", own)
