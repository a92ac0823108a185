"""Opening a store to read from it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.store import schema
from thinktwice.store.tree import TRILLION

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_MILLION: Final = 1_000_000


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
        connection = sqlite3.connect(_address(path.resolve()), uri=True, timeout=5)
    except (OSError, sqlite3.Error) as error:
        raise UsageError("store", str(path), f"it cannot be read ({error})") from None
    try:
        connection.execute("BEGIN")
        yield connection
    except sqlite3.DatabaseError as error:
        raise UsageError("store", str(path), f"it cannot be read ({error})") from None
    finally:
        connection.close()


def _address(path: Path) -> str:
    """For SQLite, which even to read keeps files beside the store, where nobody writes to it."""
    log = path.with_name(f"{path.name}-wal")
    written = log.exists() and log.stat().st_size
    still = not written and not os.access(path.parent, os.W_OK)
    return f"{path.as_uri()}?{'immutable=1' if still else 'mode=ro'}"


def dollars_of(trillionths: int | None) -> Decimal:
    """USD."""
    return Decimal(trillionths or 0) / TRILLION


def time_of(microseconds: int) -> datetime:
    """In the time zone of this machine."""
    return datetime.fromtimestamp(microseconds / _MILLION, tz=UTC).astimezone()


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * _MILLION)
