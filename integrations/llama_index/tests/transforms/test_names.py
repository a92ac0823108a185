"""What the package offers by name."""

from __future__ import annotations

import pytest
from llama_index_thinktwice import transforms


def test_every_name_is_there_and_listed():
    """They are imported when they are first asked for."""
    assert dir(transforms) == sorted(transforms.__all__)
    assert all(getattr(transforms, name).__name__ == name for name in transforms.__all__)


def test_another_name_is_not():
    """As of any module."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = transforms.nothing
