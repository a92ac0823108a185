"""Numbers as texts."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from thinktwice.verifiers.calculator.functions import round_half_up
from thinktwice.verifiers.calculator.sizes import PRECISE, decimal

if TYPE_CHECKING:
    from thinktwice.verifiers.calculator.tokens import Token

_MOST_PLACES: Final = 6
"""Decimals that a number is written out with."""
_LEAST_PLACES: Final = 2
_DIGITS: Final = 6
"""Digits of a number that is rounded, from the first that is not zero."""
_LONGEST: Final = 40


def like(value: Fraction, token: Token, *, grouped: bool) -> tuple[str, Fraction]:
    """Write a number in the manner of another one.

    Args:
        value: The number.
        token: The other one: as many decimals are shown, if that is exact or there are more.
        grouped: Commas group thousands in the text.

    Returns:
        The text, and what it is worth.
    """
    exact = _places(value)
    places = max(token.places, _LEAST_PLACES) if exact is None else max(token.places, exact)
    plain = token.value >= 1000 and "," not in token.text  # noqa: PLR2004 - where commas begin
    worth = round_half_up(value, Fraction(places))
    return _decimal(worth, places, comma="," if grouped and not plain else ""), worth


def shown(value: Fraction, places: int = 0) -> str:
    """A number for a reader: exact where its decimals end, else rounded behind "about".

    Args:
        value: The number.
        places: Decimals to show at least, of one that is exact; others have six digits that count.
    """
    if value and not Fraction(1, 10**_LONGEST) < abs(value) < 10**_LONGEST:
        return "a number of many digits"
    exact = _places(value)
    if exact is not None:
        return _decimal(value, max(exact, places))
    near = decimal(value)
    decimals = max(0, _DIGITS - 1 - near.adjusted())
    return f"about {near.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, PRECISE):f}"


def _places(value: Fraction) -> int | None:
    """Decimals that it takes to write a number exactly; None if there are too many."""
    for places in range(_MOST_PLACES + 1):
        if (10**places) % value.denominator == 0:
            return places
    return None


def _decimal(value: Fraction, places: int, comma: str = "") -> str:
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    grouped = f"{int(whole):,}" if comma else whole
    sign = "-" if value < 0 else ""
    return f"{sign}{grouped}.{decimals}" if places else f"{sign}{grouped}"
