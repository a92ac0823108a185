"""Programs and tests that vote for each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.verifiers.code import consensus_sets

PASSED = {0: [0, 1], 1: [2], 2: [1, 0], 3: [2], 4: [2], 5: []}


def test_programs_that_pass_the_same_tests_are_a_group():
    """Its score is the root of their number times that of the tests."""
    best, second, last = consensus_sets(PASSED)
    assert (best.programs, best.tests) == ((0, 2), {0, 1})
    assert best.score == pytest.approx(2 * math.sqrt(2))
    assert (second.programs, second.score) == ((1, 3, 4), pytest.approx(math.sqrt(3)))
    assert (last.programs, last.score) == ((5,), 0)


def test_the_power_weighs_programs_against_tests():
    """As in the paper, one counts as much as the other."""
    assert [each.score for each in consensus_sets(PASSED, power=1)] == [4, 3, 0]
    assert consensus_sets(PASSED, power=3)[0].programs == (1, 3, 4)


def test_ties_go_to_more_programs_then_to_the_first():
    """Never at random."""
    tied = consensus_sets({0: [0, 1], 1: [2], 2: [2], 3: [3], 4: [3]}, power=1)
    assert [each.programs for each in tied] == [(1, 2), (3, 4), (0,)]


@given(st.dictionaries(st.integers(), st.sets(st.integers(0, 5))))
def test_every_program_is_in_one_group(passed):
    """And the groups come in order of their scores."""
    groups = consensus_sets(passed)
    assert sorted(p for each in groups for p in each.programs) == sorted(passed)
    assert all(passed[p] == each.tests for each in groups for p in each.programs)
    assert [g.score for g in groups] == sorted((g.score for g in groups), reverse=True)
