"""Calls that are heard of when they are on their way."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Limiter,
    Price,
    Usage,
    Verdict,
    Vote,
    budget_scope,
    remarks,
    solve,
    solve_sync,
)
from thinktwice.entry import Entry
from thinktwice.instrumentation import node
from thinktwice.scope import current_scope
from thinktwice.stop import AtMost
from thinktwice.testing import captured_spans, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
SEVEN = Usage(input_tokens=3, output_tokens=4, source="provider")


def full(n: int) -> Vote:
    return Vote(n, stop=AtMost(n), hedge=False)


class Framework:
    """A sampler whose framework only tells of its calls."""

    leaf = False
    refusable = False

    def __init__(self, calls: int = 1, usage: Usage | None = SEVEN) -> None:
        self.calls = calls
        self.usage = usage
        self.sent = 0
        self.overruns: list[object] = []

    async def __call__(self, prompt: object) -> str:
        scope = current_scope()
        assert scope is not None
        scope.on_overrun = self.overruns.append
        for _ in range(self.calls):
            booking = scope.witness(model="m")
            self.sent += 1
            await asyncio.sleep(1)
            booking.settle(usage=self.usage)
        return "a"


class TestWitness:
    def test_each_call_is_an_entry_of_its_sample(self):
        """With its usage and its cost."""
        result = run_virtual(
            solve(
                "q",
                sampler=Framework(2),
                strategy=full(2),
                prices={"m": Price(input="1", output="1")},
            )
        )
        assert [entry.sample for entry in result.ledger.entries] == [0, 1, 0, 1]
        assert result.ledger.total.usage.total_tokens == 28
        assert float(result.ledger.total.cost) == 28e-6
        assert result.ledger.enforcement == {"seconds": "exact"}

    def test_no_cap_but_that_on_time_is_more_than_an_estimate(self):
        """Also where none was overrun."""
        budget = Budget(calls=9, tokens=900)
        result = run_virtual(solve("q", sampler=Framework(), strategy=full(1), budget=budget))
        assert result.ledger.enforcement == {
            "calls": "estimated",
            "tokens": "estimated",
            "seconds": "exact",
        }

    def test_one_goes_first_where_nobody_knows_the_size(self):
        """Then as many as the cap affords at that size."""
        sampler = Framework()
        budget = Budget(tokens=20)
        result = run_virtual(solve("q", sampler=sampler, strategy=full(8), budget=budget))
        assert sampler.sent == 2
        assert result.value == "a"
        assert result.cut.kind == "tokens"
        assert result.ledger.enforcement["tokens"] == "estimated"
        assert result.ledger.seconds == 2

    def test_a_cap_on_calls_counts_them_all_and_is_an_estimate(self):
        """What is on its way cannot be refused: the run ends, and says by how much it overran."""
        sampler = Framework(2)
        budget = Budget(calls=3)
        result = run_virtual(solve("q", sampler=sampler, strategy=full(4), budget=budget))
        assert result.value == "a"
        assert result.ledger.enforcement["calls"] == "estimated"
        assert result.ledger.total.calls == sampler.sent
        assert len(sampler.overruns) == sampler.sent - 3 > 0
        assert result.cut.kind == "calls"
        assert result.cut.overrun == sampler.sent - 3

    def test_a_cap_around_is_overrun_as_well(self):
        """And refuses what comes next."""

        async def two():
            with budget_scope(Budget(calls=1)) as ledger:
                await solve("q", sampler=Framework(2), strategy=full(1))
                with pytest.raises(BudgetExceeded):
                    await solve("q", sampler=Framework(1), strategy=full(1))
            return ledger

        ledger = run_virtual(two())
        assert ledger.total.calls == 2
        assert ledger.enforcement["calls"] == "estimated"

    def test_a_call_that_nobody_counts_is_unknown(self):
        """And none is 0."""
        result = run_virtual(solve("q", sampler=Framework(usage=None), strategy=full(2)))
        assert result.ledger.total.calls == 2
        assert result.ledger.total.usage.total_tokens is None

    def test_a_call_after_the_end_of_its_sample_is_booked(self):
        """It is paid for."""
        scopes = []

        class Keeping(Framework):
            async def __call__(self, prompt):
                scopes.append(current_scope())
                return await super().__call__(prompt)

        result = run_virtual(solve("q", sampler=Keeping(), strategy=full(1)))
        scopes[0].witness(model="m").settle(usage=SEVEN)
        assert result.ledger.total.usage.total_tokens == 14

    def test_the_first_call_of_a_thread_that_was_given_up_is_booked_once(self):
        """Its sample was booked as one call of unknown size when it was given up."""
        go, done = threading.Event(), threading.Event()

        class Late(Framework):
            def __call__(self, prompt):  # a plain function: on a thread
                assert go.wait(10)
                current_scope().witness(model="m").settle(usage=SEVEN)
                done.set()

        async def run():
            asked = asyncio.create_task(
                solve("q", sampler=Late(), strategy=full(1), budget=Budget(seconds=0.05))
            )
            with pytest.raises(BudgetExceeded) as caught:
                await asked
            go.set()
            assert await asyncio.to_thread(done.wait, 10)
            return caught.value.ledger

        ledger = asyncio.run(run())
        assert [entry.status for entry in ledger.entries] == ["abandoned"]
        assert ledger.total.usage.total_tokens == 7

    def test_one_that_never_ends_ends_with_its_sample(self):
        """Its size is not known."""

        class Leaving(Framework):
            async def __call__(self, prompt):
                current_scope().witness(model="m")
                return "a"

        result = run_virtual(solve("q", sampler=Leaving(), strategy=full(1)))
        assert [entry.status for entry in result.ledger.entries] == ["cancelled"]

    def test_of_a_verdict_is_in_the_books_of_the_verdict(self):
        """Though what it may cost is held in those of the run: it is a call, and no tool."""

        class Judging:
            name, exact, calls = "judging", False, 1

            async def __call__(self, sample, /, *, prompt):
                current_scope().witness(model="m").settle(usage=SEVEN)
                return Verdict(outcome="pass")

        strategy = BestOfN(2, verifier=Judging(), hedge=False)
        result = run_virtual(solve("q", sampler=Framework(), strategy=strategy))
        assert result.ledger.by_role["verify"].calls == 2
        assert "tool" not in result.ledger.by_role

    def test_has_a_span_below_its_sample(self):
        """Unless somebody else opens one."""
        with captured_spans() as captured:
            run_virtual(solve("q", sampler=Framework(), strategy=full(1)))
        spans = {span.name: span for span in captured}
        assert spans["chat m"].parent.span_id == spans["thinktwice.sample"].context.span_id
        assert spans["chat m"].attributes["gen_ai.usage.input_tokens"] == 3


class Steps(Framework):
    """A sampler of which each sample does its steps: seconds of a call, or of something else.

    Its calls are refused by whoever hears of them, as far as that is possible.
    """

    def __init__(self, *samples: tuple[str, ...]) -> None:
        super().__init__()
        self.samples = list(samples)
        self.begun = 0

    async def __call__(self, prompt: object) -> str:
        scope = current_scope()
        assert scope is not None
        scope.on_overrun = self.refuse
        steps, self.begun = self.samples[self.begun], self.begun + 1
        for step in steps:
            kind, seconds = step.split()
            booking = scope.witness(model="m") if kind == "call" else None
            await asyncio.sleep(float(seconds))
            if booking is not None:
                self.sent += 1
                booking.settle(usage=SEVEN)
        return "a"

    def refuse(self, limit):
        raise BudgetExceeded(limit)


def spend(ledger):
    """Book a large call of somebody else."""
    lease, _ = ledger.witness("other")
    lease.settle(Entry(role="sample", status="ok", usage=Usage(input_tokens=99, output_tokens=1)))


class TestOverrun:
    """Of a cap by a call that has settled."""

    def test_the_answer_that_was_paid_for_counts(self):
        """Though its sample does something after that call, and others wait to begin."""
        sampler = Steps(*[("call 1", "rest 5")] * 5)
        result = run_virtual(solve("q", sampler=sampler, strategy=full(5), budget=Budget(tokens=5)))
        assert (result.value, result.launched, sampler.sent) == ("a", 1, 1)
        assert result.cut.kind == "tokens"
        assert result.ledger.seconds == 6

    def test_on_a_thread_as_well(self):
        """Which nobody could have stopped."""

        class Blocking(Framework):
            def __call__(self, prompt):
                current_scope().witness(model="m").settle(usage=SEVEN)
                time.sleep(0.02)
                return "a"

        budget = Budget(tokens=5)
        result = solve_sync("q", sampler=Blocking(), strategy=full(5), budget=budget)
        assert (result.value, result.launched) == ("a", 1)

    @pytest.mark.parametrize("rest", [("rest 3", "call 1"), ("call 1", "rest 3", "call 1")])
    def test_the_next_call_of_another_sample_ends_it(self, rest):
        """Also its first; what makes none returns."""
        sampler = Steps(("call 1", "rest 5"), rest)

        async def run():
            with budget_scope(Budget(tokens=50)) as ledger:
                await solve("q", sampler=Steps(("call 1",)), strategy=full(1))  # tells the size
                asyncio.get_running_loop().call_later(2, spend, ledger)
                return await solve("q", sampler=sampler, strategy=full(2))

        result = run_virtual(run())
        assert [sample.index for sample in result.samples] == [0]
        assert (result.value, result.cut.kind, result.ledger.seconds) == ("a", "tokens", 6)
        assert [entry.status for entry in result.ledger.entries][-1] == "error"
        assert sampler.sent == rest.count("call 1")

    def test_what_waits_for_its_place_does_not_begin(self):
        """It has sent nothing, and is no launch."""
        sampler = Steps(("call 1", "call 1"), ("call 1",))
        sampler.refuse = sampler.overruns.append
        result = run_virtual(
            solve(
                "q",
                sampler=sampler,
                strategy=full(2),
                budget=Budget(calls=9, tokens=14),
                limiter=Limiter(1),
            )
        )
        assert (result.value, result.launched, sampler.begun) == ("a", 1, 1)

    def test_time_ends_what_nothing_else_ends(self):
        """A sample that goes on without calls, for one."""
        budget = Budget(tokens=5, seconds=9)
        with pytest.raises(BudgetExceeded) as caught:
            run_virtual(
                solve("q", sampler=Steps(("call 1", "rest 99")), strategy=full(1), budget=budget)
            )
        assert caught.value.ledger.seconds == 9

    def test_nothing_is_judged_any_more(self):
        """The sample stands without a verdict."""
        asked = []

        class Judging:
            name, exact = "judging", False

            async def __call__(self, sample, /, *, prompt):
                asked.append(sample)
                return Verdict(outcome="pass")

        result = run_virtual(
            solve(
                "q",
                sampler=Steps(("call 1",)),
                strategy=BestOfN(1, verifier=Judging(), hedge=False),
                budget=Budget(tokens=5),
            )
        )
        assert (result.value, asked) == ("a", [])


class Silent(Framework):
    """A sampler that asks some client of its own, of which nobody hears."""

    def __init__(self, *calls: int) -> None:
        super().__init__()
        self.each = list(calls)

    async def __call__(self, prompt: object) -> str:
        self.calls = self.each.pop(0)
        return await super().__call__(prompt)


class TestSilence:
    """Samples in which no call is heard of."""

    @pytest.mark.parametrize("caps", [{}, {"calls": 4}, {"calls": 4, "tokens": 100}])
    def test_is_told_and_no_cap_claims_to_be_kept(self, caps):
        """That on time is."""
        budget = Budget(**caps) if caps else None
        result = run_virtual(solve("q", sampler=Silent(0, 0), strategy=full(2), budget=budget))
        assert remarks.UNHEARD in result.warnings
        assert remarks.UNSEEN not in result.warnings
        assert result.ledger.enforcement == {
            **dict.fromkeys(caps, "estimated"),
            "seconds": "exact",
        }

    def test_of_some_samples_is_nothing_to_tell(self):
        """Not every sample needs a call."""
        result = run_virtual(solve("q", sampler=Silent(0, 1), strategy=full(2)))
        assert result.warnings == ()


class TestNode:
    def test_is_opened_in_every_sample_and_verdict(self):
        """Inside our span, so that what hangs on it is below that."""
        seen = []

        @contextmanager
        def opened(scope):
            seen.append((scope.role, scope.index))
            yield
            seen.append("closed")

        async def run():
            token = node.set(opened)
            try:
                return await solve("q", sampler=Framework(), strategy=full(2))
            finally:
                node.reset(token)

        run_virtual(run())
        assert seen.count("closed") == 2
        assert seen[:2] == [("sample", 0), ("sample", 1)]
