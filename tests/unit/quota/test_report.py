"""What a file of quotas says to people."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from thinktwice import Budget, UsageError
from thinktwice.lease import Sums
from thinktwice.quota import Amounts, Caps, Hold, Quota, SqliteStore
from thinktwice.quota.report import read_uses

ONE = Hold(Amounts(1, 10, 10**12), Amounts(1, 5, 10**11))


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "quotas.db")


def held(store, name="q", window=0, caps=None, seconds=60.0):
    return store.hold(name, window, [ONE], caps=caps, instead=None, seconds=seconds)


def test_says_what_is_spent_and_held_of_what(store, tmp_path):
    """In the units of a ledger."""
    (first,) = held(store, caps=Caps(calls=9, cost=5 * 10**12))
    store.settle("q", 0, first, Amounts(1, 7, 10**12))
    held(store, caps=Caps(calls=9, cost=5 * 10**12))
    (use,) = read_uses(tmp_path / "quotas.db")
    assert (use.name, use.ends) == ("q", None)
    assert use.caps == {"calls": 9, "tokens": None, "cost": Decimal(5)}
    assert use.spent == Sums(1, 7, Decimal(1))
    assert use.held == Sums(1, 10, Decimal(1))


def test_caps_are_those_of_who_came_last(store, tmp_path):
    """Also where the first had others."""
    held(store, caps=Caps(calls=9))
    held(store, caps=Caps(tokens=90))
    held(store)  # a call that nobody could refuse
    (use,) = read_uses(tmp_path / "quotas.db")
    assert use.caps == {"calls": None, "tokens": 90, "cost": None}


def test_calls_whose_time_is_up_are_charged_and_nothing_is_written(store, tmp_path):
    """As the next one who counts there would find them."""
    held(store)
    held(store, seconds=-1.0)
    (use,) = read_uses(tmp_path / "quotas.db")
    (row,) = store._file._opened.execute("SELECT held_calls FROM quotas")
    assert row == (2,)
    assert use.spent == Sums(1, 5, Decimal("0.1"))
    assert use.held == Sums(1, 10, Decimal(1))
    spent, holding = store.totals("q", 0)
    assert (spent.sums(), holding.sums()) == (use.spent, use.held)


def test_those_of_now_come_first(store, tmp_path):
    """And of those the name decides."""
    now = int(time.time())
    for name, window in (("a", now - 60), ("c", now + 3600), ("b", 0)):
        held(store, name, window)
    found = read_uses(tmp_path / "quotas.db")
    assert [each.name for each in found] == ["b", "c", "a"]
    assert found[2].ends == datetime.fromtimestamp(now - 60, UTC)


def test_a_quota_is_found_by_its_name_and_period(store, tmp_path):
    """As it is counted."""
    quota = Quota("tenant", Budget(calls=5), per="day", store=store)
    held(store, quota.counted_as, quota.window())
    (use,) = read_uses(tmp_path / "quotas.db")
    assert use.name == "tenant per day"
    assert use.ends.timestamp() == quota.window()


def test_an_empty_file_has_none(tmp_path):
    """A store would take it for its own."""
    (tmp_path / "quotas.db").touch()
    assert read_uses(tmp_path / "quotas.db") == []


def test_what_is_no_file_of_quotas_is_named(tmp_path):
    """And none is made."""
    missing, other, text = tmp_path / "none.db", tmp_path / "other.db", tmp_path / "text"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE customers (name)")
    connection.close()
    text.write_text("no database" * 100)
    for path, said in (
        (missing, "no such file"),
        (tmp_path, "it is a folder"),
        (other, "something else"),
        (text, "cannot be read"),
    ):
        with pytest.raises(UsageError, match=said):
            read_uses(path)
    assert not missing.exists()
