"""A vote that also knows how probable each text was: few samples settle short outputs."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from thinktwice import launch
from thinktwice.ballot import Ballot, best_member, heaviest
from thinktwice.errors import UsageError, is_number
from thinktwice.remarks import UNWEIGHTED
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, Settled, with_certain
from thinktwice.stop.algebra import Stop
from thinktwice.stop.claim import Claim, Void, claim
from thinktwice.strategy import Strategy, check_callables, check_draws, check_stop
from thinktwice.verifiers.confidence import Likelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice.launch import Preference
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.stop.tally import Tally

P = TypeVar("P")
T = TypeVar("T")

_CERTAIN: Final = (
    "no other answer is more probable, if the log-probabilities are those of all that was written"
)
_ENDING: Final = 2
"""Tokens that end a text, which a provider may count and give no log-probabilities for."""

_PROBABILITY: Final = Likelihood(over="product")


@dataclass(frozen=True)
class PerplexityConsistency(Strategy):
    """Draw up to n samples and return the answer with the most probability.

    Zhou et al. 2025, arXiv:2502.00511 and arXiv:2510.15444. A vote estimates how probable an answer
    is by counting. But the log-probabilities of a text say how probable that text is: the sum over
    the different texts that gave an answer is probability that it is known to have. What no text
    has shown yet is shared out as the votes are. So one probable text can settle what takes a vote
    many samples.

    Cost: at most n samples. With texts of some tens of tokens (a class, a few fields, a tool call,
    a short calculation) a third to two thirds of what `Vote` takes. With long ones every text has a
    probability near 0, and it draws and returns what `Vote` does.

    It needs log-probabilities of *all* that the model wrote: they say nothing where reasoning is
    hidden, or where several calls make one sample. A sample whose provider counted more tokens than
    it gave log-probabilities for is a vote and no more. The end of the text, which providers leave
    out, is taken as certain. Where log-probabilities are reported at another temperature than that
    of the sampling, the answer is the most probable one at the former.

    Attributes:
        n: Samples at the most.
        margin: How far the leading answer has to be ahead in known probability, as a share of what
            is not known yet, in (0, 1]. To overtake it another would need (1 + margin) / 2 of that;
            1 is proof that no other answer is more probable.
        stop: When to stop by the votes alone, as in `Vote`.
        key: What answers are told apart by, as in `Vote`.
        prefer: As in `Vote`. "cost" draws one by one, since any sample may be the last.
        equivalent: Whether two answers are the same one; by default, when they are equal.

    Raises:
        UsageError: n below 1, a rule that can never fire, or another unusable parameter.
    """

    n: int
    margin: float = field(default=0.5, kw_only=True)
    stop: Stop = field(default=Settled(), kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    equivalent: Callable[[Hashable, Hashable], bool] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        KnownLead(self.margin)
        check_stop(self.stop, self.n, scored=False)
        launch.tau_of(self.prefer)
        check_callables(key=self.key, equivalent=self.equivalent)

    @property
    def draws(self) -> int:
        """Its n."""
        return self.n

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, add up, and stop when one answer is known to be ahead."""
        known: Probabilities[T] = Probabilities(self.n, self.equivalent)
        rule = KnownLead(self.margin) | with_certain(self.stop)
        tau = launch.tau_of(self.prefer, recallable=run.recallable)
        pace = launch.Pace(rule=rule, tally=lambda: known.tally(run.seconds), tau=tau)
        async with run.draws(
            self.n, in_flight=pace.in_flight, until=pace.over, wakes=rule.wakes
        ) as samples:
            async for sample, _ in samples:
                known.add(sample)
        tally = known.tally(run.seconds)
        if known.unweighted:
            run.warn(UNWEIGHTED, aloud=True)
        fired = rule.fired(tally) if tally.remaining else None
        cut = run.exhausted if tally.remaining and (fired is None or run.out_of_time) else None
        winner, share = known.winner()
        return Outcome(
            winner=winner,
            agreement=share,
            settled=self._claim(fired, known, tally, cut=cut is not None),
            stopped_by=cut or fired or AtMost(self.n),
            used=tally.finished,
        )

    def _claim(
        self, fired: Stop | None, known: Probabilities[T], tally: Tally, *, cut: bool
    ) -> Claim:
        """That of a vote where it was one; of the probabilities, only what they prove."""
        if known.lead >= 1:
            return Claim(None, holds=True, text=_CERTAIN)
        if not known.unweighted:
            return claim(fired, tally, void="known probabilities")
        if self.equivalent is not None:
            return claim(fired, tally, void=Void.EQUIVALENT)
        return claim(fired, tally, void=Void.BUDGET if cut else None)


@dataclass(frozen=True)
class KnownLead(Stop):
    """Stop when an answer is ahead by this share of the probability that is not known yet.

    It reads what `PerplexityConsistency` puts in the place of a score.

    Attributes:
        margin: In (0, 1]; at 1 no other answer can be more probable.
    """

    margin: float

    def __post_init__(self) -> None:
        """Refuse a margin that nothing has to reach, or that nothing can."""
        if not is_number(self.margin) or not 0 < self.margin <= 1:
            raise UsageError("margin", self.margin, "give a share above 0, at most 1")

    @property
    def reads_scores(self) -> bool:
        """Yes: any sample may be the one that decides."""
        return True

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when the lead is known to be that large."""
        lead = tally.best_score
        return self if lead is not None and lead >= self.margin else None

    def soonest(self, tally: Tally) -> int:
        """The next sample may show enough."""
        return 0 if self.fired(tally) is not None else min(1, tally.remaining)


def _complete(sample: Sample[object]) -> bool:
    """Whether its log-probabilities are of all that was written, but for what ends a text."""
    if sample.error is not None or sample.logprobs is None:
        return False
    usage = sample.usage
    written = usage.output_tokens if usage.source == "provider" else None
    return written is None or written <= len(sample.logprobs) + _ENDING


class Probabilities(Generic[T]):
    """The votes of one run, and the probability that each answer is known to have."""

    def __init__(
        self, n: int, equivalent: Callable[[Hashable, Hashable], bool] | None = None
    ) -> None:
        """Nothing drawn yet."""
        self._ballot: Ballot[T] = Ballot(n, equivalent=equivalent)
        self._seen: set[object] = set()
        self._known: defaultdict[int, float] = defaultdict(float)
        self._of_sample: dict[int, float] = {}

    def add(self, sample: Sample[T]) -> None:
        """Count a finished draw; the probability of a text that is not new is known already."""
        ordinal = self._ballot.add(sample)
        chance = _PROBABILITY.score(sample) if _complete(sample) else None
        if chance is None:
            return
        text = sample.answer if sample.text is None else sample.text
        self._of_sample[sample.index] = 0.0 if text in self._seen else chance
        self._known[ordinal] += self._of_sample[sample.index]
        self._seen.add(text)

    @property
    def unknown(self) -> float:
        """The probability that no text seen has."""
        return max(0.0, 1.0 - math.fsum(self._known.values()))

    @property
    def lead(self) -> float:
        """How far one answer is known to be ahead, as a share of what is not known; 1 at most."""
        votes = (chance for ordinal, chance in self._known.items() if ordinal >= 0)
        first, second = (*sorted(votes, reverse=True), 0.0, 0.0)[:2]
        lead, unknown = first - second, self.unknown
        if lead <= 0:
            return 0.0
        return 1.0 if lead >= unknown else lead / unknown

    @property
    def unweighted(self) -> bool:
        """There are answers, and no probability is known."""
        return bool(self._ballot.groups) and not self._of_sample

    def tally(self, seconds: float = 0.0) -> Tally:
        """The votes, with the known lead in the place of a score."""
        votes = self._ballot.tally(seconds)
        return replace(votes, best_score=self.lead, scored=votes.finished)

    def winner(self) -> tuple[Sample[T] | None, float | None]:
        """The most probable text of the most probable answer, and the answer's share."""
        groups = self._ballot.groups
        samples = [sample for group in groups for sample in group.samples]
        known = {sample.index: self._of_sample.get(sample.index, 0.0) for sample in samples}
        share = self.unknown / max(1, len(samples))
        if not share and not any(known.values()):  # texts that abstain have all there is
            share = 1.0
        weights = {index: chance + share for index, chance in known.items()}
        best = heaviest(groups, weights)
        if best is None:
            return None, None
        weight = math.fsum(weights[sample.index] for sample in best.samples)
        return best_member(best, known), weight / math.fsum(weights.values())
