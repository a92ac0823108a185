"""What a stop rule is, and how rules combine with `|` and `&`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from thinktwice.stop.tally import Tally


class Promise(NamedTuple):
    """What a rule claims of the ballots that it ends.

    Attributes:
        risk: Largest probability, over repeated runs, that the claim is wrong.
        text: The claim in words, with its conditions.
    """

    risk: float
    text: str


class Stop(ABC):
    """A rule that ends a ballot before its cap.

    A rule of your own implements `fired`. If votes for the leader are not what makes it fire
    soonest, it overrides `soonest` as well.
    """

    @property
    def certain(self) -> bool:
        """Whether a ballot under this rule also ends once its outcome is certain."""
        return True

    @property
    def counts_only(self) -> bool:
        """Whether it looks at nothing but leader, runner-up, finished draws and the cap."""
        return False

    @property
    def reads_scores(self) -> bool:
        """Whether one more well-scored sample can make it fire."""
        return False

    @abstractmethod
    def fired(self, tally: Tally) -> Stop | None:
        """The rule that fires: itself, or the part of a combination that does; None if none.

        When all n draws are counted the cap has ended the ballot, whatever this says.
        """

    def soonest(self, tally: Tally) -> int:
        """Fewest further finished draws after which it could fire; never above `remaining`."""
        for k in range(tally.remaining):
            if self.fired(tally.after(k)) is not None:
                return k
        return tally.remaining

    def barrier(self, tally: Tally) -> int:
        """How many draws may be in flight before it matters in which order they finish."""
        return tally.remaining

    def memory(self, tally: Tally) -> Hashable:  # noqa: ARG002 - for rules that do remember
        """What it remembers of the order of past draws; tallies that agree in it may be merged."""
        return None

    def timeless(self) -> Stop | None:
        """The rule without its clauses about time; None if nothing is left."""
        return self

    def promise(self, n: int) -> Promise | None:  # noqa: ARG002 - for rules that promise something
        """What it claims of a ballot of n draws at the most that ended while it fired, if anything.

        It has to hold whenever the rule fires, not only when it does so first: a rule may have
        waited for others.
        """
        return None

    @property
    def wakes(self) -> tuple[float, ...]:
        """Seconds since the run began at which it may fire without another draw."""
        return ()

    @property
    def least(self) -> int:
        """Fewest draws in which it can fire."""
        return 1

    def validate(self, n: int, *, scored: bool) -> None:
        """Refuse a rule that can never fire.

        Args:
            n: Cap on the draws.
            scored: Samples get verdict scores.

        Raises:
            UsageError: It cannot fire under this cap, or needs scores where there are none.
        """
        if self.least > n:
            raise UsageError("stop", self, f"it takes {self.least} draws to fire, and n={n}")
        if self.reads_scores and not scored:
            raise UsageError("stop", self, "it needs a verifier: pass verifier=, or drop the rule")

    def __or__(self, other: Stop) -> Stop:
        """Whichever fires first."""
        return join(AnyOf, (self, other))

    def __and__(self, other: Stop) -> Stop:
        """All of them at once."""
        return join(AllOf, (self, other))


@dataclass(frozen=True, eq=False, repr=False)
class _Combination(Stop):
    """Rules joined by one operator: equal whatever their order, which only decides who is named."""

    parts: tuple[Stop, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError("parts", self.parts, "combine at least one stop rule")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Combination):
            return NotImplemented
        return type(self) is type(other) and self._set == other._set

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _set(self) -> frozenset[Stop]:
        return frozenset(self.parts)

    @cached_property
    def _hash(self) -> int:
        return hash((type(self), self._set))

    @cached_property
    def _counts_only(self) -> bool:
        return all(part.counts_only for part in self.parts)

    @property
    def counts_only(self) -> bool:
        return self._counts_only

    @property
    def reads_scores(self) -> bool:
        return any(part.reads_scores for part in self.parts)

    def barrier(self, tally: Tally) -> int:
        return min(part.barrier(tally) for part in self.parts)

    def memory(self, tally: Tally) -> Hashable:
        return tuple(part.memory(tally) for part in self.parts)

    def timeless(self) -> Stop | None:
        left = [rule for part in self.parts if (rule := part.timeless()) is not None]
        return join(type(self), tuple(left)) if left else None

    @property
    def wakes(self) -> tuple[float, ...]:
        return tuple(time for part in self.parts for time in part.wakes)

    def validate(self, n: int, *, scored: bool) -> None:
        for part in self.parts:
            part.validate(n, scored=scored)


class AnyOf(_Combination):
    """Fires when one of its parts does, and names the first that does. Written `a | b`."""

    @property
    def least(self) -> int:
        """That of its most demanding part: a part that can never fire is a mistake."""
        return max(part.least for part in self.parts)

    @property
    def certain(self) -> bool:
        """One part that ends certain ballots suffices."""
        return any(part.certain for part in self.parts)

    def fired(self, tally: Tally) -> Stop | None:
        """The first part that fires."""
        for part in self.parts:
            if (rule := part.fired(tally)) is not None:
                return rule
        return None

    def soonest(self, tally: Tally) -> int:
        """That of its soonest part."""
        return min(part.soonest(tally) for part in self.parts)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts))


class AllOf(_Combination):
    """Fires when all of its parts do on the same tally, and names all of them. Written `a & b`."""

    @property
    def least(self) -> int:
        """That of its most demanding part."""
        return max(part.least for part in self.parts)

    @property
    def certain(self) -> bool:
        """A part that wants every draw keeps the others waiting."""
        return all(part.certain for part in self.parts)

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, if no part holds out."""
        return self if all(part.fired(tally) is not None for part in self.parts) else None

    def soonest(self, tally: Tally) -> int:
        """That of its latest part: none can fire before all can."""
        return max(part.soonest(tally) for part in self.parts)

    def promise(self, n: int) -> Promise | None:
        """The surest of its parts': all of them fire."""
        promises = (part.promise(n) for part in self.parts)
        return min((each for each in promises if each is not None), default=None)

    def __repr__(self) -> str:
        return " & ".join(f"({p!r})" if isinstance(p, AnyOf) else repr(p) for p in self.parts)


def join(kind: type[_Combination], rules: tuple[Stop, ...]) -> Stop:
    """Combine, without nesting one operator in itself and without naming a rule twice."""
    flat: dict[Stop, None] = {}
    for rule in rules:
        flat.update(dict.fromkeys(rule.parts if isinstance(rule, kind) else (rule,)))
    return next(iter(flat)) if len(flat) == 1 else kind(tuple(flat))


class CountRule(Stop):
    """A rule about the counts of the two leading answers, and about how many draws finished."""

    @property
    def counts_only(self) -> bool:
        """Yes."""
        return True

    def soonest(self, tally: Tally) -> int:
        """By halving: more votes for the leader never keep such a rule from firing."""
        low, high = 0, tally.remaining
        while low < high:
            middle = (low + high) // 2
            if self.fired(tally.after(middle)) is not None:
                high = middle
            else:
                low = middle + 1
        return low


def at_least_one(parameter: str, value: int) -> None:
    """Refuse what is no count.

    Raises:
        UsageError: The value is below 1 or not whole.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < 1:
        raise UsageError(parameter, value, "give a whole number of at least 1")
