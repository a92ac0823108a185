"""What another stop rule would have done to recorded votes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from thinktwice.diversity import Estimate
from thinktwice.errors import UsageError
from thinktwice.launch import tau_of
from thinktwice.limiter import DEFAULT_CONCURRENCY
from thinktwice.policy.intervals import clopper_pearson, mean_of, stratified
from thinktwice.policy.replaying import replay, winner_of
from thinktwice.stop.algebra import at_least_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice.launch import Preference
    from thinktwice.policy.replaying import Replayed
    from thinktwice.stop import Stop
    from thinktwice.store.ballots import Ballot, Ballots

_UNSCORED: Final = "it needs verdict scores, and what can be replayed has none: drop the rule"


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What a rule would have done to the requests of a store that were drawn in full.

    Intervals are 95 %, with requests as the units of chance: Student's of means, Clopper and
    Pearson's of shares. Means have none below 20 requests. None goes beyond what there can be.

    Attributes:
        stop: The rule.
        n: Samples at the most; None for as many as each request drew.
        prefer: How samples are launched.
        replayed: Requests it was replayed on.
        explored: Those of them that were chosen to be drawn in full, and stand for all votes that
            could have been.
        unpriced: Those of them with a call whose cost is not known; `cost`, `recorded_cost` and
            what is saved of it are of the others.
        left_out: How many requests are left out, by reason: "censored" (their own rule could stop
            them, and they were not chosen to be drawn in full), "never_explore" (likewise, and they
            had no chance to be chosen), "cut" (by a budget or an error), "too_short" (they drew
            fewer samples than n, or than the rule takes), "unscored" (the rule needs scores, and
            nothing was judged), "other" (no rule of theirs is replayed).
        others: The names of the strategies of the last.
        used: Samples counted, a request.
        launched: Samples started, a request: what is paid for.
        cost: USD a request, for samples and their verdicts; None if none is known.
        saved: Share of the recorded cost that it saves; of samples where nothing has a cost.
        seconds: To the decision, a request.
        changed: Share of the requests whose answer would have been another one.
        recorded_samples: Samples a request, as drawn.
        recorded_cost: USD a request, as drawn; None if none is known.
        recorded_seconds: Seconds that a request took.
    """

    stop: str
    n: int | None = None
    prefer: Preference | float = "cost"
    replayed: int = 0
    explored: int = 0
    unpriced: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    others: Sequence[str] = ()
    used: Estimate | None = None
    launched: Estimate | None = None
    cost: Estimate | None = None
    saved: Estimate | None = None
    seconds: Estimate | None = None
    changed: Estimate | None = None
    recorded_samples: Estimate | None = None
    recorded_cost: Estimate | None = None
    recorded_seconds: Estimate | None = None


def whatif(
    ballots: Ballots,
    stop: Stop,
    *,
    n: int | None = None,
    prefer: Preference | float = "cost",
    max_concurrency: int = DEFAULT_CONCURRENCY,
) -> WhatIf:
    """Replay recorded requests under another rule.

    A request counts as changed if its answer is not that of all samples that were recorded. The
    k-th sample that is launched is the k-th one that was, with its answer, weight, score, cost and
    latency, on a clock of its own. Nothing is hedged. With `prefer="cost"` that is the vote one by
    one in launch order, which latencies cannot bias.

    Requests that were chosen to be drawn in full stand for all votes that could have been chosen;
    those that are always drawn in full stand for themselves.

    Args:
        ballots: The requests.
        stop: The rule.
        n: Samples at the most, of those recorded; by default as many as each request drew.
        prefer: As in `Vote`, but for "shortest".
        max_concurrency: Samples in flight at the most, as in `solve`.

    Raises:
        UsageError: The rule can be replayed on none of them, or another parameter makes no sense.
    """
    if n is not None:
        at_least_one("n", n)
    at_least_one("max_concurrency", max_concurrency)
    tau = _tau(prefer)
    kept, left_out = _kept(ballots, stop, n)

    def replayed(each: Ballot) -> Replayed:
        return replay(each, stop, n=n or len(each.draws), tau=tau, room=max_concurrency)

    found = WhatIf(
        stop=repr(stop),
        n=n,
        prefer=prefer,
        replayed=len(kept),
        explored=sum(each.explored for each in kept),
        left_out={reason: count for reason, count in left_out.items() if count},
        others=sorted(ballots.others),
    )
    if not kept:
        return found
    pairs = [(each, replayed(each)) for each in kept]
    could = _could(ballots, stop, n, found.explored)
    most = n or max(len(each.draws) for each in kept)
    return _with_costs(_measured(found, pairs, could, most), pairs, could)


def _tau(prefer: Preference | float) -> float:
    remedy = "give 'cost', 'balanced', 'latency' or a number in [0, 1]"
    if prefer == "shortest":
        raise UsageError("prefer", prefer, remedy)
    try:
        return tau_of(prefer)
    except UsageError:
        raise UsageError("prefer", prefer, remedy) from None


def _could(ballots: Ballots, stop: Stop, n: int | None, explored: int) -> float:
    """How many votes those that explored stand for beside themselves: as they, long enough."""
    asked = dict(ballots.censored)
    unknown = asked.pop(0, 0)  # as many of these as of those that explored
    chosen = sum(each.explored for each in ballots.full)
    long_enough = sum(
        count
        for size, count in asked.items()
        if size >= (n or 0) and _refused(stop, n or size, scored=False) is None
    )
    return long_enough + (unknown * explored / chosen if chosen else 0)


def _kept(
    ballots: Ballots, stop: Stop, n: int | None
) -> tuple[Sequence[Ballot], Mapping[str, int]]:
    """What can be replayed under a rule, and how many cannot, by reason."""
    refused: dict[tuple[int, bool], UsageError | None] = {}
    kept: list[Ballot] = []
    left_out = Counter(
        censored=sum(ballots.censored.values()),
        never_explore=ballots.never_explore,
        cut=ballots.cut,
        other=sum(ballots.others.values()),
    )
    for each in ballots.full:
        size, scored = min(n or len(each.draws), len(each.draws)), each.scored
        if (size, scored) not in refused:
            refused[size, scored] = _refused(stop, size, scored=scored)
        if n is not None and size < n:
            left_out["too_short"] += 1
        elif refused[size, scored] is None:
            kept.append(each)
        else:
            left_out["too_short" if stop.least > size else "unscored"] += 1
    errors = [error for error in refused.values() if error is not None]
    if errors and len(errors) == len(refused):
        raise errors[0]
    return kept, left_out


def _refused(stop: Stop, n: int, *, scored: bool) -> UsageError | None:
    try:
        stop.validate(n, scored=scored)
    except UsageError as error:
        return error if stop.least > n else UsageError("stop", stop, _UNSCORED)
    return None


class _Strata:
    """Requests that stand for themselves, and those that stand for others, too."""

    def __init__(self, kept: Sequence[Ballot], could: float) -> None:
        self._parts = [
            (kind, [at for at, each in enumerate(kept) if each.explored == kind])
            for kind in (False, True)
        ]
        sizes = [len(places) + could * kind for kind, places in self._parts if places]
        self._parts = [part for part in self._parts if part[1]]
        self._weights = [size / sum(sizes) for size in sizes]

    def _of(
        self, column: Sequence[float], estimate: Callable[[Sequence[float]], Estimate]
    ) -> Estimate:
        parts = [estimate([column[at] for at in places]) for _, places in self._parts]
        return stratified(parts, self._weights)

    def mean(self, column: Sequence[float], most: float = math.inf) -> Estimate:
        """Of what is in [0, most]."""
        return _within(self._of(column, mean_of), most)

    def share(self, column: Sequence[bool]) -> Estimate:
        return _within(self._of(column, _share), 1)

    def saved(self, new: Sequence[float], old: Sequence[float]) -> Estimate | None:
        """1 - the ratio of two means, by the residuals of the ratio."""
        whole = self.mean(old).value
        if not whole:
            return None
        ratio = self.mean(new).value / whole
        pairs = zip(new, old, strict=True)
        off, low, high = self._of([(a - ratio * b) / whole for a, b in pairs], mean_of)
        if low is None or high is None:
            return _within(Estimate(1 - ratio), 1)
        return _within(Estimate(1 - ratio, 1 - ratio - (high - off), 1 - ratio + (off - low)), 1)


def _within(of: Estimate, most: float) -> Estimate:
    """No figure beyond [0, most]."""

    def kept(figure: float) -> float:
        return min(max(figure, 0.0), most)

    low, high = (None if end is None else kept(end) for end in (of.low, of.high))
    return Estimate(kept(of.value), low, high)


def _share(column: Sequence[float]) -> Estimate:
    count = sum(column)
    return Estimate(count / len(column), *clopper_pearson(count, len(column)))


def _measured(
    found: WhatIf, pairs: Sequence[tuple[Ballot, Replayed]], could: float, most: int
) -> WhatIf:
    """All but the costs."""
    strata = _Strata([old for old, _ in pairs], could)
    drawn = [len(old.draws) for old, _ in pairs]
    launched = [new.launched for _, new in pairs]
    return replace(
        found,
        used=strata.mean([new.used for _, new in pairs], most),
        launched=strata.mean(launched, most),
        saved=strata.saved(launched, drawn),
        seconds=strata.mean([new.seconds for _, new in pairs]),
        changed=strata.share([new.winner != winner_of(old) for old, new in pairs]),
        recorded_samples=strata.mean(drawn, max(drawn)),
        recorded_seconds=strata.mean([old.seconds for old, _ in pairs]),
    )


def _with_costs(found: WhatIf, pairs: Sequence[tuple[Ballot, Replayed]], could: float) -> WhatIf:
    """Of the requests whose cost is known; those without stand for themselves and their like."""
    known = [
        (ballot, old, new.cost)
        for ballot, new in pairs
        if (old := ballot.cost) is not None and new.cost is not None
    ]
    found = replace(found, unpriced=len(pairs) - len(known))
    if not known:
        return found
    ballots, old, new = zip(*known, strict=True)
    share = sum(each.explored for each in ballots) / (found.explored or 1)
    strata = _Strata(ballots, could * share)
    return replace(
        found,
        cost=strata.mean(new),
        saved=strata.saved(new, old) or found.saved,
        recorded_cost=strata.mean(old),
    )
