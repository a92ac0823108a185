"""What the tests of the core share."""

from __future__ import annotations

import pytest

from thinktwice import remarks


class _Everything(set[str]):
    """Has all of it been said already."""

    def __contains__(self, item: object) -> bool:
        return True


@pytest.fixture
def fresh_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings that are said once a process are said again."""
    monkeypatch.setattr(remarks, "_told", set())


@pytest.fixture
def silent_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Python warnings about samples, where they are not the subject."""
    monkeypatch.setattr(remarks, "_told", _Everything())
