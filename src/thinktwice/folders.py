"""Where files are: those that a caller names, and where the platform has programs keep theirs."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import cast

from thinktwice.errors import UsageError


def named_path(path: object, parameter: str = "path") -> Path:
    """The path of a file that a caller gave.

    Args:
        path: As given.
        parameter: What errors call it.

    Raises:
        UsageError: It is no text and no path, or an empty one.
    """
    text: object = None
    with suppress(TypeError):
        text = os.fspath(cast("str", path))
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise UsageError(parameter, path, "give the path of a file, as a text or a Path")
    return Path(text)


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: who reads it meanwhile has the old one or the new one.

    Args:
        path: The file; a link goes on to point to it.
        text: All that it is to hold.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    path = Path(os.path.realpath(path))
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def address_to_read(path: Path) -> str:
    """Of a file, for SQLite: even to read it keeps files beside it, unless nobody can write there.

    Args:
        path: The file, which exists.

    Raises:
        OSError: It cannot be looked at.
    """
    path = path.resolve()
    log = path.with_name(f"{path.name}-wal")
    written = log.exists() and log.stat().st_size
    still = not written and not os.access(path.parent, os.W_OK)
    return f"{path.as_uri()}?{'immutable=1' if still else 'mode=ro'}"


def state_folder() -> Path:
    r"""For what should last: `$XDG_STATE_HOME/thinktwice`, or what other platforms have for it.

    By default `~/.local/state/thinktwice`, on macOS `~/Library/Application Support/thinktwice`, on
    Windows `%LOCALAPPDATA%\thinktwice`.
    """
    return _folder("XDG_STATE_HOME", ".local/state", "Application Support")


def cache_folder() -> Path:
    r"""For what can be had again: `$XDG_CACHE_HOME/thinktwice`, or what other platforms have.

    By default `~/.cache/thinktwice`, on macOS `~/Library/Caches/thinktwice`, on Windows
    `%LOCALAPPDATA%\thinktwice`.
    """
    return _folder("XDG_CACHE_HOME", ".cache", "Caches")


def _folder(variable: str, below_home: str, of_library: str) -> Path:
    if sys.platform == "darwin":
        base = Path.home() / "Library" / of_library
    elif sys.platform == "win32":
        base = _absolute("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = _absolute(variable) or Path.home() / below_home
    return base / "thinktwice"


def _absolute(variable: str) -> Path | None:
    """The XDG specification has relative paths ignored."""
    path = Path(os.environ.get(variable, ""))
    return path if path.is_absolute() else None
