"""What a shadow has seen, added up in constant memory. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from thinktwice.entry import Total
from thinktwice.shadow.comparison import Comparisons, Proportion
from thinktwice.shadow.report import ShadowReport

if TYPE_CHECKING:
    from thinktwice.budget import Limit
    from thinktwice.shadow.comparison import Comparison


class Record:
    """Counts of a shadow.

    Attributes:
        stopped_by: The cap that ended it.
        last_error: What was raised last.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.stopped_by: Limit | None = None
        self.last_error: BaseException | None = None
        self._comparisons = Comparisons()
        self._counts = Counter[str]()
        self._errors, self._unjudged = Counter[str](), Counter[str]()
        self._spent = Total()
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        """Count a request: as one of the fields of the report."""
        with self._lock:
            self._counts[what] += 1

    def error(self, reason: str) -> None:
        """Count an error by type."""
        with self._lock:
            self._errors[reason] += 1

    def unjudged(self, reason: str) -> None:
        """Count a comparison that the verifier could not judge."""
        with self._lock:
            self._unjudged[reason] += 1

    def spend(self, total: Total) -> None:
        """Add what a run took."""
        with self._lock:
            self._spent += total

    def compared(self, comparison: Comparison) -> None:
        """Add a comparison."""
        with self._lock:
            self._comparisons.add(comparison)

    def report(self, *, share: float, pending: int, cancelled: int) -> ShadowReport:
        """What was seen so far."""
        with self._lock:
            seen, counts = self._comparisons, self._counts
            single, strategy = seen.spends or (None, None)
            return ShadowReport(
                share=share,
                requests=counts["requests"],
                chosen=counts["chosen"],
                compared=seen.compared,
                unanswered=seen.unanswered,
                changed=Proportion(seen.changed, seen.compared),
                single=single,
                strategy=strategy,
                unpriced=seen.unpriced,
                judged=seen.judged,
                unjudged=dict(self._unjudged),
                cut=counts["cut"],
                cancelled=cancelled,
                dropped=counts["dropped"],
                pending=pending,
                errors=dict(self._errors),
                spent=self._spent,
                stopped_by=self.stopped_by,
            )
