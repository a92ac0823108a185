"""Where the store is, unless the caller says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.folders import named_path, state_folder

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "THINKTWICE_STORE"


def default_path() -> Path:
    r"""The file of this user: `THINKTWICE_STORE`, or `spans.db` in the platform's place for state.

    That is `$XDG_STATE_HOME/thinktwice` (by default `~/.local/state/thinktwice`), on macOS
    `~/Library/Application Support/thinktwice`, on Windows `%LOCALAPPDATA%\thinktwice`.

    Raises:
        UsageError: The variable names the home of nobody.
    """
    if named := os.environ.get(VARIABLE):
        return expanded(named, VARIABLE)
    return state_folder() / "spans.db"


def expanded(path: str | Path, parameter: str = "path") -> Path:
    """A path with the home that its ~ stands for.

    Args:
        path: As given.
        parameter: What errors call it.

    Raises:
        UsageError: It is no path, or there is no such home.
    """
    try:
        return named_path(path, parameter).expanduser()
    except RuntimeError:
        raise UsageError(parameter, str(path), "there is no such home: write it out") from None
