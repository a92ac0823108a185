"""The file of quotas among threads, forks and people who delete it."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from thinktwice import UsageError
from thinktwice.quota import Amounts, Hold, SqliteStore
from thinktwice.quota import file as quota_file

ONE = Hold(Amounts(1, 10, 100), Amounts(1, 5, 50))
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")


def held(store, name="q"):
    return store.hold(name, 0, [ONE], caps=None, instead=None, seconds=60)


def calls(store, name="q"):
    return store.totals(name, 0)[1].calls


def in_child(work):
    """Fork, and give the status: of a child that hangs, it is that of an alarm."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@forks
class TestForks:
    def test_what_a_child_counts_is_not_lost_when_its_parent_closes_the_file(self, tmp_path):
        """SQLite would take the parent for the last user, and throw the child's log away."""
        path = tmp_path / "quotas.db"
        store = SqliteStore(path)
        held(store)
        (read, write), (read_back, write_back) = os.pipe(), os.pipe()

        def work():
            held(store)
            os.write(write, b"!")
            os.read(read_back, 1)  # the parent has closed it meanwhile
            held(store)

        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(in_child, work)
            os.read(read, 1)
            store.close()
            os.write(write_back, b"!")
            assert ended.result() == 0
        for each in (read, write, read_back, write_back):
            os.close(each)
        assert calls(SqliteStore(path)) == 3
        assert calls(store) == 3

    def test_a_child_does_not_wait_for_a_thread_that_it_has_not(self, tmp_path):
        """Which was in a transaction when the process forked."""
        stores = SqliteStore(tmp_path / "quotas.db"), SqliteStore()
        ends = threading.Event()

        def count():
            while not ends.is_set():
                for store in stores:
                    store.release(held(store)[0])

        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(count) for _ in range(2)]
            codes = [in_child(lambda: [held(each, "child") for each in stores]) for _ in range(8)]
            ends.set()
            for each in running:
                each.result()
        assert codes == [0] * 8
        assert calls(stores[0], "child") == 8

    def test_a_parent_in_memory_keeps_its_books(self):
        """They are its own alone."""
        store = SqliteStore()
        held(store)
        assert in_child(lambda: held(store)) == 0
        assert calls(store) == 1


class TestOpening:
    def test_one_file_is_made_where_many_open_it_at_once(self, tmp_path):
        """Each finds either nothing or all of it."""
        for at in range(5):
            path = tmp_path / f"quotas{at}.db"
            start = threading.Barrier(8)

            def work(path=path, start=start):
                start.wait()
                return held(SqliteStore(path, timeout=30))

            with ThreadPoolExecutor(8) as threads:
                assert all(each.result() for each in [threads.submit(work) for _ in range(8)])
            assert calls(SqliteStore(path)) == 8

    def test_nobody_else_makes_the_tables_while_one_looks_for_them(self, tmp_path, monkeypatch):
        """They would be taken for those of something else."""
        path, real = tmp_path / "quotas.db", quota_file.is_ours

        def slowly(connection, path):
            other = sqlite3.connect(path, timeout=0, isolation_level=None)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("CREATE TABLE quotas (name)")
            other.close()
            return real(connection, path)

        monkeypatch.setattr(quota_file, "is_ours", slowly)
        assert held(SqliteStore(path))

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path):
        """As what else is wrong with a path."""
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="path"):
            SqliteStore(tmp_path / "file" / "quotas.db")

    def test_a_file_of_another_version_is_left_as_it_is(self, tmp_path):
        """Its tables are others."""
        path = tmp_path / "quotas.db"
        SqliteStore(path).close()
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA user_version = 99")
        other.close()
        with pytest.raises(UsageError, match="another version"):
            SqliteStore(path)

    def test_a_path_stays_where_it_was(self, tmp_path, monkeypatch):
        """Also where the process goes elsewhere before it opens the file again."""
        monkeypatch.chdir(tmp_path)
        store = SqliteStore("quotas.db")
        held(store)
        store.close()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert calls(store) == 1
        assert store.path == str(tmp_path / "quotas.db")


class TestDeleted:
    @pytest.mark.parametrize("endings", [("",), ("", "-wal", "-shm")])
    def test_all_processes_begin_anew_together(self, tmp_path, endings):
        """One that had it open must not go on counting in what nobody else sees."""
        path = tmp_path / "quotas.db"
        store = SqliteStore(path)
        (lost,) = held(store)
        for ending in endings:
            path.with_name(path.name + ending).unlink()
        assert calls(store) == 0
        held(SqliteStore(path))
        held(store)
        store.settle("q", 0, lost, Amounts(1, 7, 70))  # nobody else's hold is freed by it
        assert calls(SqliteStore(path)) == 2
        assert store.totals("q", 0)[0] == (1, 7, 70)

    def test_a_folder_is_made_again(self, tmp_path):
        """With the file."""
        path = tmp_path / "deep" / "quotas.db"
        store = SqliteStore(path)
        for each in path.parent.iterdir():
            each.unlink()
        path.parent.rmdir()
        assert held(store)
        assert calls(SqliteStore(path)) == 1

    def test_another_file_in_its_place_counts(self, tmp_path):
        """As after a restored backup."""
        store, other = SqliteStore(tmp_path / "quotas.db"), SqliteStore(tmp_path / "other.db")
        held(other)
        held(other)
        other.close()
        (tmp_path / "other.db").replace(tmp_path / "quotas.db")
        assert calls(store) == 2


class TestTransactions:
    def test_one_that_finds_the_rest_of_a_deleted_file_gone_is_tried_again(
        self, tmp_path, monkeypatch
    ):
        """Two processes clear away at once what belonged to it: one comes second."""
        store, real, came_second = SqliteStore(tmp_path / "quotas.db"), quota_file._open, []

        def open_second(path):
            if not came_second:
                came_second.append(path)
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_DELETE_NOENT
                raise error
            return real(path)

        monkeypatch.setattr(quota_file, "_open", open_second)
        (tmp_path / "quotas.db").unlink()
        assert held(store)
        assert came_second

    def test_one_that_is_interrupted_as_it_begins_is_undone(self, tmp_path, monkeypatch):
        """Or the file would be kept from everybody."""
        path = tmp_path / "quotas.db"
        store, real = SqliteStore(path), quota_file._patiently

        def interrupted(step, seconds):
            real(step, seconds)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(quota_file, "_patiently", interrupted)
            with pytest.raises(KeyboardInterrupt):
                held(store)
        assert held(store)
        assert held(SqliteStore(path, timeout=0.01))

    def test_reading_waits_for_a_process_that_recovers_the_file(self, tmp_path, monkeypatch):
        """For a moment SQLite lets nobody read."""
        store, refused = SqliteStore(tmp_path / "quotas.db"), []
        real = store._file._connection()

        class Busy:
            def execute(self, *statement):
                if not refused:
                    refused.append(statement)
                    raise sqlite3.OperationalError("database is locked")
                return real.execute(*statement)

        monkeypatch.setattr(store._file, "_connection", Busy)
        assert calls(store) == 0
        assert len(refused) == 1
