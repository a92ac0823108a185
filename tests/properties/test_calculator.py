"""The calculator against Python's own arithmetic, and against itself."""

from __future__ import annotations

import asyncio
import math
import re
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from thinktwice.sample import Sample, Verdict
from thinktwice.verifiers.calculator import CalculationError, Calculator, calculate

numbers = st.one_of(
    st.integers(0, 10**6).map(str),
    st.decimals(0, 1000, places=3, allow_nan=False, allow_infinity=False).map(str),
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", "//", "%"])
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        st.tuples(inner, signs, numbers).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
        st.tuples(inner, st.integers(-4, 4)).map(lambda t: f"({t[0]}) ** {t[1]}"),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"abs({text})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
    )


expressions = st.recursive(numbers, _grow, max_leaves=8)


def python(expression: str) -> Fraction:
    """What Python makes of it, with fractions for numbers."""
    exact = re.sub(r"\d+(\.\d+)?", lambda n: f"F('{n[0]}')", expression)
    exact = re.sub(
        r"\*\* -?F\('(\d+)'\)", lambda n: n[0].replace("F('", "").replace("')", ""), exact
    )
    return Fraction(eval(exact, {"F": Fraction, "abs": abs, "max": max}))  # noqa: S307 - our grammar


@given(expressions)
def test_it_computes_what_python_computes(expression: str):
    """Over signs, brackets, powers and functions."""
    assume(len(expression) < 1500)
    try:
        expected = python(expression)
    except ZeroDivisionError:
        expected = None
    if expected is None:
        with pytest.raises(CalculationError, match=r"division by zero|bits"):
            calculate(expression)
        return
    with suppress(CalculationError):  # too large; which is seen elsewhere
        assert calculate(expression) == expected


@given(st.fractions(0, 10**9, max_denominator=10**6))
def test_a_root_squared_is_the_number(number: Fraction):
    """To the digits that are given."""
    root = calculate(f"sqrt({number.numerator}/{number.denominator})")
    assert abs(root * root - number) <= number / 10**45
    if root.denominator * root.numerator < 10**20 and root * root == number:
        assert math.isqrt(number.numerator) ** 2 == number.numerator


ALPHABET = (
    "0123456789+-*/^%=()[]{}<>.,:;!?$~|\\ \n\"'axRf"
    "\u00d7\u00b2\u00bd\u200b\u202e\uff15\u0663\U0001f34e\x00"
)
WORDS = ["1+1=2", "2*3 = 7", "<<", ">>", "\\frac{", "is", ", which is", "15% of 80", "**", "A:"]
PIECES = st.sampled_from(WORDS)
texts = st.lists(st.one_of(st.text(ALPHABET, max_size=8), PIECES), max_size=25).map("".join)


def judged(text: str) -> Verdict:
    return asyncio.run(Calculator()(Sample(index=0, value=text), prompt="p"))


@given(texts)
def test_any_text_gets_a_verdict(text: str):
    """A correction holds, and is another text; evidence carries nothing invisible."""
    verdict = judged(text)
    assert verdict.outcome in {"pass", "fail", "not_applicable"}
    assert (verdict.outcome == "fail") == bool(verdict.evidence) == (verdict.feedback is not None)
    assert not any({"\x00", "\u202e", "\u200b", "\n"} & set(said) for said in verdict.evidence)
    if verdict.correction is not None:
        assert verdict.correction.value != text
        assert judged(str(verdict.correction.value)).outcome == "pass"


@given(texts)
def test_any_text_is_an_expression_or_is_refused(text: str):
    """With the one error that is documented."""
    with suppress(CalculationError):
        assert isinstance(calculate(text), Fraction)


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, str]:
    """A chain of steps, and the same with one slip that is carried on."""
    steps = draw(
        st.lists(st.tuples(st.sampled_from("+-*"), st.integers(2, 99)), min_size=1, max_size=6)
    )
    slips = draw(st.integers(0, len(steps) - 1))
    off = draw(st.sampled_from([-100, -10, -1, 1, 10, 100]))
    start = draw(st.integers(2, 999))
    form = draw(
        st.sampled_from(["{0}{1}{2}={3}", "So {0} {1} {2} = {3} km.", "$ {0} {1} {2} = {3} $"])
    )
    end = draw(st.sampled_from(["\nA:{}", "\nThe answer is {}.", "\n\\boxed{{{}}}", ""]))
    right = _chain(start, steps, form, end, slip=None, off=0)
    wrong = _chain(start, steps, form, end, slip=slips, off=off)
    return right, wrong


def _chain(
    start: int, steps: list[tuple[str, int]], form: str, end: str, *, slip: int | None, off: int
) -> str:
    value, lines = start, []
    seen = {start}
    for number, (sign, operand) in enumerate(steps):
        before = value
        value = {"+": value + operand, "-": value - operand, "*": value * operand}[sign]
        value += off if number == slip else 0
        assume(value > 0)
        seen.add(operand)
        assume(value not in seen and value not in {o for _, o in steps})
        seen.add(value)
        lines.append(form.format(before, sign, operand, value))
    return "\n".join(lines) + end.format(value)


@given(chains())
def test_the_correction_of_a_slip_restores_the_text(chain: tuple[str, str]):
    """Where no number of the chain stands in two roles."""
    right, wrong = chain
    assert judged(right).outcome == "pass"
    verdict = judged(wrong)
    assert verdict.outcome == "fail"
    assert verdict.correction is not None
    assert verdict.correction.value == right
    assert "".join(before for before, _ in verdict.correction.changes) != ""
    for before, after in verdict.correction.changes:
        assert before in wrong
        assert after in right


@given(st.integers(1, 10**6), st.integers(2, 10**4), st.integers(0, 6))
def test_a_quotient_that_is_rounded_to_its_digits_is_right(over: int, under: int, places: int):
    """And one that is off by a whole unit more is not."""
    exact = Fraction(over, under)
    scaled = math.floor(exact * 10**places + Fraction(1, 2))
    for shift, outcome in ((0, "pass"), (2, "fail"), (-2, "fail")):
        if scaled + shift <= 0:
            continue
        digits = str(scaled + shift).zfill(places + 1)
        shown = f"{digits[:-places]}.{digits[-places:]}" if places else digits
        assert judged(f"{over} / {under} = {shown}").outcome == outcome
