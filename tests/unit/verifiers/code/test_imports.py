"""Tests that import the program by the name of a file."""

from __future__ import annotations

import pytest

from thinktwice import Sample, UsageError
from thinktwice.verifiers import Code

RIGHT = "def add(a, b): return a + b"
WRONG = "def add(a, b): return a - b"


@pytest.mark.parametrize(
    "tests",
    [
        "import solution\ndef test_a():\n    assert solution.add(1, 2) == 3",
        "import solution as s\nassert s.add(1, 2) == 3",
        "import math, solution\nassert solution.add(1, 2) == math.floor(3.5)",
        "def test_a():\n    import solution\n    assert solution.add(1, 2) == 3",
        "from solution import add\nassert add(1, 2) == 3",
    ],
)
async def test_what_is_asked_of_the_module_is_asked_of_the_program(tests):
    """It has no file, and its names are there."""
    for program, outcome in ((RIGHT, "pass"), (WRONG, "fail")):
        verdict = await Code(tests)(Sample(index=0, value=program), prompt="")
        assert verdict.outcome == outcome


async def test_a_module_that_is_there_is_no_program():
    """Its names are its own."""
    tests = "import math\nassert add(1, 2) == math.sqrt(9)"
    program = "def add(a, b): return float(a + b)\ndef sqrt(x): return 0"
    assert (await Code(tests)(Sample(index=0, value=program), prompt="")).outcome == "pass"


def test_a_dotted_name_is_refused_with_what_to_write():
    """Nobody can tell which part of it is the program."""
    with pytest.raises(UsageError, match=r"from app\.solution import"):
        Code("import app.solution\nassert app.solution.add(1, 2) == 3")
