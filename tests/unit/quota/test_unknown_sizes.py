"""Quotas where a sampler does not say its max tokens: the worst case of a call is not known."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from thinktwice import Budget, BudgetExceeded, Entry, Price, Usage, Vote, solve
from thinktwice.budget import Need
from thinktwice.lease import Sums
from thinktwice.quota import Amounts, Quota, SqliteStore
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
PRICES = {"fake-model": Price(input=1000, output=1000)}  # .001 USD a token


def full(n: int) -> Vote:
    return Vote(n, stop=AtMost(n), hedge=False)


@pytest.fixture
def store():
    return SqliteStore()


@pytest.fixture
def tenant(store):
    return Quota("tenant", Budget(tokens=1000, cost="1", calls=100), store=store)


async def cut_off(quota, *, budget=None, **more):
    """A call that is cancelled."""
    slow = ScriptedSampler(["a"], input_tokens=3, output_tokens=4, seconds=9.0, **more)
    with quota.scope():
        call = solve("q", sampler=slow, strategy=full(1), prices=PRICES, budget=budget)
        with pytest.raises((TimeoutError, BudgetExceeded)):
            await asyncio.wait_for(call, 0.5)


async def one(quota, n=1, seconds=0.0):
    sampler = ScriptedSampler(["a"], input_tokens=3, output_tokens=4, seconds=seconds)
    with quota.scope():
        return await solve("q", sampler=sampler, strategy=full(n), prices=PRICES)


def entry(status, tokens):
    if tokens is None:
        return Entry(role="sample", status=status)
    usage = Usage(output_tokens=tokens, source="provider")
    return Entry(role="sample", status=status, usage=usage, cost=Decimal(tokens) / 1000)


def recalled(tenant):
    """A call that was abandoned, after one of 50 tokens."""
    for each in (entry("ok", 50), entry("abandoned", None)):
        with tenant.scope() as ledger:
            (lease,) = ledger.reserve(Need(kind="sample:m"))
        lease.settle(each)
    return lease


def test_a_first_call_that_is_cancelled_takes_a_call_and_not_the_day(tenant, store):
    """What it held is no worst case; nothing of what it took is known."""
    run_virtual(cut_off(tenant))
    assert tenant.spent == Sums(1, 0, Decimal(0))
    assert store.totals("tenant", 0)[1] == Amounts()


@pytest.mark.parametrize("budget", [None, Budget(seconds=0.1), Budget(tokens=900, cost="0.9")])
def test_a_later_one_is_charged_what_such_calls_took(tenant, budget):
    """Those of other requests as well."""

    async def requests():
        await one(tenant)
        await cut_off(tenant, budget=budget)

    run_virtual(requests())
    assert tenant.spent == Sums(2, 14, Decimal("0.014"))


def test_but_no_more_than_its_own_request_allows(tenant):
    """Of tokens and money."""

    async def requests():
        await one(tenant)
        await cut_off(tenant, budget=Budget(tokens=5, cost="0.002"))

    run_virtual(requests())
    assert tenant.spent == Sums(2, 12, Decimal("0.009"))


def test_one_that_ends_after_all_is_charged_what_it_took(tenant):
    """What it was charged before is given back."""
    late = recalled(tenant)
    assert tenant.spent == Sums(2, 100, Decimal("0.1"))
    late.settle_late(entry("ok", 30))
    assert tenant.spent == Sums(2, 80, Decimal("0.08"))


def test_one_that_ends_after_all_and_tells_nothing_stays_as_it_was(tenant):
    """It is not free for that."""
    late = recalled(tenant)
    late.settle_late(entry("ok", None))
    assert tenant.spent == Sums(2, 100, Decimal("0.1"))


def test_only_the_first_request_probes(tenant):
    """The others need not go one after another."""

    async def requests():
        await one(tenant)
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*(one(tenant, n=2, seconds=1.0) for _ in range(10)))
        return asyncio.get_running_loop().time() - before

    assert run_virtual(requests()) == pytest.approx(1.0, abs=0.1)
    assert tenant.spent.calls == 21


def test_what_is_known_of_one_is_not_of_another(store):
    """Neither of another name, nor of another store."""

    async def probes(quota):
        with quota.scope() as ledger:
            ledger.reserve(Need(kind="sample:fake-model"))
            return ledger.remaining["tokens"] == 0

    first = Quota("one", Budget(tokens=1000), store=store)
    run_virtual(one(first))
    assert not run_virtual(probes(Quota("one", Budget(tokens=1000), store=store)))
    assert run_virtual(probes(Quota("other", Budget(tokens=1000), store=store)))
    assert run_virtual(probes(Quota("one", Budget(tokens=1000), store=SqliteStore())))


def test_a_quota_of_calls_counts_what_a_cancelled_call_may_have_taken(store):
    """As one of tokens does: the worst case, or what such calls took."""
    counted = []
    for caps in ({"calls": 9}, {"calls": 9, "tokens": 1000, "cost": 1}):
        quota = Quota(f"{caps}", Budget(**caps), store=store)
        run_virtual(cut_off(quota, max_tokens=4))
        counted.append(quota.spent)
        run_virtual(one(quota))
        run_virtual(cut_off(quota))
        counted.append(quota.spent)
    assert counted[:2] == counted[2:]
    assert counted[0].tokens >= 4
    assert counted[1].tokens == counted[0].tokens + 14


def test_a_store_that_nothing_can_be_remembered_by_counts_all_the_same(store):
    """One without a hash."""

    class Own:
        __hash__ = None
        totals, hold = store.totals, store.hold
        settle, release = store.settle, store.release

    quota = Quota("q", Budget(tokens=1000), store=Own())
    run_virtual(one(quota))
    assert quota.spent.tokens == 7
