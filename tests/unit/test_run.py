"""What a strategy works with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Outcome,
    Run,
    Sample,
    Strategy,
    ToolCheck,
    UsageError,
    Verdict,
    Vote,
    budget_scope,
    solve,
)
from thinktwice.calls import call
from thinktwice.prompting import TextPrompting
from thinktwice.stop import AtMost, Certain
from thinktwice.testing import ScriptedSampler, VirtualClock, run_virtual
from thinktwice.verifiers import as_verifier

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")
Body = Callable[[Run[object, object]], Awaitable[Outcome[object]]]


class Scripted(Strategy):
    """A strategy that is one function of the run."""

    def __init__(self, body: Body) -> None:
        self.body = body

    async def __call__(self, run):
        return await self.body(run)


def run(body: Body, sampler: object = None, **more: object) -> Result[object]:
    """Run the function as a strategy, in virtual time."""
    sampled = ScriptedSampler(["a"], seconds=1) if sampler is None else sampler
    return run_virtual(solve("q", sampler=sampled, strategy=Scripted(body), **more))  # type: ignore[arg-type]


async def first(draws):
    """The sample that arrived first, once all have."""
    arrived = [sample async for sample, _ in draws]
    return arrived[0]


class TestSample:
    """One draw."""

    def test_it_has_all_that_the_completion_has(self):
        """And where it came from."""
        done = Completion(value=3, text="three", finish_reason="stop", logprobs=(-0.5, -1.5))
        sampler = ScriptedSampler([done], seconds=2, model="m")

        async def body(run):
            return Outcome(winner=await run.sample())

        (sample,) = run(body, sampler).samples
        assert (sample.index, sample.value, sample.answer, sample.text) == (0, 3, 3, "three")
        assert (sample.finish_reason, sample.mean_logprob) == ("stop", -1.0)
        assert (sample.model, sample.sampler, sample.seconds) == ("m", "m", 2)

    def test_named_samplers(self):
        """Each by its name; the first is the default; another prompt and options reach it."""
        small, large = ScriptedSampler(["s"], model="m1"), ScriptedSampler(["l"], model="m2")

        async def body(run):
            first = await run.sample()
            await run.sample("harder", sampler="large", options={"effort": "high"})
            with pytest.raises(UsageError, match="small, large"):
                await run.sample(sampler="huge")
            return Outcome(winner=first)

        result = run(body, {"small": small, "large": large}, options={"seed": 3})
        assert [sample.sampler for sample in result.samples] == ["small", "large"]
        assert (small.prompts, large.prompts) == (["q"], ["harder"])
        assert small.options == [{"seed": 3}]
        assert large.options == [{"seed": 3, "effort": "high"}]

    def test_a_failed_draw_is_a_sample_with_an_error(self):
        """No exception."""

        async def body(run):
            sample = await run.sample()
            assert isinstance(sample.error, KeyError)
            return Outcome(winner=await run.sample())

        result = run(body, ScriptedSampler([KeyError("x"), "a"]))
        assert (result.value, result.winner.index, result.launched) == ("a", 1, 2)

    @pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter", "refusal"])
    def test_what_was_cut_short_abstains(self, reason):
        """It costs, and has no answer."""

        async def body(run):
            return Outcome(winner=await run.sample())

        result = run(body, ScriptedSampler([Completion(value="The answ", finish_reason=reason)]))
        assert result.samples[0].answer is None
        assert result.ledger.total.calls == 1

    def test_options_by_index(self):
        """Each index once, also where draws waited for money in between."""
        sampler = ScriptedSampler(["a"], seconds=1, max_tokens=50)

        async def body(run):
            async with run.draws(6) as draws:
                return Outcome(winner=await first(draws))

        run(body, sampler, options=lambda index: {"seed": index}, budget=Budget(tokens=200))
        assert [options["seed"] for options in sampler.options] == [0, 1, 2, 3, 4, 5]

    def test_a_sampler_that_cancels_itself_has_failed(self):
        """Nobody cancelled the run, so nobody else is."""

        async def sampler(prompt):
            raise asyncio.CancelledError

        async def body(run):
            sample = await run.sample()
            assert isinstance(sample.error, RuntimeError)
            return Outcome(winner=None)

        with pytest.raises(RuntimeError, match="cancelled itself"):
            run(body, sampler)

    def test_what_is_no_exception_leaves_and_is_booked(self):
        """As a signal or a test framework raises it."""

        class Odd(BaseException):
            pass

        async def sampler(prompt):
            raise Odd

        async def body(run):
            async with run.draws(3) as draws:
                return Outcome(winner=await first(draws))

        async def main():
            with budget_scope(Budget(calls=9)) as ledger:
                with pytest.raises(Odd):
                    await solve("q", sampler=sampler, strategy=Scripted(body))
                assert ledger.remaining["calls"] == 9 - len(ledger.entries)
                assert {entry.status for entry in ledger.entries} == {"error"}

        run_virtual(main())


class TestVerify:
    """One judgement."""

    @staticmethod
    def verdict(check: object, value: object = "a") -> Verdict:
        async def body(run):
            sample = await run.sample()
            await run.verify(sample, as_verifier(check))
            return Outcome(winner=sample)

        (verdict,) = run(body, ScriptedSampler([value])).verdicts
        return verdict

    def test_it_knows_its_sample_and_its_verifier(self):
        """Whatever the callable says of them."""

        async def check(value):
            return Verdict(outcome="scored", score=0.5, verifier="other", sample=9)

        verdict = self.verdict(check)
        assert (verdict.sample, verdict.verifier, verdict.score) == (0, "check", 0.5)

    def test_a_check_that_breaks_says_nothing_of_the_sample(self):
        """An error verdict without a score; its evidence is the type alone."""

        async def check(value):
            raise ConnectionError("sk-secret")

        verdict = self.verdict(check)
        assert (verdict.outcome, verdict.score) == ("error", None)
        assert verdict.evidence == ("ConnectionError",)

    def test_a_check_that_cancels_itself_broke(self):
        """The run goes on."""

        async def check(value):
            raise asyncio.CancelledError

        assert self.verdict(check).outcome == "error"

    @pytest.mark.parametrize("said", [True, 0.5, None])
    def test_a_verifier_returns_a_verdict(self, said):
        """Only a plain callable may return a bool or a number."""

        class Verifier:
            name, exact = "mine", False

            async def __call__(self, sample, /, *, prompt):
                return said

        with pytest.raises(UsageError, match=r"^verifier="):
            self.verdict(Verifier())

    @pytest.mark.parametrize("score", [1.5, -0.1, float("nan"), "good", None])
    def test_what_is_no_verdict_is_the_callers_mistake(self, score):
        """It leaves the run."""

        async def check(value):
            return score

        with pytest.raises(UsageError, match=r"^verifier="):
            self.verdict(check)


class TestDraws:
    """Several draws."""

    def test_each_is_judged_as_it_arrives(self):
        """No barrier: the check of the first runs while the last is still being drawn."""
        sampler = ScriptedSampler(["a", "b", "c"], seconds=[1, 2, 9])
        times: dict[str, float] = {}

        async def check(value):
            await asyncio.sleep(0.5)
            times[value] = asyncio.get_running_loop().time()
            return 0.5

        async def body(run):
            async with run.draws(3, verifier=as_verifier(check)) as draws:
                got = [(sample.value, verdict.score) async for sample, verdict in draws]
            assert got == [("a", 0.5), ("b", 0.5), ("c", 0.5)]
            return Outcome(winner=run.samples[0])

        run(body, sampler)
        assert times == {"a": 1.5, "b": 2.5, "c": 9.5}

    def test_what_failed_or_abstained_is_not_judged(self):
        """There is nothing to judge."""
        seen: list[object] = []

        async def check(value):
            seen.append(value)
            return True

        async def body(run):
            async with run.draws(3, verifier=as_verifier(check)) as draws:
                verdicts = {sample.index: verdict async for sample, verdict in draws}
            assert verdicts[0] is verdicts[1] is None
            return Outcome(winner=run.samples[0])

        cut = Completion(value="b", finish_reason="length")
        run(body, ScriptedSampler([KeyError("x"), cut, "c"]))
        assert seen == ["c"]

    def test_prompts(self):
        """One for each draw, in their order."""
        sampler = ScriptedSampler(["a"])

        async def body(run):
            async with run.draws(prompts=["x", "y"]) as draws:
                return Outcome(winner=await first(draws))

        assert len(run(body, sampler).samples) == 2
        assert sampler.prompts == ["x", "y"]

    def test_leaving_the_block_recalls_what_is_in_flight(self):
        """Each is cancelled once, and in the ledger; the samples do not hold them."""
        sampler = ScriptedSampler(["a"], seconds=[1, 50, 50])

        async def body(run):
            async with run.draws(3) as draws:
                async for sample, _ in draws:
                    return Outcome(winner=sample)
            raise AssertionError

        result = run(body, sampler)
        assert (len(result.samples), result.launched, sampler.cancelled) == (1, 3, 2)
        statuses = sorted(entry.status for entry in result.ledger.entries)
        assert statuses == ["cancelled", "cancelled", "ok"]
        assert result.ledger.seconds == 1

    def test_a_cap_on_calls_ends_them(self):
        """`exhausted` tells which, and the run may end as it likes."""

        async def body(run):
            async with run.draws(5) as draws:
                samples = [sample async for sample, _ in draws]
            assert len(samples) == 2
            assert run.exhausted.kind == "calls"
            return Outcome(winner=samples[0])

        result = run(body, budget=Budget(calls=2))
        assert result.cut.kind == "calls"
        assert result.warnings

    @given(
        before=st.floats(0, 100, allow_nan=False),
        seconds=st.floats(0.01, 5, allow_nan=False),
    )
    def test_it_wakes_at_its_times(self, before, seconds):
        """Whatever the clock rounds: the run is then that old, and not a bit younger."""
        ages: list[float] = []

        async def body(run):
            def until() -> bool:
                ages.append(run.seconds)
                return run.seconds >= seconds

            async with run.draws(2, until=until, wakes=[seconds]) as draws:
                return Outcome(winner=await first(draws))

        async def main():
            await asyncio.sleep(before)
            sampler = ScriptedSampler(["a"], seconds=[0, 1000])
            return await solve("q", sampler=sampler, strategy=Scripted(body))

        result = run_virtual(main())
        assert result.ledger.seconds == pytest.approx(seconds)
        assert ages[-1] >= seconds


class TestBudget:
    """Cut short."""

    def test_the_best_so_far_is_what_was_offered(self):
        """Marked as cut."""

        async def body(run):
            first = await run.sample()
            run.offer(Outcome(winner=first, agreement=0.5))
            await run.sample()
            raise AssertionError

        result = run(body, budget=Budget(calls=1))
        assert (result.value, result.agreement) == ("a", 0.5)
        assert result.cut.kind == "calls"

    def test_without_an_offer_there_is_none(self):
        """The error carries all that was paid for."""

        async def body(run):
            await run.sample()
            await run.sample()
            raise AssertionError

        with pytest.raises(BudgetExceeded) as caught:
            run(body, ScriptedSampler([KeyError("x")]), budget=Budget(calls=1))
        assert caught.value.result.ledger.total.calls == 1
        assert len(caught.value.result.samples) == 1

    @given(before=st.floats(0, 100), seconds=st.floats(0.01, 5))
    def test_time(self, before, seconds):
        """One draw, cut off at the deadline, whatever the clock rounds."""

        async def body(run):
            return Outcome(winner=await run.sample())

        async def main():
            await asyncio.sleep(before)
            sampler = ScriptedSampler(["a"], seconds=1000)
            budget = Budget(seconds=seconds)
            with pytest.raises(BudgetExceeded) as caught:
                await solve("q", sampler=sampler, strategy=Scripted(body), budget=budget)
            assert caught.value.limit.kind == "seconds"
            assert caught.value.ledger.seconds == pytest.approx(seconds)
            assert sampler.cancelled == 1

        run_virtual(main())

    def test_a_timer_may_be_early(self):
        """By the resolution of the clock: the error names the cap all the same."""

        class Coarse(VirtualClock):
            def __init__(self) -> None:
                super().__init__()
                self._clock_resolution = 0.5

        async def body(run):
            asyncio.get_running_loop().call_later(1.75, lambda: None)
            return Outcome(winner=await run.sample())

        sampler = ScriptedSampler(["a"], seconds=9)
        with asyncio.Runner(loop_factory=Coarse) as runner:
            strategy, budget = Scripted(body), Budget(seconds=2)
            with pytest.raises(BudgetExceeded) as caught:
                runner.run(solve("q", sampler=sampler, strategy=strategy, budget=budget))
        assert caught.value.limit.allowed == 2
        assert caught.value.ledger.seconds == 1.75

    def test_a_check_is_cut_off_as_well(self):
        """And the sample stands."""

        async def check(value):
            await asyncio.sleep(1000)

        async def body(run):
            sample = await run.sample()
            run.offer(Outcome(winner=sample))
            await run.verify(sample, as_verifier(check))
            raise AssertionError

        result = run(body, budget=Budget(seconds=3))
        assert result.value == "a"
        assert result.ledger.seconds == 3

    def test_an_inner_budget_fails_the_sample_alone(self):
        """The outer run goes on."""
        inner = ScriptedSampler(["a"], seconds=[9, 1, 1])

        async def sampler(prompt):
            budget = Budget(seconds=2)
            return (await solve(prompt, sampler=inner, strategy=Vote(1), budget=budget)).value

        async def body(run):
            samples = [await run.sample() for _ in range(2)]
            assert isinstance(samples[0].error, BudgetExceeded)
            return Outcome(winner=samples[1])

        assert run(body, sampler).value == "a"

    def test_an_outer_budget_ends_the_run(self):
        """Though it is the inner call that it refuses."""
        inner = ScriptedSampler(["a"], seconds=1)

        async def sampler(prompt):
            return (await solve(prompt, sampler=inner, strategy=Vote(2, stop=AtMost(2)))).value

        async def body(run):
            for _ in range(3):
                run.offer(Outcome(winner=await run.sample()))
            raise AssertionError

        result = run(body, sampler, budget=Budget(calls=4))
        assert result.cut.kind == "calls"
        assert len(result.samples) == 2


class ControlError(Exception):
    """Control flow of a framework."""


class TestPassthrough:
    """Exceptions that leave unwrapped."""

    @staticmethod
    def sampler(*, fails_at: int = 1):
        class Sampler(ScriptedSampler):
            passthrough = (ControlError,)

        values = ["a"] * 4
        values[fails_at] = ControlError("go on")
        return Sampler(values, seconds=[1, 2, 3, 4])

    def test_from_draws(self):
        """Not in a group, with the others recalled and all of it booked."""

        async def main():
            with budget_scope(Budget(calls=99)) as ledger:
                with pytest.raises(ControlError) as caught:
                    await solve("q", sampler=self.sampler(), strategy=Vote(4, prefer="latency"))
                assert ledger.remaining["calls"] == 99 - len(ledger.entries)
            assert len(caught.value.thinktwice_result.samples) == 1

        run_virtual(main())

    def test_through_strategies(self):
        """A strategy over the sampler declares the same."""
        strategy = Vote(2, of=Vote(2, of=Vote(2)))
        with pytest.raises(ControlError):
            run_virtual(solve("q", sampler=self.sampler(fails_at=0), strategy=strategy))

    def test_others_do_not(self):
        """An exception that is not declared fails its sample alone."""
        sampler = ScriptedSampler(["a", ControlError(), "a", "a"])
        assert run_virtual(solve("q", sampler=sampler, strategy=Vote(4))).value == "a"


def test_the_prompting_fits_the_prompt():
    """Unless one is given."""

    async def body(run):
        assert run.prompting.extend("q", "a") == "qa"
        return Outcome(winner=await run.sample())

    run(body)
    given_one = TextPrompting()

    async def other(run):
        assert run.prompting is given_one
        return Outcome(winner=await run.sample())

    run(other, prompting=given_one)


def test_warnings_are_said_once():
    """They stand in the result."""

    async def body(run):
        run.warn("mind the gap")
        run.warn("mind the gap")
        return Outcome(winner=await run.sample())

    assert run(body).warnings == ("mind the gap",)


def test_the_sample_is_seen_by_whatever_it_calls():
    """Results of runs inside a sample are nested in that of the run."""
    inner = ScriptedSampler(["a"])

    async def sampler(prompt):
        await solve(prompt, sampler=inner, strategy=Vote(1))
        return (await solve(prompt, sampler=inner, strategy=Vote(1))).value

    async def body(run):
        return Outcome(winner=await run.sample())

    result = run(body, sampler)
    assert len(result.nested) == 2
    assert result.ledger.total.calls == 2


def test_a_sample_has_no_repr_of_its_content():
    """One line."""
    shown = repr(Sample(index=3, value="sk-secret", text="sk-secret", error=KeyError("sk-secret")))
    assert shown == "<Sample 3: error=KeyError, None tokens>"


def test_steps_that_max_tokens_cut_short_are_judged():
    """With `partial`; as whole answers they would abstain, and not be judged."""
    step = Completion(value="1+1=", finish_reason="length")

    async def body(run):
        found = []
        for partial in (False, True):
            check = as_verifier(lambda value: 0.5)
            async with run.draws(1, verifier=check, partial=partial) as draws:
                found += [(sample.answer, verdict) async for sample, verdict in draws]
        (whole, unjudged), (answer, verdict) = found
        assert (whole, unjudged) == (None, None)
        assert answer is not None
        assert verdict.score == 0.5
        return Outcome(winner=run.samples[1])

    assert run(body, ScriptedSampler([step])).value == "1+1="


class TestRepair:
    """A draw in the place of an earlier one."""

    def test_it_is_booked_as_one(self):
        """Its calls are told from those of other samples."""

        async def body(run):
            draft = await run.sample()
            asked = run.prompting.revise(run.prompt, draft.value, "shorter")
            return Outcome(winner=await run.sample(asked, role="repair"))

        result = run(body)
        assert [entry.role for entry in result.ledger.entries] == ["sample", "repair"]
        assert result.launched == 2

    def test_a_silent_sampler_counts_as_one_call(self):
        """As for every sample that tells of no call."""

        async def silent(prompt):
            return "a"

        silent.leaf = False

        async def body(run):
            return Outcome(winner=await run.sample(role="repair"))

        assert run(body, silent).ledger.by_role["repair"].calls == 1


class TestAsk:
    """A call of the strategy itself."""

    def test_it_is_booked_and_is_no_sample(self):
        """The same model can be asked something else."""

        async def body(run):
            said = await run.ask(run.sampler(), "why?", role="critique", options={"seed": 1})
            assert said.value == "a"
            return Outcome(winner=await run.sample())

        sampler = ScriptedSampler(["a"], seconds=1)
        result = run(body, sampler)
        assert [entry.role for entry in result.ledger.entries] == ["critique", "sample"]
        assert [sample.index for sample in result.samples] == [0]
        assert result.launched == 1
        assert sampler.prompts == ["why?", "q"]

    def test_what_it_raises_arrives(self):
        """And is in the ledger."""

        async def broken(prompt):
            raise ConnectionError

        async def body(run):
            with pytest.raises(ConnectionError):
                await run.ask(broken, "why?", role="critique")
            return Outcome(winner=await run.sample())

        entries = run(body).ledger.entries
        assert [(entry.role, entry.status) for entry in entries] == [
            ("critique", "error"),
            ("sample", "ok"),
        ]

    def test_a_budget_refuses_it(self):
        """The best answer so far is returned."""

        async def body(run):
            run.offer(Outcome(winner=await run.sample()))
            await run.ask(run.sampler(), "why?", role="critique")
            raise AssertionError

        result = run(body, budget=Budget(calls=1))
        assert result.value == "a"
        assert result.cut is not None

    def test_its_time_ends_with_the_budget(self):
        """In the middle of the call, which is recalled."""

        async def body(run):
            run.offer(Outcome(winner=await run.sample()))
            await run.ask(run.sampler(), "why?", role="critique")
            raise AssertionError

        result = run(body, budget=Budget(seconds=1.5))
        assert [entry.status for entry in result.ledger.entries] == ["ok", "cancelled"]
        assert result.cut.kind == "seconds"

    def test_a_composite_books_its_own_calls(self):
        """A strategy over a sampler can be asked, too."""

        async def body(run):
            voted = Vote(3, stop=AtMost(3)).over(run.sampler())
            await run.ask(voted, "why?", role="critique")
            return Outcome(winner=await run.sample())

        result = run(body, budget=Budget(calls=10))
        assert result.ledger.total.calls == 4
        assert [len(each.samples) for each in result.nested] == [3]


class TestTools:
    """A check that calls no model."""

    def test_it_leaves_an_entry_that_is_no_call(self):
        """So that budgets are about models."""

        async def body(run):
            sample = await run.sample()
            await run.verify(sample, as_verifier(lambda value: value == "a"))
            return Outcome(winner=sample)

        ledger = run(body, budget=Budget(calls=1)).ledger
        assert [(entry.role, entry.status) for entry in ledger.entries] == [
            ("sample", "ok"),
            ("tool", "ok"),
        ]
        assert (ledger.total.calls, ledger.total.tools) == (1, 1)
        assert ledger.by_role["tool"].tools == 1

    def test_one_that_breaks_is_an_error_there(self):
        """By the type of what it raised."""

        def broken(value):
            raise KeyError("secret")

        async def body(run):
            sample = await run.sample()
            await run.verify(sample, as_verifier(broken))
            return Outcome(winner=sample)

        entry = run(body).ledger.entries[1]
        assert (entry.role, entry.status, entry.error) == ("tool", "error", "KeyError")

    def test_a_judge_leaves_its_calls_alone(self):
        """Its role is its own."""

        async def judged(value):
            await call(ScriptedSampler(["yes"]), "good?", role="critique")
            return 0.5

        async def body(run):
            sample = await run.sample()
            await run.verify(sample, as_verifier(judged))
            return Outcome(winner=sample)

        assert [entry.role for entry in run(body).ledger.entries] == ["sample", "critique"]


def test_a_rejected_answer_is_no_abstention():
    """A strategy that returns none of the usable samples has its own reason."""

    async def body(run):
        await run.sample()
        return Outcome(winner=None)

    result = run(body)
    assert result.value is None
    assert not result.warnings


def test_a_key_need_not_know_of_an_answer_that_a_strategy_inside_rejected():
    """It abstains; a key that cannot read what a sampler returned is still a mistake."""

    def none_of(value):
        return value[0]

    async def rejecting(prompt):
        return None

    result = run_virtual(
        solve(
            "q",
            sampler=ScriptedSampler(["bad", "good", "good"], seconds=1),
            strategy=Vote(
                3, key=none_of, of=ToolCheck(lambda value: value == "good", on_fail="reject")
            ),
        )
    )
    assert result.value == "good"
    assert [sample.answer for sample in result.samples][:2] == [None, "g"]
    with pytest.raises(UsageError, match="key"):
        run_virtual(solve("q", sampler=rejecting, strategy=Vote(3, key=none_of)))


class TestCutInside:
    """A budget that ends a run inside a sample."""

    @pytest.mark.parametrize(
        "strategy",
        [
            Vote(3, stop=AtMost(3), of=Vote(3, stop=AtMost(3), prefer="latency")),
            BestOfN(3, verifier=lambda _: False, of=Vote(3, stop=AtMost(3))),
        ],
        ids=["vote", "best-of-n"],
    )
    def test_it_is_the_end_of_the_run_around_it(self, strategy):
        """All was drawn, and not as it was meant to be."""
        sampler = ScriptedSampler(["a"], seconds=1)
        budget = Budget(calls=5)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=budget))
        assert result.cut is not None
        assert result.value == "a"
        with pytest.raises(BudgetExceeded) as caught:
            run_virtual(
                solve("q", sampler=sampler, strategy=strategy, budget=budget, on_exhausted="raise")
            )
        assert caught.value.result.value == "a"

    def test_a_rule_that_fired_stands_and_says_so(self):
        """It was met by what there was."""
        strategy = Vote(3, prefer="cost", of=Vote(2, stop=AtMost(2)))
        sampler = ScriptedSampler(["a"], seconds=1)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=Budget(calls=3)))
        assert result.stopped_by == Certain()
        assert any("inside the samples" in warning for warning in result.warnings)
