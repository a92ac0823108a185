"""What was spent, in a line."""

from __future__ import annotations

from decimal import Decimal

import pytest

from thinktwice import Budget, Usage
from thinktwice.bill import bill, money
from thinktwice.entry import Total

SPENT = Total(
    calls=3,
    usage=Usage(input_tokens=1000, output_tokens=200, source="provider"),
    cost=Decimal("0.5"),
)


@pytest.mark.parametrize(
    ("caps", "line"),
    [
        (Budget(), "3 launched, 1,200 tokens, $0.5000, 1.2 s"),
        (Budget(calls=8), "3 of 8 calls, 1,200 tokens, $0.5000, 1.2 s"),
        (Budget(tokens=2000), "3 launched, 1,200 of 2,000 tokens, $0.5000, 1.2 s"),
        (Budget(cost=2), "3 launched, 1,200 tokens, $0.5000 of $2.0000, 1.2 s"),
        (Budget(seconds=60), "3 launched, 1,200 tokens, $0.5000, 1.2 of 60.0 s"),
    ],
)
def test_each_cap_stands_beside_what_was_spent_of_it(caps, line):
    """And nothing where there is none."""
    assert bill(SPENT, seconds=1.25, caps=caps) == line


def test_what_nobody_counted_is_unknown_and_not_zero():
    """But nothing was spent where nothing was called."""
    unknown = Total(calls=1, usage=Usage(), unpriced=1)
    assert bill(unknown, seconds=0, caps=Budget()).startswith(
        "1 launched, tokens unknown, unpriced"
    )
    capped = bill(unknown, seconds=0, caps=Budget(tokens=9))
    assert capped.startswith("1 launched, tokens unknown of 9 tokens")
    assert bill(Total(), seconds=0, caps=Budget()).startswith("0 launched, 0 tokens")


def test_money_says_what_it_leaves_out():
    """A part is no sum."""
    assert money(Total(calls=3, cost=Decimal(1), unpriced=2)) == "$1.0000 + 2 unpriced"
    assert money(Total(calls=2, unpriced=2)) == "unpriced"
    assert money(Total(calls=2, cost=Decimal(1))) == "$1.0000"
