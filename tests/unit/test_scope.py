"""Where the calls below a sample are booked."""

from __future__ import annotations

import asyncio
import threading

import pytest

from thinktwice import (
    Budget,
    BudgetExceeded,
    Limiter,
    Outcome,
    Price,
    RunError,
    Strategy,
    Usage,
    UsageError,
    Vote,
    budget_scope,
    collect,
    solve,
    solve_sync,
)
from thinktwice.scope import Scope, current_scope
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
TWO = Vote(2, stop=AtMost(2))
SEVEN = Usage(input_tokens=3, output_tokens=4, source="provider")


def model(**more: object) -> ScriptedSampler[str]:
    return ScriptedSampler(["a"], **more)  # type: ignore[arg-type]


def chain(work):
    """A sampler whose calls report themselves, as a framework's chain does."""

    async def sampler(prompt: object) -> object:
        scope = current_scope()
        assert scope is not None
        return await work(scope)

    sampler.leaf = False
    return sampler


class TestBooking:
    """Calls that report themselves."""

    def test_each_is_an_entry_of_its_sample(self):
        """With the role, the model and the tokens that it reports."""

        async def work(scope: Scope) -> str:
            for role in ("sample", "tool"):
                booking = await scope.book(model="m", role=role)  # type: ignore[arg-type]
                with booking:
                    await asyncio.sleep(1)
                booking.settle(usage=SEVEN)
            return "a"

        prices = {"m": Price("1000000", "0")}
        result = run_virtual(solve("q", sampler=chain(work), strategy=Vote(1), prices=prices))
        assert [(e.role, e.sample, e.cost) for e in result.ledger.entries] == [
            ("sample", 0, 3),
            ("tool", 0, 3),
        ]
        (sample,) = result.samples
        assert (sample.usage.total_tokens, sample.cost, sample.seconds) == (14, 6, 2)

    def test_the_first_settlement_counts(self):
        """A framework may report twice."""

        async def work(scope: Scope) -> str:
            booking = await scope.book(model="m")
            for tokens in (4, 400):
                usage = Usage(input_tokens=0, output_tokens=tokens, source="provider")
                booking.settle(usage=usage)
            return "a"

        result = run_virtual(solve("q", sampler=chain(work), strategy=Vote(1)))
        assert [entry.usage.total_tokens for entry in result.ledger.entries] == [4]

    def test_what_is_never_reported_back_is_cancelled(self):
        """A framework whose callback did not come."""

        async def work(scope: Scope) -> str:
            await scope.book(model="m")
            return "a"

        result = run_virtual(solve("q", sampler=chain(work), strategy=Vote(1)))
        assert [entry.status for entry in result.ledger.entries] == ["cancelled"]

    def test_a_sample_without_a_report_is_a_call_of_unknown_size(self):
        """It was begun, so something was paid."""

        async def work(scope: Scope) -> str:
            return "a"

        result = run_virtual(solve("q", sampler=chain(work), strategy=Vote(1)))
        (entry,) = result.ledger.entries
        assert (entry.status, entry.usage.source, entry.cost) == ("ok", "missing", None)

    def test_a_refused_call_is_none(self):
        """It was not sent: nothing is in the ledger, and nothing is held."""

        async def work(scope: Scope) -> str:
            await scope.book(model="m", prompt="x" * 100, max_tokens=500)
            return "a"

        async def main() -> None:
            with budget_scope(Budget(tokens=300)) as ledger:
                with pytest.raises(BudgetExceeded):
                    await solve("q", sampler=chain(work), strategy=Vote(3))
                assert ledger.entries == ()
                assert ledger.remaining == {"tokens": 300}

        run_virtual(main())

    def test_after_the_sample_has_ended_no_call_is_sent(self):
        """Nobody waits for it."""
        kept: list[Scope] = []

        async def work(scope: Scope) -> str:
            kept.append(scope)
            return "a"

        async def main() -> None:
            await solve("q", sampler=chain(work), strategy=Vote(1))
            with pytest.raises(RunError, match="moved on"):
                await kept[0].book(model="m")
            with pytest.raises(RunError, match="moved on"):
                kept[0].book_from_thread(model="m")

        run_virtual(main())

    def test_a_call_that_waited_for_money_is_not_sent_once_nobody_waits_for_it(self):
        """As one that a thread asked for, when its sample was given up meanwhile."""

        async def work(scope: Scope) -> str:
            first = await scope.book(model="m", prompt="q", max_tokens=50)
            waiting.append(asyncio.ensure_future(scope.book(model="m", prompt="q", max_tokens=50)))
            with first:
                await asyncio.sleep(1)
            first.settle(usage=SEVEN)
            return "a"

        waiting: list[asyncio.Future[object]] = []

        async def main() -> None:
            with budget_scope(Budget(tokens=100)) as ledger:
                await solve("q", sampler=chain(work), strategy=Vote(1))
                with pytest.raises(RunError, match="moved on"):
                    await waiting[0]
                assert len(ledger.entries) == 1
                assert ledger.remaining == {"tokens": 93}

        run_virtual(main())

    async def test_from_a_thread(self):
        """As a framework's sync callback does, while the run's loop goes on."""

        async def work(scope: Scope) -> str:
            def blocking() -> None:
                booking = scope.book_from_thread(model="m")
                with booking:
                    booking.settle(usage=SEVEN)

            await asyncio.to_thread(blocking)
            return "a"

        result = await solve("q", sampler=chain(work), strategy=Vote(1))
        assert result.ledger.total.usage.total_tokens == 7

    def test_whoever_waits_for_money_keeps_no_place(self):
        """Else the one that holds the money waits for the place, and both for ever."""

        async def two_calls(scope: Scope) -> str:
            for _ in range(2):
                booking = await scope.book(model="m", prompt="q", max_tokens=50)
                with booking:
                    await asyncio.sleep(1)
                booking.settle(usage=SEVEN)
            return "a"

        limiter = Limiter(1)

        async def main() -> None:
            runs = (
                solve("q", sampler=chain(two_calls), strategy=Vote(1), limiter=limiter)
                for _ in range(2)
            )
            with budget_scope(Budget(calls=2)) as ledger:
                ended = await asyncio.gather(*runs, return_exceptions=True)
            assert [type(each) for each in ended] == [BudgetExceeded, BudgetExceeded]
            assert ledger.total.calls == 2

        run_virtual(main())
        assert limiter.in_use == 0


def test_prices_that_raise_are_the_callers_mistake():
    """It is booked all the same, and the error names the parameter."""

    class Broken:
        def price(self, usage: Usage, **more: object):
            raise KeyError("sk-secret")

    with pytest.raises(UsageError, match=r"^prices=") as caught:
        run_virtual(solve("q", sampler=model(), strategy=Vote(1), prices=Broken()))
    assert "secret" not in str(caught.value)
    assert caught.value.ledger is not None
    assert caught.value.ledger.total.usage.total_tokens == 15


def test_an_abandoned_run_sends_no_further_calls():
    """A sync sampler runs a strategy; its caller has given it up meanwhile."""
    go, inside, ended = threading.Event(), threading.Event(), threading.Event()
    sent: list[str] = []

    def leaf(prompt: str) -> str:
        sent.append(prompt)
        inside.set()
        go.wait(10)
        return "a"

    def sampler(prompt: str) -> object:
        try:
            return solve_sync(
                prompt, sampler=leaf, strategy=Vote(9, stop=AtMost(9)), max_concurrency=1
            )
        finally:
            ended.set()

    class Once(Strategy):
        async def __call__(self, run):
            drawing = asyncio.ensure_future(run.sample())
            await asyncio.to_thread(inside.wait, 10)
            drawing.cancel()
            await asyncio.wait([drawing])
            return Outcome(winner=None)

    with collect():
        solve_sync("q", sampler=sampler, strategy=Once())
    go.set()
    assert ended.wait(10)
    assert len(sent) == 1
