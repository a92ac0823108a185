"""The votes of a store that were drawn in full, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from thinktwice.store.reading import dollars_of, microseconds, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path


@dataclass(frozen=True)
class Ballot:
    """One vote, as its samples arrived.

    Attributes:
        answers: Ordinal of each one's answer, -1 abstained or failed.
        positions: Of each in order of launch.
        costs: USD.
    """

    answers: tuple[int, ...]
    positions: tuple[int, ...]
    costs: tuple[Decimal, ...]


@dataclass(frozen=True)
class Ballots:
    """The votes of a store.

    Attributes:
        full: Those that were drawn in full, whatever they answered.
        cut: How many were to be, and were cut by a budget or failed.
        censored: How many stopped by a rule, or could have: what they would have gone on to say is
            not known, or known of the hard ones alone.
    """

    full: Sequence[Ballot]
    cut: int
    censored: int


def read_ballots(path: Path, *, since: datetime | None = None) -> Ballots:
    """Read the votes of a store.

    Args:
        path: The store.
        since: Votes that began before are left out.

    Raises:
        UsageError: There is no store there.
    """
    start = 0 if since is None else microseconds(since)
    with opened(path) as db:
        censored, cut = db.execute(_COUNTS, (start,)).fetchone()
        full = list(_ballots(db.execute(_SAMPLES, (start,))))
    return Ballots(full, cut or 0, censored or 0)


_WHOLE: Final = "r.cut = 0 AND r.error IS NULL AND r.used >= coalesce(r.requested, r.launched)"
_COUNTS: Final = f"""
SELECT sum(r.exhaustive = 0), sum(r.exhaustive = 1 AND NOT ({_WHOLE}))
FROM requests r WHERE +r.started >= ? AND r.exhaustive IS NOT NULL
"""  # noqa: S608 - of constants
_SAMPLES: Final = f"""
SELECT s.request, s.answer, s.position, s.cost
FROM requests r CROSS JOIN spans s ON s.request = r.id
WHERE +r.started >= ? AND r.exhaustive = 1 AND {_WHOLE} AND s.parent = r.id
  AND s.kind = (SELECT id FROM names WHERE text = 'sample') AND s.arrival < r.used
ORDER BY s.request, s.arrival
"""  # noqa: S608


def _ballots(rows: Iterable[tuple[int, int, int, int | None]]) -> Iterable[Ballot]:
    request = None
    drawn: list[tuple[int, int, Decimal]] = []
    for of, answer, position, cost in rows:
        if of != request and drawn:
            yield Ballot(*zip(*drawn, strict=True))
            drawn = []
        request = of
        drawn.append((answer, position, dollars_of(cost)))
    if drawn:
        yield Ballot(*zip(*drawn, strict=True))
