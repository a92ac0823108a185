"""Where the store is by default."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from thinktwice.store import default_path


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    for name in ("THINKTWICE_STORE", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def test_a_named_file_comes_first(monkeypatch):
    """The variable wins over everything."""
    monkeypatch.setenv("THINKTWICE_STORE", "/data/costs.db")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_path() == Path("/data/costs.db")


def test_the_state_folder_of_xdg(monkeypatch, home):
    """As set; by default below the home; a relative one is ignored, as XDG says."""
    assert default_path() == home / ".local/state/thinktwice/spans.db"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_path() == Path("/state/thinktwice/spans.db")
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert default_path() == home / ".local/state/thinktwice/spans.db"


def test_other_platforms(monkeypatch, home):
    """Their own conventions."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_path() == home / "Library/Application Support/thinktwice/spans.db"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert default_path() == Path("/local/thinktwice/spans.db")
    monkeypatch.delenv("LOCALAPPDATA")
    assert default_path() == home / "AppData/Local/thinktwice/spans.db"
