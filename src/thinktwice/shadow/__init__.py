"""Shadow mode: users get the single sample at once, a strategy runs behind a share of it all."""

from __future__ import annotations

from thinktwice.shadow.behind import Behind
from thinktwice.shadow.comparison import Judged, Proportion, Spend
from thinktwice.shadow.report import ShadowReport
from thinktwice.shadow.shadow import Shadow, as_shadow
from thinktwice.shadow.single import answered

__all__ = [
    "Behind",
    "Judged",
    "Proportion",
    "Shadow",
    "ShadowReport",
    "Spend",
    "answered",
    "as_shadow",
]
