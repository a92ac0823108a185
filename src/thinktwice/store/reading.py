"""Opening a store to read from it."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.folders import address_to_read
from thinktwice.store import schema
from thinktwice.store.file import is_corrupt
from thinktwice.store.tree import TRILLION

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_MILLION: Final = 1_000_000
_CACHE: Final = (
    1 << 16
)  # KiB: sums over millions of spans go through the same pages again and again


@contextmanager
def opened(path: Path) -> Generator[sqlite3.Connection]:
    """A store to read from, as it stands when the block begins.

    Args:
        path: The file; processes may go on writing to it.

    Raises:
        UsageError: There is no such file, it is not ours, or it is corrupt.
    """
    try:
        schema.check(path, "store")
        if not path.exists() or not path.stat().st_size:
            remedy = "nothing is stored there: call thinktwice.observe() in your application"
            raise UsageError("store", str(path), remedy)
        connection = sqlite3.connect(address_to_read(path), uri=True, timeout=5)
    except (OSError, sqlite3.Error) as error:
        raise UsageError("store", str(path), f"it cannot be read ({error})") from None
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        connection.execute("BEGIN")
        yield connection
    except sqlite3.DatabaseError as error:
        remedy = f"it cannot be read ({error})"
        if is_corrupt(error):
            remedy += ": move it away, and a new one begins with the next run that is observed"
        raise UsageError("store", str(path), remedy) from None
    finally:
        connection.close()


def dollars_of(trillionths: int | None) -> Decimal:
    """USD."""
    return Decimal(trillionths or 0) / TRILLION


def time_of(stamp: int) -> datetime:
    """In the time zone of this machine."""
    return datetime.fromtimestamp(stamp / _MILLION, tz=UTC).astimezone()


def stamp_of(moment: datetime) -> int:
    """Microseconds since 1970, as times are stored."""
    return int(moment.timestamp() * _MILLION)
