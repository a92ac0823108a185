"""Trying a store of quotas out: what every one must do, whatever it counts in."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from thinktwice.quota.store import Amounts, Caps, Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thinktwice.quota.store import QuotaStore

_ONE: Final = Hold(Amounts(1, 10, 100), Amounts(1, 5, 50))
_TOOK: Final = Amounts(1, 7, 70)
_NOTHING: Final = Amounts()
_LARGE: Final = 9 * 10**15  # nine thousand dollars
_GONE: Final = -1.0  # seconds: its time is up already
_THREADS, _TRIES, _CAP = 4, 20, 50


def check_quota_store(make: Callable[[], QuotaStore]) -> None:
    """Check that a `QuotaStore` does what quotas rely on; for the tests of one's own store.

    It counts under random names, in windows without an end, and from several threads.

    Args:
        make: Opens the store. It is called several times, as several processes would; what it
            opens must count together.

    Raises:
        AssertionError: The store does something else; says what.
    """
    for check in (_caps, _all_or_none, _instead, _apart, _large, _corrections):
        check(_Counter(make()))
    for free in (_settled_late, _released_late, _replaced_late):
        free(_Counter(make()))
    _shared(_Counter(make()), _Counter(make()))
    _hammered([make() for _ in range(_THREADS)])


class _Counter:
    """One quota in a store, under a name that nobody has."""

    def __init__(self, store: QuotaStore, name: str | None = None, window: int = 0) -> None:
        self.store = store
        self.name = name or f"check:{uuid.uuid4().hex}"
        self.window = window
        self.settle = partial(store.settle, self.name, window)
        self.release = store.release

    def hold(
        self,
        *holds: Hold,
        caps: Caps | None = None,
        instead: object = None,
        seconds: float = 60.0,
    ) -> Sequence[object] | None:
        return self.store.hold(
            self.name, self.window, holds, caps=caps, instead=instead, seconds=seconds
        )

    def one(self, seconds: float = 60.0) -> object:
        got = self.hold(_ONE, seconds=seconds)
        _expect("a hold without caps", "tickets", 1, len(got or ()))
        return (got or [None])[0]

    def expect(self, what: str, spent: Amounts, held: Amounts = _NOTHING) -> None:
        found = self.store.totals(self.name, self.window)
        _expect(what, "spent and held", (spent, held), tuple(Amounts(*each) for each in found))

    def refuses(self, what: str, *holds: Hold, caps: Caps) -> None:
        _expect(what, "tickets", None, self.hold(*holds, caps=caps))


def _expect(what: str, name: str, expected: object, found: object) -> None:
    if expected != found:
        message = f"{what}: expected {name} {expected}, found {found}"
        raise AssertionError(message)


def _caps(counter: _Counter) -> None:
    for kind in Caps._fields:
        fitting = getattr(_ONE.amounts, kind)
        counter.refuses(f"above a cap on {kind}", _ONE, caps=Caps()._replace(**{kind: fitting - 1}))
        ticket = counter.hold(_ONE, caps=Caps()._replace(**{kind: fitting}))
        _expect(f"at a cap on {kind}", "tickets", 1, len(ticket or ()))
        counter.expect("a hold", _NOTHING, _ONE.amounts)
        counter.refuses("beside a hold", _ONE, caps=Caps()._replace(**{kind: fitting}))
        counter.release((ticket or [None])[0])
        counter.expect("a release", _NOTHING)
    counter.settle(counter.one(), _TOOK)
    counter.expect("a settlement", _TOOK)
    counter.refuses("after a settlement", _ONE, caps=Caps(calls=1))


def _all_or_none(counter: _Counter) -> None:
    counter.refuses("two where one fits", _ONE, _ONE, caps=Caps(calls=1))
    counter.expect("a refusal", _NOTHING)
    got = counter.hold(_ONE, _ONE, caps=Caps(calls=2)) or ()
    _expect("two that fit", "tickets", 2, len(set(got)))


def _instead(counter: _Counter) -> None:
    first = counter.one()
    _expect(
        "too much instead",
        "tickets",
        None,
        counter.hold(_ONE, _ONE, caps=Caps(calls=1), instead=first),
    )
    counter.expect("a refusal of what was to come instead", _NOTHING, _ONE.amounts)
    got = counter.hold(_ONE, caps=Caps(calls=1), instead=first)
    counter.expect("one hold instead of another", _NOTHING, _ONE.amounts)
    counter.settle((got or [None])[0], _TOOK)
    counter.expect("its settlement", _TOOK)


def _apart(counter: _Counter) -> None:
    counter.one()
    _Counter(counter.store).expect("another name", _NOTHING)
    _Counter(counter.store, counter.name, 4_000_000_000).expect("another window", _NOTHING)


def _large(counter: _Counter) -> None:
    large = Amounts(0, 0, _LARGE - 1)
    (ticket,) = counter.hold(Hold(large, large), caps=Caps(cost=_LARGE)) or [None]
    counter.settle(ticket, large)
    counter.expect("a large amount", large)
    one = Hold(Amounts(0, 0, 1), Amounts())
    counter.refuses("two units where one fits", one, one, caps=Caps(cost=_LARGE))
    got = counter.hold(one, caps=Caps(cost=_LARGE))
    _expect("the last unit", "tickets", 1, len(got or ()))


def _corrections(counter: _Counter) -> None:
    counter.settle(None, _TOOK)
    counter.settle(None, Amounts(0, -3, -30))
    counter.expect("a correction", Amounts(1, 4, 40))


def _settled_late(counter: _Counter) -> None:
    ticket = counter.one(_GONE)
    counter.expect("a hold whose time is up", _ONE.lost)
    counter.settle(ticket, _TOOK)
    counter.expect("a settlement after its time", _TOOK)


def _released_late(counter: _Counter) -> None:
    ticket = counter.one(_GONE)
    counter.expect("a hold whose time is up", _ONE.lost)
    counter.release(ticket)
    counter.expect("a release after its time", _NOTHING)


def _replaced_late(counter: _Counter) -> None:
    ticket = counter.one(_GONE)
    counter.expect("a hold whose time is up", _ONE.lost)
    got = counter.hold(_ONE, caps=Caps(calls=1), instead=ticket)
    _expect("one instead of a lost one", "tickets", 1, len(got or ()))
    counter.expect("one instead of a lost one", _NOTHING, _ONE.amounts)


def _shared(here: _Counter, there: _Counter) -> None:
    there = _Counter(there.store, here.name)
    there.release(here.one())
    there.settle(here.one(), _TOOK)
    for each in (here, there):
        each.expect("what another process has done", _TOOK)


def _hammered(stores: Sequence[QuotaStore]) -> None:
    counters = [_Counter(stores[0])]
    counters += [_Counter(each, counters[0].name) for each in stores[1:]]

    def work(counter: _Counter) -> int:
        got = [counter.hold(_ONE, caps=Caps(calls=_CAP)) for _ in range(_TRIES)]
        return sum(each is not None for each in got)

    with ThreadPoolExecutor(len(counters)) as threads:
        allowed = sum(threads.map(work, counters))
    _expect(f"{len(counters)} threads at a cap of {_CAP} calls", "allowed", _CAP, allowed)
