"""The bench of knockouts compares what it says."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

from thinktwice import BestOfN
from thinktwice.sample import Sample
from thinktwice.selection import Knockout
from thinktwice.testing import run_virtual

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))  # scripts, no package

import knockout
import pools

GOOD, BAD = pools.Draw("1", None, right=True), pools.Draw("2", None, right=False)


@pytest.mark.parametrize(("skill", "expected"), [(1.0, 1.0), (0.0, 0.0), (0.7, 0.7)])
def test_a_judge_is_right_as_often_as_it_is_told(skill: float, expected: float):
    """In either order, and a coin on two alike."""
    judge = knockout.Judge(skill, 0)
    right, wrong = Sample(index=0, value=GOOD), Sample(index=1, value=BAD)

    async def points(first: Sample[object], second: Sample[object]) -> float:
        said = [await judge.compare(first, second, prompt="p", ask=None) for _ in range(2000)]  # type: ignore[arg-type]
        return statistics.fmean(said)

    assert run_virtual(points(right, wrong)) == pytest.approx(expected, abs=0.04)
    assert run_virtual(points(wrong, right)) == pytest.approx(1 - expected, abs=0.04)
    assert run_virtual(points(right, right)) == pytest.approx(0.5, abs=0.04)


def test_a_judge_that_knows_finds_the_right_answer():
    """However rare it is."""
    strategy = BestOfN(16, key=pools.answer_of, select=Knockout(knockout.Judge(1.0, 0)))
    assert run_virtual(knockout.right(strategy, [GOOD, *[BAD] * 15], 0))
