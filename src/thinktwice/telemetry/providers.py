"""The providers of OpenTelemetry: which are set, and which a run writes to."""

from __future__ import annotations

import threading
from functools import partial, wraps
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import ref

from opentelemetry import metrics, trace

from thinktwice.telemetry.attributes import SCHEMA_URL
from thinktwice.telemetry.harmless import Guarded, attempted

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider

Provider = TypeVar("Provider")
Made = TypeVar("Made")


def _version() -> str:
    try:
        return version("thinktwice")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


VERSION: Final = _version()


def once_each(make: Callable[[Provider], Made]) -> Callable[[Provider], Made]:
    """A function of a provider that is called once for each, while it is among the last four."""
    kept: list[tuple[Provider, Made]] = []

    @wraps(make)
    def made(provider: Provider) -> Made:
        for each, its in kept:
            if each is provider:  # not by hash: that of Logfire has none
                return its
        its = make(provider)
        kept[:] = [(provider, its), *kept[:3]]
        return its

    return made


class Known:
    """Providers that have been met. It goes by identity, as some have no hash, and keeps none."""

    def __init__(self) -> None:
        """None yet."""
        self._met: list[ref[object]] = []
        self._lock = threading.Lock()

    def already(self, provider: object) -> bool:
        """Whether it has been met before; from now on it has."""
        # First without the lock, which a fork may find taken.
        if any(each() is provider for each in self._met):
            return True
        with self._lock:
            if any(each() is provider for each in self._met):
                return True
            self._met = [*(each for each in self._met if each() is not None), ref(provider)]
            return False


def providers_by(choose: Callable[[trace.TracerProvider], trace.TracerProvider] | None) -> None:
    """Have runs that begin from now on write their spans to the provider that a function names.

    Args:
        choose: Given the provider that is set; None to write to that one again.
    """
    global _choose  # noqa: PLW0603 - OpenTelemetry has one provider a process, and so has this
    _choose = choose


_choose: Callable[[trace.TracerProvider], trace.TracerProvider] | None = None


def tracer_provider() -> tuple[trace.TracerProvider, bool]:
    """Where a run writes its spans now, and whether nobody else writes there."""
    current = attempted(trace.get_tracer_provider, trace.NoOpTracerProvider())
    provider = current if _choose is None else _choose(current)
    return provider, provider is not current


def meter_provider() -> MeterProvider:
    """Where a run writes its metrics now."""
    return attempted(metrics.get_meter_provider, metrics.NoOpMeterProvider())


def is_sdk(provider: object) -> bool:
    """Whether somebody set a provider up: the API's own ones only stand in for it."""
    return not type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")
    )


@once_each
def tracer_of(provider: trace.TracerProvider) -> Guarded:
    """Ours of a provider, made once."""
    named = partial(trace.get_tracer, "thinktwice", VERSION, provider, SCHEMA_URL)
    attempted(partial(_watch, provider), None)
    return Guarded(attempted(named, trace.NoOpTracer()))


def add_processor(provider: object, processor: object) -> bool:
    """Add a span processor to those of a provider; False if it takes none.

    Args:
        provider: The application's.
        processor: Gets its spans besides.
    """
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return False
    # Phoenix's provider drops its exporter for the first processor that is added, unless told so.
    kept = "replace_default_processor"
    add(processor, **({kept: False} if kept in signature(add).parameters else {}))
    return True


def _watch(provider: trace.TracerProvider) -> None:
    """Hear of its shutdown, if it tells of that; once, since it never lets a processor go."""
    if not hasattr(provider, "add_span_processor") or _watched.already(provider):
        return
    from thinktwice.telemetry.shutdowns import ShutdownWatch

    add_processor(provider, ShutdownWatch())


_watched: Final = Known()
