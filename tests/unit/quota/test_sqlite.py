"""Quotas in a file."""

from __future__ import annotations

import copy
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import RunError, UsageError
from thinktwice.quota import Amounts, Caps, Hold, SqliteStore, check_quota_store
from thinktwice.quota.sqlite import HERE

DAY = 86_400
ONE = Hold(Amounts(1, 10, 100), Amounts(1, 5, 50))


def held(store, *holds, caps=None, instead=None, seconds=60.0):
    return store.hold("q", 0, holds or [ONE], caps=caps, instead=instead, seconds=seconds)


class TestHolds:
    def test_count_against_the_caps_until_they_are_released(self):
        """All or none."""
        store, caps = SqliteStore(), Caps(calls=2)
        (first,) = held(store, caps=caps)
        assert held(store, ONE, ONE, caps=caps) is None
        assert held(store, caps=caps)
        assert held(store, caps=caps) is None
        store.release(first)
        assert held(store, caps=caps)

    def test_give_way_to_what_takes_their_place(self):
        """In one step, so that nobody comes between."""
        store, caps = SqliteStore(), Caps(calls=1)
        (first,) = held(store, caps=caps)
        (second,) = held(store, caps=caps, instead=first)
        assert store.totals("q", 0) == (Amounts(), ONE.amounts)
        store.settle("q", 0, second, Amounts(1, 7, 70))
        assert store.totals("q", 0) == (Amounts(1, 7, 70), Amounts())

    def test_without_caps_are_held_whatever_there_is(self):
        """For calls that are on their way already."""
        store = SqliteStore()
        assert held(store, caps=Caps(calls=1))
        assert held(store, caps=None)

    def test_whose_time_is_up_are_charged_what_is_known(self):
        """Their process has gone; what it had held without knowing is free again."""
        store = SqliteStore()
        held(store, seconds=-1.0)
        assert store.totals("q", 0) == (ONE.lost, Amounts())

    def test_that_end_after_all_are_charged_what_they_took(self):
        """And once."""
        store = SqliteStore()
        (late,) = held(store, seconds=-1.0)
        assert store.totals("q", 0)[0] == ONE.lost
        store.settle("q", 0, late, Amounts(1, 7, 70))
        assert store.totals("q", 0) == (Amounts(1, 7, 70), Amounts())

    @given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["settle", "release", "keep"]))))
    def test_never_exceed_a_cap(self, steps):
        """Whatever becomes of them, if no call takes more than it held."""
        store, caps, open_ = SqliteStore(), Caps(tokens=20), []
        for tokens, end in steps:
            amounts = Amounts(1, tokens, 0)
            got = held(store, Hold(amounts, amounts), caps=caps)
            if got is not None and end == "settle":
                store.settle("q", 0, got[0], Amounts(1, tokens // 2, 0))
            elif got is not None and end == "release":
                store.release(got[0])
            elif got is not None:
                open_.append(tokens)
            spent, holding = store.totals("q", 0)
            assert spent.tokens + holding.tokens <= 20
            assert holding.tokens == sum(open_)


class TestContract:
    def test_in_memory(self):
        """All that quotas rely on."""
        store = SqliteStore()
        check_quota_store(lambda: store)

    def test_in_a_file(self, tmp_path):
        """Opened several times, as by several processes."""
        check_quota_store(lambda: SqliteStore(tmp_path / "quotas.db"))


class TestGrowth:
    def test_windows_are_forgotten_two_days_after_their_end(self):
        """And what dead processes held in them; one without an end is kept."""
        store, now = SqliteStore(), int(time.time())
        for window in (now - 3 * DAY, now - DAY, 0):
            store.settle("q", window, None, Amounts(1, 0, 0))
            store.hold("q", window, [ONE], caps=None, instead=None, seconds=DAY)
        store.hold("new", now + DAY, [ONE], caps=None, instead=None, seconds=DAY)
        assert store.totals("q", now - 3 * DAY) == (Amounts(), Amounts())
        assert store.totals("q", now - DAY) == (Amounts(1, 0, 0), ONE.amounts)
        assert store.totals("q", 0) == (Amounts(1, 0, 0), ONE.amounts)

    def test_many_users_do_not_make_a_file_grow_with_the_days(self, tmp_path):
        """Each new window cleans some old ones away."""
        path, now = tmp_path / "quotas.db", int(time.time())
        store = SqliteStore(path)

        def day(window):
            for user in range(300):
                store.hold(f"u{user}", window, [], caps=None, instead=None, seconds=1)
                store.settle(f"u{user}", window, None, Amounts(1, 0, 0))

        for window in (now - 9 * DAY, now - 8 * DAY, now - 7 * DAY):
            day(window)
        day(now + DAY)
        (rows,) = store._file._opened.execute("SELECT COUNT(*) FROM quotas").fetchone()
        assert rows == 300

    @pytest.mark.parametrize(("days", "charged"), [(1, 0), (3, 1)])
    def test_calls_that_were_lost_are_remembered_for_two_days(self, monkeypatch, days, charged):
        """They may still end; later nobody waits for them."""
        store, real = SqliteStore(), time.time
        (lost,) = held(store)
        monkeypatch.setattr(time, "time", lambda: real() + 120)
        assert store.totals("q", 0)[0] == ONE.lost
        monkeypatch.setattr(time, "time", lambda: real() + days * DAY + 240)
        (other,) = held(store, seconds=-1.0)
        store.totals("q", 0)
        store.release(other)
        store.release(lost)
        assert store.totals("q", 0)[0].calls == charged


class TestFaults:
    def test_a_full_disk_refuses_and_recovers(self, tmp_path):
        """The transaction is gone, the connection is not."""
        store = SqliteStore(tmp_path / "quotas.db")
        held(store)
        before = store.totals("q", 0)
        store._file._opened.execute("PRAGMA max_page_count = 1")  # of no more than it has
        with pytest.raises(RunError, match="full"):
            store.hold("x" * 100_000, 0, [ONE], caps=None, instead=None, seconds=60)
        store._file._opened.execute("PRAGMA max_page_count = 100000")
        assert store.totals("q", 0) == before
        assert held(store)

    def test_a_process_that_keeps_the_file_is_waited_for_no_longer_than_said(self, tmp_path):
        """An event loop waits with it: so the call is refused."""
        path = tmp_path / "quotas.db"
        store = SqliteStore(path, timeout=0.05)
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with pytest.raises(RunError, match="locked"):
                held(store)
            assert time.monotonic() - started < 1
            assert store.totals("q", 0) == (Amounts(), Amounts())  # reading goes on
            other.execute("ROLLBACK")
        assert held(store)
        other.close()

    @pytest.mark.parametrize("timeout", [0, -1, "5", None, float("nan"), float("inf")])
    def test_a_timeout_is_a_time(self, timeout):
        """Checked at once."""
        with pytest.raises(UsageError, match="timeout"):
            SqliteStore(timeout=timeout)

    @pytest.mark.parametrize("path", ["", " ", 5, b"quotas.db", None, "a\0b"])
    def test_a_path_is_one(self, path):
        """SQLite takes none for a file of its own, in which nobody else counts."""
        with pytest.raises(UsageError, match="path"):
            SqliteStore(path)

    def test_a_file_that_is_damaged_is_an_error_of_the_run(self, tmp_path):
        """Not a crash, and not a guess."""
        path = tmp_path / "quotas.db"
        store = SqliteStore(path)
        held(store)
        store.close()
        content = bytearray(path.read_bytes())
        content[1024:] = b"\xff" * (len(content) - 1024)
        path.write_bytes(content)
        with pytest.raises((RunError, UsageError), match=r"quotas\.db"):
            held(SqliteStore(path))

    def test_a_clock_that_jumps_ahead_charges_and_gives_back(self, monkeypatch):
        """A call that was taken for lost is charged what it took in the end."""
        store, real = SqliteStore(), time.time
        (ticket,) = held(store, seconds=900.0)
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        assert store.totals("q", 0) == (ONE.lost, Amounts())
        monkeypatch.setattr(time, "time", real)
        store.settle("q", 0, ticket, Amounts(1, 7, 70))
        assert store.totals("q", 0) == (Amounts(1, 7, 70), Amounts())

    def test_killed_processes_never_let_others_exceed_a_cap(self, tmp_path):
        """What they held is charged when its time is up, and is held until then."""
        path = tmp_path / "quotas.db"
        store = SqliteStore(path)
        code = textwrap.dedent(f"""
            from thinktwice.quota import Amounts, Caps, Hold, SqliteStore
            store = SqliteStore({str(path)!r})
            one = Hold(Amounts(1, 10, 0), Amounts(1, 10, 0))
            print("begun", flush=True)
            while True:
                got = store.hold("q", 0, [one], caps=Caps(calls=400), instead=None, seconds=0.5)
                if got and len(str(got[0])) % 2:
                    store.settle("q", 0, got[0], Amounts(1, 5, 0))
        """)
        command = [sys.executable, "-c", code]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]  # noqa: S603 - our own
        for each in running:
            each.stdout.readline()
        for each in running:
            each.kill()
            each.communicate()
            assert sum(part.calls for part in store.totals("q", 0)) <= 400
        calls = sum(part.calls for part in store.totals("q", 0))
        free = Hold(Amounts(1, 0, 0), Amounts(1, 0, 0))
        allowed = 0
        while store.hold("q", 0, [free], caps=Caps(calls=400), instead=None, seconds=60):
            allowed += 1
        assert calls + allowed == 400


class TestCopies:
    def test_count_in_the_same_memory(self):
        """A configuration that is copied with its quotas must not count them twice."""
        store = SqliteStore()
        assert copy.copy(store) is store
        assert copy.deepcopy([store])[0] is store

    def test_of_the_default_one_are_it_in_any_process(self):
        """Quotas that name no store count together, wherever they come from."""
        assert pickle.loads(pickle.dumps(HERE)) is HERE  # noqa: S301 - our own


class TestFile:
    def test_outlives_the_process(self, tmp_path):
        """It is on the disk."""
        path = tmp_path / "deep" / "quotas.db"
        store = SqliteStore(path)
        store.settle("q", 0, None, Amounts(1, 2, 3))
        store.close()
        assert SqliteStore(path).totals("q", 0)[0] == (1, 2, 3)
        assert repr(store) == f"SqliteStore({str(path)!r})"
        slow = pickle.loads(pickle.dumps(SqliteStore(path, timeout=9)))  # noqa: S301 - our own
        assert repr(slow) == f"SqliteStore({str(path)!r}, timeout=9)"

    def test_of_something_else_is_refused(self, tmp_path):
        """And left as it is."""
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE customers (name)")
        other.close()
        with pytest.raises(UsageError, match="something else"):
            SqliteStore(path)
        path.write_bytes(b"no database at all, but long enough to look like one" * 50)
        with pytest.raises(UsageError, match="path"):
            SqliteStore(path)

    def test_that_breaks_is_an_error_of_the_run(self, tmp_path):
        """With the file's name."""
        store = SqliteStore(tmp_path / "quotas.db")
        store._file._opened.execute("DROP TABLE quotas")
        with pytest.raises(RunError, match=r"quotas\.db"):
            store.totals("q", 0)

    def test_is_shared_by_threads(self, tmp_path):
        """No hold is lost or doubled."""
        store, got = SqliteStore(tmp_path / "quotas.db"), []

        def work():
            got.extend(held(store, caps=Caps(calls=50)) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(each is not None for each in got) == 50

    def test_is_shared_by_processes(self, tmp_path):
        """Four of them hammer one cap, and never exceed it."""
        path = tmp_path / "quotas.db"
        code = textwrap.dedent(f"""
            from thinktwice.quota import Amounts, Caps, Hold, SqliteStore
            store, got = SqliteStore({str(path)!r}), 0
            one = Hold(Amounts(1, 10, 0), Amounts(1, 10, 0))
            for at in range(100):
                ticket = store.hold("q", 0, [one], caps=Caps(tokens=2000), instead=None, seconds=60)
                if ticket:
                    got += 1
                    store.settle("q", 0, ticket[0], Amounts(1, 10 if at % 2 else 5, 0))
            print(got)
        """)
        command = [sys.executable, "-c", code]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]  # noqa: S603 - our own
        got = sum(int(each.communicate()[0]) for each in running)
        spent, holding = SqliteStore(path).totals("q", 0)
        assert spent.calls == got
        assert 1980 <= spent.tokens <= 2000
        assert holding == (0, 0, 0)
