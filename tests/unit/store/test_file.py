"""The file: its bound, and several writers."""

from __future__ import annotations

import sqlite3

import pytest

from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.rows import RequestRow, SpanRow, SpendRow
from thinktwice.store.tree import Spend

BOUND = 2**20
SPANS = 10


def request(number: int) -> RequestRow:
    return RequestRow(
        id=number, run=f"{number:016x}", trace=f"{number:032x}", strategy="Vote", started=number
    )


def span(number: int, of: int) -> SpanRow:
    return SpanRow(
        id=number,
        parent=of,
        request=of,
        kind="sample",
        name=None,
        model="m",
        status="ok",
        started=of,
        took=10**6,
        position=number,
        arrival=number,
        answer=0,
        score=None,
        calls=1,
        input=1000,
        output=100,
        cost=10**9,
    )


def batch(first: int, count: int = 100) -> Batch:
    numbers = range(first, first + count)
    return Batch(
        [],
        [span(at, number) for number in numbers for at in range(SPANS)],
        [SpendRow(number, "m", "sample", Spend(1, 1, 1, 1), 0) for number in numbers],
        [request(number) for number in numbers],
    )


def one(path, query: str) -> int:
    database = sqlite3.connect(path)
    (found,) = database.execute(query).fetchone()
    database.close()
    return found


def test_the_oldest_requests_go(tmp_path):
    """The file stays within its bound, whole requests go, and the newest stay."""
    path = tmp_path / "spans.db"
    file = StoreFile(path, BOUND)
    for first in range(0, 6000, 100):
        file.write(batch(first))
    file.close()
    assert path.stat().st_size <= BOUND
    kept = one(path, "SELECT count(*) FROM requests")
    assert 500 < kept < 3000
    assert one(path, "SELECT min(id) FROM requests") == 6000 - kept
    assert one(path, "SELECT count(*) FROM spans") == SPANS * kept
    assert one(path, "SELECT min(request) FROM spans") == 6000 - kept
    assert one(path, "SELECT count(*) FROM spend") == kept


def test_two_writers_at_once(tmp_path):
    """Each waits for the other, and names are told apart by both in the same way."""
    path = tmp_path / "spans.db"
    first, second = StoreFile(path, BOUND), StoreFile(path, BOUND)
    for at in range(0, 40, 2):
        first.write(batch(at, 1))
        second.write(batch(at + 1, 1))
    first.close()
    second.close()
    assert one(path, "SELECT count(*) FROM requests") == 40
    assert one(path, "SELECT count(DISTINCT strategy) FROM requests") == 1


def test_spend_adds_up_over_batches(tmp_path):
    """What a request spends reaches the file piece by piece."""
    path = tmp_path / "spans.db"
    file = StoreFile(path, BOUND)
    for _ in range(3):
        file.write(batch(7, 1))
    file.close()
    assert one(path, "SELECT cost FROM spend") == 3
    assert one(path, "SELECT count(*) FROM spend") == 1


def test_a_batch_that_fails_leaves_nothing(tmp_path):
    """The next one opens the file anew."""
    file = StoreFile(tmp_path / "spans.db", BOUND)
    file.write(batch(0, 1))
    bad = batch(1, 1)._replace(spans=[span(1, 1)._replace(started=None)])
    with pytest.raises(sqlite3.IntegrityError):
        file.write(bad)
    file.write(batch(2, 1))
    file.close()
    assert one(tmp_path / "spans.db", "SELECT count(*) FROM requests") == 2


def test_a_smaller_bound(tmp_path):
    """The oldest go, and the file gives its room back."""
    path = tmp_path / "spans.db"
    file = StoreFile(path, 20 * BOUND)
    for first in range(0, 4000, 100):
        file.write(batch(first))
    file.close()
    assert path.stat().st_size > 2 * BOUND
    file = StoreFile(path, BOUND)
    file.write(batch(4000, 1))
    file.close()
    assert path.stat().st_size <= BOUND
    assert one(path, "SELECT max(id) FROM requests") == 4000
    assert one(path, "PRAGMA integrity_check") == "ok"


def test_names_have_a_bound(tmp_path, monkeypatch):
    """Those of a rule with a clock in it, say, share one after so many."""
    monkeypatch.setattr("thinktwice.store.file._MOST_NAMES", 20)
    path = tmp_path / "spans.db"
    file = StoreFile(path, BOUND)
    for at in range(1, 40):
        named = request(at)._replace(stopped_by=f"After(seconds={at})", took=1)
        file.write(Batch([], [], [], [named]))
    file.close()
    assert one(path, "SELECT count(*) FROM names") == 21
    others = "SELECT count(*) FROM requests r JOIN names n ON n.id = r.stopped_by"
    assert one(path, others) == 39
    assert one(path, f"{others} WHERE n.text = '(others)'") == 20
