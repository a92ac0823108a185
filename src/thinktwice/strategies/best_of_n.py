"""Best of n samples, by what a verifier says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from thinktwice import launch
from thinktwice.ballot import Ballot, best_member, heaviest, rank_weights
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, GoodEnough, Stop, claim
from thinktwice.strategy import Strategy, check_draws, check_inside, check_stop
from thinktwice.verifiers import as_verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from thinktwice.ballot import Group
    from thinktwice.launch import Preference
    from thinktwice.protocols import Verifier
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.verifiers import Check

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True)
class BestOfN(Strategy):
    """Draw up to n samples, judge each as it arrives, and return the best.

    With a verifier that is exact (a pass is proof) it stops at the first pass, and returns the best
    score. With any other the scores of samples with the same answer are added up and the heaviest
    answer wins, by weights that depend on the order of the scores alone: the single best score of
    many is more often a wrong sample that fools the verifier (Stroebl et al. 2024,
    arXiv:2411.17501), which is why more samples make plain best-of-N worse. A check that breaks is
    no low score: the sample keeps the mean weight.

    Cost: at most n samples and n verdicts; with an exact verifier about 1 / P(pass) of each.

    Attributes:
        n: Samples at the most.
        verifier: A `Verifier`, or a callable of the value that returns bool, float in [0, 1] or a
            Verdict. One with `calibrated = True` has its scores added up as they are.
        key: What answers are told apart by, as in `Vote`.
        stop: When to stop early; by default at the first pass of an exact verifier, else never.
        prefer: As in `Vote`.
        equivalent: Whether two answers are the same one; by default, when they are equal.
        of: The strategy inside: each candidate is then a run of it.

    Raises:
        UsageError: n below 1, a rule that can never fire, or another unusable parameter.
    """

    n: int
    verifier: Verifier[object] | Check = field(kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    stop: Stop | None = field(default=None, kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        as_verifier(self.verifier)
        if self.stop is not None:
            check_stop(self.stop, self.n, scored=True)
        launch.tau_of(self.prefer)
        check_inside(self.of)

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return self.n * ((self.of.draws or 1) if self.of else 1)

    @property
    def calls(self) -> int | None:
        """One a draw, and those of judging it."""
        inside = self.of.calls if self.of else 1
        judging: int = getattr(self.verifier, "calls", 0)
        return None if inside is None else self.n * (inside + judging)

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw and judge, until the rule says so; then select."""
        verifier = as_verifier(self.verifier)
        rule = self.stop or (GoodEnough(1.0) if verifier.exact else AtMost(self.n))
        ballot: Ballot[T] = Ballot(self.n, equivalent=self.equivalent)
        scores: dict[int, float] = {}
        tau = launch.tau_of(self.prefer, recallable=run.recallable)

        def in_flight() -> int:
            return launch.in_flight(ballot.tally(run.seconds), rule, tau=tau)

        def over() -> bool:
            return rule.fired(ballot.tally(run.seconds)) is not None

        async with run.draws(
            self.n, verifier=verifier, in_flight=in_flight, until=over, wakes=rule.wakes
        ) as candidates:
            async for sample, verdict in candidates:
                score = None if verdict is None else verdict.score
                passed = verdict is not None and verdict.outcome == "pass"
                ballot.add(sample, score=score, passed=passed)
                if score is not None:
                    scores[sample.index] = score
        tally = ballot.tally(run.seconds)
        fired = rule.fired(tally)
        winner, agreement = _selected(ballot.groups, scores, verifier)
        if tally.counts and len(tally.counts) == sum(tally.counts) > 1 and not verifier.exact:
            run.warn(
                "every sample gave another answer, so the best score alone decided: give key= or "
                "equivalent= if some of them mean the same"
            )
        return Outcome(
            winner=winner,
            agreement=agreement,
            settled=claim(fired, tally, void="a selection by score"),
            stopped_by=fired or run.exhausted or AtMost(self.n),
        )


def _selected(
    groups: tuple[Group[T], ...], scores: Mapping[int, float], verifier: Verifier[object]
) -> tuple[Sample[T] | None, float | None]:
    """The winner, and the share of the weight that its answer has."""
    samples = [sample for group in groups for sample in group.samples]
    if not samples:
        return None, None
    weights = _weights(samples, scores, verifier)
    group = heaviest(groups, weights)
    if group is None:
        return None, None
    total = sum(weights.values())
    share = sum(weights[sample.index] for sample in group.samples) / total if total else None
    return best_member(group, scores), share


def _weights(
    samples: list[Sample[T]], scores: Mapping[int, float], verifier: Verifier[object]
) -> dict[int, float]:
    known = [scores.get(sample.index) for sample in samples]
    indices = [sample.index for sample in samples]
    if verifier.exact:  # only the best count, and among them the vote does
        best = max((score for score in known if score is not None), default=None)
        return dict(zip(indices, (float(score == best) for score in known), strict=True))
    if getattr(verifier, "calibrated", False):
        given = [score for score in known if score is not None]
        neutral = sum(given) / len(given) if given else 1.0
        weights = [neutral if score is None else score for score in known]
        return dict(zip(indices, weights, strict=True))
    return dict(zip(indices, rank_weights(known), strict=True))
