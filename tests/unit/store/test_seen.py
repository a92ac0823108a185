"""Numbers and names of spans, as a file can keep them."""

from __future__ import annotations

import math
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.store.reading import dollars_of
from thinktwice.store.seen import duration_of, short, trillionths, whole

FITS = 2**63


@given(st.integers(0, 10**15))
def test_costs_are_exact(amount):
    """Up to a thousand dollars, to the last trillionth, though spans carry floats."""
    cost = Decimal(amount) / 10**12
    assert dollars_of(trillionths(float(cost))) == cost


@given(st.floats() | st.integers())
def test_no_cost_is_too_large_to_add_up(cost):
    """Hundreds of them fit; what is no number is not known."""
    kept = trillionths(cost)
    if isinstance(cost, float) and not math.isfinite(cost):
        assert kept is None
    else:
        assert abs(900 * kept) < FITS
        assert kept * cost >= 0


@given(st.integers())
def test_counts_fit(count):
    """They are themselves, or the most that is kept."""
    kept = whole({"n": count}, "n")
    assert kept == count if abs(count) <= 10**15 else abs(kept) == 10**15
    assert whole({"n": str(count)}, "n") is None


@given(st.text())
def test_names_can_be_printed(text):
    """And be written to a file, whatever they are."""
    kept = short(text)
    assert (kept is None) == (not text)
    if kept is not None:
        assert kept.isprintable()
        assert len(kept) == min(len(text), 200)
        kept.encode()


@pytest.mark.parametrize(("end", "took"), [(7_000_000, 2_000), (4_000_000, 0), (None, 0)])
def test_a_clock_that_is_set_back(end, took):
    """A duration is never negative."""
    assert duration_of(SimpleNamespace(start_time=5_000_000, end_time=end)) == took
