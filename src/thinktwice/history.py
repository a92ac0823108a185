"""What past runs tell about a sampler: how long its calls take, and whether fast answers differ."""

from __future__ import annotations

import math
import statistics
import threading
import weakref
from collections import deque
from typing import Final, cast

from thinktwice.association import Association

WARM: Final = 8
"""Finished calls from which on a straggler can be told."""
PATIENCE: Final = 2.5
"""Times the median latency after which a call is a straggler. Not a high percentile: where 5 % of
the calls straggle, the 95th percentile is a straggler."""
FLOOR: Final = 0.1
"""Seconds below which no call is a straggler."""
SHARE: Final = 0.05
"""Of the finished calls that may be hedged."""
MOST: Final = 10
"""Hedges that may be saved up: more at once would add to the load of a provider that stalls."""
SHARE_OF_LATE: Final = 0.035
"""The part of it for stragglers that have taken less than twice the patience: many of these are
only late, and come in by themselves."""
PAUSE: Final = 60.0
"""Seconds without hedges after a provider said that it has too many requests."""

_WINDOW: Final = 64
_GRAIN: Final = 1e-9


class Latencies:
    """Latencies of the last calls of a sampler, and how many stragglers may still be hedged.

    Thread-safe: all runs over a sampler share it.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._recent: deque[float] = deque(maxlen=_WINDOW)
        self._median: float | None = None  # until the next call has finished
        self._finished = 0
        self._credit = 1.0 - WARM * SHARE  # the first one when it is warm
        self._hedges = 0
        self._paused_until = -math.inf

    def add(self, seconds: float) -> None:
        """A call has finished after so many seconds, queue time not included."""
        with self._lock:
            self._recent.append(seconds)
            self._median = None
            self._finished += 1
            self._credit = min(MOST, self._credit + SHARE)

    def pause(self, now: float) -> None:
        """The provider pushed back: no hedges for a minute."""
        with self._lock:
            self._paused_until = now + PAUSE

    @property
    def patience(self) -> float | None:
        """Seconds after which a call is a straggler; None before 8 calls have finished."""
        with self._lock:
            if self._finished < WARM:
                return None
            if self._median is None:
                self._median = statistics.median(self._recent)
            return max(FLOOR, PATIENCE * self._median)

    def take_hedge(self, now: float, *, long: bool) -> bool:
        """Take the right to one extra call, if 5 % of the finished calls leave one.

        Args:
            now: On the event loop's clock.
            long: The straggler has taken at least twice the patience.
        """
        with self._lock:
            within = long or self._hedges < max(1, int(SHARE_OF_LATE * self._finished))
            granted = within and self._credit >= 1 - _GRAIN and now >= self._paused_until
            self._credit -= granted
            self._hedges += granted
            return granted

    def return_hedge(self) -> None:
        """The extra call was not made."""
        with self._lock:
            self._hedges -= 1
            self._credit += 1


class History:
    """What is known of a sampler across runs.

    Attributes:
        latencies: Of its calls.
        association: Between its latencies and its answers.
        single: Asked for several choices at once, its provider made one.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.latencies = Latencies()
        self.association = Association()
        self.single = False

    def __reduce__(self) -> tuple[type[History], tuple[()]]:
        """A copy, and one in another process, begins anew."""
        return History, ()


def history_of(sampler: object) -> History:
    """That of a sampler, for as long as the sampler lives.

    A sampler that is made anew for each request carries its own, as `history`. The method of an
    object has one per object. What cannot be told again, such as an instance with slots, begins
    anew with each run.
    """
    own = getattr(sampler, "history", None)
    if isinstance(own, History):
        return own
    owner = cast("object", getattr(sampler, "__self__", sampler))
    key = id(owner), getattr(sampler, "__name__", "") if owner is not sampler else ""
    with _lock:
        known = _histories.get(key)
        if known is not None and known[0]() is owner:
            return known[1]
        history = History()
        try:
            gone = weakref.ref(owner, lambda _: _histories.pop(key, None))
        except TypeError:
            return history
        _histories[key] = gone, history
        return history


_lock = threading.Lock()
_histories: dict[tuple[int, str], tuple[weakref.ref[object], History]] = {}
