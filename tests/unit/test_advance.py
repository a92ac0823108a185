"""What is held for the first calls of a scope."""

from __future__ import annotations

import asyncio

import pytest

from thinktwice import Budget, BudgetExceeded, Ledger
from thinktwice.advance import Advance
from thinktwice.budget import Need
from thinktwice.entry import Entry
from thinktwice.testing import run_virtual

ONE = Need(tokens=10)


def opened(budget: Budget, *, shared: bool = False):
    """A ledger inside that of a run, and a lease of one call in an advance."""
    run = Ledger(budget)
    own = Ledger(parent=run)
    (lease,) = (run if shared else own).reserve(ONE)
    advance = Advance(own, [lease] if shared else [])
    if not shared:
        advance.leases.append(lease)
    return run, own, advance, lease


def claimed(advance: Advance, need: Need):
    """What a call gets."""
    return advance.fitting(need) or run_virtual(advance.exchanged(need, scope=None))


def held(run: Ledger) -> float:
    """Tokens that are reserved and not spent."""
    assert run.budget.tokens is not None
    return run.budget.tokens - run.remaining["tokens"]


def test_the_first_call_takes_what_is_held_for_it():
    """And the second reserves on its own."""
    run, _, advance, lease = opened(Budget(tokens=20))
    assert claimed(advance, ONE) is lease
    assert held(run) == 10
    assert claimed(advance, ONE) is not lease
    assert held(run) == 20
    assert advance.leases == []


@pytest.mark.parametrize("shared", [False, True])
def test_a_call_of_another_size_or_in_other_books_takes_another_lease(shared):
    """In the place of the one held: both together would not fit."""
    run, own, advance, lease = opened(Budget(tokens=15), shared=shared)
    taken = claimed(advance, ONE if shared else Need(tokens=15))
    assert (lease.open, taken.open) == (False, True)
    assert held(run) == (10 if shared else 15)
    taken.settle(Entry(role="sample", status="ok"))
    assert own.total.calls == run.total.calls == 1


def test_what_does_not_fit_is_refused_and_gives_back_what_was_held():
    """Nothing in flight could make room."""
    run, _, advance, lease = opened(Budget(tokens=15))
    with pytest.raises(BudgetExceeded):
        claimed(advance, Need(tokens=16))
    assert not lease.open
    assert held(run) == 0


def test_one_that_waits_for_room_and_is_cancelled_holds_nothing():
    """Else nobody could spend it."""
    run, own, advance, _ = opened(Budget(tokens=20))
    (other,) = own.reserve(ONE)

    async def main():
        waiting = asyncio.ensure_future(advance.exchanged(Need(tokens=15), scope=None))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])

    run_virtual(main())
    assert held(run) == 10
    other.release()
    assert held(run) == 0


def test_a_holder_that_rests_is_not_waited_for():
    """What it holds comes back only when somebody else is done."""
    run, own, advance, _ = opened(Budget(calls=1))
    with advance.resting():
        refused = own.reserve(ONE)
        assert not refused.may_pass
    assert own.reserve(ONE).may_pass
    advance.release()
    assert run.remaining["calls"] == 1


def test_a_call_that_is_under_way_has_what_was_held_for_it():
    """And one more is held whatever the cap says, which is told."""
    _, own, advance, lease = opened(Budget(calls=1))
    assert advance.witness("sample") == (lease, None)
    lease.settle(Entry(role="sample", status="ok"))
    another, limit = advance.witness("sample")
    assert another.open
    assert limit.kind == "calls"
    another.settle(Entry(role="sample", status="ok"))
    assert own.total.calls == 2
    assert own.exhausted is not None


def test_in_the_books_of_another_it_is_given_up_for_one_in_its_own():
    """The call is to be among the entries of its own ledger."""
    run, own, advance, lease = opened(Budget(calls=1), shared=True)
    taken, limit = advance.witness("sample")
    assert (lease.open, limit) == (False, None)
    taken.settle(Entry(role="verify", status="ok"))
    assert own.total.calls == run.total.calls == 1


def test_a_cap_that_nobody_could_keep_is_kept_by_estimate():
    """All but that on time."""
    run, _, advance, _ = opened(Budget(calls=1))
    advance.witness("sample")
    assert run.enforcement["calls"] == "estimated"
