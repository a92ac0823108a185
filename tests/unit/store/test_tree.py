"""Sums that stand on every span of a request are counted once."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.store.tree import NOTHING, Node, Spend, signed

numbers = st.integers(0, 10**6)
spends = st.builds(Spend, numbers, numbers, numbers, numbers, numbers)
# A tree: what a span spends itself, and its children.
trees = st.recursive(
    st.tuples(spends, st.just(())),
    lambda below: st.tuples(spends, st.lists(below, max_size=4).map(tuple)),
    max_leaves=20,
)


def node(parent: Node | None = None) -> Node:
    return Node(SimpleNamespace(context=SimpleNamespace(span_id=1)), parent)


def ended(tree, parent: Node | None, own: list[Spend]) -> Spend:
    """End a tree from below, as spans do; gives the sum that stands on its root."""
    spent, below = tree
    here = node(parent)
    total = spent
    for child in below:
        total = total.plus(ended(child, here, own))
    own.append(here.own(total))
    return total


@given(trees)
def test_own_parts_add_up_to_the_whole(tree):
    """Whatever the tree, the spans' own parts are what stands on its root, exactly."""
    own: list[Spend] = []
    total = ended(tree, None, own)
    added = NOTHING
    for each in own:
        added = added.plus(each)
    assert added == total


def test_what_ends_late_is_in_the_sum_around_it():
    """A call that was abandoned ends after its run, whose sum has it already."""
    root = node()
    late = node(root)
    assert root.own(Spend(2, 10, 10, 500)) == Spend(2, 10, 10, 500)
    assert late.own(Spend(1, 5, 5, 250)) == NOTHING


def test_a_root_without_a_sum_has_what_is_below():
    """Such as the root of a shadow."""
    root = node()
    node(root).own(Spend(3, 30, 9, 700))
    assert root.own(NOTHING) == NOTHING
    assert root.total == Spend(3, 30, 9, 700)


def test_ids_have_a_sign():
    """SQLite's numbers have 64 bits and a sign."""
    assert signed(2**63) == -(2**63)
    assert signed(2**64 - 1) == -1
    assert signed(2**63 - 1) == 2**63 - 1
