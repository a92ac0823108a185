"""Arithmetic over units, with pint."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from thinktwice.errors import UsageError
from thinktwice.verifiers.calculator.expression import evaluate
from thinktwice.verifiers.calculator.names import UNITS
from thinktwice.verifiers.calculator.sizes import CalculationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice.verifiers.calculator.sides import Piece
    from thinktwice.verifiers.calculator.tokens import Token

_VAGUE: Final = frozenset({"month", "year", "ton", "nickel", "dime", "quarter"})
"""Units of no one size, or names of more than a unit."""
_ALIKE: Final[Mapping[str, int]] = {}
_UNLIKE: Final[Mapping[str, int]] = {"[length]": 2, "[time]": 3, "[mass]": 5, "[money]": 7}
"""Sizes of base units, for telling dimensions apart."""


class Unit(NamedTuple):
    """A unit, as a multiple of base units.

    Attributes:
        factor: How many base units it is.
        dimension: Powers of length, time and so on.
    """

    factor: Fraction
    dimension: Mapping[str, int]


class Converter:
    """Computes with units.

    An expression is computed twice, in base units and in base units of other sizes: if its value
    changes as that of the unit asked for does, its dimension is that of the unit.
    """

    def __init__(self) -> None:
        """Load pint's units, which takes about a second the first time in a process.

        Raises:
            UsageError: pint is not installed.
        """
        _registry()

    def value(self, expression: Piece, like: Piece) -> Fraction | None:
        """The value of an expression in the unit of another piece; None if it has none there."""
        wanted = _unit_behind(like.tokens[-1], like)
        if wanted is None:
            return None
        found = {_in_unit(expression, wanted, sizes) for sizes in (_ALIKE, _UNLIKE)}
        return found.pop() if len(found) == 1 else None


def _in_unit(expression: Piece, wanted: Unit, sizes: Mapping[str, int]) -> Fraction | None:
    tokens: list[Token] = []
    for token in expression.tokens:
        unit = _unit_behind(token, expression) if token.kind == "number" else None
        tokens.append(token._replace(value=token.value * _size(unit, sizes)) if unit else token)
    try:
        return evaluate(tokens) / _size(wanted, sizes)
    except CalculationError:
        return None


def _size(unit: Unit, sizes: Mapping[str, int]) -> Fraction:
    size = unit.factor
    for name, power in unit.dimension.items():
        size *= Fraction(sizes.get(name, 1)) ** power
    return size


def _unit_behind(token: Token, piece: Piece) -> Unit | None:
    """The unit of a number: km in "3 km", km/h in "3 km/h", dollars in "$3"."""
    following = min((t.start for t in piece.tokens if t.start >= token.end), default=None)
    words = [
        label.text
        for label in piece.labels
        if label.start >= token.end and (following is None or label.start < following)
    ]
    unit = _unit(tuple(words))
    if token.money and unit is None:
        return _unit(("dollar",))
    return unit


@cache
def _unit(words: tuple[str, ...]) -> Unit | None:
    if not words or words[0] not in UNITS:
        return None
    over = {"/", "per"}
    names = [UNITS.get(word) for word in words if word not in over]
    divided = len(words) == 3 and words[1] in over  # noqa: PLR2004
    if len(names) > 1 and not divided:
        names = names[:1]
    if any(name is None or name in _VAGUE for name in names):
        return None
    return _measured("/".join(str(name) for name in names))


def _measured(name: str) -> Unit:
    quantity = _registry().Quantity(Fraction(1), name).to_base_units()
    return Unit(quantity.magnitude, {d: int(power) for d, power in quantity.dimensionality.items()})


class _Quantity(Protocol):
    """What is needed of a quantity of pint's."""

    magnitude: Fraction
    dimensionality: Mapping[str, Fraction]

    def to_base_units(self) -> _Quantity: ...


class _Registry(Protocol):
    """What is needed of pint's registry."""

    def Quantity(self, value: Fraction, unit: str) -> _Quantity: ...  # noqa: N802 - pint's name


@cache
def _registry() -> _Registry:
    try:
        import pint
    except ImportError as error:
        remedy = "pip install 'thinktwice[units]', or leave it out"
        raise UsageError("units", "pint is not installed", remedy) from error
    exact = cast("type[float]", Fraction)  # as pint allows, and its types do not
    registry = cast("Any", pint.UnitRegistry)(non_int_type=exact)
    registry.define("dollar = [money]")
    registry.define("cent = 1/100 dollar")
    return registry
