"""Calls on threads that nobody can recall: what their spans say, and what is known later."""

from __future__ import annotations

import threading
import time

import pytest

from tests.contracts.traced import MARK, PRICES, Trace, collected, said
from tests.contracts.walking import Walk
from thinktwice import Budget, Vote, solve_sync
from thinktwice.stop import Lead

pytestmark = pytest.mark.usefixtures("silent_remarks")


class Blocking:
    """A sync model whose last call ends when it is told to."""

    model, max_tokens = "m", 50

    def __init__(self) -> None:
        self.go = threading.Event()
        self.lock, self.calls = threading.Lock(), 0

    def __call__(self, prompt: object, /) -> object:
        with self.lock:
            self.calls += 1
            last = self.calls == 3
        if last:
            self.go.wait(10)
        return said(MARK, 13)


def test_an_abandoned_call_is_an_estimate_and_stays_one():
    """Its span has ended with what it had reserved; the ledger is put right when it ends."""
    trace, sampler = Trace(), Blocking()
    with collected(trace):
        result = solve_sync(
            MARK,
            sampler=sampler,
            strategy=Vote(3, stop=Lead(2), prefer="latency"),
            budget=Budget(tokens=10_000),
            prices=PRICES,
        )
        walk = Walk(trace.spans)
        walk.hold()
        walk.equals(result.ledger)
        before = len(trace.spans)
        (abandoned,) = [
            s for s in walk.of("call") if s.attributes["thinktwice.status"] == "abandoned"
        ]
        assert abandoned.attributes["thinktwice.usage.source"] == "estimated"
        assert result.ledger.estimated.calls == 1
        sampler.go.set()
        ends = time.monotonic() + 10
        while result.ledger.estimated.calls and time.monotonic() < ends:
            time.sleep(0.005)
    assert result.ledger.estimated.calls == 0
    assert result.ledger.reported.calls == 3
    assert len(trace.spans) == before
    assert not trace.open
    assert MARK not in trace.text
