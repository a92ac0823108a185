"""Sending what waits at exit, and backends that take nothing."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from enum import Enum

import pytest

from thinktwice.errors import ThinktwiceWarning
from thinktwice.telemetry import flushing, troubles
from thinktwice.telemetry.flushing import Flusher


class Result(Enum):
    """As the SDK has it."""

    SUCCESS = 0
    FAILURE = 1


class Exporter:
    """Says why it fails, and fails."""

    _endpoint = "https://user:secret@backend:4318/v1/traces?key=secret"

    def __init__(self, result=Result.FAILURE, error=None):
        self.result, self.error = result, error

    def export(self, batch, timeout_millis=0):
        logging.getLogger(__name__).error("code 401 for %s", batch)
        if self.error:
            raise self.error
        return self.result


@pytest.fixture
def told(monkeypatch, fresh_remarks):
    """Warnings, told anew."""
    monkeypatch.setattr(troubles, "_losses", [])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ThinktwiceWarning)
        yield found


@pytest.fixture
def flushers(monkeypatch):
    """Those of a test alone."""
    mine: list[Flusher] = []
    monkeypatch.setattr(flushing, "_flushers", mine)
    return mine


class TestFlusher:
    """A thread that waits for the exit."""

    def test_it_flushes_when_it_is_asked(self, flushers, told):
        """Once, and within the time."""
        calls: list[str] = []
        flushers.append(Flusher(lambda: calls.append("flushed")))
        time.sleep(0.01)
        assert not calls
        flushing.finish(5)
        assert calls == ["flushed"]
        assert not told

    def test_one_that_hangs_keeps_nobody(self, flushers, told):
        """The time is for all of them together; what is lost is said."""
        never, quick = threading.Event(), threading.Event()
        flushers += [Flusher(never.wait), Flusher(never.wait), Flusher(quick.set)]
        started = time.monotonic()
        flushing.finish(0.05)
        assert time.monotonic() - started < 1
        assert quick.is_set()
        assert ["the OTLP endpoint takes no telemetry" in str(each.message) for each in told] == [
            True
        ]
        never.set()

    def test_a_forked_process_waits_anew(self, flushers, told):
        """The threads of its parent are not there."""
        calls: list[int] = []
        flushers.append(Flusher(lambda: calls.append(1)))
        flushing._restart()
        flushing.finish(5)
        assert calls == [1]


class TestLoss:
    """What an exporter could not send."""

    def test_it_is_told_of_once(self, told, caplog):
        """With the reason and the place, without keys; the exporter itself is silent."""
        exporter = troubles.watch(Exporter())
        for each in ("batch", "another"):
            assert exporter.export(each, timeout_millis=5) is Result.FAILURE
        (warning,) = told
        assert str(warning.message).startswith("backend:4318 takes no telemetry")
        assert "code 401" in str(warning.message)
        assert "secret" not in str(warning.message)
        assert not caplog.records

    def test_nothing_is_said_where_it_is_taken(self, told, caplog):
        """Whatever the exporter logs on the way."""
        assert troubles.watch(Exporter(Result.SUCCESS)).export("batch") is Result.SUCCESS
        assert not told

    def test_other_exporters_go_on_to_log(self, told, caplog):
        """Theirs is their business."""
        troubles.watch(Exporter())
        assert Exporter().export("batch") is Result.FAILURE
        assert [record.getMessage() for record in caplog.records] == ["code 401 for batch"]
        assert not told

    def test_an_error_is_the_callers(self, told):
        """The SDK keeps it from the application."""
        with pytest.raises(OSError, match="broken"):
            troubles.watch(Exporter(error=OSError("broken"))).export("batch")

    def test_a_filter_that_raises_ends_no_thread(self, told):
        """As with warnings that are errors."""
        warnings.simplefilter("error", ThinktwiceWarning)
        assert troubles.watch(Exporter()).export("batch") is Result.FAILURE
