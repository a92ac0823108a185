"""Where the platform has programs keep what they write."""

from __future__ import annotations

import os
import sys
from pathlib import Path


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
