"""How a run ends: with a result, or with an exception that carries all that was paid for."""

from __future__ import annotations

import pytest

from thinktwice import (
    AllSamplesFailed,
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Strategy,
    ThinktwiceWarning,
    UsageError,
    Verdict,
    Vote,
    remarks,
    solve,
)
from thinktwice.stop import AtMost
from thinktwice.testing import FlakySampler, ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
ALL = Vote(3, stop=AtMost(3))
CANARY = "sk-canary"


def solved(sampler, strategy=ALL, **more):
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))


def test_a_strategy_that_decides_nothing_is_named():
    """It must return an outcome."""

    class Idle(Strategy):
        async def __call__(self, run):
            return None

    with pytest.raises(UsageError, match="must return an Outcome"):
        solved(ScriptedSampler(["a"]), Idle())


class TestCutShort:
    """By a budget."""

    def test_cut_short_is_marked(self):
        """The best so far is returned, with the cap."""
        sampler = ScriptedSampler(["a"], seconds=[1, 5])
        result = solved(sampler, Vote(5, stop=AtMost(5)), budget=Budget(seconds=2))
        assert (result.value, len(result.samples), result.launched) == ("a", 3, 5)
        assert (result.cut.kind, result.ledger.seconds) == ("seconds", 2)
        assert result.warnings == (remarks.CUT,)
        assert not result.settled.holds
        assert "budget" in result.settled.text
        assert sampler.cancelled == 2

    def test_raise_instead(self):
        """With the same result on the error."""
        budget = Budget(calls=2)
        with pytest.raises(BudgetExceeded) as caught:
            solved(ScriptedSampler(["a"]), budget=budget, on_exhausted="raise")
        assert caught.value.result.value == "a"
        assert caught.value.ledger.total.calls == 2

    def test_raise_only_where_it_was_cut(self):
        """A vote that was settled before is not."""
        budget = Budget(calls=2)
        result = solved(ScriptedSampler(["a"]), Vote(3), budget=budget, on_exhausted="raise")
        assert result.cut is None

    def test_with_no_answer_it_raises(self):
        """The time is up before the first."""
        with pytest.raises(BudgetExceeded) as caught:
            solved(ScriptedSampler(["a"], seconds=9), budget=Budget(seconds=2))
        error = caught.value
        assert error.limit.kind == "seconds"
        assert {entry.status for entry in error.ledger.entries} == {"cancelled"}

    def test_an_overrun_ends_the_run_at_once(self):
        """A provider that does not keep to its max tokens: told, and never hidden."""
        sampler = ScriptedSampler(["a"], seconds=[1, 50], max_tokens=1, output_tokens=500)
        result = solved(sampler, budget=Budget(tokens=400))
        assert (result.cut.kind, result.cut.overrun) == ("tokens", 110)
        assert result.ledger.seconds == 1


class TestFailures:
    """Samples that raise."""

    def test_one_of_eight(self):
        """The vote goes on; the failure is a sample and an entry."""
        sampler = FlakySampler(ScriptedSampler(["a"]), failing=[2])
        result = solved(sampler, Vote(8, stop=AtMost(8)))
        assert (result.value, len(result.samples)) == ("a", 8)
        assert [sample.index for sample in result.samples if sample.error] == [2]
        assert result.agreement == 1.0

    def test_all_of_one_type(self):
        """That exception, so that fallbacks and retries go on working, with all that was paid."""
        with pytest.raises(KeyError, match=CANARY) as caught:
            solved(ScriptedSampler([KeyError(CANARY)]))
        result = caught.value.thinktwice_result
        assert len(result.samples) == result.ledger.total.calls == 3
        assert CANARY not in repr(result) + repr(result.samples)

    def test_of_several_types(self):
        """A group of all, which is a RunError too."""
        sampler = ScriptedSampler([KeyError(CANARY), ValueError(CANARY), KeyError(CANARY)])
        with pytest.raises(AllSamplesFailed, match="2 x KeyError, 1 x ValueError") as caught:
            solved(sampler)
        assert len(caught.value.exceptions) == 3
        assert caught.value.ledger.total.calls == 3
        assert CANARY not in str(caught.value)

    def test_some_failed_and_the_rest_abstained(self):
        """There is no answer, and no single reason."""
        sampler = ScriptedSampler([KeyError("x"), Completion(value="b", finish_reason="length")])
        result = solved(sampler)
        assert (result.value, result.answer, result.winner) == (None, None, None)
        assert result.warnings == (remarks.ALL_ABSTAINED,)

    def test_a_key_that_raises_is_the_callers_mistake(self):
        """The sample is kept, since it is paid for; no warning comes before the error."""

        def key(value):
            raise LookupError(CANARY)

        with pytest.raises(UsageError, match=r"^key=.* raised LookupError") as caught:
            solved(ScriptedSampler([CANARY]), Vote(3, key=key))
        assert len(caught.value.result.samples) >= 1
        assert caught.value.result.warnings == ()
        assert CANARY not in str(caught.value)

    def test_a_verifier_that_raises_is_no_low_score(self):
        """The sample stays in, and can win."""

        async def check(value):
            if value == "a":
                raise ConnectionError(CANARY)
            return 0.2

        sampler = ScriptedSampler(["a", "b", "a"])
        result = solved(sampler, BestOfN(3, verifier=check))
        assert [verdict.outcome for verdict in result.verdicts] == ["error", "scored", "error"]
        assert result.value == "a"
        assert CANARY not in repr(result.verdicts)


class TestWarnings:
    """Said as Python warnings, once a process."""

    @pytest.mark.usefixtures("fresh_remarks")
    @pytest.mark.parametrize(
        ("values", "budget", "remark"),
        [
            (["a", "b", "c", "d"], None, remarks.ALL_DIFFERENT),
            (["a"], Budget(calls=2), remarks.CUT),
            ([Completion(value=CANARY, finish_reason="length")], None, remarks.ALL_ABSTAINED),
            ([Completion(value="a", cached=True)], None, remarks.CACHED),
            (
                ["a very long text, the same from the first word to the last one"],
                None,
                remarks.IDENTICAL,
            ),
        ],
    )
    def test_each(self, values, budget, remark, monkeypatch):
        """And in the result, every time."""
        monkeypatch.undo()
        monkeypatch.setattr(remarks, "_told", set())
        strategy = Vote(4, stop=AtMost(4))
        with pytest.warns(ThinktwiceWarning) as caught:
            first = solved(ScriptedSampler(values), strategy, budget=budget)
        assert [str(warning.message) for warning in caught] == [remark]
        second = solved(ScriptedSampler(values), strategy, budget=budget)
        assert first.warnings == second.warnings == (remark,)


class TestContent:
    """No prompt and no completion where it does not belong."""

    def test_reprs(self):
        """Of everything that a run returns."""
        judged = Verdict(outcome="scored", score=0.5, feedback=CANARY, evidence=(CANARY,))

        async def check(value):
            return judged

        done = Completion(value=CANARY, text=CANARY, raw=CANARY)
        result = run_virtual(
            solve(
                CANARY,
                sampler=ScriptedSampler([done, KeyError(CANARY), done]),
                strategy=BestOfN(3, verifier=check, of=Vote(1)),
            )
        )
        assert result.value == CANARY
        everything = [
            result,
            result.samples,
            result.verdicts,
            result.ledger,
            result.ledger.entries,
            result.nested,
            result.warnings,
            result.stopped_by,
            result.settled,
            result._repr_html_(),
        ]
        assert not [each for each in map(repr, everything) if CANARY in each]

    def test_errors(self):
        """Of every kind that a run raises by itself."""
        failing = [KeyError(CANARY), ValueError(CANARY)]
        attempts = [
            {"sampler": ScriptedSampler(failing)},
            {"sampler": ScriptedSampler([CANARY], seconds=9), "budget": Budget(seconds=1)},
            {"sampler": ScriptedSampler([CANARY]), "options": None, "require_budget": True},
            {"sampler": ScriptedSampler([CANARY]), "strategy": Vote(3, key=lambda v: [v])},
            {"sampler": ScriptedSampler([CANARY]), "strategy": BestOfN(3, verifier=lambda v: v)},
        ]
        for attempt in attempts:
            with pytest.raises((AllSamplesFailed, BudgetExceeded, UsageError)) as caught:
                run_virtual(solve(CANARY, **{"strategy": ALL, **attempt}))
            assert CANARY not in str(caught.value)
            assert CANARY not in str(caught.value.result)
