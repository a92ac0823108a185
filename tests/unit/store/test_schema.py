"""The tables of the store, and whether a file is one."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from thinktwice.errors import UsageError
from thinktwice.store import schema


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spans.db"


def made_elsewhere(path):
    """A store that another process has just made, and has begun no log for."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.executescript(schema.TABLES)
    other.execute("BEGIN IMMEDIATE")
    return other


class TestConnect:
    def test_a_new_file(self, path):
        """It has the tables, says whose it is, and folders above are made."""
        below = path.parent / "a" / "b" / path.name
        with closing(schema.connect(below, timeout=0)) as made:
            assert made.execute("SELECT count(*) FROM spans").fetchone() == (0,)
        schema.check(below)

    def test_another_process_begins_at_the_same_time(self, path):
        """It is waited for, or each start of several workers would warn of a locked file."""
        with closing(made_elsewhere(path)) as other:
            done = threading.Timer(0.05, other.execute, ("COMMIT",))
            done.start()
            with closing(schema.connect(path, timeout=5)) as made:
                assert made.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            done.join()

    def test_it_waits_no_longer_than_that(self, path):
        """Where the other one does not let go."""
        with (
            closing(made_elsewhere(path)),
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            schema.connect(path, timeout=0.05)


class TestCheck:
    def test_what_is_not_there_is_fine(self, path):
        """And so is a file with nothing in it."""
        schema.check(path)
        path.touch()
        schema.check(path)

    def test_damage_behind_the_header_passes(self, path):
        """It is ours, and is set aside once it is written to."""
        schema.connect(path, timeout=0).close()
        path.write_bytes(path.read_bytes()[:100] + bytes(4000))
        schema.check(path)

    @pytest.mark.parametrize("size", [1, 50, 71])
    def test_half_a_header(self, path, size):
        """It may be anybody's."""
        schema.connect(path, timeout=0).close()
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(UsageError, match=r"store=.* no store of thinktwice"):
            schema.check(path, "store")
