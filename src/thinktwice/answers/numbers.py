"""Numbers in texts, and one form for equal numbers.

Numbers are read in the English notation: a comma groups thousands, a point starts the decimals.
Currency signs, per cent signs and units are not part of the number.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from thinktwice.answers.marks import Mark, marks

Number: TypeAlias = int | Decimal | Fraction
"""A number in its one form: int where integral, Decimal where finite, else Fraction."""

_LONGEST_INT = 40
"""Digits above which a Decimal stays one: `1e999999` must not become a million digits."""


def canonical_number(value: float | Decimal | Fraction) -> Number | None:
    """The one form of a number: equal numbers of any type give the same; None for NaN.

    A float is read as it prints, so that 0.1 is a tenth.
    """
    if isinstance(value, Fraction):
        return _from_fraction(value)
    if isinstance(value, int):
        return int(value)
    exact = Decimal(float.__repr__(value)) if isinstance(value, float) else value
    if exact.is_nan():
        return None
    if not exact.is_finite():
        return exact
    return _stripped(exact)


def _stripped(value: Decimal) -> int | Decimal:
    if not value:
        return 0
    sign, digits, _ = value.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    exponent = value.adjusted() - len(text) + 1
    if exponent >= 0 and len(text) + exponent <= _LONGEST_INT:
        return int(value)
    return Decimal((sign, tuple(map(int, text)), exponent))


def _from_fraction(value: Fraction) -> Number:
    """A Decimal where the decimals end, so that 1/2 and 0.5 are one answer."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return value
    places = max(twos, fives)
    scaled = value.numerator * 10**places // value.denominator
    sign, digits, _ = Decimal(scaled).as_tuple()
    return _stripped(Decimal((sign, digits, -places)))  # not scaleb(), which rounds to 28 digits


# ---- reading ------------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"""
    (?P<sign> (?<![\w)\]}]) - )?
    (?: \\? [$\u20ac\u00a3\u00a5\u20b9] \s? (?P<inner>-)? )?
    (?<![A-Za-z0-9_]) (?<![A-Za-z]-) (?<![0-9]\.)        # not within a name or a version
    (?:
        (?<!/) (?: (?P<whole>[0-9]+) [ ] )?              # a/b, perhaps behind a whole number,
        (?P<over>[0-9]+) [ ]? / [ ]? (?P<under>[0-9]+)   # and no part of a date
        (?! [0-9] | [.,][0-9] | [ ]? / )
    |
        10 (?:\^|\*\*) \{? (?P<power>[-+]?[0-9]{1,4}) \}?
    |
        (?P<digits> (?: [0-9]{1,3} (?:,[0-9]{3})+ (?!,?[0-9]) | [0-9]+ ) (?:\.[0-9]+)? | \.[0-9]+ )
        (?: [eE] (?P<e>[-+]?[0-9]{1,4}) (?![A-Za-z0-9])
          | \s* (?: \u00d7 | x | \* | \\times | \\cdot ) \s*
            10 \s* (?:\^|\*\*) \s* \{? (?P<ten>[-+]?[0-9]{1,4}) \}?
        )?
    )
    """,
    re.VERBOSE,
)
_SPELLINGS = {ord("\u2212"): "-", **{0xFF10 + digit: str(digit) for digit in range(10)}}
_GROUPING = re.compile(r"(?<=[0-9])(?:\{,\}|\\[,!]|[\u00a0\u2009\u202f])(?=[0-9]{3})")
_FRAC = re.compile(r"([0-9]?)\\[dt]?frac\s*\{\s*(-?)([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")
_UNIT_POWER = re.compile(r"(?<=[A-Za-z}])\^(?:\{-?[0-9]+\}|-?[0-9]+)")
_DRESSING = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}|\^\{?\\circ\}?|\\[ %,;!]")
_FORMULA = re.compile(r"[\\^]")
"""What is left of a root, a constant or a power once its number is taken away."""


def number_in(text: str) -> Number | None:
    r"""The number that a text gives as its answer; None when there is none.

    The last marked number counts (`#### 42`, `\boxed{42}`, "the answer is 42", "A: 42"); without a
    mark, the last number of the text. A box that holds anything but one number holds none: a pair
    or a root must not be taken for one of its parts.
    """
    text = _plain(text)
    for mark in marks(text):
        if mark.boxed:
            return _boxed(mark.text)
        number = _first(mark)
        if number is not None:
            return number
    return _last(text)


def _plain(text: str) -> str:
    """One spelling: ASCII digits and minus, commas or nothing between groups, a/b for fractions."""
    text = _GROUPING.sub("", text.translate(_SPELLINGS))
    text = _FRAC.sub(lambda m: f"{m[1]}{' ' if m[1] else ''}{m[2]}{m[3]}/{m[4]}", text)
    return _UNIT_POWER.sub("", text)


def _boxed(text: str) -> Number | None:
    text = _DRESSING.sub(r" \1", text).rpartition("=")[2]
    found = list(_NUMBER.finditer(text))
    if len(found) != 1 or _FORMULA.search(text.replace(found[0][0], "", 1)):
        return None
    return _value(found[0])


def _first(mark: Mark) -> Number | None:
    """The first number after the mark, or behind the last equals sign: "is 3 + 4 = 7"."""
    behind = mark.text.rpartition("=")[2]
    match = _NUMBER.search(behind) or _NUMBER.search(mark.text)
    return _value(match) if match else None


def _last(text: str) -> Number | None:
    value = None
    for match in _NUMBER.finditer(text):
        found = _value(match)
        value = value if found is None else found
    return value


def _value(match: re.Match[str]) -> Number | None:
    """The number of a match; None for a fraction over zero."""
    part = match.groupdict()
    value: Fraction | Decimal
    if part["under"]:
        if not int(part["under"]):
            return None
        value = int(part["whole"] or 0) + Fraction(int(part["over"]), int(part["under"]))
    elif part["power"]:
        value = Decimal(f"1e{part['power']}")
    else:
        exponent = part["e"] or part["ten"] or "0"
        value = Decimal(f"{part['digits'].replace(',', '')}e{exponent}")
    return canonical_number(-value if part["sign"] or part["inner"] else value)
