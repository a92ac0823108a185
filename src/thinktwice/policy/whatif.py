"""What another stop rule would have done to recorded votes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What a rule would have done to the requests of a store that were drawn in full.

    Intervals are 95 %, with requests as the units of chance: Student's of means, Clopper and
    Pearson's of shares. Means have none below 20 requests.

    Attributes:
        stop: The rule.
        n: Samples at the most; None for as many as each request drew.
        prefer: How samples are launched.
        replayed: Requests it was replayed on.
        explored: Those of them that were chosen to be drawn in full, and stand for all votes that
            could have been.
        left_out: How many requests are left out, by reason: "censored" (their own rule could stop
            them), "cut" (by a budget or an error), "too_short" (they drew fewer samples than n, or
            than the rule takes), "unscored" (the rule needs scores, and nothing was judged),
            "other" (no rule of theirs is replayed).
        others: The names of the strategies of the last.
        used: Samples counted, a request.
        launched: Samples started, a request: what is paid for.
        cost: USD a request, for samples and their verdicts.
        saved: Share of the recorded cost that it saves; of samples where nothing has a cost.
        seconds: To the decision, a request.
        changed: Share of the requests whose answer would have been another one.
        recorded_samples: Samples a request, as drawn.
        recorded_cost: USD a request, as drawn.
        recorded_seconds: Seconds that a request took.
    """

    stop: str
    n: int | None = None
    prefer: Preference | float = "cost"
    replayed: int = 0
    explored: int = 0
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
        prefer: As in `Vote`.
        max_concurrency: Samples in flight at the most, as in `solve`.

    Raises:
        UsageError: The rule can be replayed on none of them, or another parameter makes no sense.
    """
    if n is not None:
        at_least_one("n", n)
    at_least_one("max_concurrency", max_concurrency)
    tau = tau_of(prefer)
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
    could = sum(
        count for asked, count in ballots.censored.items() if not asked or asked >= (n or 0)
    )
    return _measured(found, kept, [replayed(each) for each in kept], could) if kept else found


def _kept(
    ballots: Ballots, stop: Stop, n: int | None
) -> tuple[Sequence[Ballot], Mapping[str, int]]:
    """What can be replayed under a rule, and how many cannot, by reason."""
    refused: dict[tuple[int, bool], UsageError | None] = {}
    kept: list[Ballot] = []
    left_out = Counter(
        censored=sum(ballots.censored.values()) + ballots.judged,
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
        return error
    return None


class _Strata:
    """Requests that stand for themselves, and those that stand for others, too."""

    def __init__(self, kept: Sequence[Ballot], could: int) -> None:
        self._parts = [
            (kind, [at for at, each in enumerate(kept) if each.explored == kind])
            for kind in (False, True)
        ]
        sizes = [len(places) + could * kind for kind, places in self._parts if places]
        self._parts = [part for part in self._parts if part[1]]
        self._weights = [size / sum(sizes) for size in sizes]

    def of(
        self, column: Sequence[float], estimate: Callable[[Sequence[float]], Estimate]
    ) -> Estimate:
        parts = [estimate([column[at] for at in places]) for _, places in self._parts]
        return stratified(parts, self._weights)

    def mean(self, column: Sequence[float]) -> Estimate:
        return self.of(column, mean_of)

    def share(self, column: Sequence[bool]) -> Estimate:
        return self.of(column, _share)

    def saved(self, new: Sequence[float], old: Sequence[float]) -> Estimate | None:
        """1 - the ratio of two means, by the residuals of the ratio."""
        whole = self.mean(old).value
        if not whole:
            return None
        ratio = self.mean(new).value / whole
        pairs = zip(new, old, strict=True)
        off, low, high = self.mean([(a - ratio * b) / whole for a, b in pairs])
        if low is None or high is None:
            return Estimate(1 - ratio)
        return Estimate(1 - ratio, 1 - ratio - (high - off), 1 - ratio + (off - low))


def _share(column: Sequence[float]) -> Estimate:
    count = sum(column)
    return Estimate(count / len(column), *clopper_pearson(count, len(column)))


def _measured(found: WhatIf, kept: Sequence[Ballot], new: Sequence[Replayed], could: int) -> WhatIf:
    strata = _Strata(kept, could)
    costs = [sum(draw.cost for draw in each.draws) for each in kept]
    drawn = [len(each.draws) for each in kept]
    saved = strata.saved([each.cost for each in new], costs)
    changed = [a.winner != winner_of(b) for a, b in zip(new, kept, strict=True)]
    return replace(
        found,
        used=strata.mean([each.used for each in new]),
        launched=strata.mean([each.launched for each in new]),
        cost=strata.mean([each.cost for each in new]),
        saved=saved or strata.saved([each.launched for each in new], drawn),
        seconds=strata.mean([each.seconds for each in new]),
        changed=strata.share(changed),
        recorded_samples=strata.mean(drawn),
        recorded_cost=strata.mean(costs),
        recorded_seconds=strata.mean([each.seconds for each in kept]),
    )
