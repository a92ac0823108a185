"""The providers of OpenTelemetry: which are set, and which a run writes to."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer


def _version() -> str:
    try:
        return version("thinktwice")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


VERSION: Final = _version()


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
    current = trace.get_tracer_provider()
    provider = current if _choose is None else _choose(current)
    return provider, provider is not current


def is_sdk(provider: object) -> bool:
    """Whether somebody set a provider up: the API's own ones only stand in for it."""
    return not type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")
    )


@lru_cache(maxsize=4)
def tracer_of(provider: trace.TracerProvider) -> Tracer:
    """Ours of a provider, made once."""
    return trace.get_tracer("thinktwice", VERSION, provider)
