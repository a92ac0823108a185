"""Best of n samples, by what a verifier says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from thinktwice import launch
from thinktwice.ballot import Ballot, best_member, heaviest
from thinktwice.errors import UsageError
from thinktwice.remarks import FAILED, NONE_PASSED, UNJUDGED
from thinktwice.result import Outcome
from thinktwice.selection import Entrants, Selection
from thinktwice.stop import AtMost, GoodEnough, Stop, claim
from thinktwice.stop.claim import Void
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
from thinktwice.weighing import WEIGHING, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from thinktwice.ballot import Group
    from thinktwice.budget import Limit
    from thinktwice.launch import Preference
    from thinktwice.protocols import Verifier
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.vary import Vary
    from thinktwice.verifiers import Check
    from thinktwice.weighing import Weighing

P = TypeVar("P")
T = TypeVar("T")

_SCORE_ALONE = (
    "every sample gave another answer, so the best score alone decided: give key= or equivalent= "
    "if some of them mean the same"
)


@dataclass(frozen=True)
class BestOfN(Strategy):
    """Draw up to n samples, judge each as it arrives, and return the best.

    With a verifier that is exact (a pass is proof) it stops at the first pass, and returns the best
    score. With any other the scores of samples with the same answer are added up and the heaviest
    answer wins: the single best score of many is more often a wrong sample that fools the verifier
    (Stroebl et al. 2024, arXiv:2411.17501), which is why more samples make plain best-of-N worse. A
    check that breaks is no low score: the sample keeps the mean weight.

    With `select=` answers are chosen otherwise: by their scores among the frequent ones, or by
    comparing them. An answer all of whose samples failed the check is then out, if others did not
    fail: no judge overturns that. If all failed, a check that asks no model leaves nothing to
    select: the heaviest answer stands, and nobody compares. Where the answer that is returned
    failed, a warning says so.

    Cost: at most n samples and n verdicts; with an exact verifier about 1 / P(pass) of each. A
    `Knockout` makes up to n - 1 comparisons more.

    Attributes:
        n: Samples at the most.
        verifier: A `Verifier`, or a callable of the value that returns bool, float in [0, 1] or a
            Verdict. None will do with a selection that needs no scores, such as `Knockout`.
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
        select: "weighted" returns the answer with the largest sum of weights;
            `BestOfMajority(alpha)` the best-scored of the frequent ones; `Knockout(judge)` the
            winner of a tournament.
        of: The strategy inside: each candidate is then a run of it.

    Raises:
        UsageError: n below 1, a rule that can never fire, or another unusable parameter.
    """

    n: int
    verifier: Verifier[object] | Check | None = field(default=None, kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    stop: Stop | None = field(default=None, kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    hedge: bool = field(default=True, kw_only=True)
    warm_first: bool = field(default=False, kw_only=True)
    vary: Vary | None = field(default=None, kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)
    weights: Literal["score", "rank"] | Weighing = field(default="score", kw_only=True)
    select: Literal["weighted"] | Selection = field(default="weighted", kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        self._check_selection()
        if self.stop is not None:
            check_stop(self.stop, self.n, scored=self.verifier is not None)
        launch.tau_of(self.prefer)
        check_flags(hedge=self.hedge, warm_first=self.warm_first)
        check_vary(self.vary)
        if not callable(self.weights) and self.weights not in ("score", "rank"):
            remedy = "give 'score', 'rank' or a function of the scores"
            raise UsageError("weights", self.weights, remedy)
        check_inside(self.of)
        check_callables(key=self.key, equivalent=self.equivalent)

    def _check_selection(self) -> None:
        """Refuse what is no selection, and one without what it goes by."""
        if self.select != "weighted" and not isinstance(self.select, Selection):
            remedy = "give 'weighted', BestOfMajority(alpha) or Knockout(PairwiseJudge(...))"
            raise UsageError("select", self.select, remedy)
        if self.verifier is not None:
            as_verifier(self.verifier)
        elif self.select == "weighted" or self.select.needs_scores:
            raise UsageError("verifier", None, "give what scores the samples, or select=Knockout()")

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw, those of judging it, and those of the selection."""
        drawn = nested_calls(self.n, self.of, judging=getattr(self.verifier, "calls", 0))
        if drawn is None or self.select == "weighted":
            return drawn
        return drawn + self.select.calls(self.n)

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw and judge, until the rule says so; then select."""
        verifier = None if self.verifier is None else as_verifier(self.verifier)
        exact = verifier is not None and verifier.exact
        rule = self.stop or (GoodEnough(1.0) if exact else AtMost(self.n))
        same = run.group_by(self.equivalent)
        run.selection = self._selection(exact=exact)
        if run.selection is not None:
            run.exhaustive = isinstance(rule, AtMost) and rule.n >= self.n
        ballot: Ballot[T] = Ballot(self.n, equivalent=same)
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
        _remark(run, exact=exact, scored=bool(scores))
        before = run.exhausted
        winner, agreement = await self._selected(run, ballot.groups, scores, verifier)
        _remark_winner(run, winner, exact=exact)
        if run.exhausted is not before:  # it ended the selection
            fired = None
        return Outcome(
            winner=winner,
            agreement=agreement,
            settled=claim(fired, tally, void=self._void),
            stopped_by=self._ended_by(run, fired),
            used=tally.finished,
        )

    def _selection(self, *, exact: bool) -> str | None:
        """What the answer goes by, where scores alone say so."""
        if self.select != "weighted" or self.verifier is None or callable(self.weights):
            return None
        return "exact" if exact else self.weights

    async def _selected(
        self,
        run: Run[P, T],
        groups: tuple[Group[T], ...],
        scores: Mapping[int, float],
        verifier: Verifier[P] | None,
    ) -> tuple[Sample[T] | None, float | None]:
        """The winner, and the share of the weight that its answer has, or of the votes."""
        exact = verifier is not None and verifier.exact
        weigh = self.weights if callable(self.weights) else WEIGHING[self.weights]
        weights = weights_of(groups, scores, WEIGHING["exact"] if exact else weigh)
        if self.select == "weighted":
            group = heaviest(groups, weights)
            if not exact and len(groups) == len(weights) > 1:
                run.warn(_SCORE_ALONE)
        else:
            left, votes = _not_failed(run, groups), dict.fromkeys(weights, 1.0)
            group = heaviest(left or groups, weights)
            run.offer(Outcome(winner=_member(group, scores)))
            if left or (not exact and getattr(verifier, "calls", 0)):
                entrants = Entrants(groups=left or groups, weights=weights, votes=len(votes))
                group = await self.select(run, entrants)
            weights = votes
        if group is None:
            return None, None
        share = sum(weights[sample.index] for sample in group.samples) / sum(weights.values())
        return _member(group, scores), share

    @property
    def _void(self) -> str:
        """Why nothing is claimed of a full vote."""
        return Void.SCORES if self.verifier is not None else "a selection by a judge"

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


def _remark_winner(run: Run[P, T], winner: Sample[T] | None, *, exact: bool) -> None:
    """Say where the best of all did not pass; of an exact verifier that is said already."""
    verdict = None if winner is None else run.verdicts.get(winner.index)
    if verdict is not None and verdict.outcome == "fail" and not exact:
        run.warn(FAILED)


def _unjudged(run: Run[P, T], counted: set[int]) -> list[Sample[T]]:
    """What was drawn and not judged before a budget ended the run: it is paid for, so it stands."""
    cut = run.exhausted is not None
    return [sample for sample in run.samples if cut and sample.index not in counted]


def _not_failed(run: Run[P, T], groups: tuple[Group[T], ...]) -> tuple[Group[T], ...]:
    """The answers with a sample that did not fail."""
    failed = {index for index, each in run.verdicts.items() if each.outcome == "fail"}
    return tuple(g for g in groups if any(s.index not in failed for s in g.samples))


def _member(group: Group[T] | None, scores: Mapping[int, float]) -> Sample[T] | None:
    return None if group is None else best_member(group, scores)
