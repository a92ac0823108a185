"""Several verifiers as one."""

from __future__ import annotations

import asyncio
import pickle
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from thinktwice import Budget, BudgetExceeded, Completion, Vote, solve
from thinktwice.budget import Limit
from thinktwice.errors import UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Correction, Sample, Verdict
from thinktwice.strategies.best_of_n import BestOfN
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import ExactMatch, Judge
from thinktwice.verifiers.all_of import AllOf, together
from thinktwice.verifiers.tool import Tool

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")
SAMPLE = Sample(index=3, value="x")


@dataclass(frozen=True)
class Says:
    """Says what it is told to, after a while, or raises it."""

    said: object
    name: str = "says"
    exact: bool = False
    calls: int = 0
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list, compare=False)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        self.asked.append(f"{sample.value} {prompt}")
        await asyncio.sleep(self.seconds)
        if isinstance(self.said, BaseException):
            raise self.said
        if not isinstance(self.said, str):
            return self.said  # type: ignore[return-value]
        score = 0.5 if self.said == "scored" else None
        return Verdict(outcome=self.said, score=score)  # type: ignore[arg-type]


def verdict(*verifiers: object, **more: object) -> Verdict:
    checks = AllOf(*verifiers, **more)  # type: ignore[arg-type]
    return run_virtual(checks(SAMPLE, prompt="p"))


class TestMaking:
    """What it is, from what it is made of."""

    def test_it_is_a_verifier(self):
        """And may be one of another."""
        both = AllOf(Says("pass", "a"), Says("pass", "b", calls=2))
        assert isinstance(both, Verifier)
        assert (both.name, both.exact, both.calls, both.role) == ("a+b", False, 2, "verify")
        outer = AllOf(both, Says("pass", "c", calls=1))
        assert (outer.name, outer.calls) == ("a+b+c", 3)
        assert AllOf(Says("pass")).role == "tool"

    def test_it_is_exact_if_all_are(self):
        """A pass of one that is not is no proof."""
        assert AllOf(Says("pass", exact=True), ExactMatch("x")).exact
        assert not AllOf(Says("pass", exact=True), Says("pass")).exact

    def test_a_plain_callable_becomes_a_tool(self):
        """With its limit, and exact only if it says so."""

        def check(_: object) -> bool:
            return True

        assert AllOf(check, timeout=3).verifiers == (Tool(check, timeout=3),)
        check.exact = True  # type: ignore[attr-defined]
        assert AllOf(check).exact

    def test_it_reprs_as_its_constructor_compares_and_pickles(self):
        """As configuration does."""
        checks = AllOf(ExactMatch("x"), AllOf(ExactMatch("y")), timeout=5)
        assert eval(repr(checks)) == checks  # noqa: S307 - what it wrote itself
        assert hash(AllOf(len, timeout=5)) == hash(AllOf(Tool(len, timeout=5), timeout=5))
        assert pickle.loads(pickle.dumps(checks)) == checks  # noqa: S301 - our own
        assert checks != AllOf(ExactMatch("x"), timeout=5)

    @pytest.mark.parametrize(
        ("parameter", "verifiers", "more"),
        [
            ("verifiers", (), {}),
            ("verifier", ("judge",), {}),
            ("verifier", (Judge,), {}),
            ("timeout", (len,), {"timeout": -1}),
        ],
    )
    def test_what_is_unusable_is_refused_by_name(self, parameter, verifiers, more):
        """When it is made."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            AllOf(*verifiers, **more)


class TestTogether:
    """One verdict of several."""

    @pytest.mark.parametrize(
        ("outcomes", "expected", "score"),
        [
            ("pass", "pass", 1.0),
            ("pass pass", "pass", 1.0),
            ("pass fail", "fail", 0.0),
            ("error fail", "fail", 0.0),
            ("pass error", "error", None),
            ("not_applicable error", "error", None),
            ("not_applicable", "not_applicable", None),
            ("not_applicable pass", "pass", 1.0),
            ("pass scored", "scored", 0.5),
            ("scored error", "error", None),
            ("scored fail not_applicable", "fail", 0.0),
        ],
    )
    def test_the_gravest_holds(self, outcomes: str, expected: str, score: float | None):
        """Whatever the order."""
        said = outcomes.split()
        for order in (said, said[::-1]):
            found = verdict(*map(Says, order))
            assert (found.outcome, found.score) == (expected, score)

    def test_the_lowest_score_counts(self):
        """Of those that scored, and of fails that are no 0."""
        low, high = (Verdict(outcome="scored", score=each) for each in (0.2, 0.7))
        assert together([high, low]).score == 0.2
        assert together([high, Verdict(outcome="fail", score=0.6), low]).score == 0.2
        assert together([Verdict(outcome="not_applicable"), high]).score == 0.7

    def test_the_feedback_is_that_of_all_that_failed(self):
        """And of no other; the evidence is theirs, word for word."""
        fails = [
            Verdict(outcome="fail", feedback=f"{name} is wrong", evidence=(f"line {name}",))
            for name in "ab"
        ]
        passed = Verdict(outcome="pass", feedback="nice", evidence=("all",))
        found = verdict(Says(fails[0], "A"), Says(passed, "P"), Says(fails[1], "B"))
        assert found.feedback == "a is wrong\nb is wrong"
        assert found.evidence == ("line a", "line b")
        assert (found.verifier, found.sample) == ("A+P+B", 3)
        assert verdict(Says(fails[0], "A")).evidence == ("line a",)

    def test_the_correction_is_the_first_of_those_that_failed(self):
        """A tool that passes has nothing to correct."""
        first, second = (Correction(value=each, changes=(("x", each),)) for each in "yz")
        fail = Verdict(outcome="fail", feedback="no")
        fails = [Verdict(outcome="fail", correction=each) for each in (first, second)]
        assert together([fail, *fails]).correction is first
        assert together([fail]).correction is None
        assert together([Verdict(outcome="pass", correction=first)]).correction is first


class TestOrder:
    """Who is asked when."""

    def test_a_judge_is_not_asked_about_what_failed_a_test(self):
        """Nor could it overturn it."""
        asked = Says("pass", calls=1)
        found = verdict(asked, Says("fail"))
        assert (found.outcome, asked.asked) == ("fail", [])

    @pytest.mark.parametrize("outcome", ["pass", "error", "scored", "not_applicable"])
    def test_a_judge_is_asked_about_everything_else(self, outcome: str):
        """An error says nothing of the sample."""
        asked = Says("fail", calls=1)
        assert verdict(asked, Says(outcome)).outcome == "fail"
        assert asked.asked == ["x p"]

    def test_those_of_a_kind_are_asked_at_the_same_time(self):
        """So the slowest of each decides how long it takes."""

        async def timed() -> float:
            checks = AllOf(
                *(Says("pass", seconds=each) for each in (1, 3, 2)),
                *(Says("pass", seconds=each, calls=1) for each in (20, 10)),
            )
            await checks(SAMPLE, prompt="p")
            return asyncio.get_running_loop().time()

        assert run_virtual(timed()) == 23

    def test_no_call_is_paid_for_a_candidate_that_failed(self):
        """In a run: as many judgements as candidates that pass the test."""
        judge = ScriptedSampler(['{"reason": "", "score": 7}'])
        checks = AllOf(Judge(judge, rubric="good"), lambda value: value != "bad")
        sampler = ScriptedSampler(["bad", "good", "bad"])
        run = solve("q", sampler=sampler, strategy=BestOfN(3, verifier=checks))
        result = run_virtual(run)
        assert (result.value, judge.calls) == ("good", 1)
        assert result.ledger.by_role["verify"].calls == 1
        assert [each.outcome for each in result.verdicts] == ["fail", "scored", "fail"]


class TestFaults:
    """One that breaks, hangs or returns nonsense."""

    @pytest.mark.parametrize(
        ("said", "evidence"),
        [
            (ValueError("secret"), "says: ValueError"),
            (None, "says: returned NoneType, not a Verdict"),
            (True, "says: returned bool, not a Verdict"),
            (asyncio.CancelledError(), "says: cancelled itself"),
        ],
    )
    @pytest.mark.parametrize("calls", [0, 1])
    def test_is_an_error_beside_others_that_pass(self, said: object, evidence: str, calls: int):
        """Under its name."""
        found = verdict(Says("pass", "other"), Says(said, calls=calls))
        assert (found.outcome, found.evidence) == ("error", (evidence,))

    def test_one_that_is_not_async_is_an_error(self):
        """What it returns cannot be awaited."""

        class Plain:
            name, exact = "plain", False

            def __call__(self, sample: object, /, *, prompt: object) -> Verdict:
                return Verdict(outcome="pass")

        assert verdict(Plain()).evidence == ("TypeError",)

    def test_a_hang_is_cut_off_and_the_others_count(self):
        """After the seconds of all, or its own."""

        async def timed(check: object, seconds: float) -> tuple[Verdict, float]:
            checks = AllOf(check, Says("fail", "other"), timeout=seconds)  # type: ignore[arg-type]
            found = await checks(SAMPLE, prompt="p")
            return found, asyncio.get_running_loop().time()

        found, seconds = run_virtual(timed(Says("pass", seconds=1e9), 7))
        assert (found.outcome, seconds) == ("fail", 7)

        async def hangs(_: object) -> bool:
            await asyncio.sleep(1e9)
            return True

        found, seconds = run_virtual(timed(Tool(hangs, timeout=90), 7))
        assert (found.outcome, seconds) == ("fail", 90)
        assert verdict(hangs, timeout=7).evidence == ("timed out after 7 s",)

    def test_a_call_of_a_model_may_wait_its_turn(self):
        """Its time is that of the budget: a queue is no hang."""
        assert verdict(Says("pass", seconds=1e6, calls=1), timeout=7).outcome == "pass"

    @pytest.mark.parametrize(
        "error",
        [
            BudgetExceeded(Limit(kind="calls", allowed=1, spent=1)),
            UsageError("key", 1, "give another"),
        ],
    )
    def test_what_ends_a_run_leaves(self, error: Exception):
        """When the others have ended."""
        other = Says("pass", seconds=5)
        with pytest.raises(type(error)):
            verdict(Says(error), other)
        assert other.asked

    def test_a_budget_of_its_own_ends_nothing_else(self):
        """The fail of another counts, in a run."""

        async def asks(value: object) -> bool:
            inner, own = ScriptedSampler(["a", "b"]), Budget(calls=1)
            await solve(value, sampler=inner, strategy=Vote(3), budget=own, on_exhausted="raise")
            return True

        def best(*checks: object) -> Result[object]:
            strategy = BestOfN(1, verifier=AllOf(*checks))  # type: ignore[arg-type]
            return run_virtual(solve("q", sampler=ScriptedSampler(["x"]), strategy=strategy))

        assert best(asks).verdicts[0].evidence == ("BudgetExceeded",)
        result = best(asks, lambda _: False)
        assert [each.outcome for each in result.verdicts] == ["fail"]
        assert result.cut is None

    def test_a_cancel_reaches_all_once(self):
        """And their clean-up is awaited."""
        cleaned: list[float] = []

        async def slow(_: object) -> bool:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(1)
                cleaned.append(asyncio.get_running_loop().time())
            return True

        async def cancelled() -> None:
            checks = AllOf(Tool(slow, timeout=None), Tool(slow, timeout=None))
            task = asyncio.create_task(checks(SAMPLE, prompt="p"))
            await asyncio.sleep(2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_virtual(cancelled())
        assert cleaned == [3, 3]

    async def test_a_sync_hang_is_abandoned_beside_others(self):
        """On its thread."""
        gate = threading.Event()
        found = await AllOf(lambda _: gate.wait(20), Says("fail"), timeout=0.02)(SAMPLE, prompt="p")
        gate.set()
        assert found.outcome == "fail"


def test_judges_side_by_side_take_turns():
    """With one call at a time, each waits for the other, and neither for ever."""
    judge = ScriptedSampler(['{"reason": "", "score": 7}'], seconds=5)
    judges = AllOf(*(Judge(judge, rubric=each, name=each) for each in "abc"))
    run = solve(
        "q",
        sampler=ScriptedSampler(["x", "y"]),
        strategy=BestOfN(2, verifier=judges),
        max_concurrency=1,
    )
    result = run_virtual(run)
    assert (judge.calls, judge.most_in_flight) == (6, 1)
    assert {each.outcome for each in result.verdicts} == {"scored"}


def test_calls_inside_are_booked():
    """Judges side by side are two calls of the run, and of its default budget."""

    async def grade(prompt: object) -> Completion[str]:
        return Completion(value='{"reason": "", "score": 7}')

    judges = AllOf(Judge(grade, rubric="a", name="a"), Judge(grade, rubric="b", name="b"))
    strategy = BestOfN(1, verifier=judges)
    sampler = ScriptedSampler(["x"])
    result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
    assert strategy.calls == result.ledger.total.calls == 3
    assert result.ledger.by_role["verify"].calls == 2


def test_what_is_missing_is_said_once():
    """By those that decide; what others miss does not matter where one fails."""
    gap = Verdict(outcome="scored", score=0.5, missing=("a", "b"))
    assert together([gap, Verdict(outcome="scored", score=0.1, missing=("b",))]).missing == (
        "a",
        "b",
    )
    assert together([gap, Verdict(outcome="fail")]).missing == ()
