"""Evidence that an answer is the most probable one of the model itself, valid at any time.

Let m be a mode: no answer is more probable. Bet against m: before each draw name another answer,
and bet at even odds that this one comes rather than m; any third one leaves the bet open. Whoever
does so does not gain on average, whatever the probabilities are. Here the answer named is the one
that leads, no bet is made against it while it does, and the stakes are those of a mixture over all
shares above one half (a one-sided prior-posterior ratio). The capital is then an e-process: while m
is a mode, it ever reaches 1 / risk with a probability of at most `risk` (Ville's inequality).

The leader is certified once the bets against *every* other answer, seen or not, have reached that.
If the certified answer is no mode, those against one fixed mode have. This is one event, so nothing
is lost to the number of answers, which need not be known, nor to having seen who leads.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING, NamedTuple

from thinktwice.errors import UsageError, is_number
from thinktwice.stop.algebra import Promise, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.stop.tally import Tally


class Bets(NamedTuple):
    """The bets against each answer being a mode, after some draws.

    Attributes:
        leader: Ordinal of the answer that has led since it had more votes than any; -1 if none.
        won: How many were won, by ordinal of the answer; the last is any answer not seen yet.
        lost: How many were lost.
    """

    leader: int
    won: tuple[int, ...]
    lost: tuple[int, ...]


@lru_cache(maxsize=1 << 14)
def capital(won: int, lost: int) -> float:
    """What one unit has become: the mean of (2x)^won (2 - 2x)^lost over x in [1/2, 1]."""
    bets = won + lost
    try:
        return sum(comb(bets + 1, i) for i in range(won + 1)) / ((bets + 1) * comb(bets, won))
    except OverflowError:  # beyond 1e308
        return math.inf


def bets(history: Sequence[int]) -> Bets:
    """Follow the bets through the ordinals of drawn answers, in counting order; -1 abstains."""
    size = max(history, default=-1) + 2
    votes, lost, own = [0] * size, [0] * size, [0] * size
    won, leader = 0, -1
    for drawn in history:
        if drawn < 0:
            continue
        votes[drawn] += 1
        if drawn == leader:
            won += 1
            own[drawn] += 1  # where nothing was bet against it
        elif leader < 0:
            leader = drawn
        else:
            lost[drawn] += 1
            if votes[drawn] > votes[leader]:
                leader = drawn
    return Bets(leader, tuple(won - each for each in own), tuple(lost))


def p_value(history: Sequence[int]) -> float | None:
    """The smallest risk at which the leader is certified as the mode; None without votes.

    It is valid at any time: over repeated runs, the probability that it is ever at most r while
    some answer is more probable than the leader is at most r. Cost: one pass.
    """
    leader, won, lost = bets(history)
    if leader < 0:
        return None
    rivals = (capital(won[i], lost[i]) for i in range(len(won)) if i != leader)
    return min(1.0, 1.0 / min(rivals))


@dataclass(frozen=True)
class Certificate(Stop):
    """Stop when the leader is certified as the most probable answer of the model, the mode.

    Claim: if the samples are independent draws from one distribution, counted in an order that does
    not depend on their answers, then over repeated runs the probability that an answer is certified
    while another is more probable is at most `risk`, however long the run is, whatever else may end
    it, and however many answers there are. Proved. It is about the mode of the model's answers,
    neither about the vote of n nor about truth. It never fires under weights.

    The bets follow the one-sided prior-posterior ratio (arXiv:2109.05047), one pair of answers at a
    time. Expected cost at .05: 8 samples if they agree, 12 at a share of .9 against one other
    answer, 21 at .8, over 80 at .65: up to n = 40 `Certain` mostly ends a ballot before.

    Attributes:
        risk: Largest probability of a wrong certificate, in (0, 1).
    """

    risk: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a risk that is no probability."""
        if not is_number(self.risk) or not 0 < self.risk < 1:
            raise UsageError("risk", self.risk, "give a probability between 0 and 1, such as 0.05")

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when no other answer can be the mode at this risk."""
        return self if not tally.weighted and self._certifies(tally.history) else None

    def soonest(self, tally: Tally) -> int:
        """By halving, for a run of draws that all give one answer: nothing certifies it sooner."""
        if not tally.remaining or self.fired(tally) is not None:
            return 0
        answers = range(max(tally.history, default=-1) + 2)
        return min(self._run_length(tally, answer) for answer in answers)

    def barrier(self, tally: Tally) -> int:
        """Until another answer may lead: from then on the bets depend on the order."""
        return min(tally.remaining, int(tally.lead) + 1)

    def promise(self, n: int) -> Promise:  # noqa: ARG002 - it holds for any n
        """That no other answer is more probable."""
        return Promise(
            self.risk,
            "if the samples are independent draws from one distribution, counted in an order that "
            "does not depend on their answers, then over repeated runs the probability that an "
            f"answer is certified while another is more probable is at most {self.risk:g}",
        )

    @property
    def least(self) -> int:
        """Equal answers until they reach it; the first only says what to bet on."""
        return 1 + next(k for k in itertools.count(1) if capital(k, 0) * self.risk >= 1)

    def _certifies(self, history: Sequence[int]) -> bool:
        found = p_value(history)
        return found is not None and found <= self.risk

    def _run_length(self, tally: Tally, answer: int) -> int:
        low, high = 1, tally.remaining
        while low < high:
            middle = (low + high) // 2
            history = (*tally.history, *(answer,) * middle)
            if bets(history).leader == answer and self._certifies(history):
                high = middle
            else:
                low = middle + 1
        return low
