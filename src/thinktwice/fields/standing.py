"""Several ballots on the same draws under one rule: when all are over, and what may be claimed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from thinktwice import launch
from thinktwice.stop import Certain, Certificate, Settled, claim, jointly, with_certain
from thinktwice.stop.algebra import AllOf, AnyOf, join

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice.stop import Claim, Stop
    from thinktwice.stop.tally import Tally


@dataclass(frozen=True)
class Standing:
    """All ballots at one moment.

    A ballot that is settled may lose that again while it waits for the others: then it has to be
    settled anew. The chance that its leader is overturned in the end is within the risk whatever
    moment is chosen among those at which it is settled, so that the risks of the fields add up.

    Attributes:
        stop: The rule that was asked for.
        tallies: Different counts, and how many fields have them; 0 for what only holds fields.
    """

    stop: Stop
    tallies: Mapping[Tally, int]

    @cached_property
    def fields(self) -> int:
        """Ballots that decide what is returned."""
        return max(1, sum(self.tallies.values()))

    @cached_property
    def rule(self) -> Stop:
        """The rule of each ballot."""
        return with_certain(_with_risk(self.stop, 1 / self.fields, digits=15))

    def at(self, seconds: float) -> Standing:
        """The same so many seconds into the run, if that matters."""
        if not self.stop.wakes:
            return self
        timed = {replace(tally, seconds=seconds): size for tally, size in self.tallies.items()}
        return Standing(self.stop, timed)

    @property
    def remaining(self) -> int:
        """Draws left under the cap."""
        return max(tally.remaining for tally in self.tallies)

    def in_flight(self, tau: float) -> int:
        """How many calls the least settled field needs."""
        return max(launch.in_flight(tally, self.rule, tau=tau) for tally in self.tallies)

    @cached_property
    def fired(self) -> Stop | None:
        """What ends the drawing: the rule that fires where the least may be claimed."""
        fired = {tally: self.rule.fired(tally) for tally in self.tallies}
        if None in fired.values():
            return None
        deciding = (rule for tally, rule in fired.items() if rule and self.tallies[tally])
        least = max(deciding, key=self._doubt)
        return _with_risk(least, self.fields, digits=9)

    def _doubt(self, rule: Stop) -> int:
        if rule == Certain():
            return 0
        return 1 if rule.promise(next(iter(self.tallies)).n) else 2

    def claim(self, void: str | None) -> Claim:
        """What the end entitles to, in all fields together."""
        decided = [tally for tally, size in self.tallies.items() for _ in range(size)]
        claims = [claim(self.rule.fired(tally), tally, void=void) for tally in decided]
        return claims[0] if len(claims) == 1 else jointly(claims)


def _with_risk(rule: Stop, times: float, *, digits: int) -> Stop:
    """The rule at a multiple of its risk, rounded."""
    if isinstance(rule, Settled | Certificate):
        return replace(rule, risk=round(rule.risk * times, digits))
    if isinstance(rule, AnyOf | AllOf):
        return join(
            type(rule), tuple(_with_risk(each, times, digits=digits) for each in rule.parts)
        )
    return rule
