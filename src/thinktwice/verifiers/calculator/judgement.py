"""Says which claims of a text hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Final

from thinktwice.verifiers.calculator.claims import claims_of
from thinktwice.verifiers.calculator.literals import Literal, agrees, literal
from thinktwice.verifiers.calculator.names import SCALES, UNITS
from thinktwice.verifiers.calculator.readings import lenient_values, other_values, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thinktwice.verifiers.calculator.claims import Claim
    from thinktwice.verifiers.calculator.sides import Piece
    from thinktwice.verifiers.calculator.units import Converter

_NEARLY: Final = Fraction(1, 50)
"""How far apart two sides with decimals may be that are both computed, as a share."""

_INEXACT: Final = Fraction(1, 10**40)
"""The same for roots and logarithms, which have 50 digits: sqrt(2) * sqrt(3) = sqrt(6)."""


@dataclass(frozen=True)
class Finding:
    """What was found of a claim.

    Attributes:
        claim: The claim.
        holds: Whether it does.
        expression: The side that is computed.
        stated: The side that is a number; None if both are computed.
        value: What the expression is, in the unit of the stated number.
    """

    claim: Claim
    holds: bool
    expression: Piece
    stated: Literal | None
    value: Fraction

    def right(self, value: Fraction) -> Fraction:
        """A value of the expression as the stated number shows it: 25 for a quarter in per cent."""
        stated = self.stated
        if stated is None or not stated.percent:
            return value
        return min(value, value * 100, key=lambda each: abs(each - stated.value))


def findings(text: str, converter: Converter | None = None) -> list[Finding]:
    """Judge the claims of a plain text, in order; one that the text itself takes back is left out.

    Args:
        text: The plain text.
        converter: Converts units; None leaves claims alone that mix them.
    """
    rounded: dict[str, Fraction] = {}
    found: list[Finding] = []
    last: Finding | None = None  # of the chain that goes on
    for claim in claims_of(text):
        goes_on = last is not None and last.holds and last.claim.right is claim.left
        going = _restated(claim, last) if last is not None and goes_on else None
        last = going or _judge(claim, rounded, converter)
        finding = None if going is not None and going.holds else last
        if finding is None:
            continue
        found.append(finding)
        stated = finding.stated
        if finding.holds and stated is not None and stated.value != finding.value:
            rounded[stated.token.text] = abs(finding.value)
    return _standing(found)


def _standing(found: Sequence[Finding]) -> list[Finding]:
    """Without slips that are put right further down: 30*8 = 250. Wait, 30*8 = 240."""
    right: dict[tuple[str, ...], int] = {}  # where the last right claim of an expression begins
    for finding in found:
        if finding.holds and finding.stated is not None:
            right[_signs(finding)] = finding.claim.start
    return [each for each in found if each.holds or right.get(_signs(each), 0) < each.claim.end]


def _signs(finding: Finding) -> tuple[str, ...]:
    return tuple(token.text for token in finding.expression.tokens)


def _judge(
    claim: Claim, rounded: Mapping[str, Fraction], converter: Converter | None
) -> Finding | None:
    """Judge a claim; None where it cannot be told, or there is nothing to compute."""
    left, right = literal(claim.left), literal(claim.right)
    if left is not None and right is not None:
        units = claim.sign != "is" and claim.left.first and _mixes_units(claim)
        return _converted(claim, claim.left, right, converter) if units else None
    if right is not None:
        sound = claim.sign != "is" or _is_same_thing(claim)
        return _stated(claim, claim.left, right, rounded, converter) if sound else None
    if claim.sign == "is":
        return None
    if left is None:
        return _compared(claim)
    alone = claim.left.first and not claim.left.labels  # 12 = 3*4, not: 2 boxes = 3*4
    return _stated(claim, claim.right, left, rounded, converter) if alone else None


def _stated(
    claim: Claim,
    expression: Piece,
    stated: Literal,
    rounded: Mapping[str, Fraction],
    converter: Converter | None,
) -> Finding | None:
    """An expression and the number that it is said to be."""
    value = value_of(expression.tokens)
    if value is None:
        return None
    holds = _holds(claim, expression, stated, value, rounded)
    if not holds and _mixes_units(claim):
        return _converted(claim, expression, stated, converter)
    unclear = not holds and _is_else(claim, value, stated)
    return None if unclear else Finding(claim, holds, expression, stated, value)


def _holds(
    claim: Claim,
    expression: Piece,
    stated: Literal,
    value: Fraction,
    rounded: Mapping[str, Fraction],
) -> bool:
    tokens = expression.tokens
    values = chain([value], other_values(tokens), lenient_values(tokens, rounded))
    return any(agrees(each, stated, near=claim.sign == "~") for each in values)


def _converted(
    claim: Claim, expression: Piece, stated: Literal, converter: Converter | None
) -> Finding | None:
    """A claim over several units; None if they cannot be converted."""
    like = claim.right if expression is claim.left else claim.left
    value = converter.value(expression, like) if converter is not None else None
    if value is None:
        return None
    holds = agrees(value, stated, near=claim.sign == "~")
    return Finding(claim, holds, expression, stated, value)


def _is_same_thing(claim: Claim) -> bool:
    """Whether a claim in words counts one thing: not "2 x 4 boards are 10 dollars"."""
    left, right = _words(claim.left), _words(claim.right)
    return not left or bool(left & right)


def _words(piece: Piece) -> set[str]:
    return {label.text.lower() for label in piece.labels}


def _restated(claim: Claim, before: Finding) -> Finding | None:
    """A number of a chain and the one behind it, 4 = 5 in 2 + 2 = 4 = 5; None if they are not both.

    Only what counts the same thing in the same way is compared: not 60 minutes = 1 hour.
    """
    middle, stated = before.stated, literal(claim.right)
    if middle is None or stated is None or claim.sign == "is" or before.expression is claim.left:
        return None
    left, right = claim.left, claim.right
    money = {any(token.money for token in piece.tokens) for piece in (left, right)}
    if _words(left) != _words(right) or len(money) > 1 or middle.percent != stated.percent:
        return None
    whole = replace(claim, left=before.expression, start=before.claim.start)
    if _mixes_units(whole):
        return None
    near = "~" in {claim.sign, before.claim.sign}
    rounds = abs(middle.value - stated.value) < Fraction(1, 10**stated.token.places)
    holds = rounds or agrees(middle.value, stated, near=near)
    return Finding(whole, holds, before.expression, stated, before.value)


def _compared(claim: Claim) -> Finding | None:
    """Two computed sides: equal, or the right one goes on from the left one's value.

    "5 * 3 = 15 + 2 = 17" is bad style, and no slip.
    """
    left, tokens = claim.left, claim.right.tokens
    value, other = value_of(left.tokens), value_of(tokens)
    if value is None or other is None:
        return None
    values = {value, *other_values(left.tokens)}
    goes_on = tokens[0].kind == "number" and tokens[0].value in values
    others = {other, *other_values(tokens)}
    equal = any(abs(one - two) <= abs(one) * _INEXACT for one in values for two in others)
    decimals = any(token.places for token in (*left.tokens, *tokens))
    near = decimals and abs(value - other) <= abs(value) * _NEARLY
    holds = equal or goes_on or near
    if not holds and _mixes_units(claim):
        return None
    return Finding(claim, holds, left, None, value)


# ---- units --------------------------------------------------------------------------------------


def _mixes_units(claim: Claim) -> bool:
    """Whether there are two units, a scale such as "million", or letters that may be variables."""
    names = [label.text for piece in (claim.left, claim.right) for label in piece.labels]
    letters = any(len(name) == 1 and name.isascii() and name.isalpha() for name in names)
    if letters or any(name.lower() in SCALES for name in names):
        return True
    units = {UNITS[name] for name in names if name in UNITS}
    if _has_money(claim):
        units.add("dollar")
    return len(units) > 1


def _has_money(claim: Claim) -> bool:
    return any(token.money for token in (*claim.left.tokens, *claim.right.tokens))


def _is_else(claim: Claim, value: Fraction, stated: Literal) -> bool:
    """Whether it is a range, as in 10-12 = 3 days, or cents and dollars are mixed up."""
    tokens = claim.left.tokens
    joined = tokens[0].end == tokens[1].start if len(tokens) == 3 else False  # noqa: PLR2004
    if joined and tokens[1].text == "-" and stated.value in {-value, 1 - value}:
        return True
    names = _words(claim.left) | _words(claim.right)
    coins = _has_money(claim) or any(UNITS.get(name) == "cent" for name in names)
    scales = (Fraction(100), Fraction(1, 100))
    return coins and any(agrees(value * scale, stated, near=True) for scale in scales)
