"""Drafts, judged and drawn again with what is wrong with them."""

from __future__ import annotations

from thinktwice.repair.asking import Advised, Asking, Feedback, cleaned, feedback_of, revised
from thinktwice.repair.history import Attempt, History, check_rounds
from thinktwice.repair.loop import repair

__all__ = [
    "Advised",
    "Asking",
    "Attempt",
    "Feedback",
    "History",
    "check_rounds",
    "cleaned",
    "feedback_of",
    "repair",
    "revised",
]
