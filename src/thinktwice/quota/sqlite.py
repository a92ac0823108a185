"""Quotas in a file of SQLite, for several processes of one machine; or in memory, for one."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice.errors import RunError, UsageError, is_number
from thinktwice.folders import named_path
from thinktwice.quota.store import Amounts, Caps, Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

T = TypeVar("T")

_MEMORY: Final = ":memory:"
_APPLICATION: Final = 0x7477_7174  # of our files: SQLite keeps it in their header
_TIMEOUT: Final = 2.0
_KEPT_SECONDS: Final = 2 * 86_400.0  # after a window has ended, for requests that began in it
_KEPT_LOST: Final = 10_000  # calls that may still end after all
_SWEPT: Final = 100  # rows at the most that one call cleans away, so that it stays fast
_SHORTEST, _LONGEST = 5e-5, 2e-3  # seconds between two looks
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spent (
    name TEXT, window INTEGER, calls INTEGER, tokens INTEGER, cost INTEGER,
    PRIMARY KEY (name, window)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spent_in ON spent (window);
CREATE TABLE IF NOT EXISTS holds (
    ticket INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, window INTEGER, expires REAL,
    calls INTEGER, tokens INTEGER, cost INTEGER,
    lost_calls INTEGER, lost_tokens INTEGER, lost_cost INTEGER);
CREATE INDEX IF NOT EXISTS holds_of ON holds (name, window);
CREATE TABLE IF NOT EXISTS lost (
    ticket INTEGER PRIMARY KEY, name TEXT, window INTEGER,
    calls INTEGER, tokens INTEGER, cost INTEGER);
"""
_CHARGE: Final = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?) ON CONFLICT (name, window) DO UPDATE SET
    calls = calls + excluded.calls, tokens = tokens + excluded.tokens, cost = cost + excluded.cost
"""
_SPENT: Final = "SELECT calls, tokens, cost FROM spent WHERE name = ? AND window = ?"
_HELD: Final = """
SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(tokens), 0), COALESCE(SUM(cost), 0),
    COALESCE(MIN(expires), 9e99) FROM holds WHERE name = ? AND window = ?
"""
_TAKES: Final = """
SELECT calls, tokens, cost FROM holds WHERE ticket = ?
UNION ALL SELECT calls, tokens, cost FROM lost WHERE ticket = ?
"""
_DROP: Final = "DELETE FROM holds WHERE ticket = ?"
_HOLD: Final = "INSERT INTO holds VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteStore:
    """A `QuotaStore` in a file, or in memory.

    Safe from any thread, and from several processes of one machine; not on a network file system.
    A reservation mostly takes a tenth or two of a millisecond. Windows are forgotten two days after
    their end, so that the file does not grow with the days.

    Attributes:
        path: The file; ":memory:" for none.
        timeout: Seconds that one call waits for other processes at the most.
    """

    def __init__(self, path: str | Path = _MEMORY, *, timeout: float = _TIMEOUT) -> None:
        """Open or make the file.

        Args:
            path: The file. In memory it is this process's alone, and gone with it.
            timeout: Seconds that one call waits for other processes at the most, an event loop
                with it. Then it fails: what is not reserved is not sent.

        Raises:
            UsageError: There is a file of something else, none can be made there, the path is
                none, or the timeout is no finite number above 0.
        """
        if not is_number(timeout) or not 0 < timeout < math.inf:
            raise UsageError("timeout", timeout, "give seconds, above 0")
        self.path = str(named_path(path))
        self.timeout = timeout
        self._lock = threading.RLock()
        self._process = 0
        self._opened: sqlite3.Connection | None = None
        try:
            self._connection()
        except sqlite3.Error as error:
            raise UsageError("path", self.path, f"it cannot be used: {error}") from None

    def __repr__(self) -> str:
        """The constructor."""
        path = [] if self.path == _MEMORY else [repr(self.path)]
        timeout = [] if self.timeout == _TIMEOUT else [f"timeout={self.timeout}"]
        return f"SqliteStore({', '.join(path + timeout)})"

    def __reduce__(self) -> tuple[Callable[..., SqliteStore], tuple[str]]:
        """Copy and pickle by the file."""
        return partial(SqliteStore, timeout=self.timeout), (self.path,)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._opened is not None and self._process == os.getpid():
                self._opened.close()
            self._opened = None

    def totals(self, name: str, window: int) -> tuple[Amounts, Amounts]:
        """What was spent, and what is held."""
        with self._told(), self._lock:
            connection = self._connection()
            spent, held, first = _read(connection, name, window)
            if first > time.time():
                return spent, held
        with self._writing() as connection:
            _expire(connection, name, window)
            spent, held, _ = _read(connection, name, window)
            return spent, held

    def hold(
        self,
        name: str,
        window: int,
        holds: Sequence[Hold],
        *,
        caps: Caps | None,
        instead: object,
        seconds: float,
    ) -> Sequence[object] | None:
        """Hold all that fits within the caps, or nothing."""
        with self._writing() as connection:
            spent, held, first = _read(connection, name, window)
            if first <= time.time():
                _expire(connection, name, window)
                spent, held, _ = _read(connection, name, window)
            given_up = _amounts_of(connection, instead)
            asked = [each.amounts for each in holds]
            total = Amounts(*map(sum, zip(spent, held, *asked, strict=True)))
            total = Amounts(*(a - b for a, b in zip(total, given_up, strict=True)))
            if caps is not None and not caps.allow(total):
                return None
            _free(connection, instead)
            if window and spent == (0, 0, 0):  # one that begins
                _sweep(connection)
            expires = time.time() + seconds
            return [
                connection.execute(
                    _HOLD, (name, window, expires, *each.amounts, *each.lost)
                ).lastrowid
                for each in holds
            ]

    def settle(self, name: str, window: int, ticket: object, spent: Amounts) -> None:
        """Charge a call, and free its hold."""
        with self._writing() as connection:
            _free(connection, ticket)
            connection.execute(_CHARGE, (name, window, *spent))

    def release(self, ticket: object) -> None:
        """Free a hold."""
        with self._writing() as connection:
            _free(connection, ticket)

    # ---- the file -------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that no other process writes beside."""
        with self._told(), self._lock:
            connection = self._connection()
            _patiently(lambda: connection.execute("BEGIN IMMEDIATE"), self.timeout)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"the quotas in {self.path} cannot be read or written: {error}"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None or self._process != os.getpid():  # of before a fork
            self._opened = _patiently(lambda: _open(self.path), self.timeout)
            self._process = os.getpid()
        return self._opened


def _open(path: str) -> sqlite3.Connection:
    if path != _MEMORY:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if kind != _APPLICATION and tables:
        connection.close()
        raise UsageError("path", path, "it is a database of something else: give another file")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if kind != _APPLICATION:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute("COMMIT")
    return connection


def _patiently(step: Callable[[], T], seconds: float) -> T:
    """Try until no other process is in the way: SQLite's own waiting sleeps for long."""
    ends, pause = time.monotonic() + seconds, _SHORTEST
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)


def _read(connection: sqlite3.Connection, name: str, window: int) -> tuple[Amounts, Amounts, float]:
    """Spent, held, and when the first hold runs out."""
    spent = connection.execute(_SPENT, (name, window)).fetchone()
    *held, first = connection.execute(_HELD, (name, window)).fetchone()
    return Amounts(*spent) if spent else Amounts(), Amounts(*held), first


def _expire(connection: sqlite3.Connection, name: str, window: int) -> None:
    """Charge the holds that nobody will settle any more."""
    expired = connection.execute(
        "DELETE FROM holds WHERE name = ? AND window = ? AND expires <= ? "
        "RETURNING ticket, lost_calls, lost_tokens, lost_cost",
        (name, window, time.time()),
    ).fetchall()
    for ticket, *lost in expired:
        connection.execute(_CHARGE, (name, window, *lost))
        connection.execute(
            "INSERT INTO lost VALUES (?, ?, ?, ?, ?, ?)", (ticket, name, window, *lost)
        )
    if expired:
        connection.execute(
            "DELETE FROM lost WHERE ticket IN "
            "(SELECT ticket FROM lost ORDER BY ticket DESC LIMIT -1 OFFSET ?)",
            (_KEPT_LOST,),
        )


def _free(connection: sqlite3.Connection, ticket: object) -> None:
    """Delete a hold, or give back what it was charged as lost: it has not been, after all."""
    if ticket is None or connection.execute(_DROP, (ticket,)).rowcount:
        return
    lost = connection.execute(
        "DELETE FROM lost WHERE ticket = ? RETURNING name, window, -calls, -tokens, -cost",
        (ticket,),
    ).fetchone()
    if lost is not None:
        connection.execute(_CHARGE, lost)


def _sweep(connection: sqlite3.Connection) -> None:
    """Forget windows that ended long ago, and what dead processes held in them."""
    ended = time.time() - _KEPT_SECONDS
    connection.execute(
        "DELETE FROM spent WHERE (name, window) IN (SELECT name, window FROM spent "
        "WHERE window > 0 AND window < ? LIMIT ?)",
        (ended, _SWEPT),
    )
    connection.execute(
        "DELETE FROM holds WHERE window > 0 AND window < ? AND ticket IN "
        "(SELECT ticket FROM holds ORDER BY ticket LIMIT ?)",
        (ended, _SWEPT),
    )


def _amounts_of(connection: sqlite3.Connection, ticket: object) -> Amounts:
    """What a ticket counts for, as held or as lost."""
    row = None if ticket is None else connection.execute(_TAKES, (ticket, ticket)).fetchone()
    return Amounts(*row) if row else Amounts()
