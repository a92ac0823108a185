"""Quotas in a file of SQLite, for several processes of one machine; or in memory, for one."""

from __future__ import annotations

import math
import secrets
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from thinktwice.errors import UsageError, is_number
from thinktwice.folders import named_path
from thinktwice.quota.file import MEMORY, QuotaFile
from thinktwice.quota.store import Amounts, Caps, Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_TIMEOUT: Final = 2.0
_KEPT_SECONDS: Final = 2 * 86_400.0  # after a window, or the time of a call, has ended
_SWEPT: Final = 10  # windows at the most that one call cleans away, so that it stays fast
_NEVER: Final = 9e99
_NOTHING: Final = Amounts()

_READ: Final = """
SELECT calls, tokens, cost, held_calls, held_tokens, held_cost, first,
    cap_calls, cap_tokens, cap_cost FROM quotas WHERE name = ? AND window = ?
"""
_ADD: Final = """
INSERT INTO quotas VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)
ON CONFLICT (name, window) DO UPDATE SET
    calls = calls + excluded.calls, tokens = tokens + excluded.tokens, cost = cost + excluded.cost,
    held_calls = held_calls + excluded.held_calls, first = MIN(first, excluded.first),
    held_tokens = held_tokens + excluded.held_tokens, held_cost = held_cost + excluded.held_cost
"""
_CAP: Final = """
UPDATE quotas SET cap_calls = ?, cap_tokens = ?, cap_cost = ? WHERE name = ? AND window = ?
"""
_HOLD: Final = "INSERT INTO holds VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)"
_FREE: Final = "DELETE FROM holds WHERE name = ? AND window = ? AND ticket = ? AND lost = ?"
_FORGET: Final = "DELETE FROM holds WHERE name = ? AND window = ? AND lost AND expires < ?"
_LOSE: Final = """
UPDATE holds SET lost = 1 WHERE name = ? AND window = ? AND NOT lost AND expires <= ?
RETURNING calls, tokens, cost, lost_calls, lost_tokens, lost_cost
"""
_NEXT: Final = """
UPDATE quotas SET first = (SELECT COALESCE(MIN(expires), ?3) FROM holds
    WHERE name = ?1 AND window = ?2 AND NOT lost) WHERE name = ?1 AND window = ?2
"""
_ENDED: Final = """
(SELECT name, window FROM quotas WHERE window > 0 AND window < ? ORDER BY window LIMIT ?)
"""


class _Ticket(NamedTuple):
    """The number is random: it must not be another's where the file was begun anew."""

    name: str
    window: int
    number: int
    hold: Hold


class _Books(NamedTuple):
    """A quota as it stands."""

    spent: Amounts
    held: Amounts
    first: float
    caps: Caps


_NONE_YET: Final = _Books(_NOTHING, _NOTHING, _NEVER, Caps())


class SqliteStore:
    """A `QuotaStore` in a file, or in memory.

    Safe from any thread, and from several processes of one machine, forked ones as well; not on a
    network file system. A reservation mostly takes a tenth or two of a millisecond. Windows are
    forgotten two days after their end, so that the file does not grow with the days.
    """

    def __init__(self, path: str | Path = MEMORY, *, timeout: float = _TIMEOUT) -> None:
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
        named = named_path(path)
        try:
            self._file = QuotaFile(named, timeout)
        except (sqlite3.Error, OSError) as error:
            raise UsageError("path", str(named), f"it cannot be used: {error}") from None

    @property
    def path(self) -> str:
        """The file; ":memory:" for none."""
        return self._file.path

    @property
    def timeout(self) -> float:
        """Seconds that one call waits for other processes at the most."""
        return self._file.timeout

    def __repr__(self) -> str:
        """The constructor."""
        path = [] if self.path == MEMORY else [repr(self.path)]
        timeout = [] if self.timeout == _TIMEOUT else [f"timeout={self.timeout}"]
        return f"SqliteStore({', '.join(path + timeout)})"

    def __copy__(self) -> SqliteStore:
        """Itself: a copy would count alone where it counts in memory."""
        return self

    def __deepcopy__(self, memo: object) -> SqliteStore:
        """Itself."""
        return self

    def __reduce__(self) -> str | tuple[Callable[..., SqliteStore], tuple[str]]:
        """Pickle by the file; the default one of a process is that of the other as well."""
        if self is HERE:
            return "HERE"
        return partial(SqliteStore, timeout=self.timeout), (self.path,)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._file.close()

    def totals(self, name: str, window: int) -> tuple[Amounts, Amounts]:
        """What was spent, and what is held."""
        books = _books(self._file.row(_READ, name, window))
        if books.first <= time.time():
            with self._file.writing() as connection:
                books = _current(connection, name, window)
        return books.spent, books.held

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
        with self._file.writing() as connection:
            books = _current(connection, name, window)
            back, taken = _free(connection, instead)
            for each in holds:
                taken = taken.plus(each.amounts)
            total = books.spent.plus(books.held).plus(back).plus(taken)
            if caps is not None and not caps.allow(total):
                connection.execute("ROLLBACK")
                return None
            expires = time.time() + seconds
            tickets = [_Ticket(name, window, secrets.randbits(63), each) for each in holds]
            for _, _, number, each in tickets:
                row = (name, window, number, expires, *each.amounts, *each.lost)
                connection.execute(_HOLD, row)
            connection.execute(_ADD, (name, window, *back, *taken, expires))
            if caps is not None and caps != books.caps:
                connection.execute(_CAP, (*caps, name, window))
            if window and books is _NONE_YET:
                _sweep(connection)
            return tickets

    def settle(self, name: str, window: int, ticket: object, spent: Amounts) -> None:
        """Charge a call, and free its hold."""
        with self._file.writing() as connection:
            back, freed = _free(connection, ticket)
            charged = back.plus(Amounts(*spent))
            connection.execute(_ADD, (name, window, *charged, *freed, _NEVER))

    def release(self, ticket: object) -> None:
        """Free a hold."""
        if ticket is not None:
            name, window, *_ = cast("_Ticket", ticket)
            self.settle(name, window, ticket, _NOTHING)


HERE: Final = SqliteStore()
"""Where quotas are counted that name no store."""


def _books(row: tuple[object, ...] | None) -> _Books:
    if row is None:
        return _NONE_YET
    numbers = cast("Sequence[int]", row)
    return _Books(Amounts(*numbers[:3]), Amounts(*numbers[3:6]), numbers[6], Caps(*numbers[7:]))


def _current(connection: sqlite3.Connection, name: str, window: int) -> _Books:
    """As it stands, once the holds are charged that nobody will settle any more."""
    books, now = _books(connection.execute(_READ, (name, window)).fetchone()), time.time()
    if books.first > now:
        return books
    connection.execute(_FORGET, (name, window, now - _KEPT_SECONDS))
    for row in connection.execute(_LOSE, (name, window, now)).fetchall():
        freed = _NOTHING.plus(Amounts(*row[:3]), -1)
        connection.execute(_ADD, (name, window, *row[3:], *freed, _NEVER))
    connection.execute(_NEXT, (name, window, _NEVER))
    return _books(connection.execute(_READ, (name, window)).fetchone())


def _free(connection: sqlite3.Connection, ticket: object) -> tuple[Amounts, Amounts]:
    """Delete a hold; what is to be added to what was spent, and to what is held."""
    if ticket is not None:
        *quota, number, hold = cast("_Ticket", ticket)
        if connection.execute(_FREE, (*quota, number, 0)).rowcount:
            return _NOTHING, _NOTHING.plus(hold.amounts, -1)
        if connection.execute(_FREE, (*quota, number, 1)).rowcount:  # it ends after all
            return _NOTHING.plus(hold.lost, -1), _NOTHING
    return _NOTHING, _NOTHING


def _sweep(connection: sqlite3.Connection) -> None:
    """Forget windows that ended long ago, and what was held in them."""
    for table in ("holds", "quotas"):
        connection.execute(
            f"DELETE FROM {table} WHERE (name, window) IN {_ENDED}",  # noqa: S608 - no input
            (time.time() - _KEPT_SECONDS, _SWEPT),
        )
