"""The example runs as it is, and shows what it says."""

from __future__ import annotations

import asyncio
import runpy
import warnings
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
from arithmetic_lm.engine import sizes

EXAMPLE = Path(__file__).parents[2] / "examples" / "critique_repair.py"


@pytest.mark.slow
@pytest.mark.skipif("skilled" not in sizes(), reason="no weights of the model that has skills")
def test_the_example_runs(capsys):
    """A history with the words of the calculator, then what both ways are worth."""
    with warnings.catch_warnings():
        asyncio.run(runpy.run_path(str(EXAMPLE))["main"](8, 1))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  calculator: fail.") for line in lines)
    assert any(line.startswith("  returned: ") for line in lines)
    tool, own = lines[-2:]
    assert tool.startswith("a calculator")
    assert own.startswith("its own critique")
    before, after, harmed = (float(cell.rstrip("%")) for cell in tool.split()[2:5])
    assert after >= before
    assert harmed >= 0
