"""Beside whatever tracing an application has, also write costs to a local file."""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from opentelemetry import trace

from thinktwice import exploring, telemetry
from thinktwice.errors import UsageError, is_number
from thinktwice.remarks import tell_once
from thinktwice.store import schema
from thinktwice.store.place import default_path, expanded
from thinktwice.store.writer import Writer
from thinktwice.telemetry.environment import sdk_disabled

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

    from thinktwice.store.processor import Processor

DEFAULT_BYTES: Final = 256 * 2**20
_FEWEST_BYTES: Final = 2**20
_DROPPING: Final = ("TraceIdRatioBased", "AlwaysOffSampler")


class Settings(NamedTuple):
    """What `observe` takes beside the file."""

    explore: float
    max_bytes: int


class Observer:
    """Writes the costs of this process to a local file, until it is closed.

    Attributes:
        path: The file.
        settings: What `observe` was given beside it.
    """

    def __init__(
        self, path: Path, writer: Writer, processor: Processor, settings: Settings
    ) -> None:
        """Made by `observe`."""
        self.path = path
        self.settings = settings
        self._writer = writer
        self._processor = processor
        self._own: TracerProvider | None = None
        self._lock = threading.Lock()

    @property
    def dropped(self) -> int:
        """Spans that this process lost: 0 unless the file was out of reach for long."""
        return self._writer.dropped

    @property
    def written(self) -> int:
        """Spans that this process wrote."""
        return self._writer.written

    def flush(self) -> bool:
        """Write what waits now; False if the file is out of reach. Also done at exit."""
        return self._writer.flush()

    def close(self) -> None:
        """Write what waits, and observe no more."""
        global _observer  # noqa: PLW0603 - a process has one
        with _switching:
            if _observer is self:
                _observer = None
                telemetry.providers_by(None)
                telemetry.spare_by(None)
                exploring.explore(0)
                self._processor.write_by(None)
        atexit.unregister(self._writer.finish)
        self._writer.close()

    def provider(self, current: trace.TracerProvider) -> trace.TracerProvider:
        """The provider that a run writes to: the application's, observed; without one, our own.

        Args:
            current: The one that is set.
        """
        if telemetry.is_sdk(current):
            self._attach(current)
            return current
        return self._own or self._made()

    def tracer(self) -> trace.Tracer:
        """Starts a span for the file alone, where the application's tracing raises."""
        return self._made().get_tracer("thinktwice")

    def ended(self, span: trace.Span) -> None:
        """Take a span in that the application's tracing raised at."""
        self._processor.on_end(cast("ReadableSpan", span))

    def _made(self) -> TracerProvider:
        """A provider for the file alone; what the environment says is for the application's."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        with self._lock:
            if self._own is None:
                unbounded = dict.fromkeys(signature(SpanLimits).parameters, SpanLimits.UNSET)
                self._own = TracerProvider(
                    ALWAYS_ON,
                    Resource.get_empty(),
                    shutdown_on_exit=False,
                    span_limits=SpanLimits(**unbounded),
                )
                self._own.add_span_processor(self._processor)
            return self._own

    def _attach(self, provider: trace.TracerProvider) -> None:
        if self._processor.watches(provider):
            return
        if telemetry.add_processor(provider, self._processor):
            _tell_of_sampling(provider)
        else:
            kind = type(provider).__module__.partition(".")[0]
            tell_once(f"the tracer provider of {kind} takes no span processor: nothing is stored")


def _tell_of_sampling(provider: trace.TracerProvider) -> None:
    """Say it where a known sampler drops traces."""
    describe = getattr(getattr(provider, "sampler", None), "get_description", None)
    said = "" if describe is None else str(describe())
    if any(known in said.partition(",")[0] for known in _DROPPING):
        tell_once(
            "the tracer provider drops traces, and the store of costs has what is left: take "
            f"totals from the metrics, or have its sampler record all ({said.partition(',')[0]})"
        )


_observer: Observer | None = None
_switching: Final = threading.Lock()


def observe(
    path: str | Path | None = None, *, explore: float = 0.0, max_bytes: int = DEFAULT_BYTES
) -> Observer:
    """Write what runs cost to a local SQLite file, which the command `thinktwice costs` reads.

    It works beside any tracing: where a tracer provider is set, now or later, its exporters get the
    same spans as ever, and the file what its sampler records. Where none is, runs are traced for
    the file alone. No prompt, completion or answer is stored. Needs the `otel` extra.

    Writing is done on a thread of its own and never blocks or fails a run; what waits is written at
    exit. Several processes may write to one file. Costs about 0.1 ms of CPU a span.

    Args:
        path: The file; by default that of `THINKTWICE_STORE`, or the user's: see `default_path`.
        explore: Share of the votes, in [0, 1], that draw all their samples whatever these answer,
            so that `thinktwice whatif` has something unbiased to go by. It costs what early
            stopping would have saved on that share.
        max_bytes: Its size at the most; the oldest requests go first.

    Returns:
        What to flush or to close; the same one if this path is observed already.

    Raises:
        UsageError: The path is none, the file is not ours, another one is observed already, or this
            one with other settings, or the SDK is missing or does not take a variable.
    """
    global _observer  # noqa: PLW0603 - a process has one
    place = default_path() if path is None else expanded(path)
    place = place.resolve()  # the application may change its folder
    if not _is_size(max_bytes):
        raise UsageError("max_bytes", max_bytes, "give a number of bytes, at least 1048576")
    if not is_number(explore) or not 0 <= explore <= 1:
        raise UsageError("explore", explore, "give a share of the votes in [0, 1], such as 0.02")
    settings = Settings(explore, max_bytes)
    with _switching:
        if _observer is not None:
            if _observer.path == place:
                _agree(_observer.settings, settings)
                return _observer
            remedy = f"{_observer.path} is observed already: close() that one first"
            raise UsageError("path", str(place), remedy)
        with suppress(OSError):  # runs go on, and the writer says what it is
            schema.check(place)
        _observer = _made(place, settings)
        telemetry.providers_by(_observer.provider)
        telemetry.spare_by(_observer)
        exploring.explore(explore)
        if sdk_disabled():
            tell_once("OTEL_SDK_DISABLED is set, so that no costs are stored")
        current = trace.get_tracer_provider()
        if telemetry.is_sdk(current):
            _observer.provider(current)
        return _observer


def _agree(before: Settings, now: Settings) -> None:
    for name, was, value in zip(Settings._fields, before, now, strict=True):
        if was != value:
            remedy = f"observed with {was} already: give the same, or close() that first"
            raise UsageError(name, value, remedy)


def _made(path: Path, settings: Settings) -> Observer:
    try:
        from thinktwice.store.processor import PROCESSOR
    except ImportError:
        remedy = "it needs the OpenTelemetry SDK: pip install 'thinktwice[otel]'"
        raise UsageError("observe", str(path), remedy) from None
    except ValueError as error:  # the SDK reads some variables as it is imported
        raise UsageError("environment", str(error), "mend or unset that variable") from None
    writer = Writer(path, settings.max_bytes)
    atexit.register(writer.finish)
    PROCESSOR.write_by(writer)
    return Observer(path, writer, PROCESSOR, settings)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= _FEWEST_BYTES
