"""Fakes for testing applications: samplers, time that passes at once, captured spans."""

from __future__ import annotations

import asyncio
import random
import selectors
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from thinktwice.errors import UsageError
from thinktwice.sample import Completion, Usage
from thinktwice.sampling import as_completion, as_source
from thinktwice.telemetry import add_processor
from thinktwice.threads import awaits_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

    from thinktwice.protocols import Options, Sampler

P = TypeVar("P")
T = TypeVar("T")

MODEL = "fake-model"
_PATIENCE = 5.0


class Recording(Generic[P]):
    """What a fake sampler was asked.

    Attributes:
        prompts: Inputs, in order of the calls.
        options: Settings of the calls, in the same order.
        in_flight: Calls under way.
        most_in_flight: The most that were ever under way at once.
        finished: Calls that returned or raised.
        cancelled: Calls that were cancelled.
    """

    def __init__(self) -> None:
        """Nothing asked yet."""
        self.prompts: list[P] = []
        self.options: list[Options] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.finished = 0
        self.cancelled = 0

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return len(self.prompts)

    @contextmanager
    def call(self, prompt: P, options: Options) -> Generator[int]:
        """Record one call; yields its number, from 0."""
        number = len(self.prompts)
        self.prompts.append(prompt)
        self.options.append(options)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield number
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        self.finished += 1


class ScriptedSampler(Recording[object], Generic[T]):
    """Returns the given values in order of the calls, and starts again after the last.

    A value that is an exception is raised; one that is a `Completion` is returned as it is.
    """

    provider = "fake"

    def __init__(
        self,
        values: Sequence[T | Completion[T] | Exception],
        *,
        seconds: float | Sequence[float] = 0.0,
        input_tokens: int = 10,
        output_tokens: int = 5,
        model: str = MODEL,
        max_tokens: int | None = None,
    ) -> None:
        """Write the script.

        Args:
            values: What the calls return or raise.
            seconds: Latency of every call, or of each in turn; by `asyncio.sleep`, so that virtual
                time passes.
            input_tokens: Reported for each call.
            output_tokens: Reported for each call.
            model: Reported as the model.
            max_tokens: Declared to the budget.

        Raises:
            UsageError: The script is empty.
        """
        super().__init__()
        if not values:
            raise UsageError("values", values, "script at least one value")
        self.model = model
        self.max_tokens = max_tokens
        self._values = list(values)
        self._seconds = [seconds] if isinstance(seconds, int | float) else list(seconds)
        self._usage = Usage(
            input_tokens=input_tokens, output_tokens=output_tokens, source="provider"
        )

    async def __call__(self, prompt: object, /, *, options: Options) -> Completion[T]:
        """The next value of the script."""
        with self.call(prompt, options) as number:
            await asyncio.sleep(self._seconds[number % len(self._seconds)])
            value = self._values[number % len(self._values)]
            if isinstance(value, Exception):
                raise value
            if isinstance(value, Completion):
                return cast("Completion[T]", value)
            return Completion(value=value, usage=self._usage, model=self.model, provider="fake")


@dataclass
class FlakySampler(Generic[P, T]):
    """Fails now and then in front of another sampler.

    Attributes:
        sampler: The sampler behind it.
        failing: Numbers of the calls that fail, from 0; or the share of calls that fail.
        error: Makes the exception of a failing call.
        seed: Of the random choice of failing calls.
    """

    sampler: Sampler[P, T]
    failing: Sequence[int] | float = ()
    error: Callable[[], Exception] = field(default=lambda: ConnectionError("flaky"))
    seed: int = 0

    def __post_init__(self) -> None:
        """Start counting."""
        self._source = as_source(self.sampler)
        self._random = random.Random(self.seed)
        self._calls = 0

    async def __call__(self, prompt: P, /, *, options: Options) -> Completion[T]:
        """Fail or pass the call on."""
        number, self._calls = self._calls, self._calls + 1
        chance = self._random.random()
        share = self.failing
        fails = chance < share if isinstance(share, int | float) else number in share
        if fails:
            raise self.error()
        return await self._source.complete(prompt, options)


@dataclass
class SlowSampler(Generic[P, T]):
    """Adds latency to another sampler, by `asyncio.sleep`.

    Attributes:
        sampler: The sampler behind it.
        seconds: Latency of a call: a number, or a function of the call's number, from 0.
    """

    sampler: Sampler[P, T]
    seconds: float | Callable[[int], float] = 1.0

    def __post_init__(self) -> None:
        """Start counting."""
        self._source = as_source(self.sampler)
        self._calls = 0

    async def __call__(self, prompt: P, /, *, options: Options) -> Completion[T]:
        """Wait, then pass the call on."""
        number, self._calls = self._calls, self._calls + 1
        await asyncio.sleep(self.seconds(number) if callable(self.seconds) else self.seconds)
        return await self._source.complete(prompt, options)


class ReplaySampler(Recording[P], Generic[P, T]):
    """Draws recorded samples: those of each prompt in a seeded random order, each once."""

    def __init__(self, pools: Mapping[P, Sequence[T | Completion[T]]], *, seed: int = 0) -> None:
        """Shuffle the pools.

        Args:
            pools: Recorded values or completions by prompt.
            seed: Of the order.

        Raises:
            UsageError: A pool is empty.
        """
        super().__init__()
        order = random.Random(seed)
        for prompt, pool in pools.items():
            if not pool:
                raise UsageError("pools", prompt, "record at least one sample for it")
        self._pools = {prompt: order.sample(list(p), len(p)) for prompt, p in pools.items()}
        self._next = dict.fromkeys(pools, 0)

    async def __call__(self, prompt: P, /, *, options: Options) -> Completion[T]:
        """The next recorded sample of this prompt.

        Raises:
            LookupError: The prompt was not recorded, or all its samples have been drawn.
        """
        with self.call(prompt, options):
            if prompt not in self._pools:
                raise LookupError("no samples were recorded for this prompt")
            position = self._next[prompt]
            if position == len(self._pools[prompt]):
                raise LookupError(f"all {position} samples recorded for this prompt are drawn")
            self._next[prompt] = position + 1
            await asyncio.sleep(0)
            return as_completion(self._pools[prompt][position])


class VirtualClock(asyncio.SelectorEventLoop):
    """An event loop on which waiting takes no time: when nothing is ready, the clock jumps.

    `time()` starts at 0. It waits for a sync sampler or verifier, which runs on a thread, for up to
    five real seconds; while one blocks for longer, and for other threads and for sockets, time
    jumps.
    """

    def __init__(self) -> None:
        """Start at 0."""
        super().__init__(_Jumping(self))
        self._now = 0.0

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Jumping(selectors.SelectSelector):
    """Instead of waiting for a timeout, moves the clock there."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0 and awaits_threads(self._clock):
            ready = super().select(_PATIENCE)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen on this virtual clock: a deadlock")
        if not ready and timeout:
            self._clock.advance(timeout)
        return ready


def run_virtual(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end on a virtual clock.

    Args:
        work: What to run; `asyncio.sleep` and timeouts in it take no real time.

    Raises:
        RuntimeError: Everything waits for something that can never happen.
    """
    with asyncio.Runner(loop_factory=VirtualClock) as runner:
        return runner.run(work)


@contextmanager
def captured_spans() -> Generator[list[ReadableSpan]]:
    """Collect the spans that end in a block; needs `opentelemetry-sdk`.

    A tracer provider is set up if the application has none.

    Yields:
        The spans, in the order in which they ended; filled as they do.
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    spans: list[ReadableSpan] = []
    sinks = _sinks_of(provider)
    sinks.append(spans)
    try:
        yield spans
    finally:
        # By identity: two empty lists are equal.
        sinks[:] = [sink for sink in sinks if sink is not spans]


@lru_cache(maxsize=8)
def _sinks_of(provider: TracerProvider) -> list[list[ReadableSpan]]:
    """Where the spans of a provider go: one exporter serves all, since none can be removed."""
    from opentelemetry.sdk.trace.export import (
        SimpleSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    sinks: list[list[ReadableSpan]] = []

    class Distribute(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            for sink in sinks:
                sink.extend(spans)
            return SpanExportResult.SUCCESS

    add_processor(provider, SimpleSpanProcessor(Distribute()))
    return sinks
