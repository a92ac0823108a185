"""A backend that does not take telemetry: told of once, and nothing else comes of it."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakSet

from thinktwice.remarks import tell_safely

if TYPE_CHECKING:
    from collections.abc import Generator

    from thinktwice.telemetry.connection import Connection

E = TypeVar("E")

_QUEUE: Final = "opentelemetry.sdk._shared_internal"
_TOO_LARGE: Final = "HTTP 413"
_MOST: Final = 32  # failures in a row: a backend that took none of these parts takes none
_LONGEST: Final = 10.0  # seconds for the parts of a batch, while the next ones wait
_SLOW: Final = "it is slower than the application"
_UNSENT: Final = "something is too large, or cannot be written in OTLP"
_ENCODER: Final = "opentelemetry.exporter.otlp.proto.common._internal"
_heard: Final[ContextVar[set[str] | None]] = ContextVar("thinktwice_heard", default=None)


class _Muted(logging.Filter):
    """Keeps what happens in our name out of the logs: each try to send, and the keys in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is somebody else's."""
        heard = _heard.get()
        if heard is not None:
            heard.add(record.name)
        return heard is None


class _Dropped(logging.Filter):
    """Says once that a queue was full, where the SDK says it again and again."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is about something else."""
        if not str(record.msg).startswith("Queue full"):
            return True
        # A backend that is down is tried for seconds before that is told: a queue fills sooner.
        failing = [(each.place, each.trouble) for each in [*_connections] if each.trouble]
        tell_of_loss(*failing[0]) if failing else tell_of_loss(reason=_SLOW)
        return False


_muted: Final = _Muted()
_dropped: Final = _Dropped()


@contextmanager
def muted(*loggers: str) -> Generator[set[str]]:
    """Keep what these loggers are told on the way out of the logs; give those that were told any.

    Args:
        loggers: Their names.
    """
    for each in loggers:
        logging.getLogger(each).addFilter(_muted)
    heard = set[str]()
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def watch(exporter: E, connection: Connection) -> E:
    """Have an exporter raise nothing, and say once that something is lost.

    A batch that is too large, or has something in it that cannot be written, is sent in parts: no
    more than that is lost.

    Args:
        exporter: One of the SDK's, of spans, metrics or log records.
        connection: What it sends by.
    """
    _Watched(exporter, connection)
    return exporter


class _Watched:
    """Stands in for the `export` and the `shutdown` of an exporter."""

    def __init__(self, exporter: object, connection: Connection) -> None:
        self._connection = connection
        _connections.add(connection)
        self._closed = False
        self._logger = type(exporter).__module__
        whole: Any = exporter
        self._export, self._shutdown = whole.export, whole.shutdown
        whole.export, whole.shutdown = self.export, self.shutdown
        logging.getLogger(_QUEUE).addFilter(_dropped)

    def export(self, batch: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - the SDK's types
        """Send."""
        if self._closed:
            return None
        parts, result, lost = [batch], None, ""
        failures, until = 0, inf
        while parts and failures < _MOST and monotonic() < until:
            part = parts.pop()
            result = self._tried(part, *more, **options)
            trouble = self._trouble_of(result)
            if trouble is None:
                failures = 0
                continue
            failures, until = failures + 1, min(until, monotonic() + _LONGEST)
            many = len(part) if hasattr(part, "__len__") else 1  # metrics come as a whole
            if many > 1 and trouble in (_UNSENT, _TOO_LARGE):
                parts += [part[: many // 2], part[many // 2 :]]
            else:
                lost = trouble
        if lost := lost or (_TOO_LARGE if parts else ""):
            self._connection.trouble = lost  # whatever was sent after it
            tell_of_loss(self._connection.place, lost)
        return result

    def _trouble_of(self, result: object) -> str | None:
        """Why what was tried last is not sent; None if it is."""
        trouble = self._connection.trouble
        if trouble is not None or getattr(result, "name", "") == "SUCCESS":
            return trouble
        return _UNSENT if self._connection.used else "no answer"

    def _tried(self, batch: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        self._connection.trouble = result = None
        loggers = (self._logger, _ENCODER, "urllib3.connectionpool")
        # Earlier exporters raise what they do not retry.
        with muted(*loggers) as heard, suppress(Exception):
            result = self._export(batch, *more, **options)
        if _ENCODER in heard:  # an attribute is left out
            tell_of_loss(self._connection.place, _UNSENT)
        return result

    def shutdown(self, *given: Any, **options: Any) -> None:
        """Send nothing more; what is under way is given up."""
        self._closed = True
        with muted(self._logger):
            self._shutdown(*given, **options)


def tell_of_loss(place: str = "the OTLP endpoint", reason: str = "no answer") -> None:
    """Say that something could not be sent; once a process, whichever signal is first.

    Args:
        place: Where to, without keys.
        reason: Why, without what was sent.
    """
    if _losses:
        return
    _losses.append(place)
    tell_safely(f"{place} does not take all telemetry: what cannot be sent is lost ({reason})")


_connections: Final[WeakSet[Connection]] = WeakSet()
_losses: Final[list[str]] = []
