"""The loop of a repair, by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from thinktwice import Budget, BudgetExceeded, Limit, UsageError, Verdict, solve
from thinktwice.remarks import FAILED
from thinktwice.repair import repair
from thinktwice.repair.loop import warmer
from thinktwice.stop import AtMost, GoodEnough
from thinktwice.strategy import Strategy
from thinktwice.testing import FlakySampler, ScriptedSampler, run_virtual
from thinktwice.verifiers import as_verifier

pytestmark = pytest.mark.usefixtures("silent_remarks")


@dataclass(frozen=True)
class Repairing(Strategy):
    """The loop as a strategy."""

    check: object
    rounds: int = 2
    confirm: int = 2

    async def __call__(self, run):
        return await repair(
            run,
            as_verifier(self.check),  # type: ignore[arg-type]
            rounds=self.rounds,
            confirm=self.confirm,
        )


def saying(**said: str):
    """A check: fails the values named, with these words, and passes all others."""

    async def check(value):
        if value in said:
            return Verdict(outcome="fail", feedback=said[value])
        return True

    return check


def repaired(values, check, *, seconds=1.0, prompt="q", budget=None, **settings):
    """The result, and the sampler."""
    sampler = ScriptedSampler(values, seconds=seconds)
    strategy = Repairing(check, **settings)
    return run_virtual(solve(prompt, sampler=sampler, strategy=strategy, budget=budget)), sampler


class TestEnds:
    """How it ends."""

    def test_a_draft_that_passes_costs_one_of_each(self):
        """Nothing is confirmed where nothing is replaced."""
        result, sampler = repaired(["good"], saying())
        assert (result.value, sampler.calls) == ("good", 1)
        assert result.stopped_by == GoodEnough(1.0)
        assert (result.agreement, result.warnings) == (None, ())

    def test_a_mended_draft(self):
        """The revision is asked for with what the check said."""
        result, sampler = repaired(["bad", "good"], saying(bad="'bad' is not allowed"))
        assert result.value == "good"
        assert sampler.prompts[1].startswith("q\n\nDraft:\nbad\n\nFeedback:\n'bad' is not allowed")
        assert [each.value for each in result.samples] == ["bad", "good"]
        assert [each.outcome for each in result.verdicts] == ["fail", "pass"]

    def test_rounds_used_up(self):
        """The draft stands, and the caller is told that it did not pass."""
        result, sampler = repaired(["a", "b", "c", "d"], lambda _: False)
        assert (result.value, sampler.calls) == ("a", 3)
        assert result.stopped_by == AtMost(3)
        assert any("did not pass" in each for each in result.warnings)

    def test_the_latest_attempt_is_revised(self):
        """With what is wrong with that one."""
        _, sampler = repaired(["a", "b", "c"], saying(a="first", b="second"))
        assert "Draft:\nb\n\nFeedback:\nsecond" in sampler.prompts[2]
        assert "first" not in sampler.prompts[2]

    def test_scores_that_rise(self):
        """A float never passes; the best one is returned."""
        result, sampler = repaired(["a", "bb", "ccc"], lambda value: len(value) / 10)
        assert (result.value, sampler.calls) == ("ccc", 3)
        result, sampler = repaired(["bb", "a", "ccc"], lambda value: len(value) / 10)
        assert (result.value, sampler.calls) == ("bb", 2)
        assert result.stopped_by is None

    @pytest.mark.parametrize(("options", "expected"), [({}, 1.0), ({"temperature": 0.2}, 1.0)])
    def test_stuck_draws_afresh_at_a_higher_temperature(self, options, expected):
        """From the prompt alone."""
        sampler = ScriptedSampler(["bad", "bad", "good"])
        strategy = Repairing(saying(bad="no"))
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, options=options))
        assert result.value == "good"
        assert sampler.prompts[2] == "q"
        assert sampler.options[2]["temperature"] == expected

    def test_stuck_without_a_temperature_to_set(self):
        """A sampler of the prompt alone is drawn as it is."""
        values = iter(["bad", "bad", "good"])

        async def ask(prompt):
            return next(values)

        result = run_virtual(solve("q", sampler=ask, strategy=Repairing(saying(bad="no"))))
        assert result.value == "good"

    def test_stuck_where_options_have_nowhere_to_go(self):
        """A chain of several models refuses them: then without."""
        values = iter(["bad", "bad", "good"])

        async def chain(prompt, *, options):
            if options:
                raise UsageError("options", "temperature", "there are two models")
            return next(values)

        result = run_virtual(solve("q", sampler=chain, strategy=Repairing(saying(bad="no"))))
        assert result.value == "good"

    def test_stuck_for_good(self):
        """Once; and it says so."""
        result, sampler = repaired(["bad"], saying(bad="no"), rounds=9)
        assert (result.value, sampler.calls) == ("bad", 3)
        assert any("circles" in each for each in result.warnings)

    def test_an_exact_check_is_asked_once_of_each(self):
        """A pass is proof."""
        asked = []

        def check(value):
            asked.append(value)
            return value == "good"

        check.exact = True
        result, _ = repaired(["bad", "good"], check)
        assert (result.value, asked) == ("good", ["bad", "good"])

    def test_a_tool_is_asked_once_of_each(self):
        """It would say the same again."""

        @dataclass(frozen=True)
        class Tool:
            name = "tool"
            exact = False
            role = "tool"

            async def __call__(self, sample, /, *, prompt):
                asked.append(sample.value)
                return Verdict(outcome="pass" if sample.value == "good" else "fail")

        asked: list[object] = []
        result, _ = repaired(["bad", "good"], Tool())
        assert (result.value, asked) == ("good", ["bad", "good"])

    def test_an_issue_that_is_not_found_again(self):
        """A critic that changes its mind repairs nothing."""
        said = iter([False, True])
        result, sampler = repaired(["a", "b"], lambda _: next(said))
        assert (result.value, sampler.calls) == ("a", 1)
        assert any("then passed" in each for each in result.warnings)

    def test_a_pass_that_is_not_found_again(self):
        """Two passes against two fails."""
        said = iter([False, False, True, False, False])
        result, sampler = repaired(["a", "b", "c"], lambda _: next(said))
        assert (result.value, sampler.calls) == ("a", 3)


class TestFaults:
    """What breaks, and what is paid for all the same."""

    def test_a_check_that_breaks_is_no_fail(self):
        """The draft stands, and the result says so."""

        def check(_):
            raise ConnectionError("gone")

        result, sampler = repaired(["a", "b"], check)
        assert (result.value, sampler.calls) == ("a", 1)
        assert result.verdicts[0].outcome == "error"
        assert any("broke" in each for each in result.warnings)

    def test_it_is_said_aloud_once(self, fresh_remarks):
        """A warning for those who read no result."""

        def check(_):
            raise ConnectionError("gone")

        with pytest.warns(match="broke"):
            repaired(["a"], check)

    def test_nothing_to_check(self):
        """Nothing to repair."""
        verdict = Verdict(outcome="not_applicable")
        result, sampler = repaired(["a", "b"], lambda _: verdict)
        assert (result.value, sampler.calls, result.warnings) == ("a", 1, ())

    def test_a_revision_that_fails(self):
        """The draft stands."""
        sampler = FlakySampler(ScriptedSampler(["bad", "good"]), failing=[1])
        result = run_virtual(solve("q", sampler=sampler, strategy=Repairing(saying(bad="no"))))
        assert result.value == "bad"
        assert isinstance(result.samples[1].error, ConnectionError)
        assert result.warnings == (
            "a repair ended early, as a call failed: ConnectionError",
            FAILED,
        )

    def test_a_draft_that_fails(self):
        """Its exception is raised, with the result."""
        sampler = ScriptedSampler([ConnectionError("gone")])
        with pytest.raises(ConnectionError) as caught:
            run_virtual(solve("q", sampler=sampler, strategy=Repairing(saying())))
        assert len(caught.value.thinktwice_result.samples) == 1

    def test_a_budget_that_ends_it(self):
        """The draft, which was paid for."""
        result, sampler = repaired(["a", "b"], lambda _: False, budget=Budget(calls=1))
        assert (result.value, sampler.calls) == ("a", 1)
        assert isinstance(result.stopped_by, Limit)

    @pytest.mark.parametrize("seconds", [1.5, 2.5])
    def test_time_that_runs_out(self, seconds):
        """In a revision, and in judging it: what stands is returned."""

        async def check(value):
            if value == "b":
                await asyncio.sleep(1)
            return value != "a"

        result, _ = repaired(["a", "b"], check, budget=Budget(seconds=seconds))
        assert result.value == "a"
        assert result.cut is not None
        assert result.cut.kind == "seconds"

    def test_a_budget_without_a_draft(self):
        """There is nothing to return."""
        with pytest.raises(BudgetExceeded):
            repaired(["a"], lambda _: False, seconds=9.0, budget=Budget(seconds=1))

    def test_a_confirmed_revision_survives_the_end_of_the_budget(self):
        """A scored one that is in place when the next round is cut."""
        score = {"a": 0.1, "b": 0.5, "c": 0.9}.__getitem__
        result, _ = repaired(["a", "b", "c"], score, budget=Budget(calls=2))
        assert result.value == "b"

    def test_cancellation(self):
        """Leaves nothing behind."""
        sampler = ScriptedSampler(["a", "b"], seconds=[0.0, 60.0])

        async def cancelled() -> asyncio.CancelledError:
            strategy = Repairing(saying(a="no"))
            task = asyncio.create_task(solve("q", sampler=sampler, strategy=strategy))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value

        result = run_virtual(cancelled()).thinktwice_result
        assert (sampler.calls, sampler.cancelled) == (2, 1)
        drawn = [entry for entry in result.ledger.entries if entry.role != "tool"]
        assert [entry.status for entry in drawn] == ["ok", "cancelled"]

    def test_an_input_without_a_place_for_feedback(self):
        """Is refused before it costs anything."""
        sampler = ScriptedSampler(["a"])
        with pytest.raises(UsageError, match=r"feedback.*messages.*revise"):
            run_virtual(solve({"question": "?"}, sampler=sampler, strategy=Repairing(saying())))
        assert sampler.calls == 0


def test_revisions_have_a_role_of_their_own():
    """In the ledger."""
    result, _ = repaired(["bad", "good"], saying(bad="no"))
    roles = [entry.role for entry in result.ledger.entries]
    assert roles.count("sample") == roles.count("repair") == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, 1.0), (0, 1.0), (0.7, 1.0), (1, 1.3), (1.8, 2.0), (2.0, 2.0), (3.0, 3.0), ("hot", 1.0)],
)
def test_a_higher_temperature(given, expected):
    """1 is the most that all providers take; never below what was set."""
    options = {} if given is None else {"temperature": given}
    assert warmer(options) == {"temperature": pytest.approx(expected)}
