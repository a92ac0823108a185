"""Where `costs --html` writes: over a page of its own, and over nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from thinktwice import UsageError
from thinktwice.cli.page import MARK
from thinktwice.cli.writing import page_path, write_page
from thinktwice.folders import replace_text
from thinktwice.store.file import Batch, StoreFile


@pytest.fixture
def store(tmp_path):
    """One that is empty."""
    file = StoreFile(tmp_path / "spans.db", 2**20)
    file.write(Batch([], [], [], []))
    file.close()
    return file.path


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_the_store_is_refused(store, end):
    """With the files beside it, whether or not they are there."""
    before = store.read_bytes()
    with pytest.raises(UsageError, match=r"html=.*that is the store itself"):
        page_path(f"{store}{end}", store=store)
    assert store.read_bytes() == before


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_the_store_by_another_name_is_refused(store, tmp_path, link):
    """A link to it is it."""
    other = tmp_path / "page.html"
    getattr(other, link)(store)
    with pytest.raises(UsageError, match="that is the store itself"):
        page_path(str(other), store=store)


@pytest.mark.parametrize("given", ["notes.txt", "", "."])
def test_what_is_no_page_is_refused(store, tmp_path, monkeypatch, given):
    """Another file, no name, a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"^html="):
        page_path(given, store=store)


def test_a_page_is_written_anew(store, tmp_path):
    """As a cron job does; an empty file holds nothing that could be lost, either."""
    file = tmp_path / "page.html"
    file.touch()
    for text in (f"{MARK} first", f"{MARK} second"):
        write_page(page_path(str(file), store=store), text)
        assert file.read_text() == text
    assert sorted(each.name for each in tmp_path.glob("page*")) == ["page.html"]


def test_a_failure_leaves_the_old_one(tmp_path, monkeypatch):
    """And nothing beside it."""
    file = tmp_path / "page.html"
    file.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        replace_text(file, "new")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="processes begin otherwise there")
@pytest.mark.parametrize(("arguments", "status"), [([], 1), (["--html", "page.html"], 0)])
def test_a_closed_output(store, tmp_path, arguments, status):
    """What cannot be printed is said in a line; a page needs no output."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "thinktwice.cli", "costs", "--store", str(store), *arguments],
        cwd=tmp_path,
        preexec_fn=lambda: os.close(1),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == status
    said = "thinktwice: it cannot be printed (Bad file descriptor)\n"
    assert done.stderr == (said if status else "")
