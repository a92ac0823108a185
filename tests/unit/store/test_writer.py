"""The writer when things go wrong: the application goes on, and what was lost is said once."""

from __future__ import annotations

import os
import sqlite3
import threading
import warnings

import pytest

from thinktwice import Completion, Price, ThinktwiceWarning, Usage, Vote, solve
from thinktwice.stop import AtMost
from thinktwice.store import observe
from thinktwice.store.costs import read_costs
from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.writer import Writer
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
SPANS = 5  # of a vote of two: the run, two samples, two calls


def vote():
    """One request; its five spans wait for the writer."""
    sampler = ScriptedSampler(["a"], model="m")
    run_virtual(solve("q", sampler=sampler, strategy=Vote(2, stop=AtMost(2))))


@pytest.fixture
def by_hand(monkeypatch):
    """No thread writes: a test flushes."""
    monkeypatch.setattr(Writer, "_start", lambda self: None)


@pytest.fixture
def heard():
    """The warnings, as they would be shown."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ThinktwiceWarning)
        yield caught


def requests(path) -> int:
    return read_costs(path).total.requests


class TestThread:
    """Writing by itself."""

    def test_writes_without_being_asked(self, observer):
        """Within moments of the end of a run."""
        vote()
        for _ in range(400):
            if observer.written == SPANS:
                break
            threading.Event().wait(0.01)
        assert requests(observer.path) == 1

    def test_ends_when_closed(self, observer):
        """Nothing is left running, and nothing is taken in."""
        vote()
        observer.close()
        left = [each for each in threading.enumerate() if each.name == "thinktwice-store"]
        for each in left:
            each.join(2)
        assert not [each for each in left if each.is_alive()]
        assert observer.written == SPANS


@pytest.mark.usefixtures("by_hand")
class TestFaults:
    """What SQLite and the disk may do."""

    def test_more_than_fits_is_dropped_and_said_once(self, tmp_path, no_provider, heard):
        """The count is exact; what waits is written."""
        observer = observe(tmp_path / "spans.db")
        observer._writer._most = 2 * SPANS
        for _ in range(4):
            vote()
        assert observer.dropped == 2 * SPANS
        observer.close()
        assert requests(observer.path) == 2
        assert [str(each.message) for each in heard] == [
            "spans are lost to the store of costs; Observer.dropped counts them"
        ]

    def test_a_warning_that_is_an_error_changes_nothing(self, tmp_path, no_provider):
        """The run that hears it goes on."""
        observer = observe(tmp_path / "spans.db")
        observer._writer._most = 0
        vote()  # the tests turn every warning into an error
        assert observer.dropped == SPANS
        observer.close()

    def test_a_handler_of_warnings_that_raises_ends_no_thread(self, observer, monkeypatch):
        """As where they go to the logs."""

        def show(*_: object) -> None:
            raise LookupError("handler")

        monkeypatch.setattr(warnings, "showwarning", show)
        warnings.simplefilter("always")
        observer._writer._drop(1)
        assert observer.dropped == 1

    def test_locked_for_long(self, observer, monkeypatch, heard):
        """What waits stays, and is written when the lock is gone."""
        monkeypatch.setattr("thinktwice.store.file._TIMEOUT", 0.01)
        vote()
        assert observer.flush()
        observer._writer._file.close()
        other = sqlite3.connect(observer.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        vote()
        assert not observer.flush()
        assert not observer.flush()
        other.execute("ROLLBACK")
        other.close()
        assert observer.flush()
        assert requests(observer.path) == 2
        assert observer.dropped == 0
        (said,) = heard
        reason = "now (database is locked): spans wait for it"
        assert str(said.message) == f"costs cannot be written to {observer.path} {reason}"

    def test_disk_full(self, observer, monkeypatch, heard):
        """A batch is written whole or not at all, and later if there is room again."""
        vote()
        assert observer.flush()
        full = StoreFile._make_room

        def refuse(self, connection, need):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(StoreFile, "_make_room", refuse)
        vote()
        assert not observer.flush()
        assert requests(observer.path) == 1
        monkeypatch.setattr(StoreFile, "_make_room", full)
        assert observer.flush()
        assert requests(observer.path) == 2
        (said,) = heard
        reason = "now (database or disk is full): spans wait for it"
        assert str(said.message) == f"costs cannot be written to {observer.path} {reason}"

    @pytest.mark.parametrize("where", ["tables", "all"])
    def test_corrupt_is_set_aside(self, observer, heard, where):
        """A new file begins, with what waits; the old one is kept for whoever can mend it."""
        for _ in range(30):
            vote()
        assert observer.flush()
        observer._writer._file.close()
        content = observer.path.read_bytes()
        intact = 4096 if where == "tables" else 100  # the header says whose it is
        observer.path.write_bytes(content[:intact] + b"\xff" * (len(content) - intact))
        vote()
        assert observer.flush()
        assert requests(observer.path) == 1
        (aside,) = observer.path.parent.glob("*.corrupt-*")
        assert aside.read_bytes()[:intact] == content[:intact]
        (said,) = heard
        assert str(said.message) == (
            f"the store of costs was corrupt: it is {aside} now, a new one begins"
        )

    def test_removed_while_it_is_open(self, observer):
        """A new file begins with the next batch."""
        vote()
        observer.flush()
        for each in observer.path.parent.glob("spans.db*"):
            each.unlink()
        vote()
        assert observer.flush()
        assert requests(observer.path) == 1

    def test_replaced_by_another_process(self, observer):
        """That found it corrupt, say: the next batch goes to the new file."""
        vote()
        observer.flush()
        observer.path.rename(observer.path.with_name("aside"))
        other = StoreFile(observer.path, 2**20)
        other.write(Batch([], [], [], []))
        other.close()
        vote()
        assert observer.flush()
        assert requests(observer.path) == 1

    def test_somebody_elses_file_meanwhile(self, observer, heard):
        """It is left alone, also where it is no database at all."""
        observer.path.write_bytes(b"not a database" * 100)
        vote()
        assert not observer.flush()
        assert observer.path.read_bytes() == b"not a database" * 100
        assert "no store of thinktwice" in str(heard[0].message)

    def test_no_folder_can_be_made(self, tmp_path, no_provider, heard):
        """It is said, and runs go on; at the end what was lost is counted."""
        (tmp_path / "file").touch()
        observer = observe(tmp_path / "file" / "spans.db")
        vote()
        assert not observer.flush()
        observer.close()
        observer._writer.finish()  # as at exit, once more
        assert observer.dropped == SPANS
        first, last = (str(each.message) for each in heard)
        assert first.startswith(f"costs cannot be written to {observer.path} now")
        assert last == f"{SPANS} spans are lost to the store of costs {observer.path}"

    @pytest.mark.parametrize(
        ("model", "tokens"),
        [("m\ud800", 1), ("m\0\x1b[31m\n", 1), ("m" * 10_000, 1), ("m", 2**70), ("m", -(2**70))],
    )
    def test_what_sqlite_does_not_take(self, observer, model, tokens):
        """It is cut to what it takes: a span of anybody's must not keep the others out."""
        usage = Usage(input_tokens=tokens, output_tokens=1, source="provider")

        async def ask(prompt):
            return Completion(value="a", model=model, usage=usage)

        prices = {model: Price("1", "1")}
        run_virtual(solve("q", sampler=ask, strategy=Vote(2, stop=AtMost(2)), prices=prices))
        vote()
        assert observer.flush()
        found = read_costs(observer.path)
        assert (found.total.requests, observer.dropped) == (2, 0)
        assert all(each.name.isprintable() for each in found.by["model"])

    @pytest.mark.parametrize("fault", [sqlite3.IntegrityError, OverflowError, UnicodeError])
    def test_a_batch_that_never_can_be_written(self, observer, monkeypatch, heard, fault):
        """It is dropped and counted, and those after it are written."""
        real = StoreFile.write

        def refuse(self, batch):
            raise fault

        monkeypatch.setattr(StoreFile, "write", refuse)
        vote()
        assert observer.flush()
        monkeypatch.setattr(StoreFile, "write", real)
        vote()
        assert observer.flush()
        assert (observer.dropped, observer.written) == (SPANS, SPANS)
        assert requests(observer.path) == 1
        assert len(heard) == 1

    def test_after_the_last_flush(self, observer):
        """What a handler does as the process ends is written at once."""
        vote()
        observer._writer.finish()
        vote()
        assert requests(observer.path) == 2

    def test_a_span_that_cannot_be_read(self, observer, monkeypatch, heard):
        """It is dropped alone."""
        real = "thinktwice.store.writer.span_row"
        from thinktwice.store.rows import span_row

        def broken(seen, node):
            if seen.kind == "call":
                raise KeyError
            return span_row(seen, node)

        monkeypatch.setattr(real, broken)
        vote()
        assert observer.flush()
        assert (observer.dropped, observer.written) == (2, SPANS - 2)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of threads, from 3.12 on
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_writes_its_own(observer):
    """What waited in the parent is the parent's; the child begins anew, with its own connection."""
    vote()
    assert observer.flush()
    vote()
    pid = os.fork()
    if pid == 0:
        try:
            vote()
            done = observer.flush() and observer.written == SPANS
            os._exit(0 if done else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert observer.flush()
    assert requests(observer.path) == 3
    assert observer.written == 2 * SPANS
