"""Words that mean something in a calculation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

APPROXIMATE: Final = frozenset(
    {"about", "approximately", "around", "roughly", "nearly", "almost", "approx", "circa", "ca"}
)
_FILLERS: Final = (
    "a an the total of exactly just only equal to equals is are also simply then now still us you "
    "me him her them another sum value"
)
FILLERS: Final = APPROXIMATE | frozenset(_FILLERS.split())
"""Words that may stand between an equals sign and its number."""

CONTINUES: Final = frozenset({"remainder", "r", "with", "times", "mod", "modulo"})
"""Words behind a number with which it is not all of the result: 19 / 5 = 3 with 4 left over."""
_COMPARES: Final = (
    "more less fewer higher lower larger smaller greater bigger longer shorter older younger out "
    "to or of over under above below off short away"
)
COMPARES: Final = frozenset(_COMPARES.split())
"""Words behind "is 3" that make it no claim about the number."""

_CALLED: Final = (
    "sin cos tan cot sec csc arcsin arccos arctan asin acos atan sinh cosh tanh log ln lg exp sqrt "
    "cbrt abs floor ceil factorial gcd lcm"
)
CALLED: Final = frozenset(f"{mark}{name}" for name in _CALLED.split() for mark in ("", "\\"))
"""Functions that are written without brackets as well: sin 30 + 1 is not 31."""

_UNITS: Final[Mapping[str, str]] = {
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs",
    "millimeter": "mm millimeter millimeters millimetre millimetres",
    "centimeter": "cm centimeter centimeters centimetre centimetres",
    "meter": "m meter meters metre metres",
    "kilometer": "km kms kilometer kilometers kilometre kilometres",
    "inch": "inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard yards",
    "mile": "mi mile miles",
    "milligram": "mg milligram milligrams",
    "gram": "g gram grams",
    "kilogram": "kg kgs kilogram kilograms",
    "ounce": "oz ounce ounces",
    "pound": "lb lbs pound pounds",
    "ton": "ton tons tonne tonnes",
    "milliliter": "ml milliliter milliliters millilitre millilitres",
    "liter": "l liter liters litre litres",
    "pint": "pint pints",
    "quart": "quart quarts",
    "gallon": "gal gallon gallons",
    "cup": "cup cups",
    "cent": "cent cents \u00a2 penny pennies",
    "nickel": "nickel nickels",
    "dime": "dime dimes",
    "quarter": "quarter quarters",
    "dollar": "dollar dollars usd",
}
UNITS: Final[Mapping[str, str]] = {
    name: unit for unit, names in _UNITS.items() for name in names.split()
}
"""Names of units, each with the unit; arithmetic over two of them may convert."""

_SCALES: Final = (
    "hundred thousand million billion trillion k bn mn dozen dozens pair pairs am pm half"
)
SCALES: Final = frozenset(_SCALES.split())
"""Words behind a number that change what it stands for."""
