"""Verifiers that know the right answer: for tests, evaluation and calibration."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from thinktwice.answers import Key, Number, canonical_number, key_function
from thinktwice.errors import UsageError
from thinktwice.sample import Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable

    from thinktwice.sample import Sample

Amount: TypeAlias = int | float | Decimal | Fraction | str
"""A number as the caller writes it; a float is read as it prints, a text by its number."""

_EXACT_ENOUGH = Context(prec=50, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
"""How differences are taken, whatever context the caller has set: nothing raises."""


@dataclass(frozen=True)
class ExactMatch:
    """Passes an answer whose key is that of the reference.

    An answer without a key (None) fails: it is not the right one.

    Attributes:
        reference: The right answer, as a sampler would return it.
        key: What two answers must share; see `key_function`.
        name: Shown in verdicts and spans.
        exact: A pass is proof.

    Raises:
        UsageError: The key is not known, or the reference has none.
    """

    reference: object
    key: str | Key | None = field(default=None, kw_only=True)
    name: str = field(default="exact_match", kw_only=True)
    exact: bool = field(default=True, init=False, repr=False)
    calls: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that the reference can be matched at all."""
        self._expected()

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Compare the keys."""
        del prompt
        found = key_function(self.key)(sample.value)
        return _verdict(sample, self.name, passed=found == self._expected())

    def _expected(self) -> Hashable:
        expected = key_function(self.key)(self.reference)
        if expected is None:
            raise UsageError("reference", self.reference, "give an answer that its key can read")
        return expected


@dataclass(frozen=True)
class NumericMatch:
    """Passes an answer whose number is that of the reference, or near it.

    The number of a text is read as by `key="number"`. An answer without a number fails. Numbers are
    exact: 0.1 is a tenth, and 1/2 is 0.5.

    Attributes:
        reference: The right number.
        absolute: Largest difference that passes, in the unit of the answer.
        relative: Largest difference that passes, as a share of the reference; the larger of the
            two counts.
        name: Shown in verdicts and spans.
        exact: A pass is proof.

    Raises:
        UsageError: The reference holds no number, or a tolerance is negative or no number.
    """

    reference: Amount
    absolute: Amount = field(default=0, kw_only=True)
    relative: Amount = field(default=0, kw_only=True)
    name: str = field(default="numeric_match", kw_only=True)
    exact: bool = field(default=True, init=False, repr=False)
    calls: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the numbers."""
        _number("reference", self.reference)
        for name, amount in (("absolute", self.absolute), ("relative", self.relative)):
            if _number(name, amount) < 0:
                raise UsageError(name, amount, "give 0 or more")

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Compare the numbers."""
        del prompt
        found = key_function("number")(sample.value)
        near = isinstance(found, int | Decimal | Fraction) and self._near(found)
        return _verdict(sample, self.name, passed=near)

    def _near(self, found: Number) -> bool:
        reference = _number("reference", self.reference)
        if found == reference:
            return True
        absolute, relative = (_decimal(_number("", t)) for t in (self.absolute, self.relative))
        with localcontext(_EXACT_ENOUGH):
            allowed = max(absolute, relative * abs(_decimal(reference)))
            return abs(_decimal(found) - _decimal(reference)) <= allowed


def _number(parameter: str, amount: Amount) -> Number:
    number = key_function("number")(amount) if isinstance(amount, str) else canonical_number(amount)
    if not isinstance(number, int | Decimal | Fraction):
        raise UsageError(parameter, amount, "give a number")
    return number


def _decimal(number: Number) -> Decimal:
    if isinstance(number, Fraction):
        with localcontext(_EXACT_ENOUGH):
            return Decimal(number.numerator) / Decimal(number.denominator)
    return Decimal(number)


def _verdict(sample: Sample[object], name: str, *, passed: bool) -> Verdict:
    return Verdict(
        outcome="pass" if passed else "fail",
        score=float(passed),
        verifier=name,
        sample=sample.index,
    )
