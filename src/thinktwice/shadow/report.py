"""What a shadow tells: whether a strategy would pay on the traffic that it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinktwice.bill import money
from thinktwice.entry import dollars
from thinktwice.tables import aligned, html_table, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from thinktwice.budget import Limit
    from thinktwice.entry import Total
    from thinktwice.shadow.comparison import Judged, Proportion, Spend


@dataclass(frozen=True, kw_only=True, repr=False)
class ShadowReport:
    """What a strategy would have done to the traffic that a `Shadow` has seen. Holds no content.

    Every request that was chosen is in one of `compared`, `unanswered`, `cut`, `cancelled`,
    `dropped`, `pending` and `errors`; those that are left are still being answered, or failed.

    Attributes:
        share: Of the requests that the shadow was asked to follow.
        requests: Requests seen.
        chosen: Those drawn for the shadow.
        compared: Answered both ways.
        unanswered: Neither way gave an answer: not comparable.
        changed: Compared requests to which the strategy has another answer.
        single: What a single sample took, on average of the compared requests.
        strategy: What the strategy took, on average.
        unpriced: Compared requests that the mean costs leave out, as a price was not known.
        judged: What the verifier said of both; None if nothing was judged.
        unjudged: Compared requests that could not be judged, by what was said or raised instead.
        cut: Ended by the budget of the shadow.
        cancelled: Ended by `close`, or with their event loop.
        dropped: Not begun: too many were pending.
        pending: Under way, or waiting to begin.
        errors: What was raised behind the requests, by type: by the strategy, mostly.
        spent: All that finished runs of the shadow took, judging included.
        stopped_by: The cap of the shadow's budget that ended it.
    """

    share: float
    requests: int
    chosen: int
    compared: int
    unanswered: int
    changed: Proportion
    single: Spend | None
    strategy: Spend | None
    unpriced: int
    judged: Judged | None
    unjudged: Mapping[str, int]
    cut: int
    cancelled: int
    dropped: int
    pending: int
    errors: Mapping[str, int]
    spent: Total
    stopped_by: Limit | None

    @property
    def extra(self) -> Spend | None:
        """What the strategy took more than a single sample, on average."""
        if self.single is None or self.strategy is None:
            return None
        return self.strategy - self.single

    def __repr__(self) -> str:
        """One line."""
        return (
            f"<ShadowReport: {self.compared} of {self.requests} requests compared, "
            f"changed {self.changed}>"
        )

    def __str__(self) -> str:
        """A small table."""
        lines = [*listed(self._facts())]
        if rows := self._costs():
            lines += ["", *aligned(rows)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = self._costs()
        return html_table(self._facts(), named=True) + (html_table(rows) if rows else "")

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "compared", f"{self.compared} of {self.requests} requests (share {self.share:g})"
        yield "changed", str(self.changed)
        if self.judged is not None:
            yield "judged", str(self.judged)
        if unjudged := _counts(self.unjudged):
            yield "not judged", unjudged
        left_out = {
            name: getattr(self, name)
            for name in ("unanswered", "cut", "cancelled", "dropped", "pending")
        }
        if others := _counts({**left_out, **self.errors}):
            yield "not compared", others
        yield "spent", _bill(self.spent)
        if self.stopped_by is not None:
            yield "stopped", str(self.stopped_by)

    def _costs(self) -> Sequence[Sequence[str]]:
        """A table of what a request took."""
        if self.single is None or self.strategy is None or self.extra is None:
            return []
        means, extra = (self.single, self.strategy), self.extra
        partly = 0 < self.unpriced < self.compared
        return [
            ("a request", "single", "strategy", "extra"),
            ("calls", *(f"{e.calls:.1f}" for e in means), f"{extra.calls:+.1f}"),
            ("tokens", *(_count(e.tokens) for e in means), _count(extra.tokens, "+")),
            (
                f"cost (of {self.compared - self.unpriced})" if partly else "cost",
                *(dollars(e.cost) for e in means),
                _more(extra.cost),
            ),
            ("seconds", *(f"{e.seconds:.3g}" for e in means), f"{extra.seconds:+.3g}"),
        ]


def _count(tokens: float | None, sign: str = "") -> str:
    return "unknown" if tokens is None else f"{tokens:{sign},.0f}"


def _more(cost: Decimal | None) -> str:
    if cost is None:
        return dollars(cost)
    return ("-" if cost < 0 else "+") + dollars(abs(cost))


def _bill(total: Total) -> str:
    if not total.calls:
        return "nothing"
    tokens = _count(total.usage.total_tokens)
    return f"{total.calls:,} calls, {tokens} tokens, {money(total)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
