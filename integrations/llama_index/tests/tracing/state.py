"""What a call must leave in its context as it found it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from opentelemetry import context, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

if TYPE_CHECKING:
    from collections.abc import Generator


def _state() -> dict[str, object]:
    return {
        "span": trace.get_current_span().get_span_context(),
        "suppressed": context.get_value(_SUPPRESS_INSTRUMENTATION_KEY),
        "node": active_span_id.get(),
        "tags": active_instrument_tags.get(),
    }


@contextmanager
def unchanged(*, leaks: bool = False) -> Generator[None]:
    """Check it; where two parties leave a span current, without us as well, all but that."""
    before = _state()
    yield
    after = _state()
    if leaks:
        del before["span"], after["span"]
    assert after == before


@contextmanager
def suppressed() -> Generator[None]:
    """A block that its caller wants no spans of."""
    token = context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        context.detach(token)
