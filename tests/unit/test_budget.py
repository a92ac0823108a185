"""Hard caps."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal

import pytest

from thinktwice import Budget, Entry, Limit, UsageError
from thinktwice.budget import Need
from thinktwice.ledger import Ledger


class TestBudget:
    """What a cap may be."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("calls", 0),
            ("calls", 1.5),
            ("calls", True),
            ("tokens", -3),
            ("tokens", "9"),
            ("cost", 0.05),
            ("cost", "much"),
            ("cost", "-1"),
            ("cost", "Infinity"),
            ("cost", True),
            ("seconds", 0),
            ("seconds", "9"),
            ("seconds", True),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, name: str, value: object):
        """The message names the parameter and the value."""
        with pytest.raises(UsageError, match=f"^{name}=") as caught:
            Budget(**{name: value})  # type: ignore[arg-type]
        assert caught.value.parameter == name

    @pytest.mark.parametrize("cost", ["0.05", Decimal("0.05")])
    def test_money_is_decimal(self, cost: object):
        """However it is written."""
        assert Budget(cost=cost).money == Decimal("0.05")  # type: ignore[arg-type]
        assert Budget(cost=cost) == Budget(cost="0.05")  # type: ignore[arg-type]

    def test_no_cap_is_no_cap(self):
        """None is not 0."""
        assert Budget().money is None

    def test_the_tighter_of_two_cap_by_cap(self):
        """And strict if either is."""
        left = Budget(calls=5, cost="2", seconds=9)
        right = Budget(calls=7, tokens=100, cost="1", strict=True)
        both = Budget(calls=5, tokens=100, cost="1", seconds=9, strict=True)
        assert left.tightened(right) == right.tightened(left) == both


class TestLimit:
    """A cap that bound."""

    def test_it_reads_as_a_sentence(self):
        """What was allowed, what was spent, and by how much it was overrun."""
        assert str(Limit(kind="calls", allowed=8, spent=8)) == "budget of 8 calls used up (8 spent)"
        over = Limit(kind="tokens", allowed=10, spent=12, overrun=2)
        assert str(over) == "budget of 10 tokens used up (12 spent, overrun 2)"

    def test_it_pickles_without_what_is_bound_to_a_process(self):
        """And is equal to itself."""
        ledger = Ledger(Budget(seconds=5))
        limit = ledger.expiring
        assert ledger.bound_by(limit)
        again = pickle.loads(pickle.dumps(limit))  # noqa: S301 - our own bytes
        assert again == limit
        assert not ledger.bound_by(again)


def test_a_limit_does_not_call_spent_what_nobody_counted():
    """A call without a price is charged all that it held, and that is said."""
    ledger = Ledger(Budget(cost="1"))
    [lease] = ledger.reserve(Need())
    lease.settle(Entry(role="sample", status="ok"))
    refused = ledger.reserve(Need())
    assert (refused.limit.spent, refused.limit.uncounted) == (0, 1)
    assert "0 spent, 1 charged for what nobody counted" in str(refused.limit)
    assert str(copy.copy(refused.limit)) == str(refused.limit)
