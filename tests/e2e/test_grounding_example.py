"""The example of grounding runs, and shows what it says."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def test_the_grounded_answer_wins(capsys: pytest.CaptureFixture[str]):
    """In every scene."""
    example = Path(__file__).parents[2] / "examples" / "grounding.py"
    runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr().out
    assert 'contradicted by passage 2: "abroad, 45 euros"' in printed
    assert "['fail 0.00', 'pass 1.00', 'scored 0.50']" in printed
    assert "Ask your head. (the judge was asked 4 times" in printed
