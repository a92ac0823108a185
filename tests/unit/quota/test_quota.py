"""Budgets that many requests spend from."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import (
    Budget,
    BudgetExceeded,
    Price,
    RunError,
    UsageError,
    Vote,
    budget_scope,
    solve,
)
from thinktwice.account import Refusal
from thinktwice.budget import Need
from thinktwice.quota import Amounts, Quota, SqliteStore
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
PRICES = {"fake-model": Price(input=1000, output=1000)}  # .001 USD a token


def full(n: int) -> Vote:
    return Vote(n, stop=AtMost(n), hedge=False)


def model(**more):
    return ScriptedSampler(["a"], input_tokens=3, output_tokens=4, max_tokens=4, **more)


@pytest.fixture
def store():
    return SqliteStore()


def vote(n=3, **more):
    return solve("q", sampler=model(), strategy=full(n), prices=PRICES, **more)


class TestQuota:
    def test_holds_for_all_requests_together(self, store):
        """And says what is left."""
        quota = Quota("tenant", Budget(calls=5), store=store)

        async def requests():
            with quota.scope() as ledger:
                assert (await vote()).launched == 3
                assert ledger.remaining["calls"] == 2
            with quota.scope():
                second = await vote()
            assert second.launched == 2
            assert second.cut.kind == "calls"
            with quota.scope(), pytest.raises(BudgetExceeded):
                await vote()

        run_virtual(requests())
        assert quota.spent.calls == 5
        assert quota.spent.tokens == 35

    def test_money_adds_up_exactly(self, store):
        """What was reserved and not used is given back."""
        quota = Quota("tenant", Budget(cost="1"), store=store)

        async def requests():
            with quota.scope():
                await vote()

        run_virtual(requests())
        assert quota.spent.cost == Decimal("0.021")
        assert store.totals("tenant", 0)[1] == (0, 0, 0)

    def test_calls_that_fit_exactly_fit_in_the_units_of_the_store(self, store):
        """Rounded up one by one they would not, and be tried again for ever."""
        quota = Quota("tenant", Budget(cost="0.000000000003"), store=store)
        half = Need(cost=Decimal("0.0000000000015"))  # one and a half of its units
        with quota.scope() as ledger:
            assert len(ledger.reserve(half, half)) == 2
            assert isinstance(ledger.reserve(half), Refusal)
        assert store.totals("tenant", 0)[1] == Amounts(2, 0, 3)

    def test_concurrent_requests_never_exceed_it(self, store):
        """They wait for each other's reservations where these may give something back."""
        quota = Quota("tenant", Budget(tokens=200), store=store)

        async def request():
            with quota.scope():
                try:
                    return (await vote(4)).launched
                except BudgetExceeded:
                    return 0

        async def requests():
            return await asyncio.gather(*(request() for _ in range(20)))

        launched = run_virtual(requests())
        assert sum(launched) * 7 == quota.spent.tokens
        assert 180 < quota.spent.tokens <= 200

    def test_names_and_stores_are_apart(self, store):
        """Each is a quota of its own; the same name in the same store is the same one."""

        async def spent(quota):
            with quota.scope():
                await vote()

        one = Quota("one", Budget(calls=9), store=store)
        run_virtual(spent(one))
        assert Quota("other", Budget(calls=9), store=store).spent.calls == 0
        assert Quota("one", Budget(calls=9), store=SqliteStore()).spent.calls == 0
        assert Quota("one", Budget(tokens=10), store=store).spent.calls == 3

    def test_nests_with_others_and_with_the_budget_of_a_request(self, store):
        """Each of them binds."""
        application = Quota("application", Budget(calls=100), store=store)
        tenant = Quota("tenant", Budget(calls=4), store=store)

        async def requests():
            with application.scope(), tenant.scope(), budget_scope(Budget(calls=2)):
                assert (await vote()).launched == 2
            with application.scope(), tenant.scope():
                assert (await vote(budget=Budget(calls=50))).launched == 2

        run_virtual(requests())
        assert application.spent.calls == tenant.spent.calls == 4

    def test_the_error_names_the_one_that_is_used_up(self, store):
        """Of several that nest; the name travels with it to another process."""
        application = Quota("application", Budget(calls=9), store=store)
        tenant = Quota("tenant:acme", Budget(calls=3), store=store)

        async def requests():
            with application.scope(), tenant.scope():
                await vote()
                with pytest.raises(BudgetExceeded, match="quota 'tenant:acme' of 3 calls") as told:
                    await vote()
            return told.value.limit

        limit = run_virtual(requests())
        assert limit.quota == "tenant:acme"
        assert pickle.loads(pickle.dumps(limit)).quota == "tenant:acme"  # noqa: S301 - our own
        assert "acme" not in repr(limit)  # which is written to spans

    @pytest.mark.parametrize(("per", "said"), [("hour", "; anew at "), (None, "(3 spent): ")])
    def test_the_error_says_when_it_starts_anew(self, store, per, said):
        """For whoever has to wait, and in another process as well."""
        quota = Quota("tenant", Budget(calls=3), per=per, store=store)

        async def request():
            with quota.scope():
                await vote()
                with pytest.raises(BudgetExceeded) as told:
                    await vote()
            return told.value

        error = run_virtual(request())
        limit = pickle.loads(pickle.dumps(error.limit))  # noqa: S301 - our own
        ends = quota.window()
        assert limit.renews_at == (datetime.fromtimestamp(ends, UTC) if ends else None)
        assert said in str(error)

    def test_inside_itself_counts_once(self, store):
        """A function may open the scope that its caller has open."""
        quota = Quota("tenant", Budget(calls=9), per="day", store=store)
        other = Quota("application", Budget(calls=99), store=store)

        async def request():
            around = quota.scope(), other.scope(), budget_scope(Budget(calls=5))
            with around[0], around[1], around[2], quota.scope() as ledger:
                await vote()
                assert ledger.remaining["calls"] == 2
            return ledger.total.calls

        assert run_virtual(request()) == 3
        assert quota.spent.calls == other.spent.calls == 3

    def test_inside_itself_counts_once_through_another_store_of_its_file(self, tmp_path):
        """What counts is the file, by whatever path."""
        (tmp_path / "link").symlink_to(tmp_path)
        stores = [SqliteStore(tmp_path / "q.db"), SqliteStore(tmp_path / "link" / "q.db")]
        outer, inner = (Quota("tenant", Budget(calls=9), store=each) for each in stores)

        async def request():
            with outer.scope(), inner.scope():
                await vote()

        run_virtual(request())
        assert outer.spent.calls == 3

    def test_inside_itself_has_the_same_budget(self, store):
        """A lower one would not bind."""
        with (
            Quota("tenant", Budget(calls=9), store=store).scope(),
            pytest.raises(UsageError, match="open around here with another budget"),
            Quota("tenant", Budget(calls=2), store=store).scope(),
        ):
            pass

    def test_a_call_that_fails_is_charged_as_in_any_budget(self, store):
        """One that was refused by its provider is free but for the call."""
        quota = Quota("tenant", Budget(calls=9, tokens=900), store=store)
        broken = ScriptedSampler([ValueError("broken")], max_tokens=4)

        async def request():
            with quota.scope(), pytest.raises(ValueError, match="broken"):
                await solve("q", sampler=broken, strategy=full(1))

        run_virtual(request())
        assert quota.spent.calls == 1
        assert store.totals("tenant", 0)[1] == (0, 0, 0)


class TestPeriods:
    @pytest.mark.parametrize(
        ("per", "ends"),
        [
            ("hour", datetime(2026, 4, 1, tzinfo=UTC)),
            ("day", datetime(2026, 4, 1, tzinfo=UTC)),
            ("month", datetime(2026, 4, 1, tzinfo=UTC)),
        ],
    )
    def test_end_in_utc(self, per, ends):
        """Whatever the time zone of the machine."""
        quota = Quota("q", Budget(calls=1), per=per)
        last = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
        abroad = last.astimezone(timezone(timedelta(hours=14)))
        assert quota.window(last) == quota.window(abroad) == ends.timestamp()
        assert quota.window(ends) > ends.timestamp()

    @given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001 - made UTC below
    def test_follow_each_other(self, at):
        """Each moment is in one of each kind, which ends where the next one begins."""
        at = at.replace(tzinfo=UTC)
        longest = {"hour": 3600, "day": 86_400, "month": 31 * 86_400}
        for per, seconds in longest.items():
            quota = Quota("q", Budget(calls=1), per=per)
            ends = quota.window(at)
            assert at.timestamp() < ends <= at.timestamp() + seconds
            following = quota.window(datetime.fromtimestamp(ends, UTC))
            assert ends < following <= ends + seconds

    def test_a_new_one_starts_from_nothing(self, store):
        """What was spent before stays in its own."""
        quota = Quota("q", Budget(calls=3), per="day", store=store)
        store.settle(quota.counted_as, quota.window() - 86400, None, (3, 0, 0))
        assert quota.spent.calls == 0

    def test_of_several_kinds_are_apart_under_one_name(self, store):
        """In the last hour of a day both end at once: a call must not count twice in either."""
        hour = Quota("user:7", Budget(calls=4), per="hour", store=store)
        day = Quota("user:7", Budget(calls=4), per="day", store=store)

        async def request():
            with day.scope(), hour.scope():
                return await vote(4)

        midnight = datetime.now(UTC).replace(hour=23)
        assert hour.window(midnight) == day.window(midnight)
        assert run_virtual(request()).launched == 4
        assert hour.spent.calls == day.spent.calls == 4

    def test_a_request_counts_in_the_one_in_which_it_began(self, store, monkeypatch):
        """Also where its calls are made after midnight."""
        quota = Quota("q", Budget(calls=5), per="day", store=store)
        before = quota.window()

        async def request():
            with quota.scope():
                monkeypatch.setattr(Quota, "window", lambda *_: before + 86_400)
                assert (await vote()).launched == 3

        run_virtual(request())
        assert quota.spent.calls == 0
        assert store.totals(quota.counted_as, before)[0].calls == 3

    def test_without_one_it_never_ends(self):
        """The default."""
        assert Quota("q", Budget(calls=1)).window() == 0


class TestFaults:
    def test_a_store_that_fails_refuses_what_comes_next(self, store, monkeypatch):
        """A cap that cannot be looked up is not kept by guessing."""
        quota = Quota("q", Budget(calls=9), store=store)

        def fail(*_, **__):
            raise RunError("disk")

        async def request():
            with quota.scope():
                monkeypatch.setattr(store, "hold", fail)
                with pytest.raises(RunError, match="disk"):
                    await vote()

        run_virtual(request())

    def test_what_another_store_raises_is_an_error_of_the_run(self):
        """With its type alone: the text may hold the address of a server, and its password."""

        class Broken:
            def totals(self, *_, **__):
                raise ConnectionError("redis://:secret@host")

            hold = settle = release = totals

        quota = Quota("q", Budget(calls=9), store=Broken())

        async def request():
            with quota.scope():
                await vote()

        for looked_up in (lambda: run_virtual(request()), lambda: quota.spent):
            with pytest.raises(RunError, match=r"failed: ConnectionError$") as raised:
                looked_up()
            assert isinstance(raised.value.__cause__, ConnectionError)

    def test_what_a_reservation_raises_is_an_error_of_the_run(self, store, monkeypatch):
        """As what looking it up does."""
        quota = Quota("q", Budget(calls=9), store=store)

        def fail(*_, **__):
            raise ConnectionError("secret")

        monkeypatch.setattr(store, "hold", fail)
        with quota.scope() as ledger, pytest.raises(RunError, match=r"failed: ConnectionError$"):
            ledger.reserve(Need())

    def test_a_store_that_refuses_what_fits_is_not_asked_for_ever(self, store, monkeypatch):
        """It contradicts itself."""
        monkeypatch.setattr(store, "hold", lambda *_, **__: None)
        quota = Quota("q", Budget(calls=9), store=store)
        with quota.scope() as ledger, pytest.raises(RunError, match="refuses what fits"):
            ledger.reserve(Need())

    @pytest.mark.parametrize("error", [RunError("disk"), OSError("of another store")])
    def test_a_store_that_fails_later_loses_no_answer(self, store, monkeypatch, error):
        """The call is charged when its time is up."""
        quota = Quota("q", Budget(calls=9), store=store)

        def fail(*_, **__):
            raise error

        async def request():
            with quota.scope():
                monkeypatch.setattr(store, "settle", fail)
                return await vote()

        assert run_virtual(request()).value == "a"
        assert store.totals("q", 0)[1].calls == 3


class TestMistakes:
    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"name": ""}, "name"),
            ({"name": " "}, "name"),
            ({"name": 5}, "name"),
            ({"budget": 5}, "budget"),
            ({"budget": Budget()}, "budget"),
            ({"budget": Budget(calls=1, seconds=5)}, "seconds"),
            ({"per": "week"}, "per"),
            ({"lease_seconds": 0}, "lease_seconds"),
            ({"lease_seconds": float("nan")}, "lease_seconds"),
            ({"name": "tenant:\ud800"}, "name"),
            ({"store": "quotas.db"}, "store"),
            ({"store": SqliteStore}, "store"),
        ],
    )
    def test_are_named(self, settings, named):
        """Before anything is spent."""
        with pytest.raises(UsageError, match=named):
            Quota(**{"name": "q", "budget": Budget(calls=1), **settings})

    def test_is_data(self, tmp_path):
        """It can be written into a configuration, and sent to another process."""
        quota = Quota("q", Budget(calls=1), store=SqliteStore(tmp_path / "q.db"))
        copied = pickle.loads(pickle.dumps(quota))  # noqa: S301 - our own
        assert (copied.name, copied.budget) == (quota.name, quota.budget)
        assert copied.store.path == quota.store.path
