"""The votes of a store that were drawn in full, sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from thinktwice.errors import UsageError
from thinktwice.store.reading import opened, stamp_of
from thinktwice.store.tree import TRILLION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

VOTES: Final = "votes"
"""The selection of a vote: the answer with most votes, or with most weight."""


class Draw(NamedTuple):
    """One recorded sample.

    Attributes:
        answer: Ordinal of its answer, -1 abstained or failed.
        seconds: From its launch to its arrival, or to its verdict if it got one; without the time
            that it waited for limiters.
        cost: USD, that of its verdict included; None if a call of the request has no price.
        weight: Of its vote; None where nothing is known of it.
        length: Characters of its text, if it has one.
        score: That of its verdict.
        passed: Its verdict is a pass.
    """

    answer: int
    seconds: float = 0.0
    cost: float | None = 0.0
    weight: float | None = None
    length: int | None = None
    score: float | None = None
    passed: bool = False


def cost_of(draws: Sequence[Draw]) -> float | None:
    """USD of samples; None if that of one is not known."""
    known = [draw.cost for draw in draws if draw.cost is not None]
    return math.fsum(known) if len(known) == len(draws) else None


@dataclass(frozen=True)
class Ballot:
    """One request, as its samples were drawn.

    Attributes:
        draws: In order of launch.
        selection: How the answer follows from them: "votes", or what `BestOfN` weighs by.
        explored: It was drawn in full since it was chosen for that.
        seconds: That the request took.
    """

    draws: tuple[Draw, ...]
    selection: str = VOTES
    explored: bool = False
    seconds: float = 0.0

    @property
    def scored(self) -> bool:
        """Its samples were judged."""
        return self.selection != VOTES

    @property
    def cost(self) -> float | None:
        """USD, of all samples; None if that of one is not known."""
        return cost_of(self.draws)


@dataclass(frozen=True)
class Ballots:
    """What a store has to replay.

    Attributes:
        full: Requests that were drawn in full, whatever their samples answered.
        cut: How many were to be, and were cut by a budget or failed.
        censored: How many votes stopped by a rule, or could have, by the samples that were asked
            for, 0 where that is not known: what they would have gone on to say is not known, or
            known of the hard ones alone. They could have been chosen to explore, so that those that
            were stand for them.
        never_explore: How many votes and best-of-N runs likewise that had no chance to be chosen,
            so that nothing stands for them.
        others: How many requests of what is not replayed, by name of the strategy.
    """

    full: Sequence[Ballot]
    cut: int
    censored: Mapping[int, int]
    never_explore: int
    others: Mapping[str, int]


def read_ballots(
    path: Path, *, since: datetime | None = None, strategy: str | None = None
) -> Ballots:
    """Read the votes of a store.

    Args:
        path: The store.
        since: Votes that began before are left out.
        strategy: Those of other strategies are left out.

    Raises:
        UsageError: There is no store there, or it has no such strategy.
    """
    start = 0 if since is None else stamp_of(since)
    with opened(path) as db:
        if strategy is not None:
            _check_strategy(db, strategy)
        asked = {"start": start, "strategy": strategy}
        censored: dict[int, int] = {}
        others: dict[str, int] = {}
        cut = never = 0
        known = _Known(db)
        for name, requested, exhaustive, chance, count in db.execute(known.counts, asked):
            if exhaustive is None:
                others[name] = others.get(name, 0) + count
            elif exhaustive:
                cut += count
            elif chance:
                censored[requested] = censored.get(requested, 0) + count
            else:
                never += count
        full = list(_ballots(db.execute(known.samples, asked)))
    return Ballots(full, cut, censored, never, others)


def _check_strategy(db: sqlite3.Connection, strategy: str) -> None:
    rows = db.execute("SELECT text FROM names WHERE id IN (SELECT strategy FROM requests)")
    names = sorted(name for (name,) in rows)
    if strategy not in names:
        has = f"has {', '.join(names)}" if names else "is empty"
        raise UsageError("strategy", strategy, f"the store {has}")


_WHOLE: Final = (
    "r.exhaustive = 1 AND r.cut = 0 AND r.error IS NULL "
    "AND r.used >= coalesce(r.requested, r.launched)"
)
_ASKED: Final = (
    "+r.started >= :start AND r.took IS NOT NULL AND "
    "(:strategy IS NULL OR r.strategy = (SELECT id FROM names WHERE text = :strategy))"
)


class _Known:
    """The queries, for the columns that a file has: one of an older version lacks some."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._columns = {
            f"{alias}.{row[1]}"
            for alias, table in (("r", "requests"), ("s", "spans"))
            for row in db.execute(f"PRAGMA table_info({table})")
        }

    def _column(self, name: str) -> str:
        return name if name in self._columns else "NULL"

    @property
    def _selection(self) -> str:
        named = f"(SELECT text FROM names WHERE id = {self._column('r.selection')})"  # noqa: S608
        return f"coalesce({named}, '{VOTES}')"

    @property
    def counts(self) -> str:
        """By name, number of samples asked for, and why it is not replayed."""
        return f"""
            SELECT n.text, coalesce(r.requested, 0), r.exhaustive,
              {self._column("r.explored")} IS NOT NULL AS chance, count(*)
            FROM requests r JOIN names n ON n.id = r.strategy
            WHERE {_ASKED} AND coalesce(NOT ({_WHOLE}), 1)
            GROUP BY 1, 2, 3, 4
        """  # noqa: S608 - of constants

    @property
    def samples(self) -> str:
        """Samples and verdicts of what is replayed, those of a request together."""
        column = self._column
        return f"""
            SELECT r.id, {self._selection}, coalesce({column("r.explored")}, 0), r.took,
              k.text, s.position, s.answer, s.took - coalesce({column("s.queued")}, 0),
              CASE WHEN r.unpriced > 0 THEN NULL ELSE coalesce(s.cost, 0) END,
              {column("s.weight")}, {column("s.length")}, s.score,
              s.status = (SELECT id FROM names WHERE text = 'pass')
            FROM requests r CROSS JOIN spans s ON s.request = r.id JOIN names k ON k.id = s.kind
            WHERE {_ASKED} AND {_WHOLE} AND s.parent = r.id
              AND (k.text = 'verify' OR k.text = 'sample' AND s.arrival < r.used)
            ORDER BY r.started, r.id, s.position, k.text
        """  # noqa: S608


_Row = tuple[
    *(tuple[int, str, int, int]),
    *(tuple[str, int, int, int, int | None]),
    *(tuple[float | None, int | None, float | None, int | None]),
]


def _ballots(rows: Iterable[_Row]) -> Iterable[Ballot]:
    for (_, selection, explored, took), group in groupby(rows, itemgetter(0, 1, 2, 3)):
        draws = [_draw(list(each)) for _, each in groupby(group, itemgetter(5))]
        kept = tuple(draw for draw in draws if draw is not None)
        if kept:
            yield Ballot(kept, selection, bool(explored), took / 1e6)


def _draw(rows: Sequence[_Row]) -> Draw | None:
    """A sample, with its verdict; None for the verdict of what was not used."""
    sample, *verdicts = rows
    if sample[4] != "sample":
        return None
    judged = verdicts[-1] if verdicts else None
    return Draw(
        answer=sample[6],
        seconds=sum(max(0, row[7]) for row in rows) / 1e6,
        cost=None if sample[8] is None else sum(row[8] or 0 for row in rows) / TRILLION,
        weight=sample[9],
        length=sample[10],
        score=None if judged is None else judged[11],
        passed=judged is not None and bool(judged[12]),
    )
