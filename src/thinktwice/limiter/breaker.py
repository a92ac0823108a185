"""A circuit breaker: whether a server that failed is to be called again. Pure."""

from __future__ import annotations

from typing import Final

from thinktwice.limiter.pacing import Countdown

_LONGEST: Final = 60.0


class Breaker:
    """Closed; open for a time after failures in a row; then half open, for one probe at a time.

    A probe that fails opens it for twice as long, up to a minute. Calls that left before it opened
    change nothing any more, however they end.
    """

    __slots__ = ("_back_off", "_countdown", "_failures", "_in_a_row", "_probing", "_wait", "closed")

    def __init__(self, failures: int, back_off: float) -> None:
        """Start closed.

        Args:
            failures: In a row, after which it opens.
            back_off: Seconds for which it is open at first.
        """
        self.closed = True
        self._failures = failures
        self._back_off = back_off
        self._wait = back_off
        self._in_a_row = 0
        self._probing = False
        self._countdown = Countdown()

    def left(self, at: float) -> float:
        """Seconds until a call may go; 0 if one may, or a probe is under way."""
        return 0.0 if self.closed else self._countdown.left(at)

    def lets_through(self, at: float) -> bool:
        """Whether a call may go."""
        return self.closed or not (self._probing or self._countdown.left(at))

    def begin(self) -> bool:
        """A call goes that may; whether it is a probe."""
        self._probing = not self.closed
        return self._probing

    def succeed(self, *, probe: bool) -> None:
        """A call ended, and the server works."""
        if probe:
            self.closed, self._probing = True, False
            self._wait = self._back_off
        if self.closed:
            self._in_a_row = 0

    def fail(self, at: float, *, probe: bool) -> None:
        """A call ended, and the server does not work."""
        if probe:
            self._probing = False
            self._wait = min(2 * self._wait, max(self._back_off, _LONGEST))
        elif self.closed:
            self._in_a_row += 1
        if probe or (self.closed and self._in_a_row >= self._failures):
            self.closed = False
            self._countdown.start(at, self._wait)

    def forget(self, *, probe: bool) -> None:
        """A call ended that says nothing, as one that was cancelled: the next may be the probe."""
        if probe:
            self._probing = False
