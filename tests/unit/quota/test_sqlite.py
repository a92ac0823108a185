"""Quotas in a file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import RunError, UsageError
from thinktwice.quota import Amounts, Caps, Hold, SqliteStore

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


class TestFile:
    def test_outlives_the_process(self, tmp_path):
        """It is on the disk."""
        path = tmp_path / "deep" / "quotas.db"
        store = SqliteStore(path)
        store.settle("q", 0, None, Amounts(1, 2, 3))
        store.close()
        assert SqliteStore(path).totals("q", 0)[0] == (1, 2, 3)
        assert repr(store) == f"SqliteStore({str(path)!r})"

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
        store._opened.execute("DROP TABLE spent")
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
