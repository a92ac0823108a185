"""A store of quotas against a few lines that say what it must do, in any order of events."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice.quota import Amounts, Caps, Hold, SqliteStore

NAME, NOTHING = "q", Amounts()
amounts = st.builds(Amounts, st.integers(0, 3), st.integers(0, 50), st.integers(0, 10**12))
caps = st.builds(Caps, *[st.none() | st.integers(0, most) for most in (6, 120, 3 * 10**12)])
EVENTS = ["hold", "replace", "settle", "release", "correct", "wait"]


def plus(*parts: Amounts) -> Amounts:
    return Amounts(*map(sum, zip(NOTHING, *parts, strict=True)))


def minus(left: Amounts, right: Amounts) -> Amounts:
    return Amounts(*(a - b for a, b in zip(left, right, strict=True)))


@dataclass
class Books:
    """What a store must count: each ticket is open, lost, or gone."""

    now: float = 1000.0
    spent: Amounts = NOTHING
    open: dict[object, tuple[Hold, float]] = field(default_factory=dict)
    lost: dict[object, Hold] = field(default_factory=dict)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for ticket, (hold, expires) in list(self.open.items()):
            if expires <= self.now:
                del self.open[ticket]
                self.lost[ticket] = hold
                self.spent = plus(self.spent, hold.lost)

    def free(self, ticket: object) -> None:
        if ticket in self.lost:
            self.spent = minus(self.spent, self.lost.pop(ticket).lost)
        self.open.pop(ticket, None)

    @property
    def held(self) -> Amounts:
        return plus(*(hold.amounts for hold, _ in self.open.values()))


@settings(max_examples=40)
@given(st.data())
def test_any_order_of_events_adds_up(data):
    """Holds, settlements, releases, corrections and lost time; refused exactly where it must be."""
    store, books = SqliteStore(), Books()
    with patch.object(time, "time", lambda: books.now):
        for _ in range(data.draw(st.integers(1, 15))):
            step(data, store, books)
            assert store.totals(NAME, 0) == (books.spent, books.held)


def step(data, store, books):
    tickets = [*books.open, *books.lost]
    event = data.draw(st.sampled_from(EVENTS if tickets else ["hold", "correct", "wait"]))
    ticket = data.draw(st.sampled_from(tickets)) if tickets else None
    if event in ("hold", "replace"):
        hold(data, store, books, ticket if event == "replace" else None)
    elif event == "settle":
        took = data.draw(amounts)
        store.settle(NAME, 0, ticket, took)
        books.free(ticket)
        books.spent = plus(books.spent, took)
    elif event == "release":
        store.release(ticket)
        books.free(ticket)
    elif event == "correct":
        change = minus(data.draw(amounts), data.draw(amounts))
        store.settle(NAME, 0, None, change)
        books.spent = plus(books.spent, change)
    else:
        books.wait(data.draw(st.floats(0, 100)))


def hold(data, store, books, instead):
    asked = [
        Hold(data.draw(amounts), data.draw(amounts)) for _ in range(data.draw(st.integers(1, 3)))
    ]
    most, seconds = data.draw(caps), data.draw(st.floats(1, 100))
    got = store.hold(NAME, 0, asked, caps=most, instead=instead, seconds=seconds)
    given_up = NOTHING
    if instead in books.open:
        given_up = books.open[instead][0].amounts
    elif instead in books.lost:
        given_up = books.lost[instead].lost
    total = plus(books.spent, books.held, *(each.amounts for each in asked))
    assert (got is not None) == most.allow(minus(total, given_up))
    if got is not None:
        books.free(instead)
        books.open.update(
            {each: (h, books.now + seconds) for each, h in zip(got, asked, strict=True)}
        )
