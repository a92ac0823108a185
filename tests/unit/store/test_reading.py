"""Opening a store to read from it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.errors import UsageError
from thinktwice.store import schema
from thinktwice.store.reading import opened, stamp_of, time_of

INSERT = "INSERT INTO names (text) VALUES (?)"
COUNT = "SELECT count(*) FROM names"


@pytest.fixture
def path(tmp_path):
    """A store without a row."""
    schema.connect(tmp_path / "spans.db", timeout=0).close()
    return tmp_path / "spans.db"


def test_as_it_stood_when_it_was_opened(path):
    """What is written meanwhile neither waits nor shows: sums belong to one moment."""
    with closing(schema.connect(path, timeout=0)) as writer, opened(path) as db:
        assert db.execute(COUNT).fetchone() == (0,)
        writer.execute(INSERT, ("m",))
        assert db.execute(COUNT).fetchone() == (0,)
    with opened(path) as db:
        assert db.execute(COUNT).fetchone() == (1,)


def test_nothing_can_be_written(path):
    """A reader cannot harm a store."""
    with pytest.raises(UsageError, match="readonly"), opened(path) as db:
        db.execute(INSERT, ("m",))


@pytest.mark.parametrize("content", [None, b""])
def test_nothing_is_there(tmp_path, content):
    """It says how to get something, and makes no file."""
    path = tmp_path / "spans.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="nothing is stored there: call"), opened(path):
        pass
    assert path.exists() == (content is not None)


def test_damage(path):
    """It is said, and the store is named."""
    path.write_bytes(path.read_bytes()[:100] + b"x" * 4000)
    with pytest.raises(UsageError, match=r"store=.*spans.db.*cannot be read"), opened(path) as db:
        db.execute(COUNT)


def test_a_writer_that_does_not_let_go(path):
    """In a log, readers do not wait for it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(INSERT, ("m",))
        with opened(path) as db:
            assert db.execute(COUNT).fetchone() == (0,)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone comes next
    st.integers(-12, 14),
)
def test_times_are_kept(moment, offset):
    """In whatever zone they are given."""
    given_there = moment.replace(tzinfo=timezone(timedelta(hours=offset)))
    back = time_of(stamp_of(given_there))
    assert abs(back - given_there) <= timedelta(microseconds=2)
    assert stamp_of(datetime(1970, 1, 1, tzinfo=UTC)) == 0
