"""Sending what waits when the process ends, without keeping it from ending."""

from __future__ import annotations

import atexit
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from thinktwice.telemetry.troubles import tell_of_loss

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 5.0
"""Seconds at exit, for all signals together."""


class Flusher:
    """Calls a function at exit, on a daemon thread that is there before: none can start then."""

    def __init__(self, flush: Callable[[], object]) -> None:
        """Wait for the exit.

        Args:
            flush: Sends what waits; it may block for long.
        """
        self._flush = flush
        self.start()

    def start(self) -> None:
        """Begin to wait; anew in a forked process, which has none of the threads."""
        self._asked, self._done = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name="thinktwice-flush", daemon=True).start()

    def ask(self) -> None:
        """Flush now."""
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has flushed within so many seconds."""
        return self._done.wait(max(0.0, seconds))

    def _work(self) -> None:
        asked, done = self._asked, self._done
        asked.wait()
        self._flush()
        done.set()


_flushers: Final[list[Flusher]] = []


def flush_at_exit(flush: Callable[[], object]) -> None:
    """Have a function called at exit.

    Args:
        flush: Sends what waits; it may block for long.
    """
    if not _flushers:
        atexit.register(finish)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_restart)
    _flushers.append(Flusher(flush))


def _restart() -> None:
    for each in _flushers:
        each.start()


def finish(patience: float = PATIENCE) -> None:
    """Send what waits, or say that it is lost.

    Args:
        patience: Seconds at the most.
    """
    until = monotonic() + patience
    for each in _flushers:
        each.ask()
    if not all(each.wait(until - monotonic()) for each in _flushers):
        tell_of_loss()
