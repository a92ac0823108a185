"""Where the store is, unless the caller says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from thinktwice.folders import state_folder

VARIABLE: Final = "THINKTWICE_STORE"


def default_path() -> Path:
    r"""The file of this user: `THINKTWICE_STORE`, or `spans.db` in the platform's place for state.

    That is `$XDG_STATE_HOME/thinktwice` (by default `~/.local/state/thinktwice`), on macOS
    `~/Library/Application Support/thinktwice`, on Windows `%LOCALAPPDATA%\thinktwice`.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return state_folder() / "spans.db"
