"""What a test expects, and whether a value that came out of a sandbox is that."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from thinktwice.errors import is_number
from thinktwice.sandbox.values import NoText, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """By how much a number may differ from an expected float; the larger of the two counts.

    Attributes:
        absolute: In the unit of the number.
        relative: As a share of what is expected.
    """

    absolute: float = 0.0
    relative: float = 0.0

    def covers(self, got: float, expected: float) -> bool:
        """Whether a number is near enough; infinities are near to themselves alone."""
        if got == expected or (got != got and expected != expected):  # noqa: PLR0124 - nan
            return True
        allowed = max(self.absolute, self.relative * abs(expected))
        return allowed > 0 and abs(got - expected) <= allowed < float("inf")


EXACT: Final = Tolerance()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How values are compared where a test does not say.

    Attributes:
        strict: Values must be of the same type: `True` is not `1`, `1` is not `1.0`, a tuple is
            not a list. Otherwise as `==` of Python has it.
        tolerance: For numbers where a float is expected.
    """

    strict: bool = True
    tolerance: Tolerance = EXACT

    def same(self, got: object, expected: object) -> bool:
        """Whether two values of plain data are the same."""
        if self.tolerance != EXACT:
            if isinstance(expected, float) and is_number(got):
                return self.tolerance.covers(got, expected)
            if type(expected) in {list, tuple, dict} and type(got) is type(expected):
                return self._same_items(got, expected)
        if not self.strict:
            return bool(got == expected)
        try:
            return encode(got) == encode(expected)
        except NoText:  # neither would have come out of a sandbox
            return False

    def _same_items(self, got: object, expected: object) -> bool:
        if isinstance(expected, dict):
            wanted = cast("Mapping[object, object]", expected)
            found = cast("Mapping[object, object]", got)
            keys = self.same(set(found), set(wanted))
            return keys and all(self.same(found[key], wanted[key]) for key in wanted)
        left, right = cast("Sequence[object]", got), cast("Sequence[object]", expected)
        return len(left) == len(right) and all(map(self.same, left, right))


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The right side of a test, which never enters a sandbox.

    Attributes:
        value: What is expected, as plain data.
        operator: "==", "!=", "<", "<=", ">", ">=", "in", "not in"; "true" or "false" for a value
            that must count as such; "ok" where it is enough that nothing is raised.
        tolerance: That of this test alone, if it has one.
    """

    value: object = None
    operator: str = "=="
    tolerance: Tolerance | None = None

    def holds(self, got: object, comparison: Comparison) -> bool:
        """Whether a value is what is expected; one that cannot be compared is not."""
        if self.operator in _ALONE:
            return _ALONE[self.operator](got)
        if self.tolerance is not None:
            comparison = Comparison(strict=comparison.strict, tolerance=self.tolerance)
        try:
            if self.operator in {"==", "!="}:
                return comparison.same(got, self.value) == (self.operator == "==")
            return bool(_COMPARED[self.operator](got, self.value))
        except (TypeError, ValueError, ArithmeticError, RecursionError):
            return False

    def __str__(self) -> str:
        """As the rest of a sentence about a value."""
        if self.operator in _SHOWN:
            return _SHOWN[self.operator]
        sign = "" if self.operator == "==" else f"{self.operator} "
        return f"{sign}{'about ' if self.tolerance else ''}`{self.value!r}`"


_ALONE: Final[Mapping[str, Callable[[object], bool]]] = {
    "true": bool,
    "false": operator.not_,
    "ok": lambda _: True,
}
_COMPARED: Final[Mapping[str, Callable[[Any, Any], object]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda got, expected: got in expected,
    "not in": lambda got, expected: got not in expected,
}
_SHOWN: Final[Mapping[str, str]] = {
    "true": "something true",
    "false": "something false",
    "ok": "no exception",
}
