"""Pages in files: one of ours is written anew, and no other file is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from thinktwice.cli.page import MARK
from thinktwice.errors import UsageError
from thinktwice.folders import replace_text
from thinktwice.store.place import expanded

_OF_A_STORE: Final = ("", "-wal", "-shm", "-journal")
_HEAD: Final = 1024  # bytes; the mark is among them


def page_path(given: str, *, store: Path) -> Path:
    """The file that a page may be written to.

    Args:
        given: As typed.
        store: What the page is about.

    Raises:
        UsageError: There is something else, which would be lost.
    """
    path = expanded(given, "html")
    try:
        if _is_of_store(path, store):
            raise UsageError("html", given, "that is the store itself: name another file")
        if path.is_dir():
            raise UsageError("html", given, "this is a folder: name a file in it")
        if not _is_free(path):
            remedy = "there is a file that is no page of thinktwice: name another, or move it away"
            raise UsageError("html", given, remedy)
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def write_page(path: Path, text: str) -> None:
    """Write a page where `page_path` says that it may be, in one step.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        if _is_stream(path):
            path.write_text(text, encoding="utf-8")
        else:
            replace_text(path, text)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError("html", str(path), f"it cannot be written ({error.strerror})")


def _is_of_store(path: Path, store: Path) -> bool:
    """Under whatever name, and whether or not it is there just now."""
    real = Path(os.path.realpath(path))
    for each in (Path(os.path.realpath(store) + end) for end in _OF_A_STORE):
        if real == each or (real.exists() and each.exists() and real.samefile(each)):
            return True
    return False


def _is_free(path: Path) -> bool:
    if not path.exists() or _is_stream(path):
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or MARK.encode() in head


def _is_stream(path: Path) -> bool:
    """A pipe or a terminal, say, which holds nothing."""
    return path.is_fifo() or path.is_char_device()
