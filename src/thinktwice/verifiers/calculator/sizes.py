"""What keeps exact numbers small: each size is known before a result is computed."""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from typing import Final

from thinktwice.errors import ThinktwiceError

MOST_BITS: Final = 10_000
"""Largest numerator and denominator, in bits: about 3,000 digits."""

PRECISE: Final = Context(prec=60, Emin=MIN_EMIN, Emax=MAX_EMAX)
"""How roots and logarithms are taken, whatever context the caller has set."""
_SHOWN: Final = Context(prec=50, Emin=MIN_EMIN, Emax=MAX_EMAX)


class CalculationError(ThinktwiceError, ValueError):
    """An expression that has no value here: it cannot be read, has none, or is too large."""


def bits(value: Fraction) -> int:
    """The size of a number."""
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def allow(size: int) -> None:
    """Refuse a result that may have more bits.

    Raises:
        CalculationError: It may have more than 10,000.
    """
    if size > MOST_BITS:
        raise CalculationError(f"a result of more than {MOST_BITS:,} bits")


def sized(value: Fraction) -> Fraction:
    """The value, if it is no larger than a result may be."""
    allow(bits(value))
    return value


def whole(value: Fraction) -> int:
    """The value as an int.

    Raises:
        CalculationError: It is no whole number.
    """
    if value.denominator != 1:
        raise CalculationError("a whole number is needed")
    return value.numerator


def decimal(value: Fraction) -> Decimal:
    """The value to 60 digits."""
    return PRECISE.divide(Decimal(value.numerator), Decimal(value.denominator))


def rounded(value: Decimal) -> Fraction:
    """The value to 50 digits."""
    return sized(Fraction(_SHOWN.plus(value)))
