"""Hard caps."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

import pytest

from thinktwice import Budget, Entry, Limit, UsageError
from thinktwice.budget import Need, Share
from thinktwice.lease import Sums
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


class TestShare:
    """A part of what was left."""

    LEFT: ClassVar = {"calls": 10, "tokens": 999, "cost": Decimal("0.10"), "seconds": 60.0}

    def test_a_part_of_each_cap(self):
        """Calls and tokens whole, money exact to six digits and never more."""
        third = Share(calls=3, tokens=333, cost=Decimal("0.0333333"), seconds=20.0)
        assert Share.of(self.LEFT, Fraction(1, 3)) == third

    def test_all_of_it_is_exact(self):
        """Nothing is rounded off."""
        odd = Decimal("0.123456789123456789")
        assert Share.of({"cost": odd, "calls": 7}, Fraction(1)) == Share(cost=odd, calls=7)

    @pytest.mark.parametrize(
        ("left", "part", "later", "calls"),
        [
            (10, Fraction(1, 4), 0, 3),  # halves up
            (10, Fraction(1, 100), 3, 1),  # one at least
            (10, Fraction(99, 100), 3, 7),  # one for each later step
            (2, Fraction(99, 100), 3, 1),  # as long as there is one
            (0, Fraction(1), 0, 0),
        ],
    )
    def test_calls(self, left: int, part: Fraction, later: int, calls: int):
        """Rounded, between the least for it and the least for the others."""
        assert Share.of({"calls": left}, part, later=later).calls == calls

    def test_what_has_no_cap_gets_none(self):
        """And nothing left is a cap of nothing."""
        assert Share.of({}, Fraction(1, 2)) == Share()
        nothing = Share.of({"calls": 0, "cost": Decimal(0), "seconds": 0.0}, Fraction(1, 2))
        assert nothing == Share(calls=0, cost=Decimal(0), seconds=0.0)

    def test_later_it_allows_what_was_used_and_what_is_left_for_the_rest(self):
        """Never more than it did at first."""
        share = Share(calls=5, tokens=50, cost=Decimal(5), seconds=9.0)
        used = Sums(calls=2, tokens=30, cost=Decimal(1))
        left = {"calls": 2, "tokens": 90, "cost": Decimal(1), "seconds": 1.0}
        lowered = Share(calls=4, tokens=50, cost=Decimal(2), seconds=9.0)
        assert share.after(used, left) == lowered
        assert Share().after(used, left) == Share()


class TestLimit:
    """A cap that bound."""

    def test_it_reads_as_a_sentence(self):
        """What was allowed, what was spent, and by how much it was overrun."""
        assert str(Limit(kind="calls", allowed=8, spent=8)) == "budget of 8 calls used up (8 spent)"
        over = Limit(kind="tokens", allowed=10, spent=12, overrun=2)
        assert str(over) == "budget of 10 tokens used up (12 spent, overrun 2)"
        apart = Limit(kind="calls", allowed=8, spent=5, apart=3)
        assert str(apart) == "budget of 8 calls used up (5 spent, 3 set apart)"
        assert str(Limit(kind="calls", allowed=1, spent=1)) == "budget of 1 call used up (1 spent)"

    def test_it_says_what_the_next_call_would_take_where_something_is_left(self):
        """A cap of which nothing was spent is not used up."""
        limit = Limit(kind="tokens", allowed=100, spent=10, needed=150)
        assert str(limit) == (
            "budget of 100 tokens has 90 left, and a call takes up to 150 (10 spent)"
        )
        assert str(pickle.loads(pickle.dumps(limit))) == str(limit)  # noqa: S301 - our own
        assert "used up" in str(replace(limit, spent=100))
        assert "used up" in str(replace(limit, needed=0))  # a call of unknown size

    def test_money_is_written_out(self):
        """Without an exponent, and without zeros at the end."""
        limit = Limit(kind="cost", allowed=Decimal("1E-7"), spent=Decimal("0E-7"))
        assert str(limit) == "budget of 0.0000001 USD used up (0 spent)"
        over = replace(
            limit, allowed=Decimal(100), spent=Decimal("100.50"), overrun=Decimal("0.50")
        )
        assert str(over) == "budget of 100 USD used up (100.5 spent, overrun 0.5)"

    def test_it_pickles_without_what_is_bound_to_a_process(self):
        """And is equal to itself."""
        ledger = Ledger(Budget(seconds=5))
        limit = replace(ledger.expiring, uncounted=1, overrun=2, apart=3)
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
