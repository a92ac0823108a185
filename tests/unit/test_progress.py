"""What a run tells whoever watches it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    UsageError,
    Verdict,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual

if TYPE_CHECKING:
    from thinktwice.progress import Progress

pytestmark = pytest.mark.usefixtures("silent_remarks")


def watched(strategy, values, **more):
    """What is told of a run, and its result."""
    told: list[Progress] = []
    sampler = ScriptedSampler(values)
    result = run_virtual(
        solve("secret", sampler=sampler, strategy=strategy, progress=told.append, **more)
    )
    return told, result


def full(n):
    """A vote that draws all n, one after the other."""
    return Vote(n, stop=AtMost(n), prefer="cost")


def test_each_draw_is_told_with_the_votes_so_far():
    """Failed draws and those that abstain have none."""
    cut = Completion(value="b", finish_reason="length")
    told, result = watched(full(5), ["a", "b", RuntimeError("no"), cut, "a"])
    samples = [each for each in told if each.kind == "sample"]
    assert sorted((each.status, each.group) for each in samples) == [
        ("abstained", -1),
        ("error", -1),
        ("ok", 0),
        ("ok", 0),
        ("ok", 1),
    ]
    assert [each.finished for each in samples] == [1, 2, 3, 4, 5]
    assert sorted(samples[-1].tally) == [1, 2]
    assert {each.run for each in told} == {told[0].run}
    assert {each.strategy for each in told} == {"Vote"}
    assert sum(each.tokens or 0 for each in samples) == result.ledger.total.usage.total_tokens


def test_the_decision_comes_last_with_the_bill():
    """And says which answer of the tally it was."""
    told, result = watched(full(3), ["a", "b", "b"])
    [decided] = [each for each in told if each.kind == "decided"]
    assert told[-1] is decided
    assert decided.tally[decided.group] == 2
    assert decided.sample == result.winner.index
    assert decided.agreement == pytest.approx(2 / 3)
    assert decided.stopped_by == repr(result.stopped_by)
    assert decided.tokens == result.ledger.total.usage.total_tokens
    assert decided.launched == 3


def test_verdicts_are_told():
    """With who judged, and of what."""

    def check(value):
        return Verdict(outcome="pass" if value == "b" else "fail")

    told, _ = watched(BestOfN(2, verifier=check), ["a", "b"])
    verdicts = {each.sample: each for each in told if each.kind == "verdict"}
    assert {index: each.outcome for index, each in verdicts.items()} == {0: "fail", 1: "pass"}
    assert {each.verifier for each in verdicts.values()} == {"check"}


def test_a_watcher_may_be_async():
    """The run waits for it."""
    told: list[Progress] = []

    async def watch(progress):
        told.append(progress)

    sampler = ScriptedSampler(["a"])
    run_virtual(solve("q", sampler=sampler, strategy=full(2), progress=watch))
    assert [each.kind for each in told] == ["sample", "sample", "decided"]


def test_from_sync_code():
    """The same events."""
    told: list[Progress] = []
    solve_sync("q", sampler=lambda _: "a", strategy=full(2), progress=told.append)
    assert [each.kind for each in told] == ["sample", "sample", "decided"]


def test_a_watcher_that_raises_changes_nothing():
    """It is said once; what was paid for is not lost."""

    def watch(progress):
        raise ValueError("private words")

    sampler = ScriptedSampler(["a"])
    result = run_virtual(solve("q", sampler=sampler, strategy=full(2), progress=watch))
    assert result.value == "a"
    [said] = result.warnings
    assert "ValueError" in said
    assert "private" not in said


def test_it_holds_no_content_and_fits_json():
    """Neither the input nor an answer; None is left out."""
    told, _ = watched(full(2), ["private", "private"], budget=Budget(calls=5))
    text = json.dumps([each.as_dict() for each in told])
    assert "private" not in text
    assert "secret" not in text
    assert "null" not in text


def test_runs_inside_have_watchers_of_their_own():
    """The outer one is told of outer samples alone."""
    told: list[Progress] = []
    inner = full(3).over(ScriptedSampler(["a"]))
    run_virtual(solve("q", sampler=inner, strategy=full(2), progress=told.append))
    assert [each.kind for each in told] == ["sample", "sample", "decided"]


def test_what_cannot_be_called_is_refused():
    """Before anything is drawn."""
    sampler = ScriptedSampler(["a"])
    with pytest.raises(UsageError, match="progress"):
        run_virtual(solve("q", sampler=sampler, strategy=full(2), progress=3))  # type: ignore[arg-type]
    assert sampler.calls == 0


@pytest.mark.parametrize("judged", [False, True])
def test_a_draw_that_is_recalled_while_it_is_told_of_counts(judged):
    """It is paid for."""
    sampler = ScriptedSampler(["a"])

    async def watch(progress):
        await asyncio.sleep(1)

    def check(value):
        return 0.5

    strategy = BestOfN(3, verifier=check, prefer="cost") if judged else full(3)
    work = solve("q", sampler=sampler, strategy=strategy, budget=Budget(tokens=1), progress=watch)
    assert run_virtual(work).value == "a"
