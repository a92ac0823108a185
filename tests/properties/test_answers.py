"""What holds for all answers."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thinktwice.answers import (
    canonical_json,
    canonical_number,
    choice_in,
    default_key,
    fold,
    key_function,
    number_in,
)

if TYPE_CHECKING:
    import random

SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.integers() | st.fractions() | st.decimals(allow_nan=False, allow_infinity=False)
CENTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2)


def shuffled(value: object, rng: random.Random) -> object:
    if isinstance(value, dict):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@given(DATA, st.randoms(use_true_random=False))
def test_canonical_json_ignores_the_order_of_keys(data: object, rng: random.Random):
    """At any depth."""
    assert canonical_json(data) == canonical_json(shuffled(data, rng))


@given(DATA)
def test_canonical_json_survives_a_round_trip(data: object):
    """Data that went through JSON is the same answer."""
    assert canonical_json(json.loads(json.dumps(data))) == canonical_json(data)


@given(DATA, DATA)
def test_different_json_data_has_different_text(one: object, two: object):
    """The text is no hash: nothing is lost but the type of a number."""
    if canonical_json(one) == canonical_json(two):
        assert one == two


@given(st.text())
def test_folding_is_idempotent(text: str):
    """A folded text is its own fold."""
    folded = fold(text)
    assert folded is None or fold(folded) == folded


@given(st.text(), st.sampled_from(["", " ", "\n", ".", "! "]))
def test_folding_ignores_space_and_final_punctuation(text: str, end: str):
    """Whatever stands at the end."""
    if fold(text) is not None and fold(text).strip(".!?\u2026,;:\u3002\uff01\uff1f "):  # type: ignore[union-attr]
        assert fold(f"  {text}{end}") == fold(text)


@given(NUMBERS)
@example(Fraction(3437, 2**35))  # has more digits than a Decimal computes with
def test_the_form_of_a_number_keeps_its_value(value: int | Fraction | Decimal):
    """It is exact, and a form of itself."""
    form = canonical_number(value)
    assert form == value
    assert hash(form) == hash(value)
    assert canonical_number(form) == form  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_as_it_prints(value: float):
    """So that 0.1 meets "0.1"."""
    assert canonical_number(value) == canonical_number(Decimal(repr(value)))
    assert float(canonical_number(value)) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "template",
    ["{}", "#### {}", r"\boxed{{{}}}", "The answer is {}.", "**Answer:** ${}", "I get {} apples"],
)
@given(CENTS)
def test_a_number_is_read_in_any_dress(template: str, value: Decimal):
    """With or without separators, trailing zeros and marks."""
    for dressed in (f"{value}", f"{value:,}", f"{value.normalize():f}"):
        assert number_in(template.format(dressed)) == canonical_number(value)


@given(st.integers(-999, 999), st.integers(1, 999))
def test_a_fraction_is_read(over: int, under: int):
    """As text and as LaTeX."""
    expected = canonical_number(Fraction(over, under))
    assert number_in(f"so {over}/{under}") == expected
    sign = "-" if over < 0 else ""
    assert number_in(rf"\boxed{{{sign}\frac{{{abs(over)}}}{{{under}}}}}") == expected


@given(st.text(alphabet="0123456789.,/-+eE^{}()$%\\ \nabcABCx*#=:", max_size=60) | st.text())
def test_no_text_breaks_a_reader(text: str):
    """Model output is untrusted: every key of a text is a hashable or None."""
    for name in ("number", "choice", "text", "json", "json:a.0"):
        hash(key_function(name)(text))


@given(st.sampled_from("ABCDE"))
def test_a_letter_is_read_in_any_dress(letter: str):
    """Parentheses, asterisks, boxes, phrases."""
    for template in ("{}", "({})", "**{}**", r"\boxed{{{}}}", "The answer is {}.", "Answer: ({})"):
        assert choice_in(template.format(letter)) == letter


@given(DATA)
def test_every_data_has_a_key(data: object):
    """Equal data counts as one answer."""
    assert default_key(data) == default_key(json.loads(json.dumps(data)))
