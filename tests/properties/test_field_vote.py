"""What holds for every vote on fields."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import AtMost, Sample, Settled, Vote, solve
from thinktwice.answers.documents import Kind, opened
from thinktwice.answers.fields import ABSENT, FieldRules
from thinktwice.fields.ballot import Field, FieldBallots
from thinktwice.fields.composition import Composition, compose
from thinktwice.fields.standing import Standing
from thinktwice.strategies.field_vote import FieldVote
from thinktwice.testing import ScriptedSampler, run_virtual

if TYPE_CHECKING:
    import random

    Counts = dict[tuple[object, ...], dict[object, float]]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False, width=16),
    st.text("ab .A", max_size=3),
)
keys = st.sampled_from(["a", "b", "c", "a.b", ""])
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3)
        | st.frozensets(st.integers(0, 3), max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)
rules = st.builds(
    FieldRules,
    coupled=st.sampled_from([(), True, (("a",),), (("a", "b"),), (("a.a", "a.b"), ("c",))]),
    unordered=st.sampled_from([(), ("a", "b[]"), ("[]",)]),
    ignore=st.sampled_from([(), ("c",), ("a.b", "a[].c")]),
)


def composition(values, by: FieldRules | None = None, order=None) -> Composition[object] | None:
    by = by or FieldRules()
    ballots: FieldBallots[object] = FieldBallots(max(1, len(values)), rules=by)
    for index in order or range(len(values)):
        document = opened(values[index])
        answer = None if document is None else by.answer(document.content)
        ballots.add(Sample(index=index, value=values[index], answer=answer))
    return compose(ballots, sound=lambda _: True)


@given(documents, rules, st.integers(1, 4))
def test_equal_samples_give_back_their_value(document, by, n):
    """Whatever it is; None and what says nothing abstain."""
    values = [json.dumps(document, default=sorted)] * n
    made = composition(values, by)
    if made is not None:
        assert made.winner.value == values[0]
        assert made.fallback is None
        assert set(made.shares.values()) == {1.0}


@given(documents, rules)
def test_what_all_agree_on_comes_through_a_composition(document, by):
    """Equal and of the same types, although no sample is returned as it is."""
    values = [
        {"x": document, "p": p, "q": q, "r": r} for p, q, r in ((1, 2, 0), (1, 0, 3), (0, 2, 3))
    ]
    made = composition(values, FieldRules(unordered=by.unordered))
    assert made is not None
    assert made.composed
    assert made.winner.value == {**values[0], "r": 3}
    assert repr(made.winner.value["x"]) == repr(document)


@given(st.lists(documents, min_size=1, max_size=6), rules, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(values, by, chance: random.Random):
    """The order of launches does, where votes are tied."""
    order = chance.sample(range(len(values)), len(values))
    one, other = composition(values, by), composition(values, by, order)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert repr(one.winner.value) == repr(other.winner.value)
        assert one.winner.index == other.winner.index
        assert (one.composed, one.shares) == (other.composed, other.shares)


@given(st.lists(documents, min_size=1, max_size=6), rules)
def test_shares_are_shares(values, by):
    """And some sample has what is returned in each field."""
    made = composition(values, by)
    if made is not None:
        assert all(0 <= share <= 1 for share in made.shares.values())
        found = {each for each in made.winner.answer if not isinstance(each[1], Kind)}
        known = set().union(*(by.answer(value) or () for value in values))
        assert made.fallback is not None or found <= known


flat = st.fixed_dictionaries({name: st.integers(0, 2) for name in "abc"})


@settings(max_examples=50)
@given(st.lists(flat, min_size=1, max_size=9))
def test_each_field_is_a_vote(values):
    """With the same winner, ties included, and the same share."""
    n = len(values)
    result = run_virtual(
        solve("", sampler=ScriptedSampler(values), strategy=FieldVote(n, stop=AtMost(n)))
    )
    for name in "abc":
        column = [value[name] for value in values]
        alone = run_virtual(
            solve("", sampler=ScriptedSampler(column), strategy=Vote(n, stop=AtMost(n)))
        )
        assert result.value[name] == alone.value
        assert Fraction(result.shares[name]) == Fraction(alone.agreement)
    assert result.composed == (result.value not in values)


@settings(max_examples=50)
@given(
    st.lists(flat, min_size=12, max_size=12),
    st.lists(st.integers(1, 9), min_size=12, max_size=12),
    st.sampled_from([0.05, 0.2]),
)
def test_with_cost_latencies_do_not_matter(values, seconds, risk):
    """It is the vote of one sample after the other, in launch order, and discards none."""
    strategy = FieldVote(12, stop=Settled(risk), prefer="cost")
    result = run_virtual(
        solve("", sampler=ScriptedSampler(values, seconds=seconds), strategy=strategy)
    )
    ballots: FieldBallots[object] = FieldBallots(12, rules=FieldRules())
    for index, value in enumerate(values):
        ballots.add(Sample(index=index, value=value, answer="some"))
        if Standing(strategy.stop, ballots.tallies).fired is not None:
            break
    made = compose(ballots, sound=lambda _: True)
    assert made is not None
    assert result.launched == len(result.samples) == len(ballots.counted)
    assert (result.value, result.composed) == (made.winner.value, made.composed)


def _counts(field: Field[object], at: tuple[object, ...] = ()) -> Counts:
    """Votes of each field in a field, by its place; of fields of losing kinds, too."""
    counts = {at: {group.answer: group.weight for group in field.ballot.groups}}
    for place, inner in field.fields.items():
        counts |= _counts(inner, (*at, place))
    return counts


def _overturned(values, risk: float) -> bool:
    """Whether the run stops early, and after all draws another answer has more votes in a field."""
    ballots: FieldBallots[object] = FieldBallots(len(values), rules=FieldRules())
    leaders: dict[tuple[object, ...], object] = {}
    for index, value in enumerate(values):
        ballots.add(Sample(index=index, value=value, answer="some"))
        early = index + 1 < len(values) and not leaders
        if early and Standing(Settled(risk), ballots.tallies).fired is not None:
            votes = _counts(ballots.live[0])
            leaders = {at: max(each, key=each.__getitem__) for at, each in votes.items()}
    final = _counts(ballots.live[0]) if leaders else {}
    return any(
        max(votes.values()) > votes.get(leaders.get(at, ABSENT), 0)
        for at, votes in final.items()
        if all(leaders.get(at[:n]) == at[n][0] for n in range(len(at)))  # in the composed object
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}),
        ({"a": 1, "b": 1}, {"b": 1}),
        ({"a": 1, "b": 1}, {"c": 1, "d": 1}),
        ({"a": [1], "b": 1}, {"a": [1, 1], "b": 1}),
        ({"a": {"b": 1}}, {"a": None}),
        ({"a": {"x", "y", "z"}}, {"a": set()}),
        ({"a": {"x", "y", "z"}}, {"a": {"x"}}),
    ],
)
def test_the_claim_is_kept_where_fields_come_and_go(one, other):
    """Exactly: of all orders of two objects that are equally probable, a share within the risk."""
    n, risk = 7, 0.1
    runs = [_overturned(values, risk) for values in product((one, other), repeat=n)]
    assert sum(runs) / len(runs) <= risk
