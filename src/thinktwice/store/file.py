"""The SQLite file: batches in, oldest requests out."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from thinktwice.errors import UsageError
from thinktwice.store import schema
from thinktwice.store.rows import RequestRow, SpanRow, SpendRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TIMEOUT: Final = 5.0
_ROOM: Final = 0.9  # of the bound is left when the oldest have gone
_WORTHWHILE: Final = 0.75  # a file that is fuller is not written anew
_AT_ONCE: Final = 100  # requests that go in one statement
_SPAN: Final = 200  # bytes of a span, with its share of a request; more than most take
_MOST_NAMES: Final = 1 << 15  # they never go; and strategies, models and errors are few
_OTHERS: Final = "(others)"

_IN_THE_BATCH: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
_UNKNOWN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY: Final = 0xFF


class Batch(NamedTuple):
    """What to write in one transaction."""

    begun: Sequence[RequestRow]
    spans: Sequence[SpanRow]
    spend: Sequence[SpendRow]
    ended: Sequence[RequestRow]


class StoreFile:
    """One store, open for writing; opened at the first batch, and again after an error.

    Not thread-safe: one writer at a time. Several processes may have it open.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open nothing yet.

        Args:
            path: The file.
            max_bytes: Its size at the most, beside the log that SQLite keeps for a while.
        """
        self.path = path
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._opened_number: int | None = None
        self._names: dict[str, int] = {}

    def write(self, batch: Batch) -> None:
        """Write a batch, whole or not at all.

        Raises:
            sqlite3.Error: It could not be written; the next try opens the file anew.
            OSError: Its folder cannot be made.
            UsageError: It is somebody else's.
        """
        connection = self._opened()
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._make_room(connection, _SPAN * len(batch.spans))
            self._insert(connection, batch)
            connection.execute("COMMIT")
        except BaseException:
            self.close()
            raise
        self._shrink(connection)

    def _opened(self) -> sqlite3.Connection:
        """The connection to the file that has this name now: another process may replace it."""
        if self._connection is not None and self._number() != self._opened_number:
            self.close()
        if self._connection is None:
            schema.check(self.path)
            self._connection = schema.connect(self.path, timeout=_TIMEOUT)
            self._opened_number = self._number()
        return self._connection

    def _number(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def close(self) -> None:
        """Close the file; what was begun is undone."""
        connection, self._connection = self._connection, None
        self._names.clear()
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def forget(self) -> sqlite3.Connection | None:
        """Give the connection up unclosed: after a fork it is the parent's."""
        connection, self._connection = self._connection, None
        self._names.clear()
        return connection

    def set_aside(self) -> Path | None:
        """Move a corrupt file away; None if another process has done it meanwhile.

        Raises:
            OSError: It cannot be moved.
            UsageError: It is somebody else's.
        """
        self.close()
        schema.check(self.path)
        with suppress(sqlite3.Error):
            connection = schema.connect(self.path, timeout=_TIMEOUT)
            try:
                if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                    return None
            finally:
                connection.close()
        aside = self.path.with_name(f"{self.path.name}.corrupt-{time.time_ns()}")
        self.path.replace(aside)
        for log in ("-wal", "-shm"):
            self.path.with_name(self.path.name + log).unlink(missing_ok=True)
        return aside

    def _insert(self, on: sqlite3.Connection, batch: Batch) -> None:
        begun = [self._request(on, row) for row in batch.begun]
        on.executemany(_insert("requests", RequestRow._fields, "OR IGNORE"), begun)
        spans = [self._span(on, row) for row in batch.spans]
        on.executemany(_insert("spans", SpanRow._fields), spans)
        on.executemany(_ADD, (self._spend(on, row) for row in batch.spend))
        ended = [self._request(on, row) for row in batch.ended]
        on.executemany(_insert("requests", RequestRow._fields, "OR REPLACE"), ended)

    def _request(self, on: sqlite3.Connection, row: RequestRow) -> tuple[object, ...]:
        name = self._name
        return row._replace(
            strategy=name(on, row.strategy),  # type: ignore[arg-type] - as the table has it
            stopped_by=name(on, row.stopped_by),  # type: ignore[arg-type]
            error=name(on, row.error),  # type: ignore[arg-type]
            selection=name(on, row.selection),  # type: ignore[arg-type]
        )

    def _span(self, on: sqlite3.Connection, row: SpanRow) -> tuple[object, ...]:
        name = self._name
        return (
            *row[:3],
            *(name(on, text) for text in (row.kind, row.name, row.model, row.status)),
            *row[7:],
        )

    def _spend(self, on: sqlite3.Connection, row: SpendRow) -> tuple[object, ...]:
        model = self._name(on, row.model) or 0
        return (row.request, model, self._name(on, row.role), *row.spend, row.estimated)

    def _name(self, on: sqlite3.Connection, text: str | None) -> int | None:
        """The number of a short text."""
        if text is None:
            return None
        if (known := self._names.get(text)) is not None:
            return known
        find = "SELECT id FROM names WHERE text = ?"
        if on.execute(find, (text,)).fetchone() is None:
            (count,) = on.execute("SELECT max(id) FROM names").fetchone()
            if (count or 0) >= _MOST_NAMES and text != _OTHERS:
                return self._name(on, _OTHERS)
            on.execute("INSERT INTO names (text) VALUES (?)", (text,))
        (number,) = on.execute(find, (text,)).fetchone()
        self._names[text] = number
        return number

    def _make_room(self, on: sqlite3.Connection, need: int) -> None:
        """Let the oldest requests go while so many bytes more do not fit."""
        (size,) = on.execute("PRAGMA page_size").fetchone()
        most = (self._max_bytes - need) // size
        if _pages(on) <= most:
            return
        goal = int(most * _ROOM)
        ids = [row[0] for row in on.execute("SELECT id FROM requests ORDER BY started")]
        oldest = iter(ids)
        while _pages(on) > goal and (some := list(islice(oldest, _AT_ONCE))):
            _delete(on, some)

    def _shrink(self, on: sqlite3.Connection) -> None:
        """Make the file smaller, where it was allowed to be much larger before."""
        (size,) = on.execute("PRAGMA page_size").fetchone()
        (count,) = on.execute("PRAGMA page_count").fetchone()
        if count * size > self._max_bytes and _pages(on) < _WORTHWHILE * count:
            with suppress(sqlite3.Error):  # the batch is written; the next one tries again
                on.execute("VACUUM")


def is_corrupt(error: BaseException) -> bool:
    """Whether the file itself is broken, and not just out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in _UNKNOWN


def may_pass(error: Exception) -> bool:
    """Whether the batch may be written later: the fault is not in what it holds."""
    ours = isinstance(error, sqlite3.Error | OSError | UsageError)
    return ours and not isinstance(error, _IN_THE_BATCH)


def _pages(on: sqlite3.Connection) -> int:
    """Pages in use."""
    (count,) = on.execute("PRAGMA page_count").fetchone()
    (free,) = on.execute("PRAGMA freelist_count").fetchone()
    return count - free


def _delete(on: sqlite3.Connection, requests: Sequence[int]) -> None:
    marks = ",".join("?" * len(requests))
    for table, column in (("spans", "request"), ("spend", "request"), ("requests", "id")):
        on.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", requests)  # noqa: S608


def _insert(table: str, columns: Sequence[str], otherwise: str = "") -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT {otherwise} INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


_ADD: Final = """
INSERT INTO spend (request, model, role, calls, input, output, cost, unpriced, estimated)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request, model, role) DO UPDATE SET
  calls = calls + excluded.calls, input = input + excluded.input,
  output = output + excluded.output, cost = cost + excluded.cost,
  unpriced = unpriced + excluded.unpriced, estimated = estimated + excluded.estimated
"""
