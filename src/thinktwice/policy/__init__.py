"""What to spend on which task: how good a verifier is, measured on labelled samples.

Import it as `from thinktwice.policy import Labelled, verifier_report`.
"""

from __future__ import annotations

from thinktwice.policy.discrimination import Bin
from thinktwice.policy.intervals import Rate, clopper_pearson
from thinktwice.policy.labelled import Labelled, verdicts_of
from thinktwice.policy.recommendation import Fall, Recommendation
from thinktwice.policy.report import VerifierReport
from thinktwice.policy.verifier_report import verifier_report

__all__ = [
    "Bin",
    "Fall",
    "Labelled",
    "Rate",
    "Recommendation",
    "VerifierReport",
    "clopper_pearson",
    "verdicts_of",
    "verifier_report",
]
