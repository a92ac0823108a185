"""Exact operators on fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from thinktwice.verifiers.calculator.sizes import (
    MOST_BITS,
    PRECISE,
    CalculationError,
    allow,
    bits,
    decimal,
    rounded,
)

_LARGEST_ROOT: Final = 10_000
_SIMPLE: Final = 10**12
"""Largest denominator of a root that is looked for among the fractions."""


def add(left: Fraction, right: Fraction) -> Fraction:
    """The sum."""
    allow(bits(left) + bits(right) + 1)
    return left + right


def subtract(left: Fraction, right: Fraction) -> Fraction:
    """The difference."""
    return add(left, -right)


def multiply(left: Fraction, right: Fraction) -> Fraction:
    """The product."""
    allow(bits(left) + bits(right))
    return left * right


def divide(left: Fraction, right: Fraction) -> Fraction:
    """The quotient."""
    _divisor(right)
    allow(bits(left) + bits(right))
    return left / right


def floor_divide(left: Fraction, right: Fraction) -> Fraction:
    """The quotient, rounded down."""
    return Fraction(math.floor(divide(left, right)))


def modulo(left: Fraction, right: Fraction) -> Fraction:
    """What a division leaves; it has the sign of the divisor."""
    _divisor(right)
    allow(2 * (bits(left) + bits(right)))
    return left % right


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """A power; one that is no fraction is given to 50 digits."""
    if exponent.denominator != 1:
        return _root_power(base, exponent)
    if base in {0, 1, -1}:
        return _unit_power(base, exponent.numerator)
    allow(bits(base) * abs(exponent.numerator))
    return Fraction(base**exponent.numerator)


def _unit_power(base: Fraction, exponent: int) -> Fraction:
    if base == 0 and exponent < 0:
        raise CalculationError("division by zero")
    if base == 0:
        return Fraction(int(exponent == 0))
    return base if exponent % 2 else Fraction(1)


def _root_power(base: Fraction, exponent: Fraction) -> Fraction:
    if base < 0:
        raise CalculationError("a root of a negative number")
    if base == 0:
        if exponent < 0:
            raise CalculationError("division by zero")
        return Fraction(0)
    allow(math.ceil(bits(base) * abs(exponent)))
    near = PRECISE.power(decimal(base), decimal(exponent))
    guess = Fraction(near).limit_denominator(_SIMPLE)
    top, bottom = abs(exponent.numerator), exponent.denominator
    checkable = bottom <= _LARGEST_ROOT and max(bits(guess) * bottom, bits(base) * top) <= MOST_BITS
    if checkable and guess**bottom == base**exponent.numerator:
        return guess
    return rounded(near)


def _divisor(value: Fraction) -> None:
    if value == 0:
        raise CalculationError("division by zero")
