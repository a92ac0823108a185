"""What a call must leave in its context as it found it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from langchain_core.runnables.config import var_child_runnable_config
from opentelemetry import context, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

if TYPE_CHECKING:
    from collections.abc import Generator

try:
    from opentelemetry.instrumentation.utils import suppress_instrumentation as suppressed
except ImportError:  # no instrumentation of OpenTelemetry is installed

    @contextmanager
    def suppressed() -> Generator[None]:
        """A block that its caller wants no spans of."""
        token = context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            yield
        finally:
            context.detach(token)


def _state() -> dict[str, object]:
    return {
        "span": trace.get_current_span(),
        "config": var_child_runnable_config.get(),
        "suppressed": context.get_value(_SUPPRESS_INSTRUMENTATION_KEY),
        "properties": context.get_value("association_properties"),
    }


@contextmanager
def unchanged(*, leaks: bool = False) -> Generator[None]:
    """Check it; where a party leaves its span behind, without us as well, that it still does."""
    before = _state()
    yield
    after = _state()
    if leaks:
        assert after["span"] is not before["span"]
        for each in (before, after):
            del each["span"], each["properties"]
    assert after == before
