"""How fast calls may leave, and how much of that is allowed after a 429. Pure."""

from __future__ import annotations

import itertools
from typing import Final

MARGIN: Final = 0.95
"""Share of a rate that is used: clocks differ, and calls do not arrive as evenly as they leave."""
SLACK: Final = 0.05
"""Seconds' worth of calls that may leave at once, so that timers that ring late cost nothing.

Providers state limits by the minute and enforce them over a second or so. With this slack and the
margin, no second (and no minute) has more calls than a limit allows in it.
"""
CHUNK: Final = 0.05
"""Share of a minute's tokens that may leave at once: one call takes many, and the margin has it."""

_ROUNDS: Final = 8
_GRAIN: Final = 1e-9

next_ticket = itertools.count(1).__next__
"""Numbers that tell which of two calls left first."""


class Bucket:
    """Fills at a steady rate up to a capacity. What is taken may leave it in debt."""

    __slots__ = ("capacity", "level", "per_second")

    def __init__(self, per_second: float, capacity: float) -> None:
        """Start full."""
        self.per_second = per_second
        self.capacity = capacity
        self.level = capacity

    @classmethod
    def of_requests(cls, per_minute: float) -> Bucket:
        """One call at a time, evenly, but for those that timers made late."""
        per_second = MARGIN * per_minute / 60
        return cls(per_second, 1 + SLACK * per_second)

    @classmethod
    def of_tokens(cls, per_minute: float) -> Bucket:
        """Evenly, in chunks."""
        return cls(MARGIN * per_minute / 60, CHUNK * per_minute)

    def fill(self, seconds: float, share: float = 1.0) -> None:
        """Time passes; only a share of the rate is allowed."""
        self.level = min(self.capacity, self.level + seconds * self.per_second * share)

    def take(self, amount: float) -> None:
        """Take, or give back what is negative."""
        self.level = min(self.capacity, self.level - amount)

    def wait(self, amount: float, share: float = 1.0) -> float:
        """Seconds until so much may be taken. More than the capacity needs a full bucket."""
        missing = min(amount, self.capacity) - self.level
        return 0.0 if missing <= _GRAIN * self.capacity else missing / (self.per_second * share)


class Share:
    """How much of a limit is allowed: halved by congestion, recovering with successes.

    Additive increase and multiplicative decrease (Chiu and Jain 1989), as in TCP: the calls that
    were in flight together when a 429 came are one event and halve it once.
    """

    __slots__ = ("_heeded", "_least", "value")

    def __init__(self, least: float) -> None:
        """All of it.

        Args:
            least: What remains however often it is halved.
        """
        self.value = 1.0
        self._least = least
        self._heeded = 0

    def cut(self, ticket: int) -> bool:
        """A 429 came; False if the call left before the last cut, of which it knows nothing.

        Args:
            ticket: Of the call: `next_ticket` when it left.
        """
        if ticket < self._heeded:
            return False
        self.value = max(self._least, self.value / 2)
        self._heeded = next_ticket()
        return True

    def grow(self, ticket: int, in_flight: int) -> bool:
        """A call succeeded: an eighth comes back with each round of calls. False if all is back.

        Args:
            ticket: Of the call.
            in_flight: Calls that make up a round.
        """
        if self.value == 1.0 or ticket < self._heeded:
            return False
        self.value = min(1.0, self.value + 1 / (_ROUNDS * max(1, in_flight)))
        return True


class Stopwatch:
    """Time that only goes forward, over clocks that may not."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        """Not started."""
        self._last: float | None = None

    def passed(self, at: float) -> float:
        """Seconds since the last reading: none at the first one, or where the clock went back."""
        last, self._last = self._last, at
        return 0.0 if last is None else max(0.0, at - last)


class Countdown:
    """Seconds until something may be tried again; a clock that goes back prolongs nothing."""

    __slots__ = ("_seconds", "_since")

    def __init__(self) -> None:
        """Over."""
        self._since = 0.0
        self._seconds = 0.0

    def start(self, at: float, seconds: float) -> None:
        """Wait for so long from now on."""
        self._since, self._seconds = at, seconds

    def left(self, at: float) -> float:
        """Seconds that are left; 0 if it is over."""
        self._since = min(self._since, at)
        return max(0.0, self._since + self._seconds - at)
