"""What a sampler returns, and what a run keeps of it."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Sample, Usage, UsageError, Verdict
from thinktwice.sample import NO_USAGE, added, known_counts, tier_meaning

counts = st.none() | st.integers(0, 10**6)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    reasoning_tokens=counts,
    source=st.sampled_from(["provider", "estimated", "missing"]),
    tier=st.sampled_from([None, "batch", "priority"]),
)


@given(a=usages, b=usages, c=usages)
def test_usages_add_up_in_any_order(a: Usage, b: Usage, c: Usage):
    """And nothing added changes nothing."""
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + NO_USAGE == a


@given(several=st.lists(usages, min_size=1, max_size=4))
def test_a_sum_of_several_is_that_of_one_after_the_other(several: list[Usage]):
    """Their tier, which is no part of equality, included."""
    step_by_step = reduce(add, several)
    assert added(several) == step_by_step
    assert added(several).tier == step_by_step.tier


@given(a=usages, b=usages)
def test_what_is_not_known_is_not_0(a: Usage, b: Usage):
    """A sum has the counts that one of the two has."""
    both = known_counts(a + b)
    assert set(both) == set(known_counts(a)) | set(known_counts(b))
    for name, count in both.items():
        assert count == (getattr(a, name) or 0) + (getattr(b, name) or 0)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (Usage(), None),
        (Usage(input_tokens=3), 3),
        (Usage(output_tokens=0), 0),
        (Usage(input_tokens=3, output_tokens=4, reasoning_tokens=2), 7),
    ],
)
def test_total_tokens(usage: Usage, total: int | None):
    """Input and output; reasoning is part of the output."""
    assert usage.total_tokens == total


def test_a_sum_is_trusted_as_its_least_trusted_part():
    """Provider, estimate, nobody."""
    provider, estimated = Usage(source="provider"), Usage(source="estimated")
    assert (provider + provider).source == "provider"
    assert (provider + estimated).source == "estimated"
    assert (estimated + Usage()).source == "missing"


def test_mean_logprob():
    """Of a token; None without any."""
    assert Sample(index=0, logprobs=(-1.0, -2.0)).mean_logprob == -1.5
    assert Sample(index=0).mean_logprob is None
    assert Sample(index=0, logprobs=()).mean_logprob is None


def test_reprs_hold_no_content():
    """One line each."""
    secret = "sk-secret"
    verdict = Verdict(outcome="fail", score=0.0, feedback=secret, evidence=(secret,), sample=3)
    assert repr(verdict) == "<Verdict fail of sample 3 by None: 0.0>"
    assert repr(Sample(index=1, value=secret, answer=secret)) == "<Sample 1: ok, None tokens>"


@pytest.mark.parametrize("wrong", [{"outcome": "good"}, {"outcome": "scored", "score": 7}])
def test_a_verdict_is_one_of_five_with_a_score_up_to_1(wrong):
    """Anything else is the caller's mistake."""
    with pytest.raises(UsageError, match=next(reversed(wrong))):
        Verdict(**wrong)


@pytest.mark.parametrize("word", ["default", "Standard", "auto", "on_demand", "", None, 5])
def test_the_standard_tier_has_many_words(word):
    """And is none."""
    assert tier_meaning(word) is None


def test_a_tier_survives_a_sum_of_its_own():
    """Of two tiers there is none to price a sum by."""
    batch, other = Usage(input_tokens=1, tier=tier_meaning("Batch")), Usage(input_tokens=1)
    assert (batch + batch).tier == "batch"
    assert (batch + other).tier is None
    assert batch == other
