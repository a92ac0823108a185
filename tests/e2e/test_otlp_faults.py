"""Exporters of OTLP, as `configure` makes them, before backends that do not take what they send."""

from __future__ import annotations

import logging
import os
import socket
import time
import warnings
from weakref import WeakSet

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from tests.otlp import (
    KEY,
    PASSWORD,
    answering,
    endless,
    garbage,
    hanging_up,
    listening,
    silent,
    small,
    trickling,
)
from thinktwice.errors import ThinktwiceWarning
from thinktwice.telemetry import troubles
from thinktwice.telemetry.connection import Connection
from thinktwice.telemetry.troubles import watch


@pytest.fixture
def told(monkeypatch, fresh_remarks, caplog):
    """Warnings, told anew; nothing is logged beside them, and no key is in them."""
    monkeypatch.setattr(troubles, "_losses", [])
    monkeypatch.setattr(troubles, "_connections", WeakSet())
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ThinktwiceWarning)
        yield found
    assert not caplog.records
    for each in found:
        assert KEY not in str(each.message)
        assert PASSWORD not in str(each.message)


def spans(count: int = 1, **attributes: object) -> list[ReadableSpan]:
    """So many; the first has the attributes."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
    made = [tracer.start_span(f"span {index}") for index in range(count)]
    made[0].set_attributes(attributes)
    for each in made:
        each.end()
    return made


def exporter(url: str, seconds: float = 20) -> OTLPSpanExporter:
    """One that is watched."""
    url = f"{url.replace('//', f'//user:{PASSWORD}@')}/v1/traces"
    session = Connection(url)
    made = OTLPSpanExporter(url, headers={"x-key": KEY}, timeout=seconds, session=session)
    return watch(made, session)


@pytest.mark.parametrize(
    ("answer", "seconds", "reason"),
    [
        (answering(302, Location="/elsewhere"), 20, "HTTP 302"),
        (answering(400), 20, "HTTP 400"),
        (answering(401), 20, "HTTP 401"),
        (answering(413), 20, "HTTP 413"),
        (answering(429, Retry_After="1000"), 20, "HTTP 429"),
        (answering(503), 0.2, "HTTP 503"),
        (garbage, 0.2, "ConnectionError"),
        (hanging_up, 0.2, "ConnectionError"),
        (silent, 0.2, "ReadTimeout"),
    ],
)
def test_a_backend_that_does_not_take_it_is_told_of_once(answer, seconds, reason, told):
    """By host and port, with a status or the kind of error."""
    with listening(answer) as backend:
        sender = exporter(backend.url, seconds)
        sender.export(spans())
        sender.export(spans())
    (warning,) = told
    place = backend.url.removeprefix("http://")
    assert str(warning.message).startswith(f"{place} does not take all telemetry")
    assert f"({reason})" in str(warning.message)


def test_one_that_is_down(told):
    """The system says why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        exporter(f"http://127.0.0.1:{taken.getsockname()[1]}", 0.2).export(spans())
    assert os.strerror(111) in str(told[0].message)


def test_one_without_tls(told):
    """The library of TLS says what it found."""
    with listening() as backend:
        exporter(backend.url.replace("http:", "https:"), 0.5).export(spans())
    assert "[SSL" in str(told[0].message)


def test_one_that_takes_it(told):
    """Nothing is said."""
    with listening() as backend:
        exporter(backend.url).export(spans(3))
    assert len(backend.spans()) == 3
    assert not told


@pytest.mark.parametrize("answer", [trickling, endless])
def test_one_that_takes_it_and_never_stops_talking(answer, told, monkeypatch):
    """The status is all that counts: what comes after it keeps nobody, and fills no memory."""
    monkeypatch.setattr("thinktwice.telemetry.connection._PATIENCE", 0.1)
    with listening(answer) as backend:
        sender = exporter(backend.url)
        started = time.monotonic()
        for _ in range(2):
            assert sender.export(spans(3)).name == "SUCCESS"
        assert time.monotonic() - started < 5
    assert not told


def test_a_connection_is_kept_after_a_short_reply(told):
    """And what was said is there for the exporter."""
    with listening(answering()) as backend:
        sender = Connection(backend.url)
        replies = [sender.post(f"{backend.url}/v1/traces", data=b"") for _ in range(3)]
    assert len(backend.clients) == 1
    assert all("content-length: 0" in each.text.lower() for each in replies)


@pytest.mark.parametrize(
    ("answer", "attributes"),
    [(small(2000), {"large": "x" * 3000}), (small(100), {}), (answering(), {"half": "\ud83d"})],
    ids=["too large", "all too large", "half of a sign"],
)
def test_what_cannot_be_sent_takes_nothing_else_with_it(answer, attributes, told):
    """The rest of its batch arrives."""
    with listening(answer) as backend:
        exporter(backend.url).export(spans(20, **attributes))
    arrived = {span.name for span in backend.spans()} - {"span 0"}
    assert len(arrived) == (19 if attributes else 0)
    assert len(told) == 1


def test_a_batch_of_many_times_what_is_taken_arrives_whole(told):
    """In as many parts as it takes; nothing is lost, and nothing said."""
    with listening(small(600)) as backend:
        exporter(backend.url).export(spans(200))
    assert len(backend.spans()) == 200
    assert len(backend.requests) > troubles._MOST
    assert not told


def test_what_was_lost_on_the_way_is_known_when_the_rest_was_taken(told):
    """As `flush` asks; the next batch is another one."""
    with listening(small(2000)) as backend:
        connection = Connection(backend.url)
        made = OTLPSpanExporter(f"{backend.url}/v1/traces", session=connection)
        sender = watch(made, connection)
        batch = spans(8, large="x" * 3000)
        sender.export(batch[::-1])
        assert connection.trouble == "HTTP 413"
        sender.export(batch[1:])
        assert connection.trouble is None
    assert len(told) == 1


def test_a_backend_that_takes_no_part_is_not_asked_for_ever(told):
    """It is left after so many failures in a row."""
    asked = []

    def refusing(handler, backend, body):
        asked.append(body)
        answering(413)(handler, backend, body)

    with listening(refusing) as backend:
        exporter(backend.url).export(spans(300))
    assert len(asked) == troubles._MOST
    assert "(HTTP 413)" in str(told[0].message)


def test_parts_are_sent_for_so_long_and_no_longer(told, monkeypatch):
    """The next batches wait; the rest is lost, which is said."""
    monkeypatch.setattr(troubles, "_LONGEST", 0.0)
    with listening(small(2000)) as backend:
        exporter(backend.url).export(spans(300))
    assert not backend.spans()
    assert "(HTTP 413)" in str(told[0].message)


def test_a_name_that_cannot_be_written_takes_nothing_else_with_it(told):
    """Likewise, though it is never sent."""
    batch = spans(9)
    batch[4]._name = "\ud83d"
    with listening() as backend:
        exporter(backend.url).export(batch)
    assert len(backend.spans()) == 8
    assert "something is too large, or cannot be written" in str(told[0].message)


def test_where_a_plug_in_opens_the_connections_a_loss_is_told_too(told):
    """Why, only the exporter knows; nothing is sent in parts."""
    with listening(answering(400)) as backend:
        connection = Connection(backend.url, used=False)
        sender = OTLPSpanExporter(f"{backend.url}/v1/traces", headers={"x-key": KEY})
        watch(sender, connection).export(spans(4))
    assert "(no answer)" in str(told[0].message)
    assert connection.trouble == "no answer"


def test_after_its_shutdown_nothing_is_sent_and_nothing_said(told):
    """Also where it is flushed once more."""
    with listening() as backend:
        sender = exporter(backend.url)
        sender.shutdown()
        sender.shutdown()
        sender.export(spans())
    assert not backend.requests
    assert not told


def test_a_queue_that_is_full_is_told_of_once(told):
    """The SDK would log it again and again."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if "Queue full" not in _source_of(BatchSpanProcessor):
        pytest.skip("this SDK drops in silence")
    with listening(silent) as backend:
        processor = BatchSpanProcessor(exporter(backend.url), 4, 60_000, 2)
        for each in spans(40):
            processor.on_end(each)
        assert "(it is slower than the application)" in str(told[0].message)
        assert len(told) == 1


def test_a_queue_that_fills_while_a_backend_is_tried_again_is_told_of_by_why(told):
    """Sending is given up, and that told, only seconds later."""
    session = Connection("http://backend:4318/v1/traces")
    watch(OTLPSpanExporter(session=session), session)
    session.trouble = "HTTP 503"
    dropping = logging.makeLogRecord({"msg": "Queue full, dropping Span."})
    assert not troubles._dropped.filter(dropping)
    assert "backend:4318 does not take all" in str(told[0].message)
    assert "(HTTP 503)" in str(told[0].message)


def _source_of(kind: type) -> str:
    import inspect

    from opentelemetry.sdk import _shared_internal

    return inspect.getsource(_shared_internal)
