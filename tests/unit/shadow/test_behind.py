"""Running a strategy behind a request, and comparing."""

from __future__ import annotations

import pytest

from thinktwice import AllSamplesFailed, BudgetExceeded, Sample, Vote, solve
from thinktwice.budget import Budget
from thinktwice.shadow.behind import Behind, Judging, booked
from thinktwice.shadow.comparison import Spend
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import ExactMatch, Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
SPEND = Spend(calls=1, tokens=1, cost=None, seconds=1)


def running(sampler, strategy, **more):
    def run(other):
        return solve("q", sampler=sampler, strategy=other, **more)

    single = Sample(index=0, value="x")
    return Behind(strategy=strategy, single=lambda: (single, SPEND), run=run)


def result_of(values, strategy):
    return run_virtual(solve("q", sampler=ScriptedSampler(values), strategy=strategy))


class TestChanged:
    """By the key of the strategy."""

    @pytest.mark.parametrize(
        ("before", "after", "changed"),
        [("3", "= 3.0", False), ("3", "4", True), ("?", "4", True), ("3", "?", True)],
    )
    def test_answers(self, before, after, changed):
        """One that is missing one way alone is a change."""
        vote = Vote(1, key="number")
        behind = running(ScriptedSampler(["a"]), vote)
        single = Sample(index=0, value=before)
        assert run_virtual(behind.changed(single, result_of([after], vote))) is changed

    def test_none_either_way(self):
        """There is nothing to compare."""
        vote = Vote(1, key="number")
        behind = running(ScriptedSampler(["a"]), vote)
        single = Sample(index=0, value="?")
        assert run_virtual(behind.changed(single, result_of(["??"], vote))) is None

    def test_what_the_user_got_counts_whatever_the_sample_was(self):
        """Cut short or not: it is the text that is looked at."""
        vote = Vote(1, key="number")
        behind = running(ScriptedSampler(["a"]), vote)
        single = Sample(index=0, value="It is 3", finish_reason="length")
        assert run_virtual(behind.changed(single, result_of(["3"], vote))) is False


class TestScores:
    """Of both answers."""

    @pytest.mark.parametrize(
        ("value", "changed", "expected"),
        [("a", True, (0.0, 1.0)), ("x", True, (0.0, 0.0)), ("x", False, (0.0, 0.0))],
    )
    def test_each_is_judged(self, value, changed, expected):
        """The same one once."""
        vote = Vote(1)
        behind = running(ScriptedSampler(["unused"]), vote)
        single = Sample(index=5, value="x")
        result = result_of([value], vote)
        scores = behind.scores(ExactMatch("a"), single, result, changed=changed)
        assert run_virtual(scores) == expected

    def test_a_verdict_without_a_score_says_why(self):
        """By its outcome."""
        judge = Judge(ScriptedSampler(["no JSON"]), rubric="right?")
        behind = running(ScriptedSampler(["unused"]), Vote(1))
        scores = behind.scores(
            judge, Sample(index=0, value="x"), result_of(["a"], Vote(1)), changed=True
        )
        assert run_virtual(scores) == "error"

    def test_judging_draws_nothing(self):
        """And says what it may cost."""
        sampler = ScriptedSampler(["unused"])
        judge = Judge(ScriptedSampler(['{"score": 3}']), rubric="right?")
        answers = (Sample(index=0, value="x"), Sample(index=0, value="y"))
        assert (Judging(answers, judge).calls, Judging(answers, ExactMatch("a")).calls) == (2, None)
        result = run_virtual(solve("q", sampler=sampler, strategy=Judging(answers, judge)))
        assert [verdict.sample for verdict in result.verdicts] == [0, 1]
        assert (sampler.calls, result.launched, result.value) == (0, 0, None)
        assert result.ledger.by_role["verify"].calls == 2


class TestBooked:
    """What a run took is told, however it ends."""

    def _calls(self, values, error=None, **more):
        told = []
        three = Vote(3, stop=AtMost(3))
        run = booked(running(ScriptedSampler(values), three, **more).run, told.append)

        async def main():
            if error is None:
                return await run(three)
            with pytest.raises(error):
                await run(three)
            return None

        result = run_virtual(main())
        return result, [total.calls for total in told]

    def test_a_result(self):
        """Once."""
        result, calls = self._calls(["a"])
        assert (result.value, calls) == ("a", [3])

    @pytest.mark.parametrize(
        ("values", "error", "more", "expected"),
        [
            ([KeyError()], KeyError, {}, [3]),
            ([KeyError(), ValueError()], AllSamplesFailed, {}, [3]),
            ([KeyError()], BudgetExceeded, {"budget": Budget(calls=2)}, [2]),
        ],
    )
    def test_an_exception(self, values, error, more, expected):
        """It carries what was paid for, whoever's it is."""
        assert self._calls(values, error, **more)[1] == expected

    def test_what_never_ran(self):
        """Nothing to tell."""
        told = []

        async def run(strategy):
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            run_virtual(booked(run, told.append)(Vote(1)))
        assert told == []

    def test_a_warning_that_filters_make_an_error(self):
        """The result that it carries is what counts."""
        result = result_of(["a"], Vote(1))

        async def run(strategy):
            warning = UserWarning("said")
            warning.thinktwice_result = result
            raise warning

        assert run_virtual(booked(run, lambda total: None)(Vote(1))) is result
