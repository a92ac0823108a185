"""Where the store is, unless the caller says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

VARIABLE: Final = "THINKTWICE_STORE"


def default_path() -> Path:
    r"""The file of this user: `THINKTWICE_STORE`, or `spans.db` in the platform's place for state.

    That is `$XDG_STATE_HOME/thinktwice` (by default `~/.local/state/thinktwice`), on macOS
    `~/Library/Application Support/thinktwice`, on Windows `%LOCALAPPDATA%\thinktwice`.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return _state() / "thinktwice" / "spans.db"


def _state() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32":
        return _absolute("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    return _absolute("XDG_STATE_HOME") or Path.home() / ".local" / "state"


def _absolute(variable: str) -> Path | None:
    """The XDG specification has relative paths ignored."""
    path = Path(os.environ.get(variable, ""))
    return path if path.is_absolute() else None
