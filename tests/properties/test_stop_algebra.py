"""`|` and `&` behave as or and and do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.stop import (
    AdaptiveConsistency,
    After,
    AllOf,
    AnyOf,
    AtMost,
    Certain,
    Certificate,
    EarlyStopping,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    Stop,
    Tally,
    with_certain,
)

leaves = st.one_of(
    st.sampled_from([0.01, 0.05, 0.3]).map(Settled),
    st.just(Certain()),
    st.sampled_from([0.2, 0.6]).map(Certificate),
    st.integers(1, 5).map(Quorum),
    st.integers(1, 5).map(Lead),
    st.integers(1, 8).map(AtMost),
    st.sampled_from([0.7, 0.95]).map(AdaptiveConsistency),
    st.integers(1, 3).map(EarlyStopping),
    st.sampled_from([0.3, 0.8]).map(GoodEnough),
    st.sampled_from([1.0, 2.0]).map(lambda s: After(seconds=s)),
)
rules = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda a, b, both: a & b if both else a | b, inner, inner, st.booleans()
    ),
    max_leaves=5,
)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    """Any tally of up to 10 draws."""
    history = tuple(draw(st.lists(st.integers(-1, 3), max_size=10)))
    counts = sorted((history.count(g) for g in set(history) - {-1}), reverse=True)
    return Tally(
        10,
        tuple(counts),
        len(history),
        history,
        draw(st.floats(0, 3)),
        draw(st.none() | st.floats(0, 1)),
    )


@given(a=rules, b=rules)
def test_both_operators_commute(a: Stop, b: Stop):
    """The order of parts decides who is named, not what is equal."""
    assert a | b == b | a
    assert a & b == b & a
    assert hash(a | b) == hash(b | a)


@given(a=rules, b=rules, c=rules)
def test_both_operators_associate(a: Stop, b: Stop, c: Stop):
    """Chains of one operator are flat."""
    assert (a | b) | c == a | (b | c)
    assert (a & b) & c == a & (b & c)
    assert repr((a | b) | c) == repr(a | (b | c))


@given(a=rules, b=rules)
def test_both_operators_are_idempotent(a: Stop, b: Stop):
    """Saying a rule twice says it once."""
    assert a | a == a
    assert a & a == a
    assert (a | b) | a == a | b


@given(a=leaves, b=leaves)
def test_the_operators_differ(a: Stop, b: Stop):
    """`|` is not `&`, unless both are the same rule."""
    assert ((a | b) == (a & b)) == (a == b)


@given(a=rules, b=rules, tally=tallies())
def test_any_fires_when_one_does_and_all_when_both_do(a: Stop, b: Stop, tally: Tally):
    """Or and and, on every tally."""
    fires = [rule.fired(tally) is not None for rule in (a, b)]
    assert ((a | b).fired(tally) is not None) == any(fires)
    assert ((a & b).fired(tally) is not None) == all(fires)


@given(rule=rules, tally=tallies())
def test_what_fired_is_a_part_that_fires(rule: Stop, tally: Tally):
    """`stopped_by` names a leaf or a conjunction, and that one did fire."""
    part = rule.fired(tally)
    if part is not None:
        assert not isinstance(part, AnyOf)
        assert part.fired(tally) is part
        assert part == rule or part in getattr(rule, "parts", ())


@given(rule=rules)
def test_repr_round_trips(rule: Stop):
    """The repr of any combination builds it again."""
    assert eval(repr(rule), dict(globals())) == rule  # noqa: S307 - our own repr


@given(rule=rules, tally=tallies())
def test_soonest_is_zero_exactly_when_it_fires(rule: Stop, tally: Tally):
    """And never more than the draws that remain."""
    soonest = rule.soonest(tally)
    assert 0 <= soonest <= tally.remaining
    if tally.remaining:
        assert (soonest == 0) == (rule.fired(tally) is not None)


@given(rule=rules, tally=tallies())
def test_with_certain_adds_certainty_and_nothing_else(rule: Stop, tally: Tally):
    """It fires when the rule does, and on certain ballots unless the rule wants every draw."""
    fires = with_certain(rule).fired(tally) is not None
    own = rule.fired(tally) is not None
    certain = Certain().fired(tally) is not None
    assert fires == (own or (certain and rule.certain))


@given(rule=rules)
def test_without_time_no_rule_reads_the_clock(rule: Stop):
    """`timeless` fires alike at any time."""
    left = rule.timeless()
    for history in ((), (0, 0, 0)):
        now = Tally(10, (3,) if history else (), len(history), history)
        late = Tally(10, now.counts, now.finished, history, seconds=1e9)
        if left is not None:
            assert left.fired(now) == left.fired(late)


@given(a=rules, b=rules)
def test_combinations_hold_at_least_two_parts(a: Stop, b: Stop):
    """One rule alone is itself; parts of a combination are no combination of the same kind."""
    for rule, kind in ((a | b, AnyOf), (a & b, AllOf)):
        if isinstance(rule, kind):
            assert len(set(rule.parts)) == len(rule.parts) >= 2
            assert not any(isinstance(part, kind) for part in rule.parts)
