"""Calls outside of any strategy, on one account with the runs inside them."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest

from thinktwice import (
    Budget,
    BudgetExceeded,
    Limiter,
    Price,
    UsageError,
    Vote,
    budget_scope,
    collect,
    solve,
    solve_sync,
)
from thinktwice.entry import Spent
from thinktwice.sample import Usage
from thinktwice.scope import Scope, current_scope
from thinktwice.session import Session
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.threads import in_thread
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from thinktwice.entry import Status

pytestmark = pytest.mark.usefixtures("silent_remarks")
PRICES = {"m": Price(input="1000000", output="1000000")}  # a dollar a token
SEVEN = Usage(input_tokens=3, output_tokens=4, source="provider")
THREE = Vote(3, stop=AtMost(3))


async def plain(scope: Scope, seconds: float = 0.0, usage: Usage | None = SEVEN) -> str:
    """A model call of no strategy, as a framework's callbacks book it."""
    booking = await scope.book(model="m", prompt="p")
    with booking:
        await asyncio.sleep(seconds)
    booking.settle(usage=usage)
    return "a"


async def voting(_scope: Scope) -> str:
    """A block in which a strategy runs."""
    return (await solve("p", sampler=ScriptedSampler(["a"]), strategy=THREE)).value or ""


class TestCounting:
    """What blocks spend."""

    def test_plain_calls_and_runs_are_on_one_account(self):
        """In whatever order of blocks."""

        async def work() -> Session:
            session = Session(Budget(calls=10), prices=PRICES)
            for block in (plain, voting, plain):
                assert await session.work(block) == "a"
            return session

        session = run_virtual(work())
        assert session.ledger.total.calls == session.spent.calls == 5
        assert session.ledger.remaining == {"calls": 5}

    def test_it_is_found_inside(self):
        """As the current scope and ledger, and nowhere after."""
        seen: list[object] = []

        async def block(scope: Scope) -> None:
            seen.append(current_scope() is scope)
            seen.append(ledger_around() is scope.ledger)

        async def work() -> None:
            await Session(Budget(calls=1)).work(block)
            seen.extend((current_scope(), ledger_around()))

        run_virtual(work())
        assert seen == [True, True, None, None]

    def test_runs_inside_are_outermost(self):
        """Samples know of no sample around them, but of one around the session."""
        paths: list[str] = []

        async def inner(prompt: object) -> str:
            scope = current_scope()
            paths.append("" if scope is None else scope.path)
            return "a"

        async def outer(prompt: object) -> str:
            return await Session(Budget(calls=9)).work(once)

        async def once(_scope: Scope) -> str:
            return (await solve("p", sampler=inner, strategy=Vote(1))).value or ""

        outer.leaf = False  # type: ignore[attr-defined]
        run_virtual(solve("p", sampler=outer, strategy=Vote(1)))
        run_virtual(outer("p"))
        assert paths == ["sample:0/sample:0", "sample:0"]

    def test_results_inside_reach_whoever_collects(self):
        """As if the session were not there."""

        async def work() -> int:
            with collect() as results:
                await Session(Budget(calls=9)).work(voting)
            return len(results)

        assert run_virtual(work()) == 1

    def test_a_sync_run_on_a_thread(self):
        """Finds the session in the copy of the context."""

        async def block(_scope: Scope) -> None:
            sampler = lambda prompt: "a"  # noqa: E731
            await in_thread(lambda: solve_sync("p", sampler=sampler, strategy=THREE))

        async def work() -> int:
            session = Session(Budget(calls=9))
            await session.work(block, recallable=False)
            return session.spent.calls

        assert asyncio.run(work()) == 3

    def test_a_session_in_a_sample(self):
        """It spends from the budget of the run, which takes the sample for no call of its own."""

        async def sampler(prompt: object) -> str:
            session = Session(Budget(calls=5))
            await session.work(plain)
            return await session.work(plain)

        sampler.leaf = False  # type: ignore[attr-defined]
        result = run_virtual(
            solve("p", sampler=sampler, strategy=THREE, budget=Budget(calls=6), prices=PRICES)
        )
        assert result.ledger.total.calls == 6
        assert result.ledger.total.cost == 42

    def test_what_was_not_counted_is_charged(self):
        """A call of unknown size takes what it held, and is told apart."""

        async def work() -> Spent:
            session = Session(Budget(tokens=100), prices=PRICES)
            await session.work(lambda scope: plain(scope, usage=None))
            return session.spent

        spent = run_virtual(work())
        assert (spent.calls, spent.tokens, spent.cost, spent.unpriced) == (1, None, None, 1)
        assert spent.uncounted_tokens == 100

    def test_nothing_is_not_unknown(self):
        """Without a call, and with one that a server refused, it is 0."""

        async def work() -> list[Spent]:
            session = Session(Budget(calls=5), prices=PRICES)
            states = [session.spent]

            async def overloaded(scope: Scope) -> None:
                booking = await scope.book(model="m", prompt="p")
                error = RuntimeError("overloaded")
                error.status_code = 429  # type: ignore[attr-defined]
                booking.settle(status="error", error=error)

            await session.work(overloaded)
            states.append(session.spent)
            await session.work(lambda scope: plain(scope, usage=None))
            states.append(session.spent)
            await session.work(plain)
            return [*states, session.spent]

        assert [each.tokens for each in run_virtual(work())] == [0, 0, None, 7]


class TestCaps:
    """What is refused."""

    @pytest.mark.parametrize(
        ("budget", "kind", "calls"),
        [
            (Budget(calls=2), "calls", 2),
            (Budget(tokens=10), "tokens", 1),
            (Budget(cost=7), "cost", 1),
            (Budget(seconds=2.5), "seconds", 3),
        ],
    )
    def test_each_cap_ends_it(self, budget, kind, calls):
        """By a refusal before the call, or a cut where time is up."""

        async def work() -> Session:
            session = Session(budget, prices=PRICES)
            for _ in range(9):
                await session.work(lambda scope: plain(scope, seconds=1.0))
            return session

        async def ended() -> tuple[BudgetExceeded, float]:
            started = asyncio.get_running_loop().time()
            with pytest.raises(BudgetExceeded) as raised:
                await work()
            return raised.value, asyncio.get_running_loop().time() - started

        error, seconds = run_virtual(ended())
        assert error.limit.kind == kind
        assert round(seconds, 1) == (2.5 if kind == "seconds" else calls)

    def test_check_refuses_before_anything_is_done(self):
        """As soon as no call fits, and not while one in flight may give something back."""

        async def work() -> None:
            session = Session(Budget(tokens=7), prices=PRICES)
            session.check()
            under_way = asyncio.create_task(session.work(lambda scope: plain(scope, 1.0)))
            await asyncio.sleep(0.5)
            session.check()  # all is held, and may come back
            await under_way
            with pytest.raises(BudgetExceeded):
                session.check()

        run_virtual(work())

    def test_out_of_time_no_block_begins(self):
        """Not even a thread of one."""
        begun: list[bool] = []

        async def block(_scope: Scope) -> None:
            begun.append(True)

        async def work() -> None:
            session = Session(Budget(seconds=1))
            await asyncio.sleep(1)
            await session.work(block)

        with pytest.raises(BudgetExceeded, match="seconds"):
            run_virtual(work())
        assert not begun

    def test_blocks_at_once_pass_no_cap(self):
        """What one cannot have while another may give back, it waits for."""

        async def work() -> tuple[int, int]:
            session = Session(Budget(calls=5), prices=PRICES)
            blocks = [session.work(lambda scope: plain(scope, 1.0)) for _ in range(8)]
            done = await asyncio.gather(*blocks, return_exceptions=True)
            return session.spent.calls, sum(isinstance(each, BudgetExceeded) for each in done)

        assert run_virtual(work()) == (5, 3)

    def test_who_may_say_that_it_ended(self):
        """Its own cap or one around it, with its ledger; not that of a run inside."""

        async def work() -> None:
            with budget_scope(Budget(calls=1)):
                session = Session(Budget(calls=5), prices=PRICES)
                await session.work(plain)
                with pytest.raises(BudgetExceeded) as raised:
                    await session.work(plain)
            ended = session.ended(raised.value)
            assert ended is not None
            assert ended.ledger is session.ledger
            assert session.cut == raised.value.limit
            other = Session(Budget(calls=1))
            assert other.ended(raised.value) is None
            assert other.cut is None
            with pytest.raises(BudgetExceeded):
                session.check()

        run_virtual(work())

    @pytest.mark.parametrize("on_exhausted", ["best", "raise"])
    @pytest.mark.parametrize("refused", ["a call", "a run"])
    def test_what_is_made_up_in_the_place_of_a_refusal(self, refused, on_exhausted):
        """Is none of the block's, wherever below it the call was refused."""

        async def block(scope: Scope) -> str:
            with suppress(BudgetExceeded):
                if refused == "a call":
                    return await plain(scope)
                sampler, given = ScriptedSampler(["a"]), {"on_exhausted": on_exhausted}
                return (await solve("p", sampler=sampler, strategy=THREE, **given)).value or ""
            return "made up"

        async def work() -> None:
            session = Session(Budget(calls=2), prices=PRICES)
            await session.work(plain)
            if (refused, on_exhausted) == ("a run", "best"):
                assert await session.work(block) == "a"  # of one sample
            elif refused == "a call":
                await session.work(plain)
            with pytest.raises(BudgetExceeded) as raised:
                await session.work(block)
            assert session.ended(raised.value) is not None

        run_virtual(work())

    def test_a_later_call_that_succeeds(self):
        """Makes up for one that did not fit; one that fails does not."""

        async def block(scope: Scope, status: Status) -> str:
            with pytest.raises(BudgetExceeded):
                await scope.book(model="m", prompt="p", max_tokens=99)
            booking = await scope.book(model="m", prompt="p", max_tokens=1)
            booking.settle(status=status, usage=Usage(output_tokens=1, source="provider"))
            return "cheap"

        async def work() -> None:
            session = Session(Budget(cost=20), prices=PRICES)
            assert await session.work(lambda scope: block(scope, "ok")) == "cheap"
            with pytest.raises(BudgetExceeded, match="20 USD"):
                await session.work(lambda scope: block(scope, "error"))

        run_virtual(work())

    def test_a_cap_inside_a_block_is_its_own(self):
        """Whoever caught its refusal may go on."""

        async def block(_scope: Scope) -> str:
            sampler, given = ScriptedSampler(["a"]), {"on_exhausted": "raise"}
            with pytest.raises(BudgetExceeded):
                await solve("p", sampler=sampler, strategy=THREE, budget=Budget(calls=1), **given)
            return "cut"

        assert run_virtual(Session(Budget(calls=9)).work(block)) == "cut"

    def test_a_timeout_of_the_block_is_its_own(self):
        """It is not taken for the end of the budget's time."""

        async def block(_scope: Scope) -> None:
            raise TimeoutError("mine")

        async def work() -> None:
            await Session(Budget(seconds=5)).work(block)

        with pytest.raises(TimeoutError, match="mine"):
            run_virtual(work())

    def test_strict(self):
        """A call whose worst case nobody knows is refused."""

        async def work() -> None:
            await Session(Budget(tokens=9, strict=True)).work(plain)

        with pytest.raises(UsageError, match="strict"):
            run_virtual(work())


class TestLimiters:
    """Who holds a place."""

    def test_a_model_step_holds_one_and_lends_it(self):
        """A vote inside it would otherwise wait for ever."""

        async def work() -> tuple[int, int]:
            limiter = Limiter(1)
            session = Session(Budget(calls=9, seconds=60), prices=PRICES, limiter=[limiter])
            in_flight: list[int] = []
            most = 0

            async def block(scope: Scope) -> None:
                nonlocal most
                in_flight.append(1)
                most = max(most, len(in_flight))
                await plain(scope, 1.0)
                in_flight.pop()
                await voting(scope)

            await asyncio.gather(*(session.work(block, slot=True) for _ in range(2)))
            return most, session.spent.calls

        assert run_virtual(work()) == (1, 8)

    def test_a_block_without_a_slot_waits_for_none(self):
        """A tool that calls no model, for one."""

        async def work() -> float:
            limiter = Limiter(1)
            session = Session(Budget(calls=9), limiter=[limiter])

            async def block(_scope: Scope) -> None:
                await asyncio.sleep(1.0)

            await asyncio.gather(*(session.work(block) for _ in range(3)))
            return asyncio.get_running_loop().time()

        assert run_virtual(work()) == pytest.approx(1.0, abs=0.01)


class TestPauses:
    """A session that goes on later, or elsewhere."""

    def test_the_clock_stands_still(self):
        """From the end of the last block until it is resumed, however often."""

        async def work() -> float:
            session = Session(Budget(seconds=10), prices=PRICES)
            await session.work(lambda scope: plain(scope, 2.0))
            await asyncio.sleep(3600)
            session.resume()
            session.resume()
            await session.work(lambda scope: plain(scope, 3.0))
            return session.spent.seconds

        assert run_virtual(work()) == pytest.approx(5.0)

    def test_loading_prices_takes_none_of_its_time(self, monkeypatch):
        """It happens once a process, to whoever comes first."""

        @lru_cache
        def loads() -> None:
            clock.append(clock.pop() + 100.0)

        async def work() -> float:
            session = Session(Budget(calls=1))
            await session.work(plain)
            return session.spent.seconds

        clock = [0.0]
        monkeypatch.setattr("thinktwice.session.load_list_prices", loads)
        monkeypatch.setattr("thinktwice.session.now", lambda: clock[-1])
        monkeypatch.setattr("thinktwice.ledger.now", lambda: clock[-1])
        monkeypatch.setattr("thinktwice.account.now", lambda: clock[-1])
        assert asyncio.run(work()) == 0.0

    def test_the_clock_runs_between_blocks(self):
        """Of whatever else happens there."""

        async def work() -> float:
            session = Session(Budget(seconds=10), prices=PRICES)
            await session.work(plain)
            await asyncio.sleep(4)
            await session.work(plain)
            return session.spent.seconds

        assert run_virtual(work()) == pytest.approx(4.0)

    def test_going_on_in_another_process(self):
        """From plain numbers: caps hold for both parts together, sums are of both."""

        async def first() -> dict[str, int | float | None]:
            session = Session(Budget(calls=3, seconds=10), prices=PRICES)
            await session.work(lambda scope: plain(scope, 4.0))
            await session.work(lambda scope: plain(scope, usage=None))
            return session.spent.as_dict()

        async def second(kept: dict[str, int | float | None]) -> Session:
            session = Session(Budget(calls=3, seconds=10), prices=PRICES, before=Spent.read(kept))
            assert session.ledger.remaining["seconds"] == pytest.approx(6.0)
            await session.work(plain)
            with pytest.raises(BudgetExceeded) as raised:
                await session.work(plain)
            assert raised.value.limit.spent == 3
            return session

        session = run_virtual(second(json.loads(json.dumps(run_virtual(first())))))
        assert (session.spent.calls, session.ledger.total.calls) == (3, 1)
        assert (session.spent.cost, session.spent.unpriced) == (Decimal(14), 1)

    def test_spent_survives_as_json(self):
        """What is unknown stays unknown."""
        for spent in (
            Spent(),
            Spent(calls=2, input_tokens=None, output_tokens=None, cost=None, unpriced=2),
            Spent(calls=2, cost=None, unpriced=2, uncounted_tokens=3, uncounted_cost=Decimal(1)),
            Spent(calls=1, input_tokens=2, output_tokens=3, cost=Decimal("0.1"), seconds=1.5),
        ):
            assert Spent.read(json.loads(json.dumps(spent.as_dict()))) == spent


class TestEnds:
    """How blocks end."""

    def test_a_cancelled_block_settles_its_calls(self):
        """At what they held, as nobody knows how far they came."""

        async def work() -> Session:
            session = Session(Budget(calls=3), prices=PRICES)
            task = asyncio.create_task(session.work(lambda scope: plain(scope, 9.0)))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return session

        session = run_virtual(work())
        assert [entry.status for entry in session.ledger.entries] == ["cancelled"]
        assert session.ledger.remaining == {"calls": 2}

    def test_a_thread_is_abandoned_in_time(self):
        """And what it calls after that is not sent."""
        late: list[str] = []

        async def work() -> float:
            gate, ended = threading.Event(), threading.Event()
            session = Session(Budget(seconds=0.05), prices=PRICES)

            async def block(scope: Scope) -> None:
                def call() -> None:
                    gate.wait()
                    try:
                        scope.book_from_thread(model="m")
                    except RuntimeError as error:
                        late.append(str(error))
                    ended.set()

                await in_thread(call)

            started = asyncio.get_running_loop().time()
            with pytest.raises(BudgetExceeded):
                await session.work(block, recallable=False)
            seconds = asyncio.get_running_loop().time() - started
            gate.set()
            await in_thread(ended.wait)
            return seconds

        assert asyncio.run(work()) < 0.5
        assert late == ["the run has moved on without this sample: the call is not sent"]

    def test_spans_hang_together(self):
        """All blocks below one span, with what they spent; a failed block ends it."""

        async def work() -> None:
            session = Session(Budget(calls=5), name="desk", prices=PRICES)
            await session.work(plain)
            with pytest.raises(KeyError):
                await session.work(lambda _: solve("p", sampler=broken, strategy=THREE))
            await session.work(plain)
            session.close()

        async def broken(prompt: object) -> str:
            raise KeyError

        with captured_spans() as spans:
            run_virtual(work())
        agents = [span for span in spans if span.name == "invoke_agent desk"]
        assert [span.attributes["thinktwice.calls"] for span in agents] == [4, 5]
        assert [span.status.is_ok for span in agents] == [False, True]
        assert agents[1].parent.span_id == agents[0].context.span_id
        assert len({span.context.trace_id for span in spans}) == 1
        leaves = [span for span in spans if span.name == "chat m"]
        assert [span.parent.span_id for span in leaves] == [a.context.span_id for a in agents]

    def test_steering_is_no_failure(self):
        """Of a framework, by exceptions."""

        async def block(_scope: Scope) -> None:
            raise LookupError

        async def work() -> None:
            await Session(Budget(calls=1)).work(block, passthrough=(LookupError,))

        with captured_spans() as spans, pytest.raises(LookupError):
            run_virtual(work())
        assert [span.status.is_ok for span in spans] == [True]

    def test_no_span_where_others_trace(self):
        """They have one of the agent."""

        async def block(scope: Scope) -> None:
            (await scope.book(emitted=True)).settle()

        async def work(emitted: bool) -> None:
            session = Session(Budget(calls=1), emitted=emitted)
            await session.work(block)
            session.close()

        counts: list[int] = []
        for emitted in (True, False):
            with captured_spans() as spans:
                run_virtual(work(emitted))
            counts.append(len(spans))
        assert counts == [0, 1]
