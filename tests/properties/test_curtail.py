"""A sum of chances may end early where only a comparison is asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.stop.curtail import JEFFREYS, UNIFORM, overturn


@given(
    votes=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    remaining=st.integers(0, 60),
    prior=st.sampled_from([UNIFORM, JEFFREYS]),
    threshold=st.sampled_from([0.0, 1e-5, 0.01, 0.3]),
)
def test_it_decides_as_the_whole_sum(
    votes: tuple[int, int], remaining: int, prior: float, threshold: float
):
    """Up to the threshold the chance is exact; above, it is known to be above."""
    leader, runner_up = max(votes), min(votes)
    whole = overturn(leader, runner_up, remaining, prior)
    for enough in (threshold, whole):
        part = overturn(leader, runner_up, remaining, prior, enough)
        if whole <= enough:
            assert part == whole
        else:
            assert enough < part <= whole
