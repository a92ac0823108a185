"""What was tried in a repair: what to do next, and which of it to return."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeAlias, TypeVar, cast

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from thinktwice.sample import Sample, Verdict

T = TypeVar("T")

MOST: Final = 100
"""Rounds, and verdicts of one attempt, at the most."""

_BELOW_ONE: Final = math.nextafter(1.0, 0.0)

Ending: TypeAlias = Literal[
    "passed", "unconfirmed", "no answer", "error", "not applicable", "stuck", "no gain", "rounds"
]
"""Why a repair is over.

"passed": the check passed (twice, where it is not exact). "unconfirmed": it found an issue in the
draft, and none when it looked again. "no answer": a draw failed or abstained, and nothing says how
to mend that. "error": the check broke. "not applicable": there was nothing to check. "stuck": an
answer came round again, and a fresh sample did not help. "no gain": a round did not raise the
score. "rounds": all are used up.
"""

Next: TypeAlias = Literal["verify", "revise", "redraw"] | Ending
"""What to do with the last attempt, or why it is over."""


@dataclass(frozen=True, kw_only=True)
class Attempt(Generic[T]):
    """One draw of a repair, and what was said of it.

    Attributes:
        sample: The draw.
        verdicts: Of each time that it was judged, in order.
        fresh: It was drawn from the prompt alone, since the repair was stuck.
    """

    sample: Sample[T]
    verdicts: tuple[Verdict, ...] = ()
    fresh: bool = False

    @property
    def usable(self) -> bool:
        """It has an answer."""
        return self.sample.error is None and self.sample.answer is not None

    @property
    def failing(self) -> bool:
        """Some verdict is a fail."""
        return any(verdict.outcome == "fail" for verdict in self.verdicts)

    @property
    def scores(self) -> tuple[float, ...]:
        """Those of its verdicts; none if a verdict has none, for that says nothing of it.

        A pass counts as 1, and a fail as less, whatever score they were given.
        """
        known = tuple(map(_score, self.verdicts))
        return () if None in known else cast("tuple[float, ...]", known)

    @property
    def lowest(self) -> float:
        """The lowest of its scores; -1 without one."""
        return min(self.scores, default=-1.0)

    @property
    def issue(self) -> Verdict | None:
        """The verdict with the lowest score, the last of equals: what to mend."""
        return min(reversed(self.verdicts), key=lambda each: _score(each) or 0.0, default=None)


@dataclass(frozen=True, kw_only=True)
class History(Generic[T]):
    """The attempts of a repair. Each step makes a new one; what to do next follows from it alone.

    A revision takes the place of what stood before it when its lowest score is above all scores of
    that. Under a verifier that is not exact both must have been judged `confirm` times, and a
    revision that fails takes no place at all: two passes against two fails. The draft is the first
    to stand, and equal scores change nothing, so what is returned was never scored below it.

    Attributes:
        exact: A pass of the verifier is proof.
        rounds: Draws after the draft at the most.
        confirm: Verdicts that a replacement takes, of either side, where a pass is no proof.
        attempts: In order, the draft first.
    """

    exact: bool = False
    rounds: int = 2
    confirm: int = 2
    attempts: tuple[Attempt[T], ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_rounds(self.rounds, self.confirm)

    def drawn(self, sample: Sample[T], *, fresh: bool = False) -> History[T]:
        """The history with another attempt."""
        return replace(self, attempts=(*self.attempts, Attempt(sample=sample, fresh=fresh)))

    def judged(self, verdict: Verdict) -> History[T]:
        """The history with another verdict of the last attempt."""
        *before, last = self.attempts
        last = replace(last, verdicts=(*last.verdicts, verdict))
        return replace(self, attempts=(*before, last))

    @property
    def last(self) -> Attempt[T]:
        """The latest attempt: what is judged, and what is revised."""
        return self.attempts[-1]

    @property
    def standing(self) -> Attempt[T]:
        """What would be returned as things stand."""
        return self._standing(confirm=self._needed)

    @property
    def next(self) -> Next:
        """What to do with the last attempt."""
        last = self.last
        if last.sample.error is not None:
            return "no answer"
        if not last.verdicts:
            return "verify"
        if not last.scores:
            broken = any(verdict.outcome == "error" for verdict in last.verdicts)
            return "error" if broken else "not applicable"
        if not last.usable and last.lowest == 1.0:
            return "no answer"
        if self._standing(confirm=1) is last:  # if this holds when it is judged again, it stays
            return self._standing_next()
        return self._further()

    def _standing_next(self) -> Next:
        """The last attempt is the best so far, if its verdicts are confirmed."""
        last, first = self.last, not any(each.usable for each in self.attempts[:-1])
        if last.lowest == 1.0 and (first or len(last.verdicts) >= self._needed):
            return "passed"
        if first and max(last.scores) == 1.0:
            return "unconfirmed"
        return "verify" if len(last.verdicts) < self._needed else self._further()

    def _further(self) -> Next:
        """All verdicts are in, and it did not pass."""
        if self.last.fresh or self._repeats():
            return self._again()
        if len(self.attempts) > self.rounds:
            return "rounds"
        if not self._gained():
            return "no gain"
        return "revise"

    def _again(self) -> Next:
        """It goes round in circles: one fresh sample, once."""
        return "stuck" if self.last.fresh or len(self.attempts) > self.rounds else "redraw"

    def _repeats(self) -> bool:
        """The last attempt has the text, or the answer, of an earlier one."""
        last, *earlier = (each.sample for each in reversed(self.attempts))
        return any(
            (last.text is not None and last.text == each.text)
            or (last.answer is not None and last.answer == each.answer)
            for each in earlier
        )

    def _gained(self) -> bool:
        """The round raised the score; a fail as bad as the one before is no sign either way."""
        last, *earlier = reversed(self.attempts)
        best = max(
            (each for each in earlier if each.scores), key=lambda each: each.lowest, default=None
        )
        if best is None or last.lowest > best.lowest:
            return True
        return last.lowest == best.lowest and last.failing and best.failing

    @property
    def _needed(self) -> int:
        return 1 if self.exact else self.confirm

    def _standing(self, *, confirm: int) -> Attempt[T]:
        """The first attempt, or what took its place."""
        standing, *others = self.attempts
        for other in others:
            if other.usable and (not standing.usable or self._beats(other, standing, confirm)):
                standing = other
        return standing

    def _beats(self, challenger: Attempt[T], standing: Attempt[T], confirm: int) -> bool:
        if len(challenger.scores) < confirm or (challenger.failing and not self.exact):
            return False
        return challenger.lowest > max(standing.scores, default=1.0)


def _score(verdict: Verdict) -> float | None:
    if verdict.outcome == "pass":
        return 1.0
    if verdict.score is None or verdict.outcome not in {"fail", "scored"}:
        return None
    return min(verdict.score, _BELOW_ONE) if verdict.outcome == "fail" else verdict.score


def check_rounds(rounds: int, confirm: int) -> None:
    """Refuse what is no number of rounds or of verdicts.

    Raises:
        UsageError: One of them is no whole number from 1 to 100.
    """
    for name, given in (("rounds", rounds), ("confirm", confirm)):
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST:
            raise UsageError(name, given, f"give a whole number from 1 to {MOST}")
