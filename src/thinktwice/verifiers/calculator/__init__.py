"""The calculator: finds arithmetic in a text and works it out exactly."""

from __future__ import annotations

from thinktwice.verifiers.calculator.expression import calculate
from thinktwice.verifiers.calculator.sizes import CalculationError
from thinktwice.verifiers.calculator.verifier import Calculator

__all__ = ["CalculationError", "Calculator", "calculate"]
