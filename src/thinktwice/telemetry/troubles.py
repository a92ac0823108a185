"""A backend that does not take telemetry: told of once, and nothing else comes of it."""

from __future__ import annotations

import logging
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from thinktwice.errors import ThinktwiceWarning
from thinktwice.remarks import tell_once

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E")

_LONGEST: Final = 300
_sending: ContextVar[list[str] | None] = ContextVar("thinktwice_sending", default=None)
"""What an exporter of ours has said while it sends here."""


class _Muted(logging.Filter):
    """Keeps an exporter of ours from telling of each try, and what it said last."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is of another exporter."""
        said = _sending.get()
        if said is not None:
            said[:] = [record.getMessage()[:_LONGEST]]
        return said is None


_muted: Final = _Muted()


def watch(exporter: E) -> E:
    """Say once, and not at each try, that an exporter cannot send.

    Args:
        exporter: One of the SDK's, of spans, metrics or log records.
    """
    logging.getLogger(type(exporter).__module__).addFilter(_muted)
    place = urlsplit(str(getattr(exporter, "_endpoint", "")))
    whole: Any = exporter
    whole.export = _watched(whole.export, place.netloc.rpartition("@")[2])
    return exporter


def _watched(export: Callable[..., Any], place: str) -> Callable[..., Any]:
    @wraps(export)
    def sent(batch: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - the SDK's types
        said: list[str] = []
        token = _sending.set(said)
        try:
            result = export(batch, *more, **options)
        finally:
            _sending.reset(token)
        if getattr(result, "name", "") == "FAILURE":
            tell_of_loss(place, *said)
        return result

    return sent


def tell_of_loss(place: str = "the OTLP endpoint", reason: str = "no answer") -> None:
    """Say that something could not be sent; once a process, whichever signal is first.

    Args:
        place: Where to, without keys.
        reason: What the exporter said.
    """
    if _losses:
        return
    _losses.append(place)
    with suppress(ThinktwiceWarning):  # a filter that raises must not end a thread
        tell_once(f"{place} takes no telemetry: what cannot be sent is lost ({reason})")


_losses: Final[list[str]] = []
