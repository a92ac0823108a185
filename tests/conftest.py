"""What the tests of the core share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from thinktwice import remarks
from thinktwice.sample import Usage

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def fresh_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings that are said once a process are said again."""
    monkeypatch.setattr(remarks, "_told", set())


@pytest.fixture
def silent_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Python warnings about samples, where they are not the subject."""
    monkeypatch.setattr(remarks, "tell_once", lambda message: None)


@pytest.fixture
def tokens() -> Callable[[int], Usage]:
    """Makes a usage of so many tokens, as a provider reports it."""

    def make(total: int) -> Usage:
        return Usage(input_tokens=total - total // 2, output_tokens=total // 2, source="provider")

    return make
