"""One request of a store, as the tree of its spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from thinktwice.errors import UsageError
from thinktwice.store.reading import dollars_of, opened, time_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span with what is below it.

    Attributes:
        kind: "run", "agent", "sample", "verify", "critique", "repair", "call", ...
        name: Of the strategy, verifier, variant or call; None without one.
        model: The model that answered.
        status: "ok", "error", "cancelled", a verdict's outcome, or the type of what was raised.
        started: Seconds after the first span of the request.
        seconds: How long it took; None if it has not ended.
        position: Index of the sample.
        answer: Ordinal of its answer group; -1 abstained or failed.
        score: Of a verdict, in [0, 1].
        input: Tokens; None if nobody counted.
        output: Tokens.
        cost: USD; None while unpriced.
        children: Spans below, in order of start.
    """

    kind: str
    name: str | None = None
    model: str | None = None
    status: str | None = None
    started: float = 0.0
    seconds: float | None = None
    position: int | None = None
    answer: int | None = None
    score: float | None = None
    input: int | None = None
    output: int | None = None
    cost: Decimal | None = None
    children: tuple[Span, ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Span]]:
        """This span and all below, each with its depth, in the order in which one draws them."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One request.

    Attributes:
        run: Its id.
        trace: The id of its trace in other backends.
        strategy: What it ran.
        started: When.
        finished: It has ended.
        stopped_by: The rule or the budget that ended it.
        agreement: The answer's share of the votes, in [0, 1].
        root: Its spans.
    """

    run: str
    trace: str
    strategy: str
    started: datetime
    finished: bool
    stopped_by: str | None
    agreement: float | None
    root: Span


def read_traces(path: Path, id_prefix: str) -> list[Trace]:
    """The request whose id begins so, or all requests of a trace.

    Args:
        path: The store.
        id_prefix: The first digits of the id of a run, or of a trace, as other backends show it.

    Raises:
        UsageError: Nothing or more than one begins so, or there is no store.
    """
    prefix = id_prefix.lower()
    if not prefix or set(prefix) - set("0123456789abcdef"):
        raise UsageError("id", id_prefix, "give the first hexadecimal digits of a run or a trace")
    with opened(path) as db:
        found = db.execute(_FIND, {"prefix": f"{prefix}*"}).fetchall()
        if not found:
            raise UsageError("id", id_prefix, "no request begins so: thinktwice costs lists some")
        if len({row[2] for row in found}) > 1 and len({row[1] for row in found}) > 1:
            some = ", ".join(_match(row[1], row[2], prefix) for row in found[:_SHOWN])
            more = ", ..." if len(found) > _SHOWN else ""
            raise UsageError("id", id_prefix, f"several begin so: {some}{more}")
        names = dict(db.execute("SELECT id, text FROM names"))
        return [_trace(db, row, names) for row in found]


def _match(run: str, trace: str, prefix: str) -> str:
    """Which of its ids begins so."""
    return run if run.startswith(prefix) else f"{run} (by its trace {trace})"


_FIND: Final = """
SELECT id, run, trace, strategy, started, took, stopped_by, agreement
FROM requests WHERE run GLOB :prefix OR trace GLOB :prefix ORDER BY started LIMIT 1000
"""
_SPANS: Final = """
SELECT id, parent, kind, name, model, status, started, took, position, answer, score,
  input, output, cost
FROM spans WHERE request = ? ORDER BY started, id
"""


def _trace(db: sqlite3.Connection, row: Sequence[Any], names: Mapping[int, str]) -> Trace:
    request, run, trace, strategy, started, took, stopped_by, agreement = row
    spans = db.execute(_SPANS, (request,)).fetchall()
    below: dict[int | None, list[Sequence[Any]]] = {}
    known = {span[0] for span in spans} | {request}
    for span in spans:
        # What is around it may not have ended: then it hangs on the request.
        around = span[1] if span[1] in known else request
        below.setdefault(None if span[0] == request else around, []).append(span)

    def built(span: Sequence[Any]) -> Span:
        _, _, kind, name, model, status, began, lasted, *rest = span
        position, answer, score, given, made, cost = rest
        return Span(
            kind=names[kind],
            name=names.get(name),
            model=names.get(model),
            status=names.get(status),
            started=(began - started) / 1e6,
            seconds=lasted / 1e6,
            position=position,
            answer=answer,
            score=score,
            input=given,
            output=made,
            cost=None if cost is None else dollars_of(cost),
            children=tuple(built(child) for child in below.get(span[0], ())),
        )

    own = below.get(None)
    if own:
        root = built(own[0])
    else:
        children = tuple(built(child) for child in below.get(request, ()))
        root = Span(kind="run", name=names.get(strategy), status="unfinished", children=children)
    return Trace(
        run=run,
        trace=trace,
        strategy=names[strategy],
        started=time_of(started),
        finished=took is not None,
        stopped_by=names.get(stopped_by),
        agreement=agreement,
        root=root,
    )
