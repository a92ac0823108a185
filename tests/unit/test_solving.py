"""The entry points."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextvars import ContextVar

import pytest

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    CritiqueRepair,
    Limiter,
    Outcome,
    Price,
    Strategy,
    Usage,
    UsageError,
    Vote,
    budget_scope,
    solve,
    solve_sync,
)
from thinktwice.budget import DEFAULT_SECONDS
from thinktwice.stop import AtMost, Lead, Quorum
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
ALL = Vote(3, stop=AtMost(3))
CANARY = "sk-canary"
who: ContextVar[str] = ContextVar("who", default="nobody")


class Timed(Quorum):
    """Remembers when it fired."""

    def fired(self, tally):
        fired = super().fired(tally)
        if fired is not None:
            self.__dict__.setdefault("at", time.perf_counter())
        return fired


def solved(sampler, strategy=ALL, **more):
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))


class TestMistakes:
    """What is refused, and by which name."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("strategy", {"strategy": "vote"}),
            ("strategy", {"strategy": Vote}),
            ("sampler", {"sampler": "gpt"}),
            ("sampler", {"sampler": {}}),
            ("on_exhausted", {"on_exhausted": "shrug"}),
            ("max_concurrency", {"max_concurrency": 0}),
            ("limiter", {"limiter": 3}),
            ("prices", {"prices": {"m": 3}}),
            ("budget", {"require_budget": True}),
            ("budget", {"budget": {"cost": "1"}}),
            ("options", {"options": 3}),
            ("options", {"options": lambda index: 3}),
            ("options", {"sampler": lambda prompt: "a", "options": {"seed": 1}}),
            ("options", {"sampler": lambda prompt: "a", "options": lambda index: {"seed": index}}),
        ],
    )
    def test_it_is_named(self, parameter, given):
        """Before anything is called."""
        sampler = ScriptedSampler(["a"])
        with pytest.raises(UsageError, match=f"^{parameter}="):
            solved(**{"sampler": sampler, "strategy": ALL, **given})
        assert sampler.calls == 0

    def test_options_that_one_of_several_samplers_would_drop(self):
        """It is named."""
        samplers = {"takes": ScriptedSampler(["a"]), "drops": lambda prompt: "a"}
        with pytest.raises(UsageError, match="'drops' takes the prompt alone"):
            solved(samplers, options={"seed": 1})

    def test_options_that_a_sampler_below_a_strategy_would_drop(self):
        """They are handed down, and refused where they would end."""
        strategy = Vote(2, of=Vote(2))
        with pytest.raises(UsageError, match="takes the prompt alone"):
            solve_sync("q", sampler=lambda prompt: "a", strategy=strategy, options={"seed": 1})


class TestOptions:
    """Settings of every call."""

    def test_a_mapping(self):
        """The same for all."""
        sampler = ScriptedSampler(["a"])
        solved(sampler, options={"temperature": 0.7})
        assert sampler.options == [{"temperature": 0.7}] * 3

    def test_a_function_of_the_index(self):
        """In launch order."""
        sampler = ScriptedSampler(["a"])
        solved(sampler, options=lambda index: {"seed": index})
        assert sampler.options == [{"seed": 0}, {"seed": 1}, {"seed": 2}]

    def test_through_strategies(self):
        """Down to the model."""
        sampler = ScriptedSampler(["a"])
        solved(sampler, Vote(2, of=ALL), options={"temperature": 0.7})
        assert set(map(str, sampler.options)) == {"{'temperature': 0.7}"}

    def test_none_unasked(self):
        """No temperature is ever set."""
        sampler = ScriptedSampler(["a"])
        solved(sampler)
        assert sampler.options == [{}] * 3


class TestComposition:
    """A strategy over a sampler is a sampler."""

    def test_ledgers_and_results_nest(self):
        """Each sample has its own share of the bill."""
        sampler = ScriptedSampler(["a"], seconds=1)
        result = solved(sampler, Vote(2, of=ALL, stop=AtMost(2)))
        assert [sample.usage.total_tokens for sample in result.samples] == [45, 45]
        assert [nested.launched for nested in result.nested] == [3, 3]
        assert result.ledger.total.calls == 6
        assert result.value == "a"

    def test_the_product_is_noted(self):
        """However it is written."""
        sampler = ScriptedSampler(["a"])
        note = "a strategy inside a strategy: up to 2 x 3 = 6 draws"
        assert note in solved(sampler, Vote(2, of=ALL)).warnings
        assert note in solved(ALL.over(sampler), Vote(2)).warnings
        assert solved(sampler).warnings == ()

    def test_called_alone(self):
        """It returns the winner, with the result as its raw."""
        over = ALL.over(ScriptedSampler(["a", "b", "a"]))
        done = run_virtual(over("q"))
        assert isinstance(done, Completion)
        assert (done.value, done.raw.launched) == ("a", 3)
        assert repr(over).startswith("Vote(n=3")

    def test_a_named_sampler_may_be_a_strategy(self):
        """Beside a model."""
        small, large = ScriptedSampler(["s"]), ScriptedSampler(["l"])

        class Ladder(Strategy):
            async def __call__(self, run):
                await run.sample()
                return Outcome(winner=await run.sample(sampler="vote"))

        result = solved({"small": small, "vote": ALL.over(large)}, Ladder())
        assert (result.value, small.calls, large.calls) == ("l", 1, 3)

    def test_a_plain_function_that_solves_is_not_held_to_one_call(self):
        """The default cap counts what is known to be one call; a cap that was asked for binds."""
        sampler = ScriptedSampler(["a"])

        async def function(prompt):
            return (await solve(prompt, sampler=sampler, strategy=ALL)).value

        assert solved(function).ledger.total.calls == 9
        assert solved(function, budget=Budget(calls=4)).ledger.total.calls == 4

    def test_a_verifier_that_solves(self):
        """Its calls are booked as verifying, beyond the default cap of its run."""
        sampler, judge = ScriptedSampler(["a"]), ScriptedSampler(["yes"])

        async def check(value):
            return (await solve("ok?", sampler=judge, strategy=ALL)).value == "yes"

        result = solved(sampler, BestOfN(2, verifier=check))
        assert [verdict.outcome for verdict in result.verdicts] == ["pass", "pass"]
        assert result.ledger.total.calls == 8


class TestBudgets:
    """Hard caps."""

    def test_the_default(self):
        """The strategy's calls, and ten minutes."""
        result = solved(ScriptedSampler(["a"]))
        assert result.ledger.budget == Budget(calls=3, seconds=DEFAULT_SECONDS)
        nested = solved(ScriptedSampler(["a"]), Vote(2, of=ALL))
        assert nested.ledger.budget == Budget(calls=None, seconds=DEFAULT_SECONDS)

    def test_one_around_is_enough_where_one_is_required(self):
        """Or one given."""

        async def main():
            with budget_scope(Budget(calls=1)):
                run = solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(1))
                return await run

        assert run_virtual(main()).value == "a"
        solved(ScriptedSampler(["a"]), budget=Budget(calls=9), require_budget=True)

    def test_nothing_affordable(self):
        """No call is made."""
        sampler = ScriptedSampler(["a"], max_tokens=500)
        with pytest.raises(BudgetExceeded, match="tokens"):
            solved(sampler, budget=Budget(tokens=100))
        assert sampler.calls == 0

    @pytest.mark.parametrize("budget", [Budget(tokens=9, strict=True), Budget(cost=9, strict=True)])
    def test_strict_refuses_before_money_is_spent(self, budget):
        """Nobody knows the worst case."""
        sampler = ScriptedSampler(["a"])
        with pytest.raises(UsageError, match="strict"):
            solved(sampler, budget=budget)
        assert sampler.calls == 0

    def test_strict_over_a_cost_needs_the_price(self):
        """Max tokens alone do not do."""
        sampler = ScriptedSampler(["a"], max_tokens=9)
        with pytest.raises(UsageError, match="price"):
            solved(sampler, budget=Budget(cost=9, strict=True))
        free = {"fake-model": Price.free()}
        result = solved(sampler, budget=Budget(cost=9, strict=True), prices=free)
        assert result.ledger.enforcement == {"cost": "reserved", "seconds": "exact"}


class TestSync:
    """The same from blocking code."""

    def test_a_sync_sampler_runs_on_threads(self):
        """With the caller's context, several at once."""
        who.set("caller")
        meet = threading.Barrier(3, timeout=10)

        def sampler(prompt):
            meet.wait()
            return who.get()

        assert solve_sync("q", sampler=sampler, strategy=ALL).value == "caller"

    def test_an_async_sampler_runs_on_the_private_loop(self):
        """As anywhere."""
        assert solve_sync("q", sampler=ScriptedSampler(["a"]), strategy=ALL).value == "a"

    async def test_inside_a_running_loop(self):
        """Beside it, with the caller's context."""
        who.set("notebook")
        result = solve_sync("q", sampler=lambda prompt: who.get(), strategy=ALL)
        assert result.value == "notebook"

    def test_errors_come_back(self):
        """Unwrapped."""

        def sampler(prompt):
            raise KeyError("x")

        with pytest.raises(KeyError):
            solve_sync("q", sampler=sampler, strategy=ALL)

    def test_it_costs_no_more_than_the_vote_needs(self):
        """What cannot be recalled is launched only where it will be needed."""
        sent: list[str] = []

        def sampler(prompt):
            sent.append(prompt)
            return "a"

        result = solve_sync("q", sampler=sampler, strategy=Vote(16))
        assert len(sent) == result.launched == len(result.samples)

    def test_a_decided_run_does_not_wait(self):
        """It returns within 50 ms, on a machine that is not busy at that moment."""
        go = threading.Event()

        def returned_after() -> float:
            numbers, rule = itertools.count(), Timed(2)

            def sampler(prompt):
                return "a" if next(numbers) < 2 else go.wait(10)

            strategy = Vote(5, stop=rule, prefer="latency")
            assert solve_sync("q", sampler=sampler, strategy=strategy).value == "a"
            return time.perf_counter() - rule.__dict__["at"]

        assert min(returned_after() for _ in range(3)) < 0.05
        go.set()

    def test_what_was_abandoned_settles_late(self):
        """Into its entry, with what it turned out to cost."""
        go, numbers = threading.Event(), itertools.count()

        def sampler(prompt):
            tokens = 100 if next(numbers) >= 2 and go.wait(10) else 15
            usage = Usage(input_tokens=0, output_tokens=tokens, source="provider")
            return Completion(value="a", usage=usage, model="m")

        prices = {"m": Price("1000000", "1000000")}
        strategy = Vote(5, stop=Quorum(2), prefer="latency")
        result = solve_sync("q", sampler=sampler, strategy=strategy, prices=prices)
        assert result.ledger.reported.cost == 30
        assert result.ledger.estimated.cost == 45  # as such calls took so far
        go.set()
        deadline = time.monotonic() + 10
        while result.ledger.reported.cost != 330 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert result.ledger.reported.cost == 330
        statuses = [entry.status for entry in result.ledger.entries]
        assert (statuses.count("ok"), statuses.count("abandoned")) == (2, 3)
        assert len(result.samples) == 2

    def test_a_deadline_does_not_wait_either(self):
        """And there is no answer."""
        go = threading.Event()
        before = time.perf_counter()
        with pytest.raises(BudgetExceeded) as caught:
            solve_sync(
                "q", sampler=lambda prompt: go.wait(10), strategy=ALL, budget=Budget(seconds=0.05)
            )
        assert time.perf_counter() - before < 0.5
        assert {entry.status for entry in caught.value.ledger.entries} == {"abandoned"}
        go.set()

    def test_a_limiter_is_free_after_what_was_abandoned(self):
        """The place is given back when the caller goes on."""
        go, limiter = threading.Event(), Limiter(2)
        with pytest.raises(BudgetExceeded):
            solve_sync(
                "q",
                sampler=lambda prompt: go.wait(10),
                strategy=ALL,
                budget=Budget(seconds=0.05),
                limiter=limiter,
            )
        assert limiter.in_use == 0
        go.set()


def test_gathered_runs_do_not_mix():
    """Each has its own samples and ledger."""
    sampler = ScriptedSampler(["a"], seconds=[3, 1, 2])

    async def main():
        runs = (solve("q", sampler=sampler, strategy=Vote(5, stop=Lead(2))) for _ in range(3))
        return await asyncio.gather(*runs)

    results = run_virtual(main())
    assert sum(result.ledger.total.calls for result in results) == sampler.calls
    assert len({id(result.ledger) for result in results}) == 3


async def test_a_prompting_that_cannot_revise_is_refused_before_anything_is_drawn():
    """It would be found out after the draft."""
    sampler = ScriptedSampler(["a"])
    with pytest.raises(UsageError, match="prompting"):
        await solve("q", sampler=sampler, strategy=Vote(1), prompting=object())
    assert not sampler.prompts


async def test_a_strategy_inside_edits_the_input_in_the_same_way():
    """It gets the same input, of which its own look at the type may know nothing."""

    class Adding:
        def revise(self, prompt, draft, feedback):
            return prompt + 1

        def extend(self, prompt, partial):
            return prompt

    strategy = Vote(1, of=CritiqueRepair(lambda value: value > 1, confirm=1))
    result = await solve(1, sampler=lambda asked: asked, strategy=strategy, prompting=Adding())
    assert result.value == 2
