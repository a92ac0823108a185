"""How many calls may be in flight, and how fast they may leave, across all that share a limiter."""

from __future__ import annotations

import itertools
import math
import threading
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError, is_number
from thinktwice.limiter.failures import is_congestion, retry_after
from thinktwice.limiter.gate import Gate
from thinktwice.limiter.pacing import Share
from thinktwice.limiter.waiting import FairQueue, Waiter

if TYPE_CHECKING:
    from collections.abc import Hashable

DEFAULT_CONCURRENCY = 8

_WINDOW: Final = 32  # calls over which the tokens of a model's calls are averaged

_serials = itertools.count()


class Limiter:
    """A cap on concurrent calls, and on requests and tokens a minute.

    Thread-safe, and usable from any number of event loops at once. Within a request (an outermost
    run) calls are served in order; requests take turns, so that one with many calls does not starve
    one with few. Only calls of models hold a slot; a sample in which another run starts lends its
    slot until that run has ended, so nested runs cannot starve each other.

    After a 429 half of it is allowed, once for the calls that were in flight together, and an
    eighth comes back with each round of calls that succeed. `Retry-After` lets no call leave for
    that time, up to 60 seconds.

    Attributes:
        max_concurrency: Calls in flight at most.
        requests_per_minute: Calls that leave in a minute at most; None for any number.
        tokens_per_minute: Tokens that they take at most; None for any number.
    """

    def __init__(
        self,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        """Make a limiter.

        Rates are kept in any second as in any minute, by 95 % of them: providers state limits by
        the minute and enforce them over shorter times.

        Args:
            max_concurrency: Calls in flight at most.
            requests_per_minute: The provider's limit on requests.
            tokens_per_minute: The provider's limit on tokens, input and output together. A call is
                charged the mean of the calls of its model before it leaves, and what it took when
                it has ended.

        Raises:
            UsageError: A cap that lets nothing through, or is no number.
        """
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
            raise UsageError("max_concurrency", max_concurrency, "give a whole number")
        if max_concurrency < 1:
            raise UsageError("max_concurrency", max_concurrency, "at least 1 call must be allowed")
        _check_rate("requests_per_minute", requests_per_minute)
        _check_rate("tokens_per_minute", tokens_per_minute)
        self.max_concurrency = max_concurrency
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.serial = next(_serials)
        self._allowed = max_concurrency
        self._in_use = 0
        self._line = FairQueue()
        self._share = Share(min(0.5, 1 / max_concurrency))
        # One without rates is made for every run, and seldom needs a gate.
        self._gate: Gate | None = None
        if requests_per_minute is not None or tokens_per_minute is not None:
            self._gate = Gate(self._share, requests_per_minute, tokens_per_minute)
        self._means: dict[str | None, tuple[int, float]] = {}
        # Reentrant, as that of the gate.
        self._lock = threading.RLock()

    @property
    def in_use(self) -> int:
        """Slots taken at the moment."""
        return self._in_use

    @property
    def waiting(self) -> int:
        """Calls in line at the moment, for a slot or for a rate."""
        return len(self._line) + (self._gate.waiting if self._gate else 0)

    @property
    def congested(self) -> bool:
        """From a 429 until all that was taken off is back, and while `Retry-After` pauses it."""
        return self._share.value < 1.0 or (self._gate is not None and self._gate.paused)

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        with self._lock:
            free = self._in_use < self._allowed and not self._line
            self._in_use += free
            return free

    async def acquire(self, request: Hashable = None) -> None:
        """Take a slot, waiting for one if need be.

        Args:
            request: On whose behalf; requests take turns.
        """
        with self._lock:
            if self.take_free():
                return
            waiter = Waiter(request)
            self._line.push(waiter)
        try:
            await waiter.wait()
        except BaseException:
            with self._lock:
                self._line.discard(waiter)
                if waiter.granted:  # while being cancelled: pass it on
                    self.release()
            raise

    def release(self) -> None:
        """Give a slot back, to the next in line if there is one."""
        with self._lock:
            self._in_use -= 1
            if self._line:
                self._seat()

    @property
    def open(self) -> bool:
        """A call that has its slot may leave at once, whatever its size."""
        return self._gate is None or self._gate.open

    def charge(self, model: str | None, guess: float) -> float:
        """Tokens to charge a call before it leaves.

        Args:
            model: The model that is called.
            guess: What to take for the first calls of a model.
        """
        if self.tokens_per_minute is None:
            return 0.0
        return self._means.get(model, (0, guess))[1]

    async def leave(self, model: str | None, guess: float, request: Hashable = None) -> float:
        """Wait until the rates let a call go; whoever asks holds its slot.

        Args:
            model: The model that is called.
            guess: As in `charge`; what is learnt while it waits takes its place.
            request: On whose behalf; requests take turns.

        Returns:
            The tokens that it was charged.
        """
        tokens = self.charge(model, guess)
        if self._gate is None or self._gate.pass_through(tokens):
            return tokens
        return await self._gate.wait(lambda: self.charge(model, guess), request)

    def refund(self, requests: int, tokens: float) -> None:
        """Give back what a call was charged and did not take: it was not sent, or refused."""
        if self._gate is not None:
            self._gate.refund(requests, tokens)

    def settle(self, model: str | None, charged: float, used: int) -> None:
        """Charge what a call took in place of what it was charged, and learn from it.

        Args:
            model: The model that was called.
            charged: Before it left.
            used: Its tokens.
        """
        if self.tokens_per_minute is not None:
            self.refund(0, charged - used)
            with self._lock:
                seen, mean = self._means.get(model, (0, 0.0))
                seen = min(seen + 1, _WINDOW)
                self._means[model] = seen, mean + (used - mean) / seen

    def succeeded(self, ticket: int) -> None:
        """Hear of a call that went well.

        Args:
            ticket: Tells when it left: `next_ticket` at that time.
        """
        if self._share.value < 1.0:
            with self._lock:
                in_flight = self._in_use - (self._gate.waiting if self._gate else 0)
                if self._share.grow(ticket, in_flight):
                    self._allow()

    def failed(self, ticket: int, error: BaseException) -> None:
        """Hear of a call that went wrong.

        Args:
            ticket: Tells when it left.
            error: What it raised: a 429 is heeded, and a `Retry-After`.
        """
        if is_congestion(error):
            with self._lock:
                if self._share.cut(ticket):
                    if self._gate is not None:
                        self._gate.drain()
                    self._allow()
        if seconds := retry_after(error):
            with self._lock:
                self._gate = self._gate or Gate(self._share, None, None)
            self._gate.pause(seconds)

    def _allow(self) -> None:
        self._allowed = max(1, int(self._share.value * self.max_concurrency))
        self._seat()

    def _seat(self) -> None:
        while self._in_use < self._allowed and (waiter := self._line.pop()) is not None:
            if waiter.grant():
                self._in_use += 1

    def __copy__(self) -> Limiter:
        """Itself: whoever shares it shares its places."""
        return self

    def __deepcopy__(self, memo: object) -> Limiter:
        """Itself, likewise."""
        return self

    def __repr__(self) -> str:
        """Show the setting."""
        rates = {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
        }
        shown = "".join(f", {name}={rate}" for name, rate in rates.items() if rate is not None)
        return f"Limiter(max_concurrency={self.max_concurrency}{shown})"


def _check_rate(name: str, rate: float | None) -> None:
    if rate is None:
        return
    if not is_number(rate) or not math.isfinite(rate):
        raise UsageError(name, rate, "give a number, or None")
    if rate <= 0:
        raise UsageError(name, rate, "give a number above 0, or None for any number of them")
