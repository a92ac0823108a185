"""The numbers of a text, with their units."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SCALES: Final[Mapping[str, int]] = {
    "thousand": 3,
    "k": 3,
    "million": 6,
    "mn": 6,
    "m": 6,
    "billion": 9,
    "bn": 9,
    "b": 9,
    "trillion": 12,
    "tn": 12,
}
_UNITS: Final[Mapping[str, str]] = {
    spelling: unit
    for unit, spellings in {
        "%": "% percent pct",
        "$": "$ us$ usd dollar dollars",
        "\u20ac": "\u20ac eur euro euros",
        "\u00a3": "\u00a3 gbp",
        "\u00a5": "\u00a5 jpy yen",
        "cent": "cent cents \u00a2",
        "km": "km kilometre kilometres kilometer kilometers",
        "m": "m metre metres meter meters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "mi": "mi mile miles",
        "ft": "ft foot feet",
        "in": "inch inches",
        "t": "t ton tons tonne tonnes",
        "kg": "kg kilogram kilograms kilo kilos",
        "g": "g gram grams",
        "mg": "mg milligram milligrams",
        "lb": "lb lbs",
        "oz": "oz ounce ounces",
        "l": "l litre litres liter liters",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "ms": "ms millisecond milliseconds",
        "s": "s sec secs second seconds",
        "min": "min mins minute minutes",
        "h": "h hr hrs hour hours",
        "d": "day days",
        "wk": "week weeks",
        "mo": "month months",
        "yr": "yr yrs year years",
        "kB": "kb kilobyte kilobytes",
        "MB": "mb megabyte megabytes",
        "GB": "gb gigabyte gigabytes",
        "TB": "tb terabyte terabytes",
        "W": "w watt watts",
        "kW": "kw kilowatt kilowatts",
        "MW": "mw megawatt megawatts",
        "kWh": "kwh",
        "Hz": "hz",
        "GHz": "ghz",
        "km/h": "km/h kph",
        "mph": "mph",
        "\u00b0C": "\u00b0c celsius",
        "\u00b0F": "\u00b0f fahrenheit",
    }.items()
    for spelling in spellings.split()
}
UNIT_WORDS: Final = frozenset(_UNITS) | frozenset(_SCALES)
"""Spellings of units and scales, which say nothing by themselves."""

_STRICT: Final = frozenset({"%", "cent"})
"""Units that nobody leaves out: a bare 50 is not 50 %."""

_QUANTITY: Final = re.compile(
    r"""
    (?<![A-Za-z0-9_.]) (?<![A-Za-z]-)
    (?P<sign>[-\u2212](?=[.\d]))? (?P<before>(?:US)?[$\u20ac\u00a3\u00a5])? [ ]?
    (?P<digits>\d{1,3}(?:[,\u00a0\u202f\u2009]\d{3})+(?![\d,]\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    (?: [ \u00a0-]? (?P<scale>thousand|million|billion|trillion|mn|bn|tn) \b
      | (?P<letter>[kKMB]) (?![A-Za-z]) )?
    (?: (?:st|nd|rd|th|s)\b )?
    (?= [ \u00a0\u202f-]?
        (?P<after> % | per[ ]cent\b | [$\u20ac\u00a3\u00a5\u00a2] | \u00b0[CF]\b | km/h\b
          | [A-Za-z]+ )
      | )
    """,
    re.VERBOSE,
)
_MOST_DIGITS: Final = 60


class Quantity(NamedTuple):
    """A number as a text gives it.

    Attributes:
        shown: As it stands there.
        value: What it is.
        unit: One name for all spellings of a unit; None without one that is known.
        slack: Half of the last digit, where the number is shown as a rounded one.
    """

    shown: str
    value: int | Fraction
    unit: str | None = None
    slack: int | Fraction = 0

    def stated_by(self, other: Quantity) -> bool:
        """Whether another text gives this number: equal, or rounded as this one is shown."""
        same_unit = self.unit == other.unit or (
            None in (self.unit, other.unit) and not {self.unit, other.unit} & _STRICT
        )
        return same_unit and abs(self.value - other.value) <= self.slack


def quantities(text: str) -> Iterator[Quantity]:
    """The numbers of a text: no parts of names such as GPT-4, and none spelled out."""
    for match in _QUANTITY.finditer(text):
        if (found := _quantity(match)) is not None:
            yield found


def _quantity(match: re.Match[str]) -> Quantity | None:
    part = match.groupdict()
    digits = re.sub(r"[,\u00a0\u202f\u2009]", "", part["digits"])
    if len(digits) > _MOST_DIGITS:
        return None
    after = (part["after"] or "").lower().replace("per cent", "%")
    scale = _SCALES.get((part["scale"] or part["letter"] or "").lower(), 0)
    unit = _UNITS.get((part["before"] or "").lower()) or _UNITS.get(after)
    end = match.end("after") if after in _UNITS else match.end()
    if after and unit is None and match.start("after") == match.end("digits"):
        return None  # a letter at once behind it, and no unit: a name such as 3D
    whole, _, decimals = digits.partition(".")
    value: int | Fraction = int(f"{whole}{decimals}") * 10**scale
    slack: int | Fraction = 0
    if decimals:
        value = Fraction(value, 10 ** len(decimals))
    if scale or decimals:
        slack = Fraction(10**scale, 2 * 10 ** len(decimals))
    shown = match.string[match.start() : end].strip(" \u00a0")
    return Quantity(shown, -value if part["sign"] else value, unit, slack)
