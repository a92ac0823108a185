"""Sending what waits: when the application asks, and when the process ends without being kept."""

from __future__ import annotations

import atexit
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError, is_number
from thinktwice.telemetry.troubles import tell_of_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.telemetry.connection import Connection

PATIENCE: Final = 5.0
"""Seconds at exit, for all signals together."""


class Flusher:
    """Calls a function when asked, on a daemon thread that is there before: at exit none starts."""

    def __init__(self, flush: Callable[[], object], connection: Connection) -> None:
        """Wait to be asked.

        Args:
            flush: Sends what waits; it may block for long, or raise.
            connection: What it sends by.
        """
        self.flush = flush
        self.connection = connection
        self.start()

    def start(self) -> None:
        """Begin to wait; anew in a forked process, which has none of the threads."""
        self._asked, self._done = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name="thinktwice-flush", daemon=True).start()

    def ask(self) -> None:
        """Flush now."""
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has flushed within so many seconds, and all of it was taken."""
        return self._done.wait(max(0.0, seconds)) and self.connection.trouble is None

    def _work(self) -> None:
        asked, done = self._asked, self._done
        asked.wait()
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001 - of a metric of the application's, for one
            tell_of_loss(self.connection.place, type(error).__name__)
        done.set()


_flushers: Final[list[Flusher]] = []
_finished: Final = threading.Event()


def flush_at_exit(flush: Callable[[], object], connection: Connection) -> None:
    """Have a function called at exit.

    Args:
        flush: Sends what waits; it may block for long.
        connection: What it sends by.
    """
    if not _flushers:
        from multiprocessing import util

        atexit.register(finish)
        util.register_after_fork(finish, _finish_worker)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_restart)
    _flushers.append(Flusher(flush, connection))


def _finish_worker(_: object) -> None:
    """The children of multiprocessing end without `atexit`."""
    from multiprocessing import util

    util.Finalize(None, finish, exitpriority=0)


def _restart() -> None:
    _finished.clear()
    for each in _flushers:
        each.start()


def flush(seconds: float = PATIENCE) -> bool:
    """Send what waits now, of what `configure` has set up.

    For where a process is frozen or ended without its exit: in a serverless function, before
    `os._exit`, in a handler of SIGTERM. At the usual exit it is done anyway.

    Args:
        seconds: To wait at the most.

    Returns:
        Whether all was taken; False, too, while the backend may still be taking it.

    Raises:
        UsageError: That is no number of seconds.
    """
    if not is_number(seconds) or not 0 <= seconds < threading.TIMEOUT_MAX:
        raise UsageError("seconds", seconds, "give a number of seconds, such as 5")
    late = _flushed([Flusher(each.flush, each.connection) for each in _flushers], seconds)
    for each in late:
        if each.trouble is not None:  # else it may still be taken
            tell_of_loss(each.place, each.trouble)
    return not late


def finish(patience: float = PATIENCE) -> None:
    """Send what waits for the last time, or say that it is lost.

    Args:
        patience: Seconds at the most.
    """
    if not _finished.is_set():
        _finished.set()
        for each in _flushed(_flushers, patience):
            tell_of_loss(each.place, each.trouble or "no answer")


def _flushed(flushers: list[Flusher], seconds: float) -> list[Connection]:
    """Those that have not taken all within so many seconds."""
    until = monotonic() + seconds
    for each in flushers:
        each.ask()
    return [each.connection for each in flushers if not each.wait(until - monotonic())]
