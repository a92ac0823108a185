"""Users get the single sample; a strategy runs behind a share of their requests."""

from __future__ import annotations

import asyncio
import threading
import warnings
from decimal import Decimal

import pytest

from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Limiter,
    Price,
    UsageError,
    Verdict,
    Vote,
    budget_scope,
    solve,
    solve_sync,
)
from thinktwice.shadow import Shadow, as_shadow
from thinktwice.shadow.background import in_background
from thinktwice.stop import AtMost
from thinktwice.testing import Recording, ScriptedSampler, captured_spans, run_virtual
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
THREE = Vote(3, stop=AtMost(3))
PRICES = {"fake-model": Price("1", "2")}


class Slow(Recording):
    """Answers users at once, and the shadow later, or with an error."""

    def __init__(self, seconds=0.0, error=None, paid=0):
        super().__init__()
        self.seconds, self.error, self.paid = seconds, error, paid

    async def __call__(self, prompt):
        if not in_background.get():
            return "a"
        with self.call(prompt, {}) as number:
            await asyncio.sleep(self.seconds)
            if self.error is not None and number >= self.paid:
                raise self.error
            return "a"


def served(sampler, requests=1, *, shadow, strategy=THREE, pause=0.0, **more):
    """What users got, and the report once nothing is under way."""

    async def main():
        answers = []
        for _ in range(requests):
            result = await solve("q", sampler=sampler, strategy=strategy, shadow=shadow, **more)
            answers.append(result)
            await asyncio.sleep(pause)
        await shadow.drain()
        return answers

    return run_virtual(main()), shadow.report


class TestMistakes:
    """What is refused."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("share", {"share": -0.1}),
            ("share", {"share": 1.1}),
            ("share", {"share": True}),
            ("share", {"share": "5 %"}),
            ("share", {"share": float("nan")}),
            ("budget", {"budget": "5"}),
            ("max_pending", {"max_pending": 0}),
            ("max_pending", {"max_pending": 1.5}),
            ("max_pending", {"max_pending": True}),
            ("max_concurrency", {"max_concurrency": 0}),
            ("verifier", {"verifier": "judge"}),
        ],
    )
    def test_it_is_named(self, parameter, given):
        """When the shadow is made."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            Shadow(**given)

    @pytest.mark.parametrize("given", [2, -0.1, float("nan"), True, "5 %"])
    def test_a_share_is_named_as_it_was_given(self, given):
        """An adapter takes one in place of a shadow."""
        with pytest.raises(UsageError, match=r"^shadow=.*: give a share of the requests"):
            as_shadow(given)

    def test_solve_takes_no_share_alone(self):
        """Nobody could read its report."""
        with pytest.raises(UsageError, match=r"^shadow=0.05: make a Shadow\(share\) once"):
            served(ScriptedSampler(["a"]), shadow=0.05)

    def test_what_is_wrong_with_the_strategy_is_said_at_once(self):
        """And not in the shadow, where nobody would see it."""
        with pytest.raises(UsageError, match=r"^strategy="):
            served(ScriptedSampler(["a"]), shadow=Shadow(), strategy="vote")

    def test_adapters_take_a_share(self):
        """And make a shadow of it."""
        made = as_shadow(0.2)
        assert made is not None
        assert made.share == 0.2
        assert as_shadow(made) is made
        assert as_shadow(None) is None
        for wrong in (True, "0.2"):
            with pytest.raises(UsageError, match=r"^shadow="):
                as_shadow(wrong)

    def test_it_shows_its_settings(self):
        """As its constructor."""
        assert (
            repr(Shadow(0.1, budget=Budget(calls=3))) == f"Shadow(0.1, budget={Budget(calls=3)!r})"
        )


class TestUsers:
    """What they get, and what they never notice."""

    def test_they_get_the_single_sample_at_once(self):
        """Whatever the strategy thinks of it, and however long it takes."""
        sampler = ScriptedSampler(["x", "a", "a", "a"], seconds=[1, 5, 5, 5])

        async def main():
            result = await solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            assert asyncio.get_running_loop().time() == 1
            await shadow.drain()
            return result

        shadow = Shadow(1.0)
        result = run_virtual(main())
        assert (result.value, result.answer, result.launched) == ("x", "x", 1)
        assert str(result.ledger) == "1 launched, 15 tokens, unpriced, 1.0 s"
        assert str(shadow.report.changed).endswith("1 of 1")
        assert sampler.calls == 4

    @pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 has it")
    async def test_it_begins_after_the_answer_on_eager_loops_too(self):
        """Where a task runs as soon as it is made."""
        order: list[str] = []

        async def sampler(prompt):
            order.append("behind" if in_background.get() else "user")
            return "a"

        loop, shadow = asyncio.get_running_loop(), Shadow(1.0)
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            await solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            order.append("answer")
            await shadow.drain()
        finally:
            loop.set_task_factory(None)
        assert order[:3] == ["user", "answer", "behind"]

    def test_a_sample_that_abstains_is_returned(self):
        """It is what there is without a strategy."""
        cut_short = Completion(value="The answer is 39", finish_reason="length")
        [result], _ = served(ScriptedSampler([cut_short]), shadow=Shadow(0.0))
        assert (result.value, result.answer) == ("The answer is 39", None)
        assert result.warnings == ()

    def test_a_key_that_breaks_fails_the_strategy_alone(self):
        """It is counted."""

        def key(value):
            raise ZeroDivisionError

        [result], report = served(
            ScriptedSampler(["a"]), shadow=Shadow(1.0), strategy=Vote(3, key=key)
        )
        assert (result.value, result.answer) == ("a", None)
        assert report.errors == {"UsageError": 1}

    def test_their_exceptions_are_those_of_the_sampler(self):
        """And nothing is run behind a request that failed."""
        sampler = ScriptedSampler([TimeoutError("sk-canary")])
        shadow = Shadow(1.0)
        with pytest.raises(TimeoutError, match="sk-canary"):
            served(sampler, shadow=shadow)
        assert (shadow.report.chosen, shadow.report.pending, sampler.calls) == (1, 0, 1)

    def test_nothing_is_run_behind_a_request_that_was_cancelled(self):
        """Nobody got an answer."""

        async def main():
            request = solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(request, 1)
            await asyncio.sleep(9)

        sampler, shadow = ScriptedSampler(["a"], seconds=5), Shadow(1.0)
        run_virtual(main())
        assert (sampler.calls, shadow.report.chosen, shadow.report.pending) == (1, 1, 0)

    def test_their_budgets_are_not_touched(self):
        """Neither that of the request nor one around it."""

        async def main():
            with budget_scope(Budget(calls=2)) as scope:
                for _ in range(2):
                    await solve(
                        "q",
                        sampler=sampler,
                        strategy=THREE,
                        budget=Budget(calls=5),
                        shadow=shadow,
                    )
                await shadow.drain()
                assert scope.total.calls == 2

        sampler, shadow = ScriptedSampler(["a"]), Shadow(1.0)
        run_virtual(main())
        assert shadow.report.strategy is not None
        assert shadow.report.strategy.calls == 3
        assert sampler.calls == 2 + 6

    def test_the_input_may_be_changed_afterwards(self):
        """As a conversation that goes on is."""
        asked: list[str] = []

        async def sampler(messages):
            asked.append("+".join(messages))
            messages.append("seen")
            return "a"

        async def main():
            messages = ["hello"]
            await solve(messages, sampler=sampler, strategy=THREE, shadow=shadow)
            messages.append("and then?")
            await shadow.drain()

        shadow = Shadow(1.0)
        run_virtual(main())
        assert asked == ["hello", "hello", "hello+seen", "hello+seen+seen"]
        assert shadow.report.compared == 1

    def test_the_answer_may_be_changed_afterwards(self):
        """It is judged as it was."""
        judged: list[object] = []

        def verifier(value):
            judged.append(dict(value))
            return True

        async def main():
            result = await solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            result.value.clear()
            await shadow.drain()

        async def sampler(prompt):
            return {"n": 391}

        shadow = Shadow(1.0, verifier=verifier)
        run_virtual(main())
        assert judged == [{"n": 391}]
        assert shadow.report.changed.count == 0

    def test_what_cannot_be_copied_is_not_followed(self):
        """An iterator can be read once, and that is for the user."""

        async def sampler(chunks):
            return "".join(chunks)

        async def main():
            chunks = (each for each in "abc")
            return await solve(chunks, sampler=sampler, strategy=THREE, shadow=shadow)

        shadow = Shadow(1.0)
        assert run_virtual(main()).value == "abc"
        assert (shadow.report.chosen, shadow.report.errors) == (1, {"TypeError": 1})

    def test_warnings_that_are_errors_stay_behind(self):
        """The comparison is made all the same."""
        texts = [f"answer {number}" for number in range(9)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            [result], report = served(
                ScriptedSampler(texts), shadow=Shadow(1.0), strategy=Vote(8, stop=AtMost(8))
            )
        assert result.value == "answer 0"
        assert (report.compared, report.errors) == (1, {})

    @pytest.mark.parametrize("error", [ConnectionError("sk-canary"), SystemExit(3)])
    def test_errors_behind_a_request_are_counted_by_type(self, error):
        """Whatever they are; nothing of their text is in the report."""
        shadow = Shadow(1.0)
        [result], report = served(Slow(error=error), shadow=shadow)
        assert result.value == "a"
        assert report.errors == {type(error).__name__: 1}
        assert "canary" not in str(report) + repr(report) + repr(shadow)
        assert shadow.last_error is error

    def test_a_shared_limiter_is_left_to_them_by_half(self):
        """Ten requests at once never wait for more than two calls behind others."""
        limiter = Limiter(4)

        async def main():
            await solve("q", sampler=behind, strategy=Vote(8), shadow=shadow, limiter=limiter)
            await asyncio.sleep(1)
            assert behind.in_flight == 2
            started = asyncio.get_running_loop().time()
            await solve("q", sampler=quick, strategy=THREE, shadow=Shadow(0), limiter=limiter)
            assert asyncio.get_running_loop().time() == started
            await shadow.drain()

        behind, quick = ScriptedSampler(["a"], seconds=[0, *[50] * 8]), ScriptedSampler(["a"])
        shadow = Shadow(1.0)
        run_virtual(main())
        assert behind.most_in_flight == 2
        assert shadow.report.compared == 1

    def test_of_its_rates_half_is_left_as_well(self):
        """In one limiter for all runs of the shadow."""
        shadow, limiter = Shadow(), Limiter(9, requests_per_minute=100, tokens_per_minute=3000)
        shared, half = shadow.beside([limiter])
        assert shared is limiter
        assert half.max_concurrency == 4
        assert (half.requests_per_minute, half.tokens_per_minute) == (50, 1500)
        assert shadow.beside([limiter])[1] is half
        assert shadow.beside([Limiter(1)])[1].max_concurrency == 1


class TestChoosing:
    """Which requests are followed."""

    def test_each_is_drawn_on_its_own(self):
        """By a seed, if it is to be repeated."""
        shadows = [Shadow(0.1, seed=seed) for seed in (3, 3, 4)]
        chosen = [[shadow.chosen(lambda: 1) for _ in range(400)] for shadow in shadows]
        assert chosen[0] == chosen[1] != chosen[2]
        assert all(20 < each.count(1) < 60 for each in chosen)
        report = shadows[0].report
        assert (report.requests, report.chosen) == (400, chosen[0].count(1))

    @pytest.mark.parametrize(("share", "calls"), [(0, 3), (1, 12)])
    def test_none_and_all(self, share, calls):
        """0 switches it off."""
        sampler = ScriptedSampler(["a"])
        _, report = served(sampler, 3, shadow=Shadow(share))
        assert (sampler.calls, report.requests) == (calls, 3)

    def test_more_than_are_pending_at_most_are_dropped(self):
        """And counted."""
        shadow = Shadow(1.0, max_pending=2)
        _, report = served(Slow(50), 6, shadow=shadow, pause=1)
        assert (report.requests, report.compared, report.dropped) == (6, 2, 4)

    @pytest.mark.parametrize("most", [1, 3])
    def test_runs_do_not_pile_up(self, most):
        """One at a time, unless told otherwise."""
        sampler = Slow(50)
        _, report = served(sampler, 4, shadow=Shadow(1.0, max_concurrency=most), strategy=Vote(1))
        assert report.compared == 4
        assert sampler.most_in_flight == most

    def test_what_runs_in_a_shadow_is_not_followed(self):
        """A strategy over what has a shadow itself would multiply."""
        inner, outer = Shadow(1.0), Shadow(1.0)
        model = ScriptedSampler(["a"])

        async def shadowed(prompt):
            result = await solve(prompt, sampler=model, strategy=THREE, shadow=inner)
            return result.value

        served(shadowed, shadow=outer)
        run_virtual(inner.drain())
        assert (inner.report.requests, inner.report.lost if False else outer.report.compared) == (
            1,
            1,
        )

    def test_it_is_thread_safe(self):
        """Every request is counted once."""
        shadow = Shadow(1.0, max_pending=1000)

        def serve():
            for _ in range(10):
                solve_sync("q", sampler=lambda prompt: "a", strategy=Vote(1), shadow=shadow)

        threads = [threading.Thread(target=serve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shadow.join(20)
        assert (shadow.report.requests, shadow.report.compared) == (40, 40)


class TestComparing:
    """What counts as changed, and what it cost."""

    def test_answers_are_told_apart_by_the_key_of_the_strategy(self):
        """And by nothing else."""
        sampler = ScriptedSampler(["It is 391.", "391", "391.0", "= 391"])
        _, report = served(sampler, shadow=Shadow(1.0), strategy=Vote(3, key="number"))
        assert (report.compared, report.changed.count) == (1, 0)
        _, report = served(sampler, shadow=Shadow(1.0), strategy=Vote(3))
        assert report.changed.count == 1

    def test_its_equivalence_counts_as_well(self):
        """Two answers that the strategy takes for the same one are no change."""
        sampler = ScriptedSampler(["0.34", "0.33", "0.33", "0.33"])
        close = Vote(3, key="number", equivalent=lambda a, b: abs(a - b) < 0.02)
        _, report = served(sampler, shadow=Shadow(1.0), strategy=close)
        assert (report.compared, report.changed.count) == (1, 0)

    def test_no_answer_either_way_is_not_comparable(self):
        """It is counted apart."""
        _, report = served(
            ScriptedSampler(["none", "none"]), shadow=Shadow(1.0), strategy=Vote(3, key="number")
        )
        assert (report.compared, report.unanswered) == (0, 1)

    @pytest.mark.parametrize("texts", [["?", "1", "1", "1"], ["1", "?", "?", "?"]])
    def test_an_answer_one_way_alone_is_a_change(self, texts):
        """In either direction."""
        _, report = served(
            ScriptedSampler(texts), shadow=Shadow(1.0), strategy=Vote(3, key="number")
        )
        assert (report.compared, report.changed.count) == (1, 1)

    def test_costs_are_those_of_one_request(self):
        """Calls, tokens, money and time, and what all of it was together."""
        sampler = ScriptedSampler(["a"], seconds=2)
        _, report = served(sampler, 4, shadow=Shadow(1.0), prices=PRICES, pause=20)
        assert report.single is not None
        assert report.strategy is not None
        assert report.extra is not None
        assert (report.single.calls, report.single.tokens, report.single.seconds) == (1, 15, 2)
        assert (report.strategy.calls, report.strategy.tokens) == (3, 45)
        assert report.extra.cost == 2 * Decimal(20) / 1_000_000
        assert (report.spent.calls, report.spent.cost) == (12, 12 * Decimal(20) / 1_000_000)
        assert report.unpriced == 0

    def test_failed_runs_are_part_of_what_was_spent(self):
        """Nothing that was paid for is lost."""
        _, report = served(Slow(error=TimeoutError()), 2, shadow=Shadow(1.0))
        assert (report.compared, report.errors) == (0, {"TimeoutError": 2})
        assert report.spent.calls == 6

    def test_cancelled_runs_are_part_of_what_was_spent(self):
        """As far as it is known."""

        async def main():
            await solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            await asyncio.sleep(1)
            shadow.close()
            await shadow.drain()

        sampler, shadow = Slow(9), Shadow(1.0)
        run_virtual(main())
        assert (shadow.report.cancelled, shadow.report.compared) == (1, 0)
        assert shadow.report.spent.calls == sampler.calls > 0


class TestJudging:
    """A verifier on both answers."""

    def test_wins_losses_and_ties(self):
        """The single sample against the strategy's answer, request by request."""
        texts = ["x", *"aaa", "a", *"xxx", "a", *"aaa"]
        shadow = Shadow(1.0, verifier=lambda value: value == "a")
        _, report = served(ScriptedSampler(texts), 3, shadow=shadow, pause=1)
        assert report.judged is not None
        assert (report.judged.wins, report.judged.losses, report.judged.ties) == (1, 1, 1)
        assert report.judged.single == report.judged.strategy == pytest.approx(2 / 3)
        assert report.unjudged == {}

    def test_the_same_answer_is_judged_once(self):
        """It would be paid for twice, and could come out as a win of noise."""
        asked = ScriptedSampler(['{"score": 7}'], model="judge")
        shadow = Shadow(1.0, verifier=Judge(asked, rubric="right?"))
        _, report = served(ScriptedSampler(["a"]), 2, shadow=shadow, pause=1)
        assert (asked.calls, report.judged.ties) == (2, 2)
        assert report.spent.calls == 2 * (3 + 1)
        assert report.strategy.calls == 3

    def test_no_answer_scores_nothing(self):
        """Whoever turned the strategy on would get None."""
        shadow = Shadow(1.0, verifier=lambda value: 0.5)
        texts = ["1", "?", "?", "?"]
        _, report = served(ScriptedSampler(texts), shadow=shadow, strategy=Vote(3, key="number"))
        assert (report.judged.losses, report.judged.single, report.judged.strategy) == (1, 0.5, 0)

    def test_a_verifier_that_breaks_leaves_the_comparison(self):
        """It is counted by what it said or raised."""

        async def broken(sample, /, *, prompt):
            raise ConnectionError("sk-canary")

        broken.name, broken.exact = "broken", False
        for verifier, reason in [
            (broken, "error"),
            (lambda value: "no verdict", "UsageError"),
            (lambda value: Verdict(outcome="not_applicable"), "not_applicable"),
        ]:
            _, report = served(ScriptedSampler(["a"]), shadow=Shadow(1.0, verifier=verifier))
            assert (report.compared, report.judged) == (1, None)
            assert report.unjudged == {reason: 1}
            assert report.errors == {}

    def test_it_sees_the_request(self):
        """And the sample that the user got, with its text."""
        seen: list[tuple[object, ...]] = []

        class Looks:
            name, exact = "looks", False

            async def __call__(self, sample, /, *, prompt):
                seen.append((prompt, sample.value, sample.text))
                return Verdict(outcome="pass")

        texts = ["x", "a", "a", "a"]
        served(ScriptedSampler(texts), shadow=Shadow(1.0, verifier=Looks()))
        assert seen == [("q", "x", "x"), ("q", "a", "a")]


class TestBudget:
    """Of all that the shadow does."""

    def test_it_is_never_exceeded_and_ends_the_shadow(self):
        """What it cut short is no comparison; users notice nothing."""
        sampler = ScriptedSampler(["a"])
        shadow = Shadow(1.0, budget=Budget(calls=7))
        answers, report = served(sampler, 10, shadow=shadow, pause=1)
        assert [each.value for each in answers] == ["a"] * 10
        assert sampler.calls == 10 + 7
        assert (report.compared, report.cut, report.chosen) == (2, 1, 3)
        assert report.stopped_by is not None
        assert (report.stopped_by.kind, report.stopped_by.allowed) == ("calls", 7)
        assert "budget of 7 calls used up" in str(report)

    def test_judging_is_paid_from_it(self):
        """A comparison that could not be judged any more stands."""
        asked = ScriptedSampler(['{"score": 7}'], model="judge")
        shadow = Shadow(1.0, budget=Budget(calls=3), verifier=Judge(asked, rubric="right?"))
        _, report = served(ScriptedSampler(["a"]), 3, shadow=shadow, pause=1)
        assert (report.compared, report.unjudged, asked.calls) == (1, {"cut": 1}, 0)
        assert report.stopped_by is not None

    def test_money_is_reserved_as_everywhere(self):
        """Worst case first."""
        sampler = ScriptedSampler(["a"], max_tokens=5)
        shadow = Shadow(1.0, budget=Budget(cost="0.00010"))
        _, report = served(sampler, 9, shadow=shadow, prices=PRICES, pause=1)
        assert report.spent.cost <= Decimal("0.00010")
        assert report.stopped_by.kind == "cost"

    def test_after_its_seconds_no_run_begins(self):
        """One that is under way may end."""
        sampler = ScriptedSampler(["a"], seconds=1)

        async def main():
            shadow = Shadow(1.0, budget=Budget(seconds=10))
            for _ in range(6):
                await solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
                await asyncio.sleep(4)
            await shadow.drain()
            return shadow.report

        report = run_virtual(main())
        assert (report.requests, report.chosen, report.compared) == (6, 2, 2)
        assert report.stopped_by.kind == "seconds"

    def test_each_run_has_its_own_besides(self):
        """As without a shadow: the best answer so far is what users would get."""
        _, report = served(
            ScriptedSampler(["a"]), 2, shadow=Shadow(1.0), budget=Budget(calls=2), pause=1
        )
        assert (report.compared, report.cut, report.strategy.calls) == (2, 0, 2)
        assert report.stopped_by is None

    def test_a_run_that_its_own_budget_leaves_without_an_answer_is_an_error(self):
        """Users would get the exception."""
        sampler = ScriptedSampler(["a"], seconds=[1, 9, 9, 9])
        _, report = served(sampler, shadow=Shadow(1.0), budget=Budget(seconds=5))
        assert (report.errors, report.stopped_by) == ({"BudgetExceeded": 1}, None)

    def test_nothing_piles_up_in_a_ledger_that_is_never_closed(self):
        """Its entries are let go; what they took stays spent."""
        shadow = Shadow(1.0, budget=Budget(calls=90))
        served(ScriptedSampler(["a"]), 20, shadow=shadow, pause=1)
        assert shadow._ledger is not None
        assert (len(shadow._ledger.entries), shadow._ledger.remaining["calls"]) == (0, 30)


class TestEnding:
    """Closing and waiting."""

    def test_a_closed_shadow_follows_nothing(self):
        """Users go on; the report stays."""
        sampler, shadow = ScriptedSampler(["a"]), Shadow(1.0)
        served(sampler, 2, shadow=shadow, pause=1)
        shadow.close()
        answers, report = served(sampler, 2, shadow=shadow, pause=1)
        assert [each.value for each in answers] == ["a", "a"]
        assert (report.compared, report.requests, report.chosen) == (2, 4, 2)

    def test_what_waits_when_it_is_closed_does_not_begin(self):
        """Nor what was chosen before and answered after."""

        async def main():
            slow = solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            task = asyncio.ensure_future(slow)
            await asyncio.sleep(1)
            shadow.close()
            assert (await task).value == "a"
            await shadow.drain()

        sampler, shadow = ScriptedSampler(["a"], seconds=3), Shadow(1.0)
        run_virtual(main())
        assert (sampler.calls, shadow.report.dropped) == (1, 1)

    def test_sync_code_waits_by_join(self):
        """What runs behind it runs on a daemon thread."""
        shadow = Shadow(1.0)
        result = solve_sync("q", sampler=lambda prompt: "a", strategy=THREE, shadow=shadow)
        assert result.value == "a"
        assert shadow.join(10)
        assert shadow.report.compared == 1


class TestSpans:
    """A trace of its own."""

    async def test_it_is_linked_to_the_request(self):
        """And says that it is a shadow, and whether the answer changed."""
        from opentelemetry import trace

        shadow = Shadow(1.0, verifier=lambda value: True)
        sampler = ScriptedSampler(["x", "a", "a", "a"])
        with captured_spans() as spans:
            with trace.get_tracer("app").start_as_current_span("request"):
                await solve("q", sampler=sampler, strategy=THREE, shadow=shadow)
            await shadow.drain()
        named = {span.name: span for span in spans}
        root, request = named["thinktwice.shadow"], named["request"]
        assert root.parent is None
        assert [link.context.span_id for link in root.links] == [request.context.span_id]
        assert root.context.trace_id != request.context.trace_id
        assert root.attributes["thinktwice.shadow"] is True
        assert root.attributes["thinktwice.strategy"] == "Vote"
        assert root.attributes["thinktwice.shadow.changed"] is True
        here = {span.name for span in spans if span.context.trace_id == request.context.trace_id}
        assert here == {"request", "invoke_workflow Single", "thinktwice.sample", "chat fake-model"}
        run = named["invoke_workflow Vote"]
        assert run.parent.span_id == root.context.span_id

    async def test_without_a_span_around_it_there_is_no_link(self):
        """Nothing to go back to."""
        shadow = Shadow(1.0)
        with captured_spans() as spans:
            await solve("q", sampler=ScriptedSampler(["a"]), strategy=THREE, shadow=shadow)
            await shadow.drain()
        [root] = [span for span in spans if span.name == "thinktwice.shadow"]
        assert root.links == ()


def test_other_strategies_do_as_well():
    """A strategy inside a strategy, and best-of-N: the single sample is that of the sampler."""
    texts = ["x", *["a"] * 20]
    for strategy in (
        Vote(2, of=Vote(2)),
        BestOfN(3, verifier=lambda value: value == "a"),
    ):
        sampler = ScriptedSampler(texts)
        [result], report = served(sampler, shadow=Shadow(1.0), strategy=strategy)
        assert (result.value, result.launched) == ("x", 1)
        assert report.changed.count == 1
        assert report.single.calls == 1
