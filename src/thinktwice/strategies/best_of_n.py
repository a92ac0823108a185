"""Best of n samples, by what a verifier says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from thinktwice import launch
from thinktwice.ballot import Ballot, best_member, heaviest, rank_weights
from thinktwice.errors import UsageError
from thinktwice.remarks import NONE_PASSED, UNJUDGED
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, GoodEnough, Stop, claim
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_draws,
    check_flags,
    check_inside,
    check_stop,
    check_vary,
    nested_calls,
    nested_draws,
)
from thinktwice.verifiers import as_verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from thinktwice.ballot import Group
    from thinktwice.budget import Limit
    from thinktwice.launch import Preference
    from thinktwice.protocols import Verifier
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.vary import Vary
    from thinktwice.verifiers import Check

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True)
class BestOfN(Strategy):
    """Draw up to n samples, judge each as it arrives, and return the best.

    With a verifier that is exact (a pass is proof) it stops at the first pass, and returns the best
    score. With any other the scores of samples with the same answer are added up and the heaviest
    answer wins: the single best score of many is more often a wrong sample that fools the verifier
    (Stroebl et al. 2024, arXiv:2411.17501), which is why more samples make plain best-of-N worse. A
    check that breaks is no low score: the sample keeps the mean weight.

    Cost: at most n samples and n verdicts; with an exact verifier about 1 / P(pass) of each.

    Attributes:
        n: Samples at the most.
        verifier: A `Verifier`, or a callable of the value that returns bool, float in [0, 1] or a
            Verdict.
        key: What answers are told apart by, as in `Vote`.
        stop: When to stop early; by default at the first pass of an exact verifier, else never.
        prefer: As in `Vote`.
        hedge: As in `Vote`.
        warm_first: As in `Vote`.
        vary: As in `Vote`.
        equivalent: Whether two answers are the same one; by default, when they are equal.
        weights: "score" adds up the scores of an inexact verifier; "rank" adds up weights
            that depend on their order alone (arXiv:2502.18581), for scores whose differences mean
            nothing. Or a function of all scores, None where there is none, that returns as many
            weights of at least 0, such as `partial(rank_weights, power=2)`.
        of: The strategy inside: each candidate is then a run of it.

    Raises:
        UsageError: n below 1, a rule that can never fire, or another unusable parameter.
    """

    n: int
    verifier: Verifier[object] | Check = field(kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    stop: Stop | None = field(default=None, kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    hedge: bool = field(default=True, kw_only=True)
    warm_first: bool = field(default=False, kw_only=True)
    vary: Vary | None = field(default=None, kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)
    weights: Literal["score", "rank"] | Weighing = field(default="score", kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        as_verifier(self.verifier)
        if self.stop is not None:
            check_stop(self.stop, self.n, scored=True)
        launch.tau_of(self.prefer)
        check_flags(hedge=self.hedge, warm_first=self.warm_first)
        check_vary(self.vary)
        if not callable(self.weights) and self.weights not in tuple(_WEIGHING):
            remedy = "give 'score', 'rank' or a function of the scores"
            raise UsageError("weights", self.weights, remedy)
        check_inside(self.of)
        check_callables(key=self.key, equivalent=self.equivalent)

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw, and those of judging it."""
        return nested_calls(self.n, self.of, judging=getattr(self.verifier, "calls", 0))

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw and judge, until the rule says so; then select."""
        verifier = as_verifier(self.verifier)
        rule = self.stop or (GoodEnough(1.0) if verifier.exact else AtMost(self.n))
        ballot: Ballot[T] = Ballot(self.n, equivalent=self.equivalent)
        scores: dict[int, float] = {}
        counted: set[int] = set()
        pace = launch.Pace(
            rule=rule,
            tally=lambda: ballot.tally(run.seconds),
            tau=launch.tau_of(self.prefer, recallable=run.recallable),
            warm_first=self.warm_first,
        )
        async with run.draws(
            self.n,
            verifier=verifier,
            in_flight=pace.in_flight,
            until=pace.over,
            wakes=rule.wakes,
            needed=pace.needed if self.hedge and launch.hedges(self.prefer, pace.tau) else None,
            vary=self.vary,
        ) as candidates:
            async for sample, verdict in candidates:
                score = None if verdict is None else verdict.score
                passed = verdict is not None and verdict.outcome == "pass"
                ballot.add(sample, score=score, passed=passed)
                if score is not None:
                    scores[sample.index] = score
                counted.add(sample.index)
        fired = rule.fired(ballot.tally(run.seconds))
        for sample in _unjudged(run, counted):
            ballot.add(sample)
        tally = ballot.tally(run.seconds)
        _remark(run, exact=verifier.exact, scored=bool(scores))
        weigh = self.weights if callable(self.weights) else _WEIGHING[self.weights]
        weigh = _best_only if verifier.exact else weigh
        winner, agreement = _selected(ballot.groups, scores, weigh)
        if tally.counts and len(tally.counts) == sum(tally.counts) > 1 and not verifier.exact:
            run.warn(
                "every sample gave another answer, so the best score alone decided: give key= or "
                "equivalent= if some of them mean the same"
            )
        return Outcome(
            winner=winner,
            agreement=agreement,
            settled=claim(fired, tally, void="a selection by score"),
            stopped_by=self._ended_by(run, fired),
            used=tally.finished,
        )

    def _ended_by(self, run: Run[P, T], fired: Stop | None) -> Stop | Limit:
        if run.exhausted is not None and (fired is None or run.out_of_time):
            return run.exhausted
        return fired or AtMost(self.n)


def _remark(run: Run[P, T], *, exact: bool, scored: bool) -> None:
    """Say where the verdicts did not decide."""
    outcomes = {verdict.outcome for verdict in run.verdicts.values()}
    if outcomes and not scored:
        run.warn(UNJUDGED, aloud=True)
    elif outcomes and exact and "pass" not in outcomes:
        run.warn(NONE_PASSED)


def _unjudged(run: Run[P, T], counted: set[int]) -> list[Sample[T]]:
    """What was drawn and not judged before a budget ended the run: it is paid for, so it stands."""
    cut = run.exhausted is not None
    return [sample for sample in run.samples if cut and sample.index not in counted]


def _selected(
    groups: tuple[Group[T], ...], scores: Mapping[int, float], weigh: Weighing
) -> tuple[Sample[T] | None, float | None]:
    """The winner, and the share of the weight that its answer has."""
    samples = [sample for group in groups for sample in group.samples]
    known = _weights([scores.get(sample.index) for sample in samples], weigh)
    if not any(known):  # all fail alike: the vote decides
        known = [1.0] * len(samples)
    weights = {sample.index: weight for sample, weight in zip(samples, known, strict=True)}
    group = heaviest(groups, weights)
    if group is None:
        return None, None
    share = sum(weights[sample.index] for sample in group.samples) / sum(known)
    return best_member(group, scores), share


def _weights(scores: Sequence[float | None], weigh: Weighing) -> list[float]:
    """Those of a function, which may be the caller's."""
    known = list(weigh(scores))
    if len(known) != len(scores) or not all(0 <= weight < math.inf for weight in known):
        raise UsageError("weights", weigh, "return a number of at least 0 for each score")
    return known


def _best_only(scores: Sequence[float | None]) -> list[float]:
    """For an exact verifier: among the samples with the best score the vote decides."""
    best = max((score for score in scores if score is not None), default=None)
    return [float(score == best) for score in scores]


def _as_they_are(scores: Sequence[float | None]) -> list[float]:
    """A sample whose check broke gets the mean: nothing is known of it."""
    known = [score for score in scores if score is not None]
    neutral = sum(known) / len(known) if known else 1.0
    return [neutral if score is None else score for score in scores]


Weighing: TypeAlias = "Callable[[Sequence[float | None]], list[float]]"

_WEIGHING: Final[Mapping[str, Weighing]] = {"score": _as_they_are, "rank": rank_weights}
