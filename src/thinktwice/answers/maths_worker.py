"""The process behind `key="math"`: reads texts, writes canonical forms, one JSON line each.

It is started by file, on its own, and imports nothing of thinktwice. Two forms are equal where two
answers are: exact for rational numbers, and for the rest by value, to 20 digits, of a formula at
three points that are fixed by the names of its symbols (after Schwartz and Zippel). That takes no
simplification, which can run for ever.
"""
# SymPy has no types worth the name.
# pyright: basic
# ruff: noqa: ANN401

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import sys
from fractions import Fraction
from typing import Any

_DIGITS = 20
_WORKING = 50
_POINTS = 3
_MOST_BYTES = 2 << 30
_LARGEST = 4000  # bits of a number that is written out
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{?(\d+)\}?")


def canonical(math_verify: Any, sympy: Any, texts: list[str]) -> list[Any] | None:
    """The form of the first of several readings of an answer that is mathematics."""
    for text in texts:
        clean = _REPEATING.sub(_as_fraction, text)
        for found in math_verify.parse(clean, parsing_timeout=None):
            if not isinstance(found, str):
                return _Form(sympy).of(found)
    return None


def _as_fraction(match: re.Match[str]) -> str:
    whole, once, again = match.groups()
    below = 10 ** len(once)
    value = Fraction(int(f"{whole}{once}" or 0), below)
    value += Fraction(int(again), below * (10 ** len(again) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


class _Form:
    """Canonical forms of what SymPy holds."""

    def __init__(self, sympy: Any) -> None:
        self.sympy = sympy

    def of(self, found: Any) -> list[Any]:
        sympy = self.sympy
        if isinstance(found, sympy.Equality) and self._names(found.lhs):
            return self.of(found.rhs)  # x = 5, f(x) = x^2
        if isinstance(found, sympy.core.relational.Relational):
            return self._relation(found)
        if isinstance(found, sympy.Symbol) and len(found.name) > 1:
            return ["text", found.name.casefold()]
        return self._several(found) or self._value(found)

    def _several(self, found: Any) -> list[Any] | None:
        """What consists of several values."""
        sympy = self.sympy
        if isinstance(found, sympy.Interval):
            ends = [self.of(found.start), self.of(found.end)]
            return ["interval", *ends, bool(found.left_open), bool(found.right_open)]
        if isinstance(found, sympy.MatrixBase):
            return ["matrix", *([self.of(each) for each in row] for row in found.tolist())]
        if isinstance(found, sympy.Tuple):
            return ["tuple", *map(self.of, found.args)]
        if isinstance(found, sympy.Set):
            members = {json.dumps(self.of(each)) for each in found.args}
            return [type(found).__name__.lower(), *sorted(members)]
        return None

    def _names(self, side: Any) -> bool:
        """A symbol, or a function of symbols, that an equation gives a value."""
        undefined = self.sympy.core.function.AppliedUndef
        return isinstance(side, self.sympy.Symbol | undefined)

    def _relation(self, found: Any) -> list[Any]:
        """Everything on one side, up to a factor; an order is turned to be "<" or "<="."""
        left, right, kind = found.lhs, found.rhs, found.rel_op
        if kind in {">", ">="}:
            left, right, kind = right, left, kind.replace(">", "<")
        values = self._values(left - right)
        first = next((each for each in values if each), 1)
        scale = abs(first) if "<" in kind else first
        return ["relation", kind, *(self._shown(each / scale) for each in values)]

    def _value(self, found: Any) -> list[Any]:
        values = self._values(found)
        exact = self._rational(found)
        if exact is None and len(set(map(self._shown, values))) == 1:
            exact = self._snapped(values[0])
        if exact is not None:
            return ["number", f"{exact.p}/{exact.q}"]
        return ["value", *dict.fromkeys(map(self._shown, values))]

    def _rational(self, found: Any) -> Any:
        """Where the numbers in it are, and it is not too long to be written."""
        if found.free_symbols or self._too_long(found):
            return None
        exact = self.sympy.nsimplify(found.doit(), rational=True)
        return exact if exact.is_Rational else None

    def _too_long(self, found: Any) -> bool:
        """It has so many digits that writing it out would take for ever."""
        rough = found.evalf(5)
        if not rough.is_Float:
            return False
        _, _, exponent, bits = rough._mpf_
        return abs(exponent + bits) > _LARGEST

    def _snapped(self, value: Any) -> Any:
        """A value that is a simple fraction to all its digits, such as a root of a square."""
        if not value.is_real:
            return None
        near = self.sympy.Rational(str(value)).limit_denominator(1000)
        return near if abs(value - near) < self.sympy.Float("1e-30", _WORKING) else None

    def _values(self, found: Any) -> list[Any]:
        """At each of the points; once if it has no symbols."""
        symbols = sorted(found.free_symbols, key=str)
        points = range(_POINTS if symbols else 1)
        done = found.doit() if found.has(self.sympy.Integral, self.sympy.Derivative) else found
        return [
            done.subs({each: self._point(each, at) for each in symbols}).evalf(_WORKING)
            for at in points
        ]

    def _point(self, symbol: Any, at: int) -> Any:
        """A number that depends on the name alone; one of them is negative."""
        digest = hashlib.sha256(f"{symbol}:{at}".encode()).digest()
        share = int.from_bytes(digest[:4], "big") % 10**6
        return self.sympy.Rational(10**6 + share, 10**6) * (-1 if at == 1 else 1)

    def _shown(self, value: Any) -> str:
        parts = (self.sympy.re(value), self.sympy.im(value))
        tiny = self.sympy.Float("1e-30", _WORKING)
        return " ".join("0" if abs(p) < tiny else str(p.evalf(_DIGITS)) for p in parts)


def _serve() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit_memory()
    math_verify, sympy = map(importlib.import_module, ("math_verify", "sympy"))
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        try:
            form = canonical(math_verify, sympy, json.loads(line))
        except Exception:  # noqa: BLE001 - what cannot be read is no answer
            form = None
        print(json.dumps(form), file=out, flush=True)


def _limit_memory() -> None:
    """A number with a billion digits must not take the machine along."""
    try:
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    except (ImportError, OSError, ValueError):  # not on this system
        return


if __name__ == "__main__":
    _serve()
