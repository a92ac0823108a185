"""Where a sample or a verdict stands in its request."""

from __future__ import annotations

import asyncio

import pytest

from thinktwice import BestOfN, CritiqueRepair, Verdict, Vote, solve
from thinktwice.calls import call
from thinktwice.scope import current_scope
from thinktwice.stop import AtMost
from thinktwice.testing import run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")


def here():
    """The path of the running code."""
    scope = current_scope()
    assert scope is not None
    return scope.path


def paths(strategy, *, verifier_calls=0, seconds=lambda index: 0.0):
    """The paths of all samples and of the calls inside verdicts, in order."""
    seen: list[str] = []

    async def sampler(prompt):
        scope = current_scope()
        await asyncio.sleep(seconds(scope.index))
        seen.append(here())
        return "a"

    run_virtual(solve("q", sampler=sampler, strategy=strategy))
    return seen


def test_samples_are_told_apart_by_index():
    """Whatever order they finish in."""
    seen = paths(Vote(3, stop=AtMost(3), prefer="latency"), seconds=lambda index: 3 - index)
    assert seen == ["sample:2", "sample:1", "sample:0"]


def test_nested_samples_carry_what_is_around_them():
    """So that no two of a request are the same."""
    seen = paths(Vote(2, stop=AtMost(2), of=Vote(2, stop=AtMost(2))))
    assert len(set(seen)) == 4
    assert "sample:1/sample:0" in seen


def test_a_judge_that_is_asked_thrice_has_three_places():
    """Each call of one verdict, and each verdict of one sample."""
    seen: list[str] = []

    async def judge(prompt):
        seen.append(here())
        return "5"

    class Thrice:
        name, exact, calls = "thrice", False, 3

        async def __call__(self, sample, /, *, prompt):
            await asyncio.gather(*(call(judge, "same", role="verify") for _ in range(3)))
            return Verdict(outcome="scored", score=0.5)

    async def sampler(prompt):
        return "a"

    run_virtual(solve("q", sampler=sampler, strategy=BestOfN(2, verifier=Thrice())))
    assert sorted(seen)[:3] == ["verify:0", "verify:0#1", "verify:0#2"]


def test_repeated_verdicts_and_repairs_differ():
    """A second look at the same draft is another place."""
    seen: list[str] = []

    async def check(value):
        seen.append(here())
        return False

    async def sampler(prompt):
        seen.append(here())
        return f"draft {len(seen)}"

    run_virtual(solve("q", sampler=sampler, strategy=CritiqueRepair(check, confirm=2)))
    assert len(seen) == len(set(seen)) > 3


def test_a_repeated_request_has_the_same_paths():
    """That is what a cache is asked by."""
    strategy = Vote(3, stop=AtMost(3), of=Vote(2, stop=AtMost(2)))
    assert sorted(paths(strategy)) == sorted(paths(strategy))
