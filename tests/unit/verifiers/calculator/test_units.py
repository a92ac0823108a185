"""Arithmetic over units."""

from __future__ import annotations

import subprocess
import sys
from unittest.mock import patch

import pytest

from thinktwice.errors import UsageError
from thinktwice.sample import Sample, Verdict
from thinktwice.verifiers.calculator import Calculator, units

pytest.importorskip("pint")


async def judged(text: str) -> Verdict:
    return await Calculator(units=True)(Sample(index=0, value=text), prompt="p")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("3 km + 200 m = 3.2 km", "pass"),
        ("3 km + 200 m = 3.3 km", "fail"),
        ("3 km + 200 m = 3200 m", "pass"),
        ("1 hour = 60 minutes", "pass"),
        ("5 km = 500 m", "fail"),
        ("1 mile = 1.6 km", "pass"),
        ("1 mile \u2248 1.7 km", "pass"),
        ("30 minutes * 4 = 2 hours", "pass"),
        ("30 minutes * 4 = 3 hours", "fail"),
        ("60 km/h * 30 minutes = 30 km", "pass"),
        ("60 km per hour * 30 minutes = 40 km", "fail"),
        ("2 hours * 60 minutes/hour = 120 minutes", "pass"),
        ("5 feet + 6 inches = 66 inches", "pass"),
        ("5 feet + 6 inches = 5.5 feet", "pass"),
        ("5 feet + 6 inches = 5.6 feet", "fail"),
        ("$1.50 + 25 cents = $1.75", "pass"),
        ("$1.50 + 25 cents = $1.70", "fail"),
        ("25 cents * 4 = $1", "pass"),
        ("5 apples + 3 apples = 9 apples", "fail"),
        ("3 km + 2 kg = 6 km", "not_applicable"),
        ("1 cup = 8 ounces", "not_applicable"),
        ("1 month = 31 days", "not_applicable"),
        ("2 hours = 3 boxes", "not_applicable"),
        ("4 hours / 0 minutes = 3 hours", "not_applicable"),
        ("5 m/s/s * 2 km = 3 m", "not_applicable"),
        ("3 km is 200 m", "not_applicable"),
    ],
)
async def test_units_are_converted_where_their_dimensions_agree(text: str, outcome: str):
    """What cannot be converted is left alone."""
    assert (await judged(text)).outcome == outcome


async def test_the_right_value_is_in_the_unit_that_was_asked_for():
    """In the feedback and the correction."""
    verdict = await judged("3 km + 200 m = 3.3 km\nA: 3.3")
    assert verdict.feedback == 'Line 1, "3 km + 200 m = 3.3", is wrong: 3 km + 200 m = 3.2 km.'
    assert verdict.correction is not None
    assert verdict.correction.value == "3 km + 200 m = 3.2 km\nA: 3.2"
    assert (await judged("3 km + 200 m = 3.3 km\n3.3 km + 50 m = 3350 m")).correction is None


def test_units_need_pint():
    """At construction, with the extra that brings it."""
    units._registry.cache_clear()
    with (
        patch.dict(sys.modules, {"pint": None}),
        pytest.raises(UsageError, match=r"thinktwice\[units\]"),
    ):
        Calculator(units=True)


def test_pint_is_loaded_by_nobody_else():
    """It takes a second."""
    code = (
        "import sys; from thinktwice.verifiers.calculator import Calculator; Calculator();"
        "assert 'pint' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code
