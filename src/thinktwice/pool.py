"""Several replicas of one model as one sampler."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice.account import now
from thinktwice.booking import current_booking
from thinktwice.errors import UsageError
from thinktwice.limiter import Limiter
from thinktwice.limiter.failures import is_refusal, is_unsent
from thinktwice.limiter.passage import Passage, first_size
from thinktwice.limiter.replicas import Replicas
from thinktwice.limiter.slots import Held
from thinktwice.sampling import as_source
from thinktwice.scope import current_scope
from thinktwice.texts import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from thinktwice.booking import Booking
    from thinktwice.limiter.replicas import Attempt
    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Completion
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")


class Pool(Generic[P, T]):
    """Replicas of one model, as one sampler. Thread-safe, and usable from any event loop.

    A call goes to the replica with the least outstanding work. One that fails several times in a
    row (no connection, a timeout, 5xx) is out, and tried again after a back-off by one call at a
    time. One that answers 429 gets less. A call for which no server could be reached is sent to
    another replica, each once; one that a gateway refused (502, 503) is sent once more, which the
    ledger counts as another call. All else that fails is a failed sample.

    With all replicas out a call raises `CircuitOpen` at once. A pool of one is a circuit breaker.

    Attributes:
        model: That of the samplers.
        provider: That of the samplers, if they have one in common.
        max_tokens: The most of the samplers; None if one of them does not say.
        passthrough: Exceptions that leave the run unwrapped: those of all samplers.
        leaf: Whether a call of a sampler is itself the model call.
        recallable: The samplers are async.
        draws: Draws that one call makes inside.
    """

    def __init__(
        self,
        samplers: Sequence[Sampler[P, T]],
        *,
        limiters: Sequence[Limiter] | None = None,
        sticky: bool = False,
        failures: int = 3,
        back_off: float = 5.0,
    ) -> None:
        """Put replicas together.

        Args:
            samplers: One for each replica, all of one model, and all async or all sync.
            limiters: One for each replica, in the same order.
            sticky: Keep the calls with one prompt on one replica, where its prefix cache helps, as
                long as that one is neither out nor overloaded.
            failures: In a row, after which a replica is out.
            back_off: Seconds until it is tried again; doubled by each failure, up to a minute.

        Raises:
            UsageError: The samplers do not go together, or a parameter makes no sense.
        """
        sources = [as_source(sampler) for sampler in _several(samplers)]
        _check_alike(samplers, sources)
        _check_limiters(limiters, sources)
        if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
            raise UsageError("failures", failures, "give a whole number of at least 1")
        if not isinstance(back_off, int | float) or not 0 < back_off < math.inf:
            raise UsageError("back_off", back_off, "give a number of seconds above 0")
        providers = {each.provider for each in sources}
        caps = [each.max_tokens for each in sources if each.max_tokens is not None]
        self.model = next((each.model for each in sources if each.model is not None), None)
        self.provider = providers.pop() if len(providers) == 1 else None
        self.max_tokens = max(caps) if len(caps) == len(sources) else None
        self.passthrough = tuple({kind: None for each in sources for kind in each.passthrough})
        self.leaf = sources[0].leaf
        self.recallable = sources[0].recallable
        self.draws = max(each.draws for each in sources)
        self._sources = sources
        self._limiters = limiters
        self._sticky = sticky
        self._replicas = Replicas(len(sources), failures, back_off)

    @property
    def available(self) -> int:
        """How many replicas are not out."""
        return self._replicas.available

    async def __call__(self, prompt: P, /, *, options: Options | None = None) -> Completion[T]:
        """Draw once.

        Args:
            prompt: The input.
            options: Settings of this call.

        Raises:
            CircuitOpen: All replicas are out: nothing was sent.
            Exception: Whatever the replica raises.
        """
        key = _key(prompt) if self._sticky else None
        booking = self._booking()
        tried: set[int] = set()
        failed: list[Exception] = []
        while (attempt := self._replicas.choose(now(), key, tried)) is not None:
            tried.add(attempt.replica)
            try:
                return await self._attempted(attempt, prompt, options or {}, booking)
            except Exception as error:
                if not _goes_on(error, failed, booking):
                    raise
                failed.append(error)
        raise failed.pop() if failed else self._replicas.all_out(now())

    async def _attempted(
        self, attempt: Attempt, prompt: P, options: Options, booking: Booking | None
    ) -> Completion[T]:
        source = self._sources[attempt.replica]
        late = None if booking is None else booking.late
        try:
            async with self._through(attempt, prompt, options, booking) as passage:
                if booking is not None:
                    booking.begun = True
                completion = await source.complete(prompt, options, late)
                used = None if completion.usage is None else completion.usage.total_tokens
                passage.ended("ok", used, cached=completion.cached)
        except BaseException as error:
            self._replicas.end(attempt, now(), error)
            if booking is not None and not self._replicas.congested(now()):
                booking.passage.mute()  # it is about this replica, and not about all of them
            raise
        self._replicas.end(attempt, now(), None)
        return completion

    @asynccontextmanager
    async def _through(
        self, attempt: Attempt, prompt: P, options: Options, booking: Booking | None
    ) -> AsyncGenerator[Passage]:
        """The block of a call at a replica: it has a place in its limiter, which hears of it."""
        if self._limiters is None:
            yield Passage((), self.model)
            return
        if booking is not None:
            booking.begun = False
        limiters = (self._limiters[attempt.replica],)
        passage, scope = Passage(limiters, self.model), current_scope()
        size = first_size(limiters, prompt, self._sources[attempt.replica].output_cap(options))
        async with Held(limiters) if scope is None else scope.working(also=limiters):
            waited = await passage.leave(None if scope is None else scope.request, size)
            attempt.started = now()
            if booking is not None:
                booking.restart(waited)
            try:
                yield passage
            except Exception as error:
                passage.ended("error", None, error)
                raise

    def _booking(self) -> Booking | None:
        """That of the call of this pool, whose attempts it counts; it is not sent yet."""
        booking = current_booking()
        if booking is None or booking.scope is not current_scope() or booking.sampler is not self:
            return None
        booking.begun = False
        return booking

    def __repr__(self) -> str:
        """One line."""
        model = "" if self.model is None else f" of {self.model!r}"
        out = len(self._sources) - self.available
        return f"<Pool: {len(self._sources)} replicas{model}, {out} out>"


def _goes_on(error: Exception, before: Sequence[Exception], booking: Booking | None) -> bool:
    """Whether a call that failed is sent to another replica: nothing of it can have been billed."""
    if is_unsent(error):
        return True
    if not is_refusal(error) or any(map(is_refusal, before)):
        return False
    return booking is None or booking.count_refused(error)


def _key(prompt: object) -> bytes:
    """What tells a prompt from others, in every process alike."""
    return blake2b(text_of(prompt).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _several(samplers: Sequence[Sampler[P, T]]) -> Sequence[Sampler[P, T]]:
    if not isinstance(samplers, Sequence) or not samplers:
        raise UsageError("samplers", samplers, "give a list of samplers, one for each replica")
    return samplers


def _check_alike(samplers: object, sources: Sequence[Source[P, T]]) -> None:
    """Refuse what is no set of replicas."""
    if len({each.asynchronous for each in sources}) > 1:
        raise UsageError("samplers", samplers, "give samplers that are all async or all sync")
    if len({each.leaf for each in sources}) > 1:
        remedy = "give samplers that are all one model call, or all chains or strategies"
        raise UsageError("samplers", samplers, remedy)
    models = sorted({each.model for each in sources if each.model is not None})
    if len(models) > 1:
        remedy = (
            f"replicas serve one model, and these name {', '.join(models)}: for several models "
            "give the run samplers by name, as in sampler={'small': ..., 'large': ...}"
        )
        raise UsageError("samplers", samplers, remedy)


def _check_limiters(limiters: Sequence[Limiter] | None, sources: Sequence[object]) -> None:
    if limiters is None:
        return
    if (
        not isinstance(limiters, Sequence)
        or len(limiters) != len(sources)
        or not all(isinstance(each, Limiter) for each in limiters)
    ):
        raise UsageError("limiters", limiters, "give a list of one Limiter for each sampler")
