"""The record of what was spent; its caps are in the property tests."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest

from thinktwice import Budget, Entry, Ledger, Usage, UsageError
from thinktwice.account import Refusal
from thinktwice.budget import Need
from thinktwice.testing import run_virtual


def used(tokens: int, **more: object) -> Entry:
    usage = Usage(input_tokens=0, output_tokens=tokens, source="provider")
    return Entry(**{"role": "sample", "status": "ok", "usage": usage, **more})  # type: ignore[arg-type]


def take(ledger: Ledger, *needs: Need):
    got = ledger.reserve(*(needs or (Need(),)))
    assert isinstance(got, list)
    return got


class TestRecord:
    """What stands in it."""

    def test_by_role(self):
        """Totals by what calls were for, in order of appearance."""
        ledger = Ledger()
        for role, tokens in (("verify", 5), ("sample", 3), ("verify", 2)):
            take(ledger)[0].settle(used(tokens, role=role))
        assert {role: total.usage.total_tokens for role, total in ledger.by_role.items()} == {
            "verify": 7,
            "sample": 3,
        }

    def test_it_reads_as_one_line(self):
        """Calls, tokens, money and time; what is not known is said."""
        ledger = Ledger()
        assert str(ledger).startswith("0 launched, 0 tokens, $0.0000")
        take(ledger)[0].settle(Entry(role="sample", status="ok"))
        assert "1 launched, tokens unknown, unpriced" in str(ledger)
        take(ledger)[0].settle(used(1204, cost=Decimal("0.0011")))
        assert "2 launched, 1,204 tokens, $0.0011 + 1 unpriced" in str(ledger)
        assert repr(ledger) == f"<Ledger: {ledger}>"
        assert "<td>sample</td><td>2</td>" in ledger._repr_html_()

    def test_its_clock_stops_when_the_run_is_over(self):
        """On the event loop's clock."""

        async def main() -> None:
            ledger = Ledger()
            await asyncio.sleep(2)
            assert ledger.seconds == 2
            ledger.close()
            await asyncio.sleep(2)
            assert ledger.seconds == 2

        run_virtual(main())

    def test_what_remains(self):
        """The least of what any ledger around allows; time included."""

        async def main() -> None:
            outer = Ledger(Budget(calls=3, seconds=10))
            inner = Ledger(Budget(calls=9, tokens=50, seconds=20), parent=outer)
            await asyncio.sleep(4)
            take(inner, Need(tokens=20))
            assert inner.remaining == {"calls": 2, "tokens": 30, "seconds": 6}
            assert outer.remaining == {"calls": 2, "seconds": 6}
            assert inner.deadline == 10
            await asyncio.sleep(60)
            assert outer.remaining["seconds"] == 0

        run_virtual(main())

    def test_a_refused_call_is_not_billed(self):
        """A provider that answers with an error status takes nothing."""
        ledger = Ledger(Budget(tokens=100))
        take(ledger, Need(tokens=60))[0].settle(Entry(role="sample", status="error"), billed=False)
        assert ledger.remaining == {"tokens": 100}
        assert ledger.total.calls == 1

    def test_forgotten_entries_stay_spent(self):
        """A ledger that is never closed keeps its caps, and not every call; late ones included."""
        ledger = Ledger(Budget(calls=3, tokens=100))
        (one,) = take(ledger, Need(tokens=20))
        one.settle(used(20, status="abandoned"))
        ledger.forget()
        assert (ledger.entries, ledger.remaining) == ((), {"calls": 2, "tokens": 80})
        one.settle_late(used(5))
        assert (ledger.entries, ledger.remaining["tokens"]) == ((), 95)


class TestALeaseForAnotherCall:
    """What is held for a sample serves for the first call in it, if that needs no more."""

    def test_where_calls_alone_are_capped(self):
        """It holds a call, and says from then on which calls this one resembles."""
        ledger = Ledger(Budget(calls=1))
        (lease,) = take(ledger, Need(tokens=0, cost=Decimal(0)))
        assert lease.fits(Need(kind="sample:m"))
        assert lease.need == Need(kind="sample:m")
        assert ledger.remaining == {"calls": 0}

    @pytest.mark.parametrize(
        "caps", [{"tokens": 100}, {"cost": 1}, {"calls": 9, "tokens": 100}], ids=str
    )
    def test_where_tokens_or_money_are_capped(self, caps):
        """It serves for what it was reserved for, and for nothing else."""
        (lease,) = take(Ledger(parent=Ledger(Budget(**caps))), Need(tokens=10, cost=Decimal(0)))
        assert lease.fits(Need(tokens=10, cost=Decimal(0)))
        assert not lease.fits(Need(tokens=20, cost=Decimal(0)))
        assert lease.need.tokens == 10

    def test_for_more_calls(self):
        """It holds one."""
        (lease,) = take(Ledger(Budget(calls=9)), Need())
        assert not lease.fits(Need(calls=2))

    def test_after_the_time_is_up(self):
        """What reserves anew is told that it is too late."""

        async def main() -> None:
            (lease,) = take(Ledger(Budget(seconds=1)), Need())
            assert lease.fits(Need(kind="in time"))
            await asyncio.sleep(2)
            assert not lease.fits(Need(kind="late"))

        run_virtual(main())


class TestEnforcement:
    """How a cap was kept."""

    def test_levels(self):
        """Exact, reserved, or estimated once one call was."""
        ledger = Ledger(Budget(calls=9, seconds=9, tokens=100, cost=9))
        take(ledger, Need(tokens=5, cost=Decimal(1)))
        assert ledger.enforcement == {
            "calls": "exact",
            "seconds": "exact",
            "tokens": "reserved",
            "cost": "reserved",
        }
        take(ledger, Need(tokens=5))[0].settle(used(1))
        assert ledger.enforcement["cost"] == "estimated"
        assert ledger.enforcement["tokens"] == "reserved"

    @pytest.mark.parametrize("budget", [Budget(tokens=9, strict=True), Budget(cost=9, strict=True)])
    def test_strict_refuses_what_is_not_known(self, budget: Budget):
        """Before it is sent; nothing is held then. It says what to give."""
        ledger = Ledger(budget)
        with pytest.raises(UsageError, match="max_tokens"):
            ledger.reserve(Need())
        assert len(take(ledger, Need(tokens=9, cost=Decimal(9)))) == 1

    def test_strict_minds_no_other_cap(self):
        """Calls are exact."""
        assert len(take(Ledger(Budget(calls=1, strict=True)), Need())) == 1


class TestProbing:
    """Where the worst case is not known."""

    def test_one_goes_first_and_then_as_many_as_fit(self):
        """By what such calls took."""
        ledger = Ledger(Budget(tokens=100))
        (probe,) = take(ledger, Need(kind="sample:m"))
        assert isinstance(ledger.reserve(Need(kind="sample:m")), Refusal)
        probe.settle(used(30))
        assert len(take(ledger, Need(kind="sample:m"), Need(kind="sample:m"))) == 2
        assert isinstance(ledger.reserve(Need(kind="sample:m")), Refusal)

    def test_the_95th_percentile_counts(self):
        """Of the last calls of that kind."""
        ledger = Ledger()
        for tokens in range(1, 41):
            take(ledger, Need(kind="k"))[0].settle(used(tokens))
        usage, _ = ledger.typical("k") or (None, None)
        assert usage is not None
        assert usage.total_tokens == 39
        assert ledger.typical("other") is None

    def test_a_probe_that_fails_does_not_take_all_there_is(self):
        """Nothing is known of it; the next one probes again."""
        ledger = Ledger(Budget(tokens=100, cost=5))
        take(ledger)[0].settle(Entry(role="sample", status="error"))
        assert ledger.remaining == {"tokens": 100, "cost": 5}

    def test_a_probe_that_is_recalled_does(self):
        """It may have been billed, to nobody knows what amount."""
        ledger = Ledger(Budget(tokens=100))
        take(ledger)[0].settle(Entry(role="sample", status="cancelled"))
        assert ledger.remaining == {"tokens": 0}

    def test_what_a_refused_call_would_have_taken_is_told(self):
        """Beside what is left."""
        refused = Ledger(Budget(tokens=100)).reserve(Need(tokens=150))
        assert isinstance(refused, Refusal)
        assert refused.limit.needed == 150


class TestWaiting:
    """While a call in flight may still give something back."""

    def test_for_a_settlement(self):
        """Then what was not used is there for the next."""

        async def main() -> None:
            ledger = Ledger(Budget(tokens=100))
            (lease,) = take(ledger, Need(tokens=80))
            waiting = asyncio.ensure_future(ledger.acquire(Need(tokens=60)))
            await asyncio.sleep(1)
            assert not waiting.done()
            lease.settle(used(30))
            assert isinstance(await waiting, list)

        run_virtual(main())

    def test_not_where_nothing_is_in_flight(self):
        """The cap is returned."""

        async def main() -> None:
            ledger = Ledger(Budget(tokens=100))
            limit = await ledger.acquire(Need(tokens=101))
            assert not isinstance(limit, list)
            assert limit.kind == "tokens"
            assert ledger.bound_by(limit)

        run_virtual(main())

    def test_not_for_those_who_wait_themselves(self):
        """Two that hold and want more: the last to wait is refused, and the other goes on."""

        async def main() -> None:
            ledger = Ledger(Budget(tokens=100))
            first, second = take(ledger, Need(tokens=50), Need(tokens=50))
            waiting = asyncio.ensure_future(ledger.acquire(Need(tokens=60), instead=first))
            await asyncio.sleep(1)
            refused = await ledger.acquire(Need(tokens=60), instead=second)
            assert not isinstance(refused, list)
            second.release()
            assert isinstance(await waiting, list)

        run_virtual(main())

    def test_across_threads(self):
        """A settlement on one thread wakes a waiter on another's loop."""
        ledger = Ledger(Budget(calls=1, tokens=100))
        inner = Ledger(Budget(tokens=10), parent=ledger)
        (lease,) = take(inner, Need(tokens=8))
        waiting = threading.Event()
        got: list[object] = []

        async def wait() -> None:
            task = asyncio.ensure_future(inner.acquire(Need(calls=0, tokens=8)))
            await asyncio.sleep(0)
            waiting.set()
            got.append(await asyncio.wait_for(task, 10))

        thread = threading.Thread(target=lambda: asyncio.run(wait()))
        thread.start()
        assert waiting.wait(10)
        lease.release()
        thread.join(10)
        assert isinstance(got[0], list)
