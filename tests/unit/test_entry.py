"""One call, and sums of calls."""

from __future__ import annotations

from decimal import Decimal

import pytest

from thinktwice import Entry, Usage
from thinktwice.entry import ZERO, Total, dollars
from thinktwice.sample import NO_USAGE


def entry(tokens: int | None = None, cost: str | None = None, **more: object) -> Entry:
    known = Usage() if tokens is None else Usage(output_tokens=tokens, source="provider")
    price = None if cost is None else Decimal(cost)
    return Entry(role="sample", status="ok", usage=known, cost=price, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (None, "unpriced"),
        ("0", "$0.0000"),
        ("1.5", "$1.5000"),
        ("0.001", "$0.0010"),
        ("0.0000123", "$0.000012"),
    ],
)
def test_money_for_people(cost: str | None, shown: str):
    """Small amounts keep two digits; what is not known is not 0."""
    assert dollars(None if cost is None else Decimal(cost)) == shown


class TestTotal:
    """Sums."""

    def test_of_nothing(self):
        """Nothing was spent, and nothing is unknown."""
        total = Total.of([])
        assert (total.calls, total.usage.total_tokens, total.cost, total.unpriced) == (
            0,
            None,
            0,
            0,
        )

    def test_unpriced_calls_are_counted_and_not_free(self):
        """The cost is that of the others, and says so."""
        total = Total.of([entry(3, "0.5", seconds=1.0), entry(4, None, seconds=0.5)])
        assert (total.calls, total.cost, total.unpriced) == (2, Decimal("0.5"), 1)
        assert (total.usage.total_tokens, total.seconds) == (7, 1.5)

    def test_all_unpriced_is_no_cost(self):
        """None, not 0."""
        assert Total.of([entry(3), entry(4)]).cost is None

    def test_its_source_is_the_least_trusted(self):
        """A sum with an uncounted call in it is not what the provider reported."""
        assert Total.of([entry(3), entry(None)]).usage.source == "missing"

    def test_totals_add_up_to_the_total_of_all(self):
        """Unknown stays unknown, and none is the neutral element."""
        here, there = [entry(3, "0.5"), entry(4)], [entry(5), entry(6, "0.25", seconds=2.0)]
        assert Total.of(here) + Total.of(there) == Total.of([*here, *there])
        assert Total() + Total.of(here) == Total.of(here)
        assert (Total.of([entry(3)]) + Total.of([entry(4)])).cost is None


def test_its_repr_is_one_line():
    """Role, status, sample, tokens, money and time."""
    shown = repr(entry(7, "0.25", sample=3, seconds=1.234))
    assert shown == "<Entry sample ok: sample 3, 7 tokens, $0.2500, 1.23 s>"


def test_nothing_and_what_has_no_price_is_no_known_sum():
    """A refused call is free, and says nothing of the others."""
    free = Entry(role="sample", status="error", usage=NO_USAGE, cost=ZERO)
    unpriced = Entry(role="sample", status="ok", usage=Usage(input_tokens=1, source="provider"))
    assert Total.of([free]).cost == ZERO
    assert Total.of([free, unpriced]).cost is None
    assert (Total.of([free]) + Total.of([unpriced])).cost is None
