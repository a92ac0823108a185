"""How large calls were: for estimates where the worst case of the next one is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal

    from thinktwice.entry import Entry
    from thinktwice.sample import Usage

_KEPT: Final = 64
_PERCENTILE: Final = 0.95


class Sizes:
    """Usage and cost of the last calls, by kind.

    Requests of several threads may share it without a lock, which a forked process could inherit
    as taken: what is seen is replaced whole. Of two calls that end at once, one may be missed.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._seen: dict[str, tuple[tuple[Usage, Decimal | None], ...]] = {}

    def typical(self, kind: str) -> tuple[Usage, Decimal | None] | None:
        """Usage and cost of the 95th percentile of the calls of a kind; None before the first."""
        seen = self._seen.get(kind)
        if not seen:
            return None
        ranked = sorted(seen, key=lambda each: each[0].total_tokens or 0)
        return ranked[min(len(ranked) - 1, int(_PERCENTILE * len(ranked)))]

    def add(self, kind: str, entry: Entry) -> None:
        """Learn from a call what calls of its kind take."""
        if entry.usage.source == "provider" and not entry.cached:
            seen = self._seen.get(kind, ())
            self._seen[kind] = (*seen[1 - _KEPT :], (entry.usage, entry.cost))
