"""What plots of costs are drawn from."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.pictures import read_pictures
from thinktwice.store.rows import RequestRow, SpendRow
from thinktwice.store.tree import TRILLION, Spend


def store(path, *moments):
    """A request of a dollar at each of them."""
    rows = [
        RequestRow(
            id=at,
            run=f"{at:016x}",
            trace=f"{at:032x}",
            strategy="Vote",
            started=int(moment.timestamp() * 1e6),
        )
        for at, moment in enumerate(moments, 1)
    ]
    spend = [SpendRow(row.id, "m", "sample", Spend(1, 9, 9, TRILLION), 0) for row in rows]
    file = StoreFile(path, 2**20)
    file.write(Batch([], [], spend, rows))
    file.close()
    return path


@pytest.fixture
def in_zone(monkeypatch):
    """Has this machine in another time zone."""

    def change(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this platform has one time zone")
@pytest.mark.parametrize("month", [3, 10])
def test_when_the_clocks_change(tmp_path, in_zone, month):
    """A day of 23 or 25 hours has its bar, and what was spent on it is there."""
    in_zone("CET-1CEST,M3.5.0,M10.5.0/3")
    first = datetime(2026, month, 20, 22 if month == 3 else 21, 30, tzinfo=UTC)  # 23:30 there
    days = [first + timedelta(days=at, hours=2 * (at > 0)) for at in range(10)]
    found = read_pictures(store(tmp_path / "spans.db", *days))
    assert found.unit == "day"
    assert sum(sum(bar.parts.values()) for bar in found.over_time) == len(days)
    numbers = [int(bar.name[-2:]) for bar in found.over_time]
    assert numbers == list(range(20, numbers[-1] + 1))
