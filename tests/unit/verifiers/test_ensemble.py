"""Several verifiers as one score."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass

import pytest

from thinktwice import BestOfN, Budget, Sample, UsageError, Verdict, Vote, solve
from thinktwice.calibration import logistic
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import ExactMatch, Judge
from thinktwice.verifiers.ensemble import Ensemble
from thinktwice.verifiers.ensemble_fit import Weight

SAMPLE = Sample(index=4, value="x")


@dataclass(frozen=True)
class Says:
    """A verifier that says what it was told."""

    verdict: Verdict | Exception
    name: str = "says"
    exact: bool = False
    role: str = "verify"
    calls: int = 0
    seconds: float = 0.0

    async def __call__(self, sample, /, *, prompt):
        await asyncio.sleep(self.seconds)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def scored(score, **more):
    return Says(Verdict(outcome="scored", score=score, feedback=f"gives {score}"), **more)


def tool(outcome, **more):
    verdict = Verdict(outcome=outcome, feedback="2+2 is 4.", evidence=("2+2=5",))
    return Says(verdict, name="tool", role="tool", **more)


ERROR = Says(Verdict(outcome="error", evidence=("down",)), name="down")
NOTHING = Says(Verdict(outcome="not_applicable"), name="nothing")


async def verdict_of(*verifiers, **more):
    return await Ensemble(*verifiers, **more)(SAMPLE, prompt="q")


class TestSum:
    """Log-odds."""

    async def test_weights_add_up(self):
        """Up at 1, down at 0, none at a half."""
        found = await verdict_of(scored(1.0), scored(0.0), scored(0.5), weights=[2, 1, 5])
        assert (found.outcome, found.score) == ("scored", pytest.approx(logistic(2 - 1)))
        assert (found.verifier, found.sample) == ("ensemble", 4)

    async def test_by_default_all_weigh_the_same(self):
        """One for and one against say nothing beyond the prior."""
        found = await verdict_of(scored(1.0), scored(0.0), prior=0.2)
        assert found.score == pytest.approx(0.2)

    async def test_passes_and_failures_of_judges_are_scores(self):
        """An opinion, whatever its form."""
        found = await verdict_of(lambda _: True, lambda _: False, weights=[Weight(3, 1), 1])
        assert found.score == pytest.approx(logistic(3 - 1))

    async def test_what_speaks_against_it_is_the_feedback(self):
        """And who said what is the evidence."""
        found = await verdict_of(scored(0.9, name="a"), scored(0.1, name="b"))
        assert found.feedback == "gives 0.1"
        assert found.evidence == ("a: 0.90", "b: 0.10")


class TestUnknown:
    """What says nothing."""

    @pytest.mark.parametrize(
        "silent", [ERROR, NOTHING, Says(OSError("secret"), name="raises")], ids=lambda v: v.name
    )
    async def test_it_is_left_out_of_the_sum(self, silent):
        """As if it were not there."""
        alone = await verdict_of(scored(0.8))
        assert (await verdict_of(scored(0.8), silent)).score == alone.score

    async def test_if_all_broke_it_is_an_error(self):
        """With the reasons, and without what was raised."""
        found = await verdict_of(ERROR, NOTHING, Says(OSError("secret"), name="raises"))
        assert (found.outcome, found.score) == ("error", None)
        assert found.evidence == ("down: down", "raises: OSError")

    async def test_if_nothing_applied_nothing_is_said(self):
        """No error, no score."""
        assert (await verdict_of(NOTHING, NOTHING)).outcome == "not_applicable"

    async def test_a_mistake_of_the_caller_leaves(self):
        """It is no error of a check."""
        with pytest.raises(UsageError, match="scale"):
            await verdict_of(lambda _: 3.0, scored(0.5))


class TestRank:
    """Deterministic verifiers outrank the others."""

    async def test_a_failed_test_is_final(self):
        """No judge overturns it, however sure it is; none is asked."""
        judge = ScriptedSampler(['{"score": 10, "reason": "perfect"}'])
        found = await verdict_of(
            Judge(judge, rubric="r"), tool("fail"), scored(1.0), weights=[1000, 0, 1000]
        )
        assert (found.outcome, found.score) == ("fail", 0.0)
        assert found.feedback == "2+2 is 4."
        assert judge.calls == 0

    async def test_proof_is_final(self):
        """An exact pass."""
        found = await verdict_of(ExactMatch("x"), scored(0.0), weights=[1, 1000])
        assert (found.outcome, found.score) == ("pass", 1.0)

    async def test_a_failure_outranks_a_proof(self):
        """If they contradict each other, nothing may be returned as right."""
        assert (await verdict_of(ExactMatch("x"), tool("fail"))).outcome == "fail"

    async def test_a_tool_that_passes_is_one_voice(self):
        """All lines may be right, and the answer wrong."""
        found = await verdict_of(tool("pass"), scored(0.0), weights=[1, 2])
        assert (found.outcome, found.score) == ("scored", pytest.approx(logistic(1 - 2)))

    async def test_a_tool_that_breaks_decides_nothing(self):
        """Neither a failure nor a pass."""
        found = await verdict_of(tool("error"), scored(1.0))
        assert (found.outcome, found.score) == ("scored", pytest.approx(logistic(1)))

    def test_what_it_declares(self):
        """Exact, and a tool, if all of them are; the calls of all."""
        exact, judge = ExactMatch("x"), scored(0.5, calls=2)
        assert Ensemble(exact).exact
        assert not Ensemble(exact, judge).exact
        assert Ensemble(exact, judge, judge).calls == 4
        assert (Ensemble(exact, tool("pass")).role, Ensemble(exact, judge).role) == (
            "tool",
            "verify",
        )


class TestInARun:
    """Concurrency, budgets and bills."""

    def test_judges_are_asked_side_by_side(self):
        """The slowest decides how long it takes."""

        async def timed():
            await verdict_of(*(scored(0.5, seconds=each) for each in (1, 3, 2)))
            return asyncio.get_running_loop().time()

        assert run_virtual(timed()) == 3

    async def test_every_call_is_booked(self):
        """Those of two judges on each of two samples, one at a time."""
        grade = ScriptedSampler(['{"score": 7, "reason": "r"}'])
        ensemble = Ensemble(Judge(grade, rubric="a"), Judge(grade, rubric="b"))
        result = await solve(
            "q",
            sampler=ScriptedSampler(["x", "y"]),
            strategy=BestOfN(2, verifier=ensemble),
            max_concurrency=1,
        )
        assert result.ledger.by_role["verify"].calls == 4
        assert grade.most_in_flight == 1
        assert {each.outcome for each in result.verdicts} == {"scored"}

    @pytest.mark.usefixtures("silent_remarks")
    async def test_a_budget_that_ends_in_the_middle_keeps_the_sample(self):
        """It stands without a verdict."""
        grade = ScriptedSampler(['{"score": 7, "reason": "r"}'])
        ensemble = Ensemble(Judge(grade, rubric="a"), Judge(grade, rubric="b"))
        result = await solve(
            "q",
            sampler=ScriptedSampler(["x"]),
            strategy=BestOfN(3, verifier=ensemble, prefer="cost"),
            budget=Budget(calls=4),
        )
        assert result.value == "x"
        assert result.ledger.total.calls <= 4

    async def test_it_is_the_inside_of_a_vote(self):
        """A strategy over a strategy."""
        ensemble = Ensemble(lambda v: v == "x", lambda v: 0.5)
        inner = BestOfN(2, verifier=ensemble)
        result = await solve("q", sampler=ScriptedSampler(["x", "y"]), strategy=Vote(3, of=inner))
        assert result.value == "x"


class TestFit:
    """Weights from recorded verdicts."""

    def recorded(self, samples=600, seed=0):
        rng = random.Random(seed)
        right = [rng.random() < 0.4 for _ in range(samples)]
        rates = [(0.9, 0.15), (0.75, 0.3), (0.6, 0.4)]
        columns = [[rng.random() < (tpr if each else fpr) for each in right] for tpr, fpr in rates]
        return columns, right

    async def test_weights_follow_the_verdicts(self):
        """The best one weighs most, with labels and without."""
        columns, right = self.recorded()
        verifiers = [Says(Verdict(outcome="pass"), name=each) for each in "abc"]
        for labels in (right, None):
            found = Ensemble.fit(*verifiers, verdicts=columns, right=labels)
            strength = [each.up + each.down for each in found.weights]
            assert strength == sorted(strength, reverse=True)
            assert found.notes[0].startswith("weights by")
            score = (await found(SAMPLE, prompt="q")).score
            odds = math.log(found.prior / (1 - found.prior))
            assert score == pytest.approx(logistic(odds + sum(w.up for w in found.weights)))

    def test_verdicts_by_question_will_do(self):
        """As `verdicts_of` returns them."""
        columns, right = self.recorded()
        verifiers = [Says(Verdict(outcome="pass"), name=each) for each in "abc"]

        def by_ten(column):
            return [column[at : at + 10] for at in range(0, len(column), 10)]

        flat = Ensemble.fit(*verifiers, verdicts=columns, right=right)
        nested = Ensemble.fit(
            *verifiers, verdicts=[by_ten(each) for each in columns], right=by_ten(right)
        )
        assert nested == flat

    def test_dropped_verifiers_are_gone_and_tools_stay(self):
        """A constant judge costs calls for nothing; a tool that never failed may do so yet."""
        columns, right = self.recorded()
        verifiers = [Says(Verdict(outcome="pass"), name=each) for each in "abc"]
        constant = [True] * len(right)
        found = Ensemble.fit(
            *verifiers,
            scored(0.5, name="flat"),
            tool("fail"),
            verdicts=[*columns, constant, constant],
            right=right,
        )
        assert [each.name for each in found.verifiers] == ["a", "b", "c", "tool"]
        assert found.weights[-1] == Weight(0.0, 0.0)
        assert "flat was dropped: it says the same of almost every sample" in found.notes
        decided = asyncio.run(found(SAMPLE, prompt="q"))
        assert decided.outcome == "fail"

    def test_error_verdicts_are_missing_and_not_low(self):
        """As when it runs."""
        columns, right = self.recorded()
        broken = [Verdict(outcome="error", score=0.0)] * 300
        longer = [[*each, *([None] * 300)] for each in columns]
        longer[0] = [*columns[0], *broken]
        verifiers = [Says(Verdict(outcome="pass"), name=each) for each in "abc"]
        labels = [*right, *([False] * 300)]
        found = Ensemble.fit(*verifiers, verdicts=longer, right=labels)
        assert found.weights[0].log_odds(0.0) > -3

    @pytest.mark.parametrize(
        ("verdicts", "right"),
        [([[True]], None), ([[True], [True, False], [True]], None), ([[True]] * 3, [True, False])],
    )
    def test_lists_that_do_not_fit_are_refused(self, verdicts, right):
        """One for each verifier, of the same samples."""
        verifiers = [Says(Verdict(outcome="pass"), name=each) for each in "abc"]
        with pytest.raises(UsageError, match="verdicts"):
            Ensemble.fit(*verifiers, verdicts=verdicts, right=right)


@pytest.mark.parametrize(
    ("verifiers", "parameters"),
    [
        ((), {}),
        ((3,), {}),
        ((scored(0.5),), {"weights": [1, 2]}),
        ((scored(0.5),), {"weights": [-1]}),
        ((scored(0.5),), {"prior": 0}),
        ((scored(0.5),), {"prior": 1.0}),
    ],
)
def test_mistakes_are_named(verifiers, parameters):
    """At construction."""
    with pytest.raises(UsageError):
        Ensemble(*verifiers, **parameters)


def test_it_shows_as_its_constructor():
    """Verifiers first."""
    shown = repr(Ensemble(ExactMatch("x"), weights=[2]))
    assert shown == (
        "Ensemble(ExactMatch(reference='x', key=None, name='exact_match'), "
        "weights=[Weight(up=2, down=2, threshold=None)], prior=0.5, name='ensemble')"
    )
