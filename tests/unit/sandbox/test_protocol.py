"""What goes into a sandbox and comes out."""

from __future__ import annotations

import math

import pytest

from thinktwice.errors import UsageError
from thinktwice.sandbox.protocol import Case, Limits


@pytest.mark.parametrize("given", [{}, {"expression": "f()", "stdin": ""}])
def test_a_case_is_an_expression_or_standard_input(given: dict[str, str]) -> None:
    """Neither and both are mistakes."""
    with pytest.raises(UsageError, match="one of the two"):
        Case(**given)


def test_empty_standard_input_is_standard_input() -> None:
    """A program may be run with nothing to read."""
    assert Case(stdin="").expression is None


@pytest.mark.parametrize("name", ["seconds", "memory", "output", "disk"])
@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan])
def test_nothing_runs_without_a_limit(name: str, limit: float) -> None:
    """Zero, infinity and no number limit nothing."""
    with pytest.raises(UsageError, match=name):
        Limits(**{name: limit})


def test_the_clock_is_allowed_more_than_the_processor() -> None:
    """A busy machine is no fault of the program."""
    assert Limits(seconds=3).wall == 7
