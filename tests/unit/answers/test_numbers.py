"""Numbers in texts, and their one form."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from thinktwice.answers import canonical_number, number_in

MARKED = [
    ("#### 42", 42),
    ("so 3 + 4 = 7\n#### $1,000 dollars", 1000),
    ("#### Step 2: add\nThe answer is 9", 9),
    (r"\boxed{42}", 42),
    (r"first \boxed{1}, rather \boxed{2}", 2),
    (r"\boxed{x = 7}", 7),
    (r"\boxed{\$1{,}234}", 1234),
    (r"\boxed{1\,234}", 1234),
    (r"\boxed{90^\circ}", 90),
    (r"\boxed{50\%}", 50),
    (r"\boxed{5\text{ km}^2}", 5),
    ("The answer is 42. I checked it 3 times.", 42),
    ("The answer is 3 + 4 = 7 apples.", 7),
    ("The answer to all 3 questions is -8.", -8),
    ("The answer is:\n\n**42**", 42),
    ("**Answer:** 42, of 50", 42),
    ("Final answer: $18 a day for 5 days", 18),
    ("Q: how many of 9?\nA:42", 42),
    ("the answer is 41. No: the answer is 42", 42),
]
PLAIN = [
    ("so 3, 4 and 5.", 5),
    ("it costs $1,234.50", Decimal("1234.5")),
    ("50%", 50),
    ("-5", -5),
    ("\u22125", -5),
    ("-$5", -5),
    ("$-5", -5),
    ("5-3", 3),
    ("+7", 7),
    ("0.50", Decimal("0.5")),
    (".5", Decimal("0.5")),
    ("1.0", 1),
    ("-0.0", 0),
    ("1/2", Decimal("0.5")),
    ("2/3", Fraction(2, 3)),
    ("3 1/2", Decimal("3.5")),
    (r"$-\dfrac{1}{2}$", Decimal("-0.5")),
    (r"1\frac{1}{3}", Fraction(4, 3)),
    ("12/25/2024", 2024),
    ("1e3", 1000),
    ("1.5 \u00d7 10^6", 1_500_000),
    (r"2 \times 10^{-3}", Decimal("0.002")),
    ("10^5", 100_000),
    ("25 cm^2", 25),
    ("1,2,3", 3),
    ("1,2345", 2345),
    ("42nd", 42),
    ("\u7b54\u6848\u662f42\u3002", 42),
    ("\uff13\uff14", 34),
    ("long answer questions are worth 5, in total 41", 41),
]
NONE = ["", "no number", "GPT-4", "gpt4 and x2", "5/0"]
UNREADABLE_BOXES = [r"\boxed{(3, 4)}", r"\boxed{2\sqrt{3}}", r"\boxed{\sqrt{3}}", r"\boxed{2^{10}}"]


@pytest.mark.parametrize(("text", "number"), MARKED)
def test_a_marked_number_counts_before_the_last(text: str, number: object):
    """A mark outranks what follows it, and the last mark outranks the others."""
    assert number_in(text) == number


@pytest.mark.parametrize(("text", "number"), PLAIN)
def test_without_a_mark_the_last_number_counts(text: str, number: object):
    """Signs, separators, units and notations do not matter."""
    found = number_in(text)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("text", NONE)
def test_a_text_without_a_number_abstains(text: str):
    """Digits within a name are no number, and neither is a division by zero."""
    assert number_in(text) is None


@pytest.mark.parametrize("text", UNREADABLE_BOXES)
def test_a_box_with_more_than_a_number_abstains(text: str):
    """A pair, a root or a power is not one of its parts."""
    assert number_in(f"we had 7 of {text}") is None


def test_a_box_that_was_cut_off_is_no_mark():
    """A truncated text falls back to its last number."""
    assert number_in(r"so \boxed{12") == 12


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (1, 1),
        (True, 1),
        (1.0, 1),
        (Decimal("1.00"), 1),
        (Fraction(4, 2), 2),
        (0.1, Decimal("0.1")),
        (Fraction(1, 8), Decimal("0.125")),
        (Fraction(-7, 20), Decimal("-0.35")),
        (Fraction(1, 3), Fraction(1, 3)),
        (-0.0, 0),
        (Decimal("1E+3"), 1000),
        (float("inf"), Decimal("Infinity")),
    ],
)
def test_equal_numbers_have_one_form(value: float, form: object):
    """Type and value of the form depend on the value alone."""
    found = canonical_number(value)
    assert found == form
    assert type(found) is type(form)


def test_nan_has_no_form():
    """NaN equals nothing, itself included, so it cannot be voted for."""
    assert canonical_number(float("nan")) is None
    assert canonical_number(Decimal("sNaN")) is None


def test_a_huge_exponent_stays_small():
    """Nobody may fill the memory with a short text."""
    assert canonical_number(Decimal("1e999999")) == Decimal("1e999999")
    assert isinstance(number_in("1e9999"), Decimal)


def test_a_long_run_of_digits_is_read():
    """Longer than Python converts to int by default."""
    assert number_in("7" * 5000) == Decimal("7" * 5000)


@pytest.mark.parametrize(
    "text",
    ["answer is ", r"\boxed{", "1,234", "1 * 10 ^ ", "answer (", r"\frac{", "1 "],
)
def test_time_grows_with_the_length_and_no_faster(text: str):
    """Texts are untrusted: repeating a mark must not keep a vote waiting."""
    number_in(text * 20_000)
