"""Stop rules from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import UsageError
from thinktwice.stop import (
    AdaptiveConsistency,
    After,
    AtMost,
    Certain,
    EarlyStopping,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    parse_stop,
)

counts = st.integers(1, 50)
shares = st.floats(0.01, 0.99)
rules = st.one_of(
    st.builds(Lead, counts),
    st.builds(Quorum, counts),
    st.builds(AtMost, counts),
    st.builds(EarlyStopping, counts),
    st.builds(Settled, shares),
    st.builds(AdaptiveConsistency, st.floats(0.51, 0.99)),
    st.builds(GoodEnough, shares),
    st.builds(After, seconds=st.floats(0.1, 100)),
    st.just(Certain()),
)
expressions = st.recursive(
    rules,
    lambda inner: (
        st.builds(lambda a, b: a | b, inner, inner) | st.builds(lambda a, b: a & b, inner, inner)
    ),
    max_leaves=6,
)


@given(expressions)
def test_reads_what_repr_writes(rule):
    """Any combination of any rules; what is too long is refused, and by its length."""
    if len(repr(rule)) > 500:
        with pytest.raises(UsageError):
            parse_stop(repr(rule))
    else:
        assert parse_stop(repr(rule)) == rule


def test_as_people_type():
    """Spaces, parentheses, keywords, no digit before the point."""
    assert parse_stop(" Lead(3)|Settled( risk=.02 ) ") == Lead(3) | Settled(0.02)
    assert parse_stop("(Lead(k=2) | Quorum(4)) & AtMost(6)") == (Lead(2) | Quorum(4)) & AtMost(6)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Lead", "Lead(3", "3", "Lead(3) + Lead(2)", "Lead(3) or Lead(2)", "lambda: 1"),
        *("Stop()", "AnyOf()", "Lead(3).__class__", "__import__('os')", "Lead(open('x'))"),
        *("Lead(3, 4)", "Lead(n=3)", "Lead(*[3])", "Lead(**{'k': 3})", "Lead(k=3, k=4)"),
        *("Lead(1 + 1)", "Lead('3')", "Lead(0)", "Settled(2)", "Lead(3); Lead(2)", "\0"),
        *("(" * 490, "Lead(3) | " * 60 + "Lead(3)"),
    ],
)
def test_anything_else_is_refused(text):
    """It is never run, and the error says how to write a rule, or which value was wrong."""
    with pytest.raises(UsageError):
        parse_stop(text)
