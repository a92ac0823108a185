"""Model calls on the account of a run."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Outcome,
    Price,
    Strategy,
    Usage,
    UsageError,
    Verdict,
    Vote,
    budget_scope,
    solve,
)
from thinktwice.calls import call
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.tokens import upper_bound_tokens
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
WORST = upper_bound_tokens("the prompt") + 20
GRADE = '{"reason": "fine", "score": 7}'


def only(result):
    (entry,) = result.ledger.entries
    return entry


class TestUsage:
    """What a call cost."""

    def test_as_the_provider_reports_it(self):
        """Tokens, money, the model that answered, and its latency."""
        usage = Usage(input_tokens=2, output_tokens=3, source="provider")
        done = Completion(value="a", usage=usage, model="answered", provider="p")
        sampler = ScriptedSampler([done], seconds=2, model="asked")
        prices = {"p/answered": Price("1000000", "2000000")}
        result = run_virtual(solve("q", sampler=sampler, strategy=Vote(1), prices=prices))
        entry = only(result)
        assert (entry.model, entry.provider, entry.cost) == ("answered", "p", Decimal(8))
        assert (entry.usage, entry.seconds, entry.status) == (usage, 2, "ok")
        assert result.winner.model == "answered"

    def test_a_cached_answer_costs_nothing(self):
        """Whatever usage came with it."""
        usage = Usage(input_tokens=2, output_tokens=3, source="provider")
        sampler = ScriptedSampler([Completion(value="a", usage=usage, cached=True)])
        result = run_virtual(solve("q", sampler=sampler, strategy=Vote(1)))
        entry = only(result)
        assert entry.cached
        assert (entry.cost, entry.usage.total_tokens) == (0, 0)
        assert result.winner.cached

    def test_under_a_cap_what_nobody_counted_is_estimated(self):
        """Else the cap would bind nothing; without a cap it stays unknown."""
        sampler = ScriptedSampler([Completion(value="four words of text")])
        for budget, source in ((None, "missing"), (Budget(tokens=1000), "estimated")):
            run = solve("q", sampler=sampler, strategy=Vote(1), budget=budget)
            assert only(run_virtual(run)).usage.source == source

    def test_a_failed_call_is_an_entry(self):
        """With the type of its error."""
        sampler = ScriptedSampler([KeyError("sk-secret"), "a", "a"], seconds=1)
        result = run_virtual(solve("q", sampler=sampler, strategy=Vote(3)))
        failed = result.ledger.entries[0]
        assert (failed.status, failed.error, failed.seconds) == ("error", "KeyError", 1)

    @pytest.mark.parametrize(
        ("kind", "status", "left"),
        [
            (ConnectionError, 429, 1000),
            (ConnectionRefusedError, None, 1000),
            (ConnectionError, None, 1000 - WORST),
            (ValueError, 200, 1000 - WORST),
        ],
    )
    def test_a_refusal_is_not_billed_and_a_loss_may_be(self, kind, status, left):
        """A server that refuses has made nothing; who cannot read its reply pays for it."""
        error = kind()
        error.status_code = status
        sampler = ScriptedSampler([error], max_tokens=20)

        async def main():
            with budget_scope(Budget(tokens=1000)) as ledger:
                with pytest.raises(kind):
                    await solve("the prompt", sampler=sampler, strategy=Vote(1))
                assert ledger.remaining == {"tokens": left}

        run_virtual(main())


class TestCall:
    """From inside a verifier or a strategy."""

    def test_it_is_booked_in_the_run(self):
        """Under its role."""
        hinting = ScriptedSampler(["hint"])

        class Helped(Strategy):
            async def __call__(self, run):
                return Outcome(winner=await run.sample("q"))

        async def sampler(prompt):
            return (await call(hinting, prompt, role="tool")).value

        sampler.leaf = False
        result = run_virtual(solve("q", sampler=sampler, strategy=Helped()))
        assert only(result).role == "tool"
        assert result.value == "hint"

    async def test_outside_a_run_it_just_calls(self):
        """Nothing is booked."""
        assert (await call(ScriptedSampler(["a"]), "q", role="tool")).value == "a"

    def test_a_judge_is_booked_as_such(self):
        """With the sample that it judged; its tokens are not the sample's."""
        judge = ScriptedSampler([GRADE], input_tokens=100, output_tokens=50)
        strategy = BestOfN(2, verifier=Judge(judge, rubric="right"))
        result = run_virtual(solve("q", sampler=ScriptedSampler(["a"]), strategy=strategy))
        assert result.ledger.by_role["verify"].usage.total_tokens == 300
        assert result.ledger.by_role["sample"].usage.total_tokens == 30
        assert {sample.usage.total_tokens for sample in result.samples} == {15}

    def test_within_a_chain_it_takes_the_chains_place(self):
        """One place is enough for a chain and the calls in it, one at a time."""
        inner = ScriptedSampler(["a"], seconds=1)

        async def sampler(prompt):
            await asyncio.gather(*(call(inner, prompt, role="sample") for _ in range(3)))
            return "a"

        sampler.leaf = False
        strategy = Vote(2, stop=AtMost(2))
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, max_concurrency=1))
        assert inner.calls == 6
        assert inner.most_in_flight == 1
        assert [entry.seconds for entry in result.ledger.entries] == [1] * 6  # without queueing


class Judging:
    """A verifier that makes calls."""

    name, exact = "judging", False

    def __init__(self, sampler, calls=1):
        self.sampler, self.calls = sampler, calls

    async def __call__(self, sample, /, *, prompt):
        for _ in range(self.calls):
            await call(self.sampler, prompt, role="verify")
        return Verdict(outcome="scored", score=0.5)


class TestShares:
    """What is kept back for judging."""

    @pytest.mark.parametrize("calls", [1, 2, 3])
    def test_all_calls_of_a_verdict_are_held(self, calls):
        """Before the sample is drawn."""
        sampler, judge = ScriptedSampler(["a"], seconds=1), ScriptedSampler(["7"], seconds=1)
        strategy = BestOfN(8, verifier=Judging(judge, calls))
        budget = Budget(calls=3 * (1 + calls) + calls)  # for three, and less than one more
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=budget))
        assert len(result.samples) == len(result.verdicts) == 3
        assert judge.calls == 3 * calls

    def test_nobody_waits_for_what_is_kept_back(self):
        """Nested runs under a budget that does not afford them all end."""
        sampler, judge = ScriptedSampler(["a"], seconds=1), ScriptedSampler([GRADE], seconds=1)
        of = Vote(3, stop=AtMost(3))
        strategy = BestOfN(2, verifier=Judge(judge, rubric="right"), of=of)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=Budget(calls=5)))
        assert result.value == "a"
        assert result.cut is not None

    def test_strict_refuses_a_judge_of_unknown_size_before_a_sample_is_paid(self):
        """The judge's max tokens are not known."""
        sampler, judge = ScriptedSampler(["a"], max_tokens=20), ScriptedSampler([GRADE])
        strategy = BestOfN(2, verifier=Judge(judge, rubric="right"))
        budget = Budget(tokens=10**6, strict=True)
        with pytest.raises(UsageError, match="strict"):
            run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=budget))
        assert sampler.calls == 0

    def test_strict_takes_what_is_known(self):
        """Sampler and judge say their max tokens, and have a price."""
        sampler = ScriptedSampler(["a"], max_tokens=20)
        judge = ScriptedSampler([GRADE], max_tokens=20)
        strategy = BestOfN(2, verifier=Judge(judge, rubric="right"))
        budget = Budget(tokens=10**6, cost=10**6, strict=True)
        prices = {"fake-model": Price("1", "1")}
        run = solve("q", sampler=sampler, strategy=strategy, budget=budget, prices=prices)
        result = run_virtual(run)
        assert result.ledger.enforcement == {
            "tokens": "reserved",
            "cost": "reserved",
            "seconds": "exact",
        }
        assert len(result.verdicts) == 2


def test_the_worst_case_is_the_prompt_and_max_tokens():
    """One token less, and it is not sent."""
    for cap, calls in ((WORST, 1), (WORST - 1, 0)):
        sampler = ScriptedSampler(["a"], max_tokens=20)
        run = solve("the prompt", sampler=sampler, strategy=Vote(1), budget=Budget(tokens=cap))
        if calls:
            run_virtual(run)
        else:
            with pytest.raises(Exception, match="tokens"):
                run_virtual(run)
        assert sampler.calls == calls


class TestTraits:
    """What a sampler says of its calls."""

    def test_what_it_reads_besides_the_prompt_is_reserved(self):
        """A call that the prompt alone would fit into is refused, and costs nothing."""
        sampler = ScriptedSampler(["a"], max_tokens=5)
        budget = Budget(tokens=60)
        solved = run_virtual(solve("q", sampler=sampler, strategy=Vote(1), budget=budget))
        assert solved.value == "a"
        sampler.reads = lambda prompt: [prompt, "a tool " * 20]
        with pytest.raises(BudgetExceeded):
            run_virtual(solve("q", sampler=sampler, strategy=Vote(1), budget=budget))
        assert sampler.calls == 1

    def test_and_estimated_where_nobody_counts(self):
        """Under a cap that has to bind."""

        async def sampler(prompt):
            return "a"

        sampler.reads = lambda prompt: [prompt, "a tool " * 20]
        budget = Budget(tokens=1000)
        solved = run_virtual(solve("q", sampler=sampler, strategy=Vote(1), budget=budget))
        assert only(solved).usage.input_tokens > 40

    @pytest.mark.parametrize(("emitted", "count"), [(True, 0), (False, 1), (None, 1)])
    def test_whether_somebody_else_has_a_span_for_it(self, emitted, count):
        """Then there is none of ours."""
        sampler = ScriptedSampler(["a"], model="m")
        sampler.emitted = emitted
        with captured_spans() as spans:
            run_virtual(solve("q", sampler=sampler, strategy=Vote(1)))
        assert [span.name for span in spans].count("chat m") == count
