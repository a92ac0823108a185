"""The file that quotas are counted in: its tables, and how to share it with other processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakSet

from thinktwice.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

MEMORY: Final = ":memory:"
_APPLICATION: Final = 0x7477_7174  # in the header of our files
_VERSION: Final = 2
_SHORTEST, _LONGEST = 5e-5, 2e-3  # seconds between two looks

# The sums of the open holds stand beside what was spent, so that a reservation reads one row,
# however many calls are in flight. No open hold of a quota runs out before its `first`. The caps
# are of whoever was the last to hold something, for people to read. A hold whose time is up stays,
# as `lost`, for a call that ends after all.
_TABLES: Final = f"""
CREATE TABLE quotas (
    name TEXT, window INTEGER, calls INTEGER, tokens INTEGER, cost INTEGER,
    held_calls INTEGER, held_tokens INTEGER, held_cost INTEGER, first REAL,
    cap_calls INTEGER, cap_tokens INTEGER, cap_cost INTEGER,
    PRIMARY KEY (name, window)) WITHOUT ROWID;
CREATE INDEX quotas_in ON quotas (window);
CREATE TABLE holds (
    name TEXT, window INTEGER, ticket INTEGER, expires REAL, lost INTEGER,
    calls INTEGER, tokens INTEGER, cost INTEGER,
    lost_calls INTEGER, lost_tokens INTEGER, lost_cost INTEGER,
    PRIMARY KEY (name, window, ticket)) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


class QuotaFile:
    """A file that several threads and processes count in, or a database in memory.

    Attributes:
        path: Absolute; ":memory:" for none.
        timeout: Seconds that a transaction waits for other processes at the most.
        lock: Held by whoever uses the connection.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        """Open or make it.

        Raises:
            UsageError: It is a file of something else.
            sqlite3.Error: It cannot be used.
            OSError: Its folder cannot be made.
        """
        self.path = MEMORY if str(path) == MEMORY else str(path.absolute())
        self.timeout = timeout
        self.lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None
        self._identity: object = None
        with _FORKING:
            _FILES.add(self)
        with self.lock:
            self._connection()

    def close(self) -> None:
        """Close it; the next transaction opens it again."""
        with self.lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def row(self, statement: str, *parameters: object) -> tuple[object, ...] | None:
        """Read one, as it stands.

        Raises:
            RunError: It cannot be read.
        """
        with self._told(), self.lock:
            connection = self._connection()
            return _patiently(
                lambda: connection.execute(statement, parameters).fetchone(), self.timeout
            )

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that no other process writes beside.

        Yields:
            The connection.

        Raises:
            RunError: It cannot be written, or other processes keep it for too long.
        """
        with self._told(), self.lock:
            connection = self._connection()
            try:
                _patiently(lambda: connection.execute("BEGIN IMMEDIATE"), self.timeout)
                yield connection
                if connection.in_transaction:
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            message = f"the quotas in {self.path} cannot be read or written: {error}"
            raise RunError(message) from error

    def _connection(self) -> sqlite3.Connection:
        """Of the file that is there now: who deletes it lets all processes begin anew."""
        if self._opened is not None and self._identity != _identity_of(self.path):
            self.close()
        if self._opened is None:
            self._opened = _patiently(lambda: _open(self.path), self.timeout)
            self._identity = _identity_of(self.path)
        return self._opened


def _identity_of(path: str) -> object:
    if path == MEMORY:
        return os.getpid()
    try:
        found = os.stat(path)  # noqa: PTH116 - in each transaction
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, os.getpid()


def _open(path: str) -> sqlite3.Connection:
    if path != MEMORY:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA page_size = 1024")  # a transaction writes whole pages
        connection.execute("BEGIN IMMEDIATE")  # or another process makes the tables meanwhile
        if not is_ours(connection, path):
            for statement in _TABLES.split(";"):
                connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")  # 4 MB; each waits for the disk
    except BaseException:
        connection.close()
        raise
    return connection


def is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """Whether it has our tables; not if it has none.

    Raises:
        UsageError: It has those of something else.
    """
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and kind != _APPLICATION:
        raise UsageError("path", path, "it is a database of something else: give another file")
    if tables and version != _VERSION:
        raise UsageError("path", path, "another version of thinktwice wrote it: give another file")
    return bool(tables)


def _patiently(step: Callable[[], T], seconds: float) -> T:
    """Try until no other process is in the way: SQLite's own waiting sleeps for long.

    No lock of the system's could be waited for instead, since none has a time limit.
    """
    ends, pause = time.monotonic() + seconds, _SHORTEST
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not _passes(error) or time.monotonic() > ends:
                raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)


def _passes(error: sqlite3.OperationalError) -> bool:
    """Another process keeps it, or has removed what a deleted file left before we could."""
    gone = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_DELETE_NOENT
    return gone or "locked" in str(error)


# ---- forks --------------------------------------------------------------------------------------
# SQLite keeps in memory which locks its process has. A forked child inherits the memory and not the
# locks: what it counts is lost once its parent closes the file. So none is open while a process
# forks, and no thread is in a transaction, whose lock the child could never take.

_FILES: Final[WeakSet[QuotaFile]] = WeakSet()
_FORKING: Final = threading.RLock()
_still: list[QuotaFile] = []


def _before_fork() -> None:
    _FORKING.acquire()
    _still[:] = _FILES
    for each in _still:
        each.lock.acquire()
        if each.path != MEMORY:
            each.close()


def _after_fork() -> None:
    for each in _still:
        each.lock.release()
    _still.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
