"""The numbers of a text, with their units."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.verifiers.grounding.quantities import quantities


def found(text: str) -> list[tuple[str, Fraction, str | None]]:
    return [(each.shown, each.value, each.unit) for each in quantities(text)]


@pytest.mark.parametrize(
    ("text", "shown", "value", "unit"),
    [
        ("12 apples", "12", 12, None),
        ("1,234.5 km/h", "1,234.5 km/h", Fraction(2469, 2), "km/h"),
        ("$3.50 each", "$3.50", Fraction(7, 2), "$"),
        ("3.5 US dollars", "3.5", Fraction(7, 2), None),
        ("3.5 dollars", "3.5 dollars", Fraction(7, 2), "$"),
        ("5 million euros", "5 million euros", 5_000_000, "\u20ac"),
        ("$5bn", "$5bn", 5_000_000_000, "$"),
        ("40k users", "40k", 40_000, None),
        ("50%", "50%", 50, "%"),
        ("50 per cent", "50 per cent", 50, "%"),
        ("a 5-km run", "5-km", 5, "km"),
        ("-7 \u00b0C", "-7 \u00b0C", -7, "\u00b0C"),
        ("the 21st century", "21st", 21, None),
        ("the 1990s", "1990s", 1990, None),
        (".5", ".5", Fraction(1, 2), None),
        ("7 kilograms", "7 kilograms", 7, "kg"),
    ],
)
def test_numbers_and_units(text: str, shown: str, value: Fraction, unit: str | None):
    """In one spelling."""
    assert found(text) == [(shown, value, unit)]


@pytest.mark.parametrize(
    "text", ["GPT-4", "COVID-19", "H2O", "A320", "3D", "x_1", "12apples", "9" * 80]
)
def test_parts_of_names_are_no_numbers(text: str):
    """Nor are digits without end."""
    assert found(text) == []


def test_several():
    """Each for itself."""
    values = [each.value for each in quantities("3-5 of them on 2019-05-01 at 10:30")]
    assert values == [3, 5, 2019, 5, 1, 10, 30]


@pytest.mark.parametrize(
    ("claim", "passage", "same"),
    [
        ("5", "5.0", True),
        ("5 km", "5 kilometres", True),
        ("5 km", "5", True),
        ("5 km", "5 kg", False),
        ("50%", "50", False),
        ("50%", "50 percent", True),
        ("$5", "5 euros", False),
        ("3.1", "3.14", True),
        ("3.1", "3.16", False),
        ("6 million", "6,183,000", True),
        ("7 million", "6,183,000", False),
        ("3", "3.14", False),
        ("6,183,000", "6 million", False),
    ],
)
def test_a_number_may_be_rounded_as_it_is_shown(claim: str, passage: str, same: bool):
    """And has to have the unit, where both have one."""
    (one,), (other,) = quantities(claim), quantities(passage)
    assert one.stated_by(other) is same


@given(
    st.decimals(min_value=0, max_value=10**9, places=2), st.sampled_from(["", " kg", "%", " miles"])
)
def test_a_number_states_itself(number, unit):
    """However it is written."""
    (one,), (other,) = quantities(f"{number}{unit}"), quantities(f"{number:,}{unit}")
    assert one.stated_by(other)
    assert other.stated_by(one)


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str):
    """Whatever it holds."""
    for each in quantities(text):
        assert each.shown
        assert each.slack >= 0
