"""The tables of the store, and whether a file is one."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION: Final = 0x74776963
"""In the header of our files: "twic"."""
VERSION: Final = 2

# Times are microseconds since 1970, durations microseconds, costs trillionths of a USD. `name`,
# `model`, `status` and their like are numbers in `names`. A request is an outermost run; what of it
# went to which model in which role is added up in `spend` while it runs, so that totals over
# millions of spans read a row or two of each request.
TABLES: Final = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY, run TEXT NOT NULL, trace TEXT NOT NULL, strategy INTEGER NOT NULL,
  started INTEGER NOT NULL, took INTEGER, requested INTEGER, launched INTEGER, used INTEGER,
  failed INTEGER, stopped_by INTEGER, cut INTEGER, exhaustive INTEGER, agreement REAL,
  calls INTEGER, input INTEGER, output INTEGER, cost INTEGER, unpriced INTEGER,
  sampled INTEGER, wasted INTEGER, error INTEGER, explored INTEGER, selection INTEGER
);
CREATE INDEX IF NOT EXISTS requests_by_time ON requests (started);
CREATE TABLE IF NOT EXISTS spend (
  request INTEGER NOT NULL, model INTEGER NOT NULL, role INTEGER NOT NULL,
  calls INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cost INTEGER NOT NULL,
  unpriced INTEGER NOT NULL, estimated INTEGER NOT NULL,
  PRIMARY KEY (request, model, role)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spans (
  id INTEGER NOT NULL, parent INTEGER, request INTEGER NOT NULL, kind INTEGER NOT NULL,
  name INTEGER, model INTEGER, status INTEGER, started INTEGER NOT NULL, took INTEGER NOT NULL,
  position INTEGER, arrival INTEGER, answer INTEGER, score REAL,
  calls INTEGER, input INTEGER, output INTEGER, cost INTEGER,
  queued INTEGER, weight REAL, length INTEGER
);
CREATE INDEX IF NOT EXISTS spans_by_request ON spans (request);
"""

# What a file of version 1 lacks; its rows stay as they are.
_ADDED: Final = f"""
ALTER TABLE requests ADD COLUMN explored INTEGER;
ALTER TABLE requests ADD COLUMN selection INTEGER;
ALTER TABLE spans ADD COLUMN queued INTEGER;
ALTER TABLE spans ADD COLUMN weight REAL;
ALTER TABLE spans ADD COLUMN length INTEGER;
PRAGMA user_version = {VERSION};
"""

# A loss of power may take the last moments, and corrupts nothing.
_SETTINGS: Final = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304;
"""

_PAUSE: Final = 0.01  # seconds
_HEADER: Final = b"SQLite format 3\0"
_ID_AT: Final = slice(68, 72)
_VERSION_AT: Final = slice(60, 64)


def check(path: Path, parameter: str = "path") -> None:
    """Refuse a file of somebody else's; one that does not exist is fine, and so is an empty one.

    Only the header is read, so that a file of ours with damage elsewhere passes.

    Args:
        path: The file.
        parameter: What errors call it.

    Raises:
        UsageError: It is a folder, no store, or one of a newer version.
        OSError: It cannot be read.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise UsageError(parameter, str(path), "this is a folder: name a file in it")
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return
    number = int.from_bytes(header[_ID_AT], "big")
    if not header.startswith(_HEADER) or number != APPLICATION:
        remedy = "this file is no store of thinktwice: name another, or move it away"
        raise UsageError(parameter, str(path), remedy)
    if int.from_bytes(header[_VERSION_AT], "big") > VERSION:
        remedy = "a newer thinktwice wrote it: upgrade, or name another"
        raise UsageError(parameter, str(path), remedy)


def connect(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open a store to write to it, and make its tables if they are missing.

    Args:
        path: The file.
        timeout: Seconds to wait where another process writes.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        # Before there is a log, so that the header of the file itself says whose it is.
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'spans'").fetchone():
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT;")
        elif _version(connection) < VERSION:
            _bring_up(connection)
        _set_up(connection, timeout)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, timeout: float) -> None:
    """As `_SETTINGS` says; to begin a log SQLite itself waits for no other process."""
    until = time.monotonic() + timeout
    while True:
        try:
            connection.executescript(_SETTINGS)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version


def _bring_up(connection: sqlite3.Connection) -> None:
    """Add what an older file lacks, unless another process has done so meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _ADDED.split(";") if _version(connection) < VERSION else ():
        connection.execute(statement)
    connection.execute("COMMIT")
