"""What the requests of a store cost, added up by strategy, model, role or day."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from thinktwice.store.reading import dollars_of, opened, stamp_of, time_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path


class By(StrEnum):
    """How requests are grouped."""

    STRATEGY = "strategy"
    MODEL = "model"
    ROLE = "role"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The samples of a group of requests.

    Attributes:
        launched: Samples started.
        wasted: Those of them that took no part in a decision: recalled, abandoned or too late, and
            all of a request that came to none.
        wasted_cost: What these cost, in USD.
        saved: Samples that were asked for at the most, and not drawn since a rule stopped early.
        saved_cost: What these would have cost, each at the mean cost of the samples that its own
            request drew: an estimate, in USD.
    """

    launched: int = 0
    wasted: int = 0
    wasted_cost: Decimal = Decimal(0)
    saved: int = 0
    saved_cost: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Requests, or the part of them that went to one model or one role.

    Attributes:
        name: Of the strategy, the model or the role; the day as YYYY-MM-DD; "" if there is none.
        requests: How many.
        calls: Model calls.
        input: Tokens, cached ones included.
        output: Tokens, hidden reasoning included.
        cost: USD, of the calls whose cost is known.
        unpriced: Calls that the cost leaves out.
        estimated: The part of the cost that nobody reported, in USD.
        draws: Their samples; None by model and by role.
    """

    name: str
    requests: int
    calls: int = 0
    input: int = 0
    output: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    estimated: Decimal = Decimal(0)
    draws: Draws | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        run: Its id, for `thinktwice trace`.
        trace: The id of its trace in other backends.
        strategy: What it ran.
        started: When.
        seconds: How long it took; None if it has not ended, or its process was killed.
        calls: Model calls.
        cost: USD, of the calls whose cost is known.
        unpriced: Calls that the cost leaves out.
        launched: Samples started.
        requested: Samples at the most; None if the strategy does not say.
        agreement: The answer's share of the votes, in [0, 1].
        stopped_by: The rule or the budget that ended it.
        error: Type of what it raised.
    """

    run: str
    trace: str
    strategy: str
    started: datetime
    seconds: float | None
    calls: int
    cost: Decimal
    unpriced: int
    launched: int | None
    requested: int | None
    agreement: float | None
    stopped_by: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the requests of a store cost.

    Attributes:
        first: When the first of them began; None if there are none.
        last: When the last of them began.
        total: All of them.
        unfinished: Those that have not ended, or whose process was killed.
        by: Groups of them, the dearest first, days in order.
        dearest: The dearest of them.
    """

    first: datetime | None
    last: datetime | None
    total: Group
    unfinished: int
    by: Mapping[By, Sequence[Group]] = field(default_factory=dict[By, "Sequence[Group]"])
    dearest: Sequence[Request] = ()


def read_costs(
    path: Path, *, since: datetime | None = None, by: Sequence[By] = tuple(By), dearest: int = 5
) -> Costs:
    """Add up what requests cost; a second or two for millions of spans.

    Args:
        path: The store.
        since: Requests that began before are left out.
        by: How to group them.
        dearest: How many of the dearest to list.

    Raises:
        UsageError: There is no store there.
    """
    start = 0 if since is None else stamp_of(since)
    with opened(path) as db:
        first, last, unfinished = db.execute(_SPAN, (start,)).fetchone()
        return Costs(
            first=None if first is None else time_of(first),
            last=None if last is None else time_of(last),
            total=_total(_groups(db, _OF_REQUESTS[By.STRATEGY], start, draws=True)),
            unfinished=unfinished,
            by={each: _grouped(db, each, start) for each in by},
            dearest=tuple(_request(row) for row in db.execute(_DEAREST, (start, dearest))),
        )


_DAY: Final = "date(r.started / 1000000, 'unixepoch', 'localtime')"
_NAME: Final = "(SELECT text FROM names WHERE names.id = {})"
_OF_REQUESTS: Final[Mapping[By, str]] = {By.STRATEGY: "r.strategy", By.DAY: _DAY}

_SPAN: Final = """
SELECT min(started), max(started), count(*) - count(took) FROM requests WHERE +started >= ?
"""
_SPENT: Final = """
SELECT {key}, count(DISTINCT s.request), sum(s.calls), sum(s.input), sum(s.output), sum(s.cost),
  sum(s.unpriced), sum(s.estimated)
FROM {rows} GROUP BY 1
"""
_WITH_REQUESTS: Final = (
    "requests r CROSS JOIN spend s ON s.request = r.id WHERE +r.started >= :start"
)
_ALONE: Final = (
    "spend s WHERE :start = 0 OR s.request IN (SELECT id FROM requests WHERE started >= :start)"
)
_STOPPED: Final = (
    "r.cut = 0 AND r.error IS NULL AND r.stopped_by IS NOT NULL AND r.launched < r.requested"
)
_DRAWN: Final = f"""
SELECT {{key}}, count(*), sum(r.launched), sum(r.launched - coalesce(r.used, 0)), sum(r.wasted),
  sum(CASE WHEN {_STOPPED} THEN r.requested - r.launched END),
  sum(CASE WHEN {_STOPPED} AND r.launched > 0
      THEN (r.requested - r.launched) * (r.sampled / r.launched) END)
FROM requests r WHERE +r.started >= ? GROUP BY 1
"""  # noqa: S608 - of constants
_DEAREST: Final = f"""
SELECT r.run, r.trace, {_NAME.format("r.strategy")}, r.started, r.took, c.calls, c.cost, c.unpriced,
  r.launched, r.requested, r.agreement, {_NAME.format("r.stopped_by")}, {_NAME.format("r.error")}
FROM (
  SELECT request, sum(calls) AS calls, sum(cost) AS cost, sum(unpriced) AS unpriced
  FROM spend GROUP BY request
) c JOIN requests r ON r.id = c.request
WHERE +r.started >= ? ORDER BY c.cost DESC, r.started LIMIT ?
"""  # noqa: S608


def _grouped(db: sqlite3.Connection, by: By, start: int) -> Sequence[Group]:
    key = _OF_REQUESTS.get(by)
    groups = _groups(db, key or f"s.{by}", start, draws=key is not None)
    if by is By.DAY:
        return sorted(groups, key=lambda group: group.name)
    names = dict(db.execute("SELECT id, text FROM names"))
    named = [_renamed(group, names) for group in groups]
    return sorted(named, key=lambda group: (-group.cost, -group.calls, group.name))


def _groups(db: sqlite3.Connection, key: str, start: int, *, draws: bool) -> list[Group]:
    found = {
        name: Group(
            name=name,
            requests=requests,
            calls=calls,
            input=given,
            output=made,
            cost=dollars_of(cost),
            unpriced=unpriced,
            estimated=dollars_of(estimated),
        )
        for name, requests, calls, given, made, cost, unpriced, estimated in db.execute(
            _SPENT.format(key=key, rows=_WITH_REQUESTS if draws else _ALONE), {"start": start}
        )
    }
    if draws:
        for name, requests, *samples in db.execute(_DRAWN.format(key=key), (start,)):
            group = found.get(name) or Group(name=name, requests=requests)
            found[name] = replace(group, requests=requests, draws=_draws(*samples))
    return list(found.values())


def _total(groups: Sequence[Group]) -> Group:
    """Of groups that no request is in two of."""
    draws = [group.draws for group in groups if group.draws is not None]
    return Group(
        name="",
        requests=sum(group.requests for group in groups),
        calls=sum(group.calls for group in groups),
        input=sum(group.input for group in groups),
        output=sum(group.output for group in groups),
        cost=sum((group.cost for group in groups), Decimal(0)),
        unpriced=sum(group.unpriced for group in groups),
        estimated=sum((group.estimated for group in groups), Decimal(0)),
        draws=Draws(
            launched=sum(each.launched for each in draws),
            wasted=sum(each.wasted for each in draws),
            wasted_cost=sum((each.wasted_cost for each in draws), Decimal(0)),
            saved=sum(each.saved for each in draws),
            saved_cost=sum((each.saved_cost for each in draws), Decimal(0)),
        )
        if draws
        else None,
    )


def _draws(
    launched: int | None,
    wasted: int | None,
    wasted_cost: int | None,
    saved: int | None,
    saved_cost: int | None,
) -> Draws:
    return Draws(
        launched=launched or 0,
        wasted=max(0, wasted or 0),
        wasted_cost=dollars_of(wasted_cost),
        saved=saved or 0,
        saved_cost=dollars_of(saved_cost),
    )


def _renamed(group: Group, names: Mapping[int, str]) -> Group:
    return replace(group, name=names.get(group.name, "") or "")  # type: ignore[call-overload]


def _request(row: Sequence[Any]) -> Request:
    run, trace, strategy, started, took, calls, cost, unpriced, *rest = row
    launched, requested, agreement, stopped_by, error = rest
    return Request(
        run=run,
        trace=trace,
        strategy=strategy,
        started=time_of(started),
        seconds=None if took is None else took / 1e6,
        calls=calls,
        cost=dollars_of(cost),
        unpriced=unpriced,
        launched=launched,
        requested=requested,
        agreement=agreement,
        stopped_by=stopped_by,
        error=error,
    )
