"""Functions that an expression may call."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from thinktwice.verifiers.calculator.arithmetic import add, divide, multiply, power
from thinktwice.verifiers.calculator.sizes import (
    PRECISE,
    CalculationError,
    allow,
    bits,
    decimal,
    rounded,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LARGEST_FACTORIAL: Final = 1000


def sqrt(value: Fraction) -> Fraction:
    """The square root; one that is no fraction is given to 50 digits."""
    if value < 0:
        raise CalculationError("a root of a negative number")
    exact = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return exact if exact * exact == value else rounded(PRECISE.sqrt(decimal(value)))


def root(degree: Fraction, value: Fraction) -> Fraction:
    """The root of a degree."""
    if value < 0 and degree.denominator == 1 and degree.numerator % 2:
        return -root(degree, -value)
    return power(value, divide(Fraction(1), degree))


def ln(value: Fraction) -> Fraction:
    """The natural logarithm, to 50 digits."""
    _positive(value)
    return rounded(PRECISE.ln(decimal(value)))


def log(value: Fraction, base: Fraction | None = None) -> Fraction:
    """A logarithm, natural unless a base is given; exact where it is a whole number."""
    if base is None:
        return ln(value)
    _positive(value)
    _positive(base)
    if base == 1:
        raise CalculationError("a logarithm to the base 1")
    near = divide(ln(value), ln(base))
    nearest = Fraction(round(near))
    if abs(near - nearest) < Fraction(1, 10**30) and power(base, nearest) == value:
        return nearest
    return near


def exp(value: Fraction) -> Fraction:
    """The exponential function, to 50 digits."""
    allow(math.ceil(abs(value) * 2))
    return rounded(PRECISE.exp(decimal(value)))


def factorial(value: Fraction) -> Fraction:
    """The factorial of a whole number from 0 to 1000."""
    number = whole(value)
    if not 0 <= number <= _LARGEST_FACTORIAL:
        raise CalculationError(f"factorials go from 0 to {_LARGEST_FACTORIAL}")
    return Fraction(math.factorial(number))


def comb(of: Fraction, chosen: Fraction) -> Fraction:
    """Ways to choose without order."""
    return Fraction(math.comb(*_choice(of, chosen)))


def perm(of: Fraction, chosen: Fraction) -> Fraction:
    """Ways to choose in order."""
    return Fraction(math.perm(*_choice(of, chosen)))


def _choice(of: Fraction, chosen: Fraction) -> tuple[int, int]:
    of_number, number = whole(of), whole(chosen)
    if of_number < 0 or number < 0:
        raise CalculationError("a choice among fewer than none")
    allow(min(number, of_number) * of_number.bit_length())
    return of_number, number


def gcd(*values: Fraction) -> Fraction:
    """The greatest common divisor."""
    return Fraction(math.gcd(*map(whole, values)))


def lcm(*values: Fraction) -> Fraction:
    """The least common multiple."""
    allow(sum(map(bits, values)))
    return Fraction(math.lcm(*map(whole, values)))


def round_half_up(value: Fraction, places: Fraction | None = None) -> Fraction:
    """The nearest number with so many decimals; halves go away from zero, as in school."""
    digits = 0 if places is None else whole(places)
    scale = power(Fraction(10), Fraction(digits))
    size = math.floor(abs(multiply(value, scale)) + Fraction(1, 2))
    return divide(Fraction(size if value >= 0 else -size), scale)


def _abs(value: Fraction) -> Fraction:
    return abs(value)


def _floor(value: Fraction) -> Fraction:
    return Fraction(math.floor(value))


def _ceil(value: Fraction) -> Fraction:
    return Fraction(math.ceil(value))


def _total(*values: Fraction) -> Fraction:
    total = Fraction(0)
    for value in values:
        total = add(total, value)
    return total


def _mean(*values: Fraction) -> Fraction:
    return divide(_total(*values), Fraction(len(values)))


class Function(NamedTuple):
    """A function that may be called.

    Attributes:
        call: What computes it.
        least: Fewest arguments.
        most: Most arguments.
    """

    call: Callable[..., Fraction]
    least: int = 1
    most: int = 1


_MANY: Final = 100
FUNCTIONS: Final[Mapping[str, Function]] = {
    "abs": Function(_abs),
    "binom": Function(comb, 2, 2),
    "cbrt": Function(partial(root, Fraction(3))),
    "ceil": Function(_ceil),
    "comb": Function(comb, 2, 2),
    "exp": Function(exp),
    "factorial": Function(factorial),
    "floor": Function(_floor),
    "frac": Function(divide, 2, 2),
    "gcd": Function(gcd, 1, _MANY),
    "lcm": Function(lcm, 1, _MANY),
    "ln": Function(ln),
    "log": Function(log, 1, 2),
    "log10": Function(partial(log, base=Fraction(10))),
    "log2": Function(partial(log, base=Fraction(2))),
    "max": Function(max, 1, _MANY),
    "mean": Function(_mean, 1, _MANY),
    "min": Function(min, 1, _MANY),
    "perm": Function(perm, 2, 2),
    "root": Function(root, 2, 2),
    "round": Function(round_half_up, 1, 2),
    "sqrt": Function(sqrt),
    "sum": Function(_total, 1, _MANY),
}


def apply(name: str, arguments: Sequence[Fraction]) -> Fraction:
    """Call a function by name.

    Raises:
        CalculationError: It takes another number of arguments, has no value there, or one that is
            too large.
    """
    function = FUNCTIONS[name]
    if not function.least <= len(arguments) <= function.most:
        raise CalculationError(f"{name} does not take {len(arguments)} arguments")
    if function.most == _MANY and len(arguments) == 1:
        return arguments[0]
    return function.call(*arguments)


def _positive(value: Fraction) -> None:
    if value <= 0:
        raise CalculationError("a logarithm of what is not above 0")
