"""Computing an expression exactly."""

from __future__ import annotations

import pickle
import time
from fractions import Fraction

import pytest

from thinktwice.errors import ThinktwiceError, UsageError
from thinktwice.verifiers.calculator import CalculationError, calculate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("24 / 4 / 2", 3),
        ("7 // 2", 3),
        ("10 % 3", 1),
        ("10 mod 3", 1),
        ("-7 % 3", 2),
        ("2 ^ 3 ^ 2", 512),
        ("2**10", 1024),
        ("-2 ^ 2", -4),
        ("(-2) ^ 2", 4),
        ("2 ^ -1", Fraction(1, 2)),
        ("--5", 5),
        ("2 * -3", -6),
        ("2(3 + 4)", 14),
        ("(1 + 1)(2 + 2)", 8),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("1,234.5 * 2", 2469),
        (".5 + 1e3", Fraction(2001, 2)),
        ("5!", 120),
        ("3! ^ 2", 36),
        ("50%", Fraction(1, 2)),
        ("15% of 80", 12),
        ("3/4 of 80", 60),
        ("17 times 23", 391),
        ("12 divided by 4 plus 1", 4),
        ("3 squared", 9),
        ("8 ^ (1/3)", 2),
        ("[(1 + 2) * 3]", 9),
    ],
)
def test_plain_notation(expression: str, value: Fraction):
    """Signs, brackets, numbers and words, with the usual order."""
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("\u0033\u00d74\u2212\u0031", 11),
        ("12 \u00f7 4", 3),
        ("3\u00b2 + \u00bd", Fraction(19, 2)),
        ("10\u207b\u00b2", Fraction(1, 100)),
        ("\u221a16 + \u221a(9)", 7),
        ("\uff11\uff12\uff0b\uff13", 15),
        ("\u0661\u0662 * 2", 24),
        ("1\u200b2 + 1", 13),
        (r"\frac{1}{2} \times 8", 4),
        (r"\dfrac{3 + 1}{2} \cdot 2", 4),
        (r"\sqrt{16} + \sqrt[3]{27}", 7),
        (r"2^{3+1}", 16),
        (r"\left( 1 + 2 \right) \div 3", 1),
        (r"25\% \times 1{,}000", 250),
        (r"\binom{5}{2}", 10),
        (r"$\$3 + \$4$", 7),
    ],
)
def test_other_notations(expression: str, value: Fraction):
    """Unicode and LaTeX."""
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("abs(-3)", 3),
        ("binom(5, 2) + comb(5,2)", 20),
        ("cbrt(-27)", -3),
        ("ceil(1.2) - floor(-1.2)", 4),
        ("factorial(5)", 120),
        ("frac(1, 2)", Fraction(1, 2)),
        ("gcd(12, 18) + lcm(4, 6)", 18),
        ("log2(8) + log10(0.01) + log(81, 3)", 5),
        ("max(1,2,3) - min(1,2)", 2),
        ("mean(1, 2) + mean(4)", Fraction(11, 2)),
        ("perm(5, 2)", 20),
        ("root(4, 16)", 2),
        ("round(2.5) + round(-2.5) + round(1.005, 2)", Fraction(101, 100)),
        ("sqrt(16/9)", Fraction(4, 3)),
        ("sum(1, 2, 3)", 6),
        ("sum(1,200)", 201),
        ("0 ^ 0 + 0 ^ 0.5 + (-1) ^ 3 + 1 ^ -9", 1),
    ],
)
def test_functions(expression: str, value: Fraction):
    """Exact where the value is a fraction."""
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "digits"),
    [
        ("sqrt(2)", "1.4142135623730950488016887242096980785696718753769"),
        ("ln(2)", "0.69314718055994530941723212145817656807550013436026"),
        ("log(10)", "2.3025850929940456840179914546843642076011014886288"),
        ("exp(1)", "2.7182818284590452353602874713526624977572470937000"),
        ("2 ^ 0.5", "1.4142135623730950488016887242096980785696718753769"),
    ],
)
def test_what_is_no_fraction_has_fifty_digits(expression: str, digits: str):
    """Known digits, to half a unit of the last one."""
    assert abs(calculate(expression) - Fraction(digits)) < Fraction(1, 10**48)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "ends too early"),
        ("1 +", "ends too early"),
        ("(1 + 2", r"'\)' is missing"),
        ("(1, 2)", r"'\)' is missing"),
        ("(1]", r"'\)' is missing"),
        ("1 2", "cannot read '2'"),
        ("5 (3)", "cannot read"),
        ("1/2(3)", "cannot read"),
        (r"2\frac{1}{2}", "cannot read"),
        ("1,2", "cannot read '1,2'"),
        ("x + 1", "cannot read 'x'"),
        ("__import__('os')", "cannot read"),
        ("1 = 1", "cannot read"),
        ("12/25/2021", "cannot read"),
        ("sqrt 4 +", "cannot read 'sqrt'"),
        ("sqrt()", "cannot read"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ^ -1", "division by zero"),
        ("0 ^ -0.5", "division by zero"),
        ("sqrt(-1)", "negative"),
        ("(-8) ^ 0.5", "negative"),
        ("ln(0)", "logarithm"),
        ("log(5, 1)", "base 1"),
        ("2.5!", "whole number"),
        ("comb(-1, 2)", "fewer than none"),
        ("comb(2)", "does not take 1"),
        ("gcd(1.5, 2)", "whole number"),
    ],
)
def test_what_has_no_value_is_refused_with_a_reason(expression: str, why: str):
    """The message says what and where."""
    with pytest.raises(CalculationError, match=why) as caught:
        calculate(expression)
    assert isinstance(caught.value, ThinktwiceError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - ours


HOSTILE = [
    "9**9**9",
    "9^9^9^9",
    "10**10000000",
    "2^-99999",
    '"a"*10**10',
    "factorial(10**7)",
    "1001!",
    "3!!!!!",
    "comb(10**6, 10**5)",
    "perm(9999, 9999)",
    "exp(99999)",
    "exp(-99999)",
    "1e9999",
    "9" * 2001,
    "(" * 10_000,
    "(" * 10_000 + "1" + ")" * 10_000,
    "(" * 900 + "1" + ")" * 900,
    "-" * 1999 + "(",
    "2^" * 900 + "1",
    "sqrt(" * 300 + "1",
    "*".join(["9^900"] * 60),
    "1/" * 999 + "0",
    "lcm(" + ",".join(str(n) for n in range(9000, 9300)) + ")",
    "*".join(["1000!"] * 300),
    "round(1, 99999)",
    "2^(10^-2000)^(10^-2000)" * 50,
]


@pytest.mark.parametrize("expression", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_too_large_is_refused_at_once(expression: str):
    """Before it is computed: within 50 ms, at the best of a few times."""
    seconds: list[float] = []
    for _ in range(5):
        began = time.thread_time()
        with pytest.raises(CalculationError):
            calculate(expression)
        seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.05


def test_the_largest_that_is_allowed_is_computed_soon():
    """A deep, a long and a large expression."""
    began = time.thread_time()
    assert calculate("(" * 99 + "1" + ")" * 99) == 1
    assert calculate("1" + "+1" * 999) == 1000
    assert calculate("1000!").numerator.bit_length() == 8530
    assert calculate("2 ^ 4999") == 2**4999
    assert calculate("-" * 1000 + "1") == 1
    assert time.thread_time() - began < 0.2


def test_only_text_is_read():
    """Anything else is a mistake of the caller."""
    with pytest.raises(UsageError, match="17"):
        calculate(17)  # type: ignore[arg-type]
