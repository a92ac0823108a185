"""Sending what waits: when it is asked for, and at exit."""

from __future__ import annotations

import threading
import time
import warnings
from types import SimpleNamespace
from weakref import WeakSet

import pytest

from thinktwice import UsageError
from thinktwice.errors import ThinktwiceWarning
from thinktwice.telemetry import flushing, troubles
from thinktwice.telemetry.flushing import Flusher


def connection(trouble: str | None = None) -> SimpleNamespace:
    """Of a backend that took all of it, or did not."""
    return SimpleNamespace(place="backend:4318", trouble=trouble)


@pytest.fixture
def told(monkeypatch, fresh_remarks):
    """Warnings, told anew."""
    monkeypatch.setattr(troubles, "_losses", [])
    monkeypatch.setattr(troubles, "_connections", WeakSet())
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ThinktwiceWarning)
        yield found


@pytest.fixture
def flushers(monkeypatch):
    """Those of a test alone."""
    mine: list[Flusher] = []
    monkeypatch.setattr(flushing, "_flushers", mine)
    monkeypatch.setattr(flushing, "_finished", threading.Event())
    return mine


def test_it_flushes_at_exit_once(flushers, told):
    """And not before; also where two ways out are taken."""
    calls: list[str] = []
    flushers.append(Flusher(lambda: calls.append("flushed"), connection()))
    time.sleep(0.01)
    assert not calls
    flushing.finish()
    flushing.finish()
    assert calls == ["flushed"]
    assert not told


def test_one_that_hangs_keeps_nobody(flushers, told):
    """The time is for all of them together; what is lost is said."""
    never, quick = threading.Event(), threading.Event()
    flushers += [Flusher(each, connection()) for each in (never.wait, never.wait, quick.set)]
    started = time.monotonic()
    flushing.finish(0.05)
    assert time.monotonic() - started < 2
    assert quick.wait(5)
    (warning,) = told
    assert str(warning.message) == (
        "backend:4318 does not take all telemetry: what cannot be sent is lost (no answer)"
    )
    never.set()


def test_one_that_raises_is_done(flushers, told):
    """As a metric of the application's may; its text is not shown."""

    def broken() -> None:
        raise LookupError("secret")

    flushers.append(Flusher(broken, connection()))
    started = time.monotonic()
    flushing.finish(30)
    assert time.monotonic() - started < 10
    assert "(LookupError)" in str(told[0].message)


def test_a_forked_process_waits_anew(flushers, told):
    """The threads of its parent are not there, and its parent's end is not its own."""
    calls: list[int] = []
    flushers.append(Flusher(lambda: calls.append(1), connection()))
    flushing.finish()
    flushing._restart()
    flushing.finish()
    assert calls == [1, 1]


class TestAsked:
    """`flush`, for who cannot wait for the exit."""

    def test_it_says_whether_all_was_taken(self, flushers, told):
        """Each time anew."""
        calls: list[int] = []
        flushers.append(Flusher(lambda: calls.append(1), connection()))
        assert flushing.flush()
        assert flushing.flush()
        assert calls == [1, 1]
        assert not told

    def test_what_was_not_taken_is_told_with_the_reason(self, flushers, told):
        """The last word of the connection."""
        flushers.append(Flusher(list, connection("HTTP 503")))
        assert not flushing.flush()
        assert "(HTTP 503)" in str(told[0].message)

    def test_what_may_still_be_taken_is_not_lost(self, flushers, told):
        """The one warning is for what is."""
        never = threading.Event()
        flushers.append(Flusher(never.wait, connection()))
        assert not flushing.flush(0)
        assert not told
        never.set()

    def test_nothing_is_set_up(self, flushers):
        """Then there is nothing to send."""
        assert flushing.flush()

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), None, "5"])
    def test_mistakes(self, seconds):
        """By name."""
        with pytest.raises(UsageError, match=r"^seconds="):
            flushing.flush(seconds)


def test_a_filter_that_raises_ends_no_thread(fresh_remarks, monkeypatch):
    """As with warnings that are errors."""
    monkeypatch.setattr(troubles, "_losses", [])
    warnings.simplefilter("error", ThinktwiceWarning)
    troubles.tell_of_loss()
    assert troubles._losses == ["the OTLP endpoint"]
