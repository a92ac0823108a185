"""To which request a span belongs."""

from __future__ import annotations

import gc

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from thinktwice.store.processor import Processor


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.requests: dict[str, str] = {}
        self.around: dict[str, str | None] = {}

    def put(self, span, node) -> None:
        above = node.parent
        self.requests[span.name] = node.root.span.name
        self.around[span.name] = None if above is None else above.span.name

    def flush(self) -> bool:
        return True


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def processor(kept):
    made = Processor()
    made.write_by(kept)
    return made


@pytest.fixture
def begin(processor):
    """Starts one of our spans below another one."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("thinktwice")

    def start(name, parent=None):
        return tracer.start_span(name, trace.set_span_in_context(parent) if parent else None)

    return start


def test_below_a_span_that_has_ended(begin, kept):
    """As a thread that nobody waits for: it is of the same request, below what is still open."""
    run = begin("run")
    sample = begin("sample", run)
    call = begin("call", sample)
    call.end()
    begin("late", call).end()
    sample.end()
    begin("later", call).end()
    run.end()
    assert set(kept.requests.values()) == {"run"}
    assert kept.around == {
        "run": None,
        "sample": "run",
        "call": "sample",
        "late": "sample",
        "later": "run",
    }


def test_below_a_request_that_has_ended(begin, kept):
    """It is a request of its own: the sums of the other one are written."""
    run = begin("run")
    sample = begin("sample", run)
    sample.end()
    run.end()
    begin("late", sample).end()
    assert kept.requests == {"run": "run", "sample": "run", "late": "late"}


def test_keeps_nothing_of_a_request_that_has_ended(begin, processor):
    """Spans may hold a whole conversation."""
    for _ in range(3):
        run = begin("run")
        begin("call", run).end()
        run.end()
    assert not processor._open
    assert not processor._ended


def test_a_provider_is_watched_once():
    """By identity, and no longer than it lives."""

    class Nobody(TracerProvider):
        __hash__ = None  # as Logfire's

    processor, provider = Processor(), Nobody(shutdown_on_exit=False)
    assert not processor.watches(provider)
    assert processor.watches(provider)
    assert not processor.watches(other := Nobody(shutdown_on_exit=False))
    del provider
    gc.collect()
    assert not processor.watches(Nobody(shutdown_on_exit=False))
    assert processor.watches(other)


def test_without_a_writer(begin, processor, kept):
    """All goes by, and flushing it does nothing."""
    processor.write_by(None)
    begin("run").end()
    assert not kept.requests
    assert processor.force_flush()
