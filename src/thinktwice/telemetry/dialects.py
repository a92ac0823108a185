"""Under which names of vendors the cost of a call is written, on its leaf span alone.

There is no standard one yet, and a name that a backend does not read does nothing there.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from thinktwice.errors import UsageError
from thinktwice.telemetry.attributes import (
    DRAFT_AMOUNT,
    DRAFT_CURRENCY,
    DRAFT_SOURCE,
    GEN_AI_COST,
    LANGFUSE_COST,
    MLFLOW_COST,
    OPENINFERENCE_COST,
    OPENINFERENCE_TOTAL,
    OPENINFERENCE_USAGE,
    OPERATION_COST,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.util.types import AttributeValue

Dialect: TypeAlias = "Callable[[Mapping[str, int], float | None], Mapping[str, AttributeValue]]"
"""Attributes for the provider's counts of a call and its cost in USD; None while unpriced."""

DIALECTS_VARIABLE: Final = "THINKTWICE_COST_DIALECTS"


def _default(_: Mapping[str, int], cost: float | None) -> Mapping[str, AttributeValue]:
    if cost is None:
        return {}
    return {
        GEN_AI_COST: cost,
        OPERATION_COST: cost,
        MLFLOW_COST: f'{{"total_cost": {cost!r}}}',
    }


def _langfuse(_: Mapping[str, int], cost: float | None) -> Mapping[str, AttributeValue]:
    return {} if cost is None else {LANGFUSE_COST: f'{{"total": {cost!r}}}'}


def _openinference(counts: Mapping[str, int], cost: float | None) -> Mapping[str, AttributeValue]:
    written: dict[str, AttributeValue] = {
        OPENINFERENCE_USAGE[name]: count for name, count in counts.items()
    }
    if "input_tokens" in counts and "output_tokens" in counts:
        written[OPENINFERENCE_TOTAL] = counts["input_tokens"] + counts["output_tokens"]
    return written if cost is None else {**written, OPENINFERENCE_COST: cost}


def _draft(_: Mapping[str, int], cost: float | None) -> Mapping[str, AttributeValue]:
    if cost is None:
        return {}
    return {DRAFT_AMOUNT: cost, DRAFT_CURRENCY: "USD", DRAFT_SOURCE: "local"}


_DIALECTS: Final[Mapping[str, Dialect]] = {
    "default": _default,
    "langfuse": _langfuse,
    "openinference": _openinference,
    "draft": _draft,
}
_said: tuple[Dialect, ...] | None = None


def chosen_dialects() -> tuple[Dialect, ...]:
    """Those of `say_dialects`, or else of the environment.

    Raises:
        UsageError: The environment names one that there is not.
    """
    if _said is not None:
        return _said
    return _named(os.environ.get(DIALECTS_VARIABLE, "default"))


def say_dialects(dialects: tuple[Dialect, ...] | None) -> None:
    """Write these from now on; None for those of the environment."""
    global _said  # noqa: PLW0603 - as the environment, it is one for the process
    _said = dialects


def named_dialects(names: Sequence[str], parameter: str = "dialects") -> tuple[Dialect, ...]:
    """Those of these names.

    Args:
        names: Words such as "default" or "langfuse".
        parameter: Where they come from.

    Raises:
        UsageError: There is no such dialect.
    """
    if unknown := [name for name in names if name not in list(_DIALECTS)]:
        raise UsageError(parameter, unknown[0], f"give some of {', '.join(_DIALECTS)}")
    return tuple(_DIALECTS[name] for name in dict.fromkeys(names))


@lru_cache(maxsize=4)
def _named(words: str) -> tuple[Dialect, ...]:
    names = tuple(name.strip().lower() for name in words.split(",") if name.strip())
    return named_dialects(names, DIALECTS_VARIABLE)
