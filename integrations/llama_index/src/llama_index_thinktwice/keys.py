"""Strategies with other keys than they came with."""

from __future__ import annotations

from copy import copy
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, TypeVar

from thinktwice import Strategy, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

S = TypeVar("S", bound=Strategy)


def with_key(strategy: S, key: Callable[..., Hashable | None]) -> S:
    """A copy of the strategy with another key.

    Raises:
        UsageError: The strategy cannot be copied.
    """
    if not is_dataclass(strategy):
        raise UsageError("key", key, f"set it on the strategy itself: {strategy!r} is no dataclass")
    keyed = copy(strategy)
    object.__setattr__(keyed, "key", key)  # not replace(): some take what they are made of by place
    return keyed
