"""Which of several replicas of a model a call is sent to. Decides, and calls nothing."""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from thinktwice.errors import CircuitOpen, http_status, status_of
from thinktwice.limiter.breaker import Breaker
from thinktwice.limiter.failures import is_congestion, is_down, retry_after
from thinktwice.limiter.pacing import Countdown, Share, next_ticket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

_WEIGHT: Final = 0.2  # of the last latency in the running one
_SPREAD: Final = 1.25
_AT_EASE: Final = 8
_LEAST: Final = 1 / 8  # of the load of others: one that gets none could not recover


@dataclass
class Attempt:
    """One call at one replica.

    Attributes:
        replica: Its index.
        started: When it was sent.
        ticket: Tells which of two left first.
        probe: Whether it finds out if the replica works again.
    """

    replica: int
    started: float
    ticket: int
    probe: bool


class Replica:
    """What is known of one replica.

    Attributes:
        index: Its position in the pool.
        breaker: Whether it is called.
        outstanding: Calls under way.
        latency: Running mean of the seconds of its calls; None before the first.
        share: Of its load, after it answered 429.
        last_sent: Ticket of the call that was sent last.
        last_error: Type and status of what it failed with last.
    """

    __slots__ = (
        "_rest",
        "breaker",
        "index",
        "last_error",
        "last_sent",
        "latency",
        "outstanding",
        "share",
    )

    def __init__(self, index: int, failures: int, back_off: float) -> None:
        """Know nothing yet."""
        self.index = index
        self.breaker = Breaker(failures, back_off)
        self.outstanding = 0
        self.latency: float | None = None
        self.share = Share(_LEAST)
        self.last_sent = 0
        self.last_error = ""
        self._rest = Countdown()

    def rests(self, at: float) -> bool:
        """It asked to be left alone for a time that is not over."""
        return self._rest.left(at) > 0

    def load(self, latency: float) -> float:
        """Work outstanding with one more call, in seconds.

        Args:
            latency: What to take for a replica that has answered nothing.
        """
        seconds = latency if self.latency is None else self.latency
        return (self.outstanding + 1) * seconds / self.share.value

    def begin(self, at: float) -> Attempt:
        """A call is sent to it."""
        self.outstanding += 1
        self.last_sent = next_ticket()
        return Attempt(self.index, at, self.last_sent, self.breaker.begin())

    def end(self, attempt: Attempt, at: float, error: BaseException | None) -> None:
        """A call to it has ended."""
        self.outstanding -= 1
        if error is None:
            seconds = max(0.0, at - attempt.started)
            known = seconds if self.latency is None else self.latency
            self.latency = known + _WEIGHT * (seconds - known)
            self.share.grow(attempt.ticket, self.outstanding + 1)
            self.breaker.succeed(probe=attempt.probe)
            return
        if isinstance(error, asyncio.CancelledError):
            self.breaker.forget(probe=attempt.probe)
            return
        self.last_error = status_of(error)
        if seconds := retry_after(error):
            self._rest.start(at, seconds)
        if is_congestion(error):
            self.share.cut(attempt.ticket)
        if is_down(error):
            self.breaker.fail(at, probe=attempt.probe)
        elif http_status(error) is not None:  # whoever refuses is there
            self.breaker.succeed(probe=attempt.probe)
        else:
            self.breaker.forget(probe=attempt.probe)


class Replicas:
    """The replicas of one model. Thread-safe.

    A call goes to the replica with the least outstanding work: calls under way times their running
    latency, over its share after 429s. One that is out gets one call as a probe when its time has
    come.

    A call with a key goes to the replica whose hash with it is highest (rendezvous hashing, Thaler
    and Ravishankar 1998), unless that one has more than 1.25 times its part of all calls under way
    and more than 8 (bounded loads, Mirrokni, Thorup and Zadimoghaddam 2018); then to the next. So a
    replica that is out moves no key but its own.
    """

    def __init__(self, count: int, failures: int, back_off: float) -> None:
        """All of them work, as far as is known."""
        self._all = [Replica(index, failures, back_off) for index in range(count)]
        self._lock = threading.RLock()  # reentrant, as that of a gate

    @property
    def available(self) -> int:
        """How many are not out."""
        return sum(each.breaker.closed for each in self._all)

    def choose(self, at: float, key: bytes | None, tried: AbstractSet[int]) -> Attempt | None:
        """Begin a call at one of them; None if none is left.

        Args:
            at: The time.
            key: What is kept together.
            tried: Where this call was sent before.
        """
        with self._lock:
            ready = [
                each
                for each in self._all
                if each.index not in tried and each.breaker.lets_through(at)
            ]
            if not ready:
                return None
            return self._chosen(ready, at, key, retried=bool(tried)).begin(at)

    def end(self, attempt: Attempt, at: float, error: BaseException | None) -> None:
        """A call has ended."""
        with self._lock:
            self._all[attempt.replica].end(attempt, at, error)

    def congested(self, at: float) -> bool:
        """None of them takes calls as it does when it is well: they push back, or are out."""
        with self._lock:
            return all(
                each.share.value < 1 or each.rests(at) or not each.breaker.closed
                for each in self._all
            )

    def all_out(self, at: float) -> CircuitOpen:
        """Why nothing could be sent."""
        with self._lock:
            causes = [each.last_error for each in self._all]
            return CircuitOpen(causes, min(each.breaker.left(at) for each in self._all))

    def _chosen(
        self, ready: Sequence[Replica], at: float, key: bytes | None, *, retried: bool
    ) -> Replica:
        working = [each for each in ready if each.breaker.closed]
        if not working or (len(working) < len(ready) and not retried):
            return next(each for each in ready if not each.breaker.closed)  # its probe is due
        rested = [each for each in working if not each.rests(at)] or working
        if key is not None:
            under_way = sum(each.outstanding for each in rested)
            most = max(_AT_EASE, math.ceil(_SPREAD * (under_way + 1) / len(rested)))
            for each in sorted(rested, key=lambda replica: _score(key, replica), reverse=True):
                if each.outstanding < most * each.share.value:
                    return each
        latency = min((each.latency for each in rested if each.latency is not None), default=1.0)
        return min(rested, key=lambda each: (each.load(latency), each.last_sent))


def _score(key: bytes, replica: Replica) -> bytes:
    return blake2b(key, digest_size=8, salt=replica.index.to_bytes(8)).digest()
