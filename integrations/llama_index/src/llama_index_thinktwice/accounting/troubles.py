"""What handlers of LlamaIndex cannot raise, since it drops that: it is raised with the sample."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_noted: ContextVar[list[Exception] | None] = ContextVar(
    "llama_index_thinktwice_troubles", default=None
)


def note(trouble: Exception) -> None:
    """Keep what should have been raised, such as by a source of prices that is broken."""
    if (noted := _noted.get()) is not None:
        noted.append(trouble)


@contextmanager
def raised() -> Generator[None]:
    """A block at the end of which the first trouble in it is raised, unless it raises itself."""
    noted: list[Exception] = []
    token = _noted.set(noted)
    try:
        yield
    finally:
        _noted.reset(token)
    if noted:
        raise noted[0]
