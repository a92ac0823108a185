"""Log events, for those who collect them."""

from __future__ import annotations

import inspect
from functools import cache
from time import time_ns
from typing import TYPE_CHECKING

from thinktwice.telemetry.attributes import (
    ERROR_TYPE,
    EVALUATION_EXPLANATION,
    EVALUATION_LABEL,
    EVALUATION_NAME,
    EVALUATION_SCORE,
    SCHEMA_URL,
)
from thinktwice.telemetry.messages import cut
from thinktwice.telemetry.providers import VERSION, is_sdk, once_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.util.types import AnyValue

    from thinktwice.sample import Verdict


class Events:
    """Writes log events to one logger."""

    def __init__(self, logger: Logger) -> None:
        """Write to a logger."""
        self._logger = logger

    def emit(
        self, name: str, attributes: Mapping[str, AnyValue], context: Context | None = None
    ) -> None:
        """Write an event.

        Args:
            name: Its name.
            attributes: What it says.
            context: Where the span that it belongs to is current; None for what is current now.
        """
        from opentelemetry._logs import LogRecord

        record = LogRecord(
            timestamp=time_ns(), context=context, event_name=name, attributes=attributes
        )
        self._logger.emit(record)


def events() -> Events | None:
    """Where events go now; None if no logger provider is set, or OpenTelemetry is too old."""
    if not _has_events():
        return None
    from opentelemetry import _logs

    provider = _logs.get_logger_provider()
    return _events_of(provider) if is_sdk(provider) else None


@cache
def _has_events() -> bool:
    """Before 1.35 the record of an event had another shape."""
    try:
        from opentelemetry._logs import LogRecord
    except ImportError:  # they are not declared stable
        return False
    return {"context", "event_name"} <= inspect.signature(LogRecord.__init__).parameters.keys()


@once_each
def _events_of(provider: LoggerProvider) -> Events:
    return Events(provider.get_logger("thinktwice", VERSION, SCHEMA_URL))


def evaluation(verdict: Verdict, *, explained: bool) -> Mapping[str, AnyValue]:
    """A verdict, as the conventions have it.

    Args:
        verdict: What a verifier said.
        explained: With its feedback, which is content.
    """
    said: dict[str, AnyValue] = {
        EVALUATION_NAME: verdict.verifier or "verify",
        EVALUATION_LABEL: verdict.outcome,
    }
    if verdict.score is not None:
        said[EVALUATION_SCORE] = verdict.score
    if verdict.outcome == "error":
        said[ERROR_TYPE] = "_OTHER"
    if explained and verdict.feedback is not None:
        said[EVALUATION_EXPLANATION] = cut(verdict.feedback)
    return said
