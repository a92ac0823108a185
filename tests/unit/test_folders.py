"""Folders of the platform; those for state are tested with the store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from thinktwice import UsageError
from thinktwice.folders import cache_folder, named_path, state_folder


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A user who has set nothing."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("platform", "cache"),
    [
        ("linux", ".cache/thinktwice"),
        ("darwin", "Library/Caches/thinktwice"),
        ("win32", "AppData/Local/thinktwice"),
    ],
)
def test_the_cache_is_where_the_platform_has_it(monkeypatch, home, platform, cache):
    """Each by its own convention."""
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == home / cache


def test_variables_come_first(monkeypatch, home):
    """A relative one is ignored, as XDG says."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert cache_folder() == Path("/cache/thinktwice")
    assert state_folder() == home / ".local/state/thinktwice"


class Home:
    """A path of another library."""

    def __fspath__(self):
        """Where it is."""
        return "home"


@pytest.mark.parametrize("path", ["home", Path("home"), Home()])
def test_a_path_may_be_named_by_whatever_is_one(path):
    """A text, a Path, or what can be one."""
    assert named_path(path) == Path("home")


@pytest.mark.parametrize("path", ["", "  ", "a\0b", 5, b"home", None, Path])
def test_a_path_that_is_none_is_refused(path):
    """Before a file of that name is made."""
    with pytest.raises(UsageError, match="path"):
        named_path(path)
