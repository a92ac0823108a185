"""What another stop rule would have done to recorded votes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from thinktwice.diversity import Estimate
from thinktwice.errors import UsageError
from thinktwice.policy.intervals import clopper_pearson, mean_of
from thinktwice.stop import Tally, with_certain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.stop import Stop
    from thinktwice.store.ballots import Ballot, Ballots


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What a rule would have done to the votes of a store that were drawn in full.

    Intervals are 95 %: Student's of means, Clopper and Pearson's of the share.

    Attributes:
        replayed: Votes it was replayed on.
        too_short: Votes that drew fewer samples than asked for, and are left out.
        cut: Votes that a budget or an error cut short, and are left out.
        censored: Votes that stopped early by their own rule, and are left out.
        samples: Samples a vote.
        recorded_samples: Samples a vote, as drawn.
        cost: USD a vote, for samples.
        recorded_cost: USD a vote, as drawn.
        changed: Share of the votes whose answer would have been another one.
    """

    replayed: int
    too_short: int
    cut: int
    censored: int
    samples: Estimate | None = None
    recorded_samples: Estimate | None = None
    cost: Estimate | None = None
    recorded_cost: Estimate | None = None
    changed: Estimate | None = None


def whatif(ballots: Ballots, stop: Stop, *, n: int | None = None) -> WhatIf:
    """Replay recorded votes one sample at a time, in order of arrival.

    A vote counts as changed if its answer is not that of all samples that were recorded. Ties go to
    the answer that was launched first. One sample is drawn at a time, as by `prefer="cost"`: other
    ways to launch also pay for samples in flight.

    Args:
        ballots: The votes.
        stop: The rule; it may look at answers alone.
        n: Samples at the most, of those recorded; by default as many as each vote drew.

    Raises:
        UsageError: The rule cannot be replayed, can never fire, or n is below 1.
    """
    if n is not None and (isinstance(n, bool) or n < 1):
        raise UsageError("n", n, "draw at least one sample")
    if stop.wakes:
        raise UsageError("stop", stop, "time is not replayed: leave After(...) out")
    kept = [each for each in ballots.full if n is None or len(each.answers) >= n]
    for size in {n or len(each.answers) for each in kept}:
        stop.validate(size, scored=False)
    found = WhatIf(
        replayed=len(kept),
        too_short=len(ballots.full) - len(kept),
        cut=ballots.cut,
        censored=ballots.censored,
    )
    return _measured(found, kept, with_certain(stop), n) if kept else found


def _measured(found: WhatIf, kept: Sequence[Ballot], rule: Stop, n: int | None) -> WhatIf:
    ends: dict[tuple[int, ...], int] = {}  # most votes go one of a few ways
    drawn: list[int] = []
    for each in kept:
        answers = each.answers[:n]
        if answers not in ends:
            ends[answers] = _end(rule, answers)
        drawn.append(ends[answers])
    pairs = list(zip(kept, drawn, strict=True))
    changed = sum(
        _winner(each.answers[:count], each.positions) != _winner(each.answers, each.positions)
        for each, count in pairs
    )
    return replace(
        found,
        samples=mean_of(drawn),
        recorded_samples=mean_of([len(each.answers) for each in kept]),
        cost=mean_of([float(sum(each.costs[:count])) for each, count in pairs]),
        recorded_cost=mean_of([float(sum(each.costs)) for each in kept]),
        changed=Estimate(changed / len(kept), *clopper_pearson(changed, len(kept))),
    )


def _end(rule: Stop, answers: Sequence[int]) -> int:
    """After how many samples the rule ends a vote."""
    votes: Counter[int] = Counter()
    for finished, answer in enumerate(answers, 1):
        if answer >= 0:
            votes[answer] += 1
        counts = tuple(sorted(votes.values(), reverse=True))
        if rule.fired(Tally(len(answers), counts, finished, tuple(answers[:finished]))) is not None:
            return finished
    return len(answers)


def _winner(answers: Sequence[int], positions: Sequence[int]) -> int | None:
    """The most frequent answer; of equals the one that was launched first."""
    votes = Counter(answer for answer in answers if answer >= 0)
    first: dict[int, int] = {}
    for answer, position in zip(answers, positions, strict=False):
        first[answer] = min(position, first.get(answer, position))
    return min(votes, key=lambda answer: (-votes[answer], first[answer]), default=None)
