"""Judging programs by running them, on tests of yours or on tests that a model writes."""

from __future__ import annotations

from thinktwice.verifiers.code.agreement import Consensus, consensus_sets
from thinktwice.verifiers.code.expectation import Comparison, Tolerance
from thinktwice.verifiers.code.forms import Tests, suite_of
from thinktwice.verifiers.code.verifier import Code
from thinktwice.verifiers.code.writing import AssertWriter, written_tests

__all__ = [
    "AssertWriter",
    "Code",
    "Comparison",
    "Consensus",
    "Tests",
    "Tolerance",
    "consensus_sets",
    "suite_of",
    "written_tests",
]
