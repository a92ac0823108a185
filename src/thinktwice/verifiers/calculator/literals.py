"""Numbers as written, and the values that they may stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from thinktwice.verifiers.calculator.sides import Piece
    from thinktwice.verifiers.calculator.tokens import Token

_FLOAT_PLACES: Final = 10
"""Decimals from which a number is one that a program printed."""
_FLOAT_ERROR: Final = Fraction(1, 10**9)


@dataclass(frozen=True)
class Literal:
    """A side that is one number.

    Attributes:
        token: The number as written.
        negative: A minus stands before it.
        percent: A per cent sign stands behind it.
    """

    token: Token
    negative: bool
    percent: bool

    @property
    def value(self) -> Fraction:
        """The number with its sign; of 20% it is 20."""
        return -self.token.value if self.negative else self.token.value


def literal(piece: Piece) -> Literal | None:
    """The number that a side consists of; None if it is more than that."""
    tokens = piece.tokens
    while len(tokens) > 1 and tokens[0].kind == "open" and tokens[-1].kind == "close":
        tokens = tokens[1:-1]
    negative = bool(tokens) and tokens[0].text == "-"
    tokens = tokens[1:] if negative else tokens
    percent = len(tokens) > 1 and tokens[-1].kind == "percent"
    tokens = tokens[:-1] if percent else tokens
    if len(tokens) != 1 or tokens[0].kind != "number":
        return None
    return Literal(tokens[0], negative, percent)


def agrees(value: Fraction, stated: Literal, *, near: bool) -> bool:
    """Whether a number as written stands for a value, going by the digits that it shows.

    It may be rounded or, with decimals, cut off after the last digit shown.

    Args:
        value: The exact value.
        stated: The number; of a per cent the value may be the number itself, or its hundredth.
        near: It is said to be approximate: then one unit more of the last digit is allowed, zeros
            at the end not counting as digits.
    """
    if value * stated.value < 0:
        return False
    scales = (1, 100) if stated.percent else (1,)
    return any(_shows(abs(value) * scale, stated.token, near=near) for scale in scales)


def _shows(value: Fraction, token: Token, *, near: bool) -> bool:
    shown = token.value
    difference = abs(value - shown)
    unit = Fraction(1, 10**token.places)
    if near:
        return difference <= _last_digit(token) * 3 / 2
    if token.places >= _FLOAT_PLACES:
        return difference <= max(value * _FLOAT_ERROR, unit)
    if difference * 2 == unit and token.places == 0:
        return shown > value
    cut = token.places > 0 and shown == math.floor(value / unit) * unit
    return difference * 2 <= unit or cut


def _last_digit(token: Token) -> Fraction:
    unit = Fraction(1, 10**token.places)
    while token.places == 0 and unit * 100 <= token.value and token.value % (unit * 10) == 0:
        unit *= 10
    return unit
