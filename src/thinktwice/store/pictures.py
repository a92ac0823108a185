"""What plots of costs are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from thinktwice.store.reading import dollars_of, opened, stamp_of, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

MOST_DOTS: Final = 2000
"""Requests in a plot at the most."""
_UNITS: Final = (  # the first whose limit the store's days stay within
    (3, "hour", "%Y-%m-%d %H:00"),
    (120, "day", "%Y-%m-%d"),
    (10**6, "month", "%Y-%m"),
)


class Bar(NamedTuple):
    """One bar: its name, and the height of each part."""

    name: str
    parts: Mapping[str, float]


class Dot(NamedTuple):
    """One request."""

    agreement: float
    cost: float
    strategy: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What plots of costs are drawn from.

    Attributes:
        unit: What a bar of `over_time` covers: "hour", "day" or "month".
        over_time: USD by strategy, without a gap.
        by_agreement: The newest requests that have an agreement and a complete cost, 2,000 at most.
        stops: Requests by how many samples they used, and by what ended them.
    """

    unit: str
    over_time: Sequence[Bar]
    by_agreement: Sequence[Dot]
    stops: Sequence[Bar]


def read_pictures(path: Path, *, since: datetime | None = None) -> Pictures:
    """Read what plots are drawn from.

    Args:
        path: The store.
        since: Requests that began before are left out.

    Raises:
        UsageError: There is no store there.
    """
    start = 0 if since is None else stamp_of(since)
    with opened(path) as db:
        ends = db.execute(_ENDS, (start,)).fetchone()
        if ends[0] is None:
            return Pictures(unit="day", over_time=(), by_agreement=(), stops=())
        first, last = map(time_of, ends)
        _, unit, pattern = next(each for each in _UNITS if last - first <= timedelta(each[0]))
        spent = _stacked(db.execute(_SPENT, (pattern, start)))
        dots = db.execute(_DOTS, (start, MOST_DOTS)).fetchall()
        stops = _stacked(db.execute(_STOPS, (start,)))
    return Pictures(
        unit=unit,
        over_time=[
            Bar(name, {part: float(dollars_of(cost)) for part, cost in spent.get(name, {}).items()})
            for name in _names(first, last, pattern)
        ],
        by_agreement=[Dot(share, float(dollars_of(cost)), name) for share, cost, name in dots],
        stops=[Bar(str(used), stops.get(used, {})) for used in range(1, max(stops, default=0) + 1)],
    )


_ENDS: Final = "SELECT min(started), max(started) FROM requests WHERE +started >= ?"
_SPENT: Final = """
SELECT strftime(?, r.started / 1000000, 'unixepoch', 'localtime'), n.text, sum(s.cost)
FROM requests r CROSS JOIN spend s ON s.request = r.id JOIN names n ON n.id = r.strategy
WHERE +r.started >= ? GROUP BY 1, 2
"""
_DOTS: Final = """
SELECT r.agreement, r.cost, n.text FROM requests r JOIN names n ON n.id = r.strategy
WHERE r.started >= ? AND r.agreement IS NOT NULL AND r.cost IS NOT NULL AND r.unpriced = 0
ORDER BY r.started DESC LIMIT ?
"""
_STOPS: Final = """
SELECT r.used, n.text, count(*) FROM requests r JOIN names n ON n.id = r.stopped_by
WHERE +r.started >= ? AND r.used > 0 GROUP BY 1, 2
"""


def _stacked(rows: Iterable[tuple[T, str, int]]) -> dict[T, dict[str, int]]:
    found: dict[T, dict[str, int]] = {}
    for key, part, number in rows:
        found.setdefault(key, {})[part] = number
    return found


def _names(first: datetime, last: datetime, pattern: str) -> list[str]:
    """Every hour, day or month from the first to the last, in the time of this machine."""
    # Half of the shortest: where clocks are put forward, a day has 23 hours.
    step = timedelta(minutes=30) if "%H" in pattern else timedelta(hours=12)
    names: dict[str, None] = {}
    moment = first
    while moment <= last:
        names[moment.astimezone().strftime(pattern)] = None
        moment += step
    names[last.strftime(pattern)] = None
    return list(names)
