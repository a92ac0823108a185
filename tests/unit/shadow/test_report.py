"""How a report reads."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from decimal import Decimal

import pytest

from thinktwice.budget import Limit
from thinktwice.entry import Total
from thinktwice.sample import Usage
from thinktwice.shadow.comparison import Interval, Judged, Proportion, Spend
from thinktwice.shadow.report import ShadowReport

SINGLE = Spend(calls=1, tokens=48.4, cost=Decimal("0.0021"), seconds=0.9)
STRATEGY = Spend(calls=5.25, tokens=1250, cost=Decimal("0.0110"), seconds=2.04)
EMPTY = ShadowReport(
    share=0.05,
    requests=0,
    chosen=0,
    compared=0,
    unanswered=0,
    changed=Proportion(0, 0),
    single=None,
    strategy=None,
    unpriced=0,
    judged=None,
    unjudged={},
    cut=0,
    cancelled=0,
    dropped=0,
    pending=0,
    errors={},
    spent=Total(),
    stopped_by=None,
)
FULL = replace(
    EMPTY,
    requests=4000,
    chosen=210,
    compared=200,
    unanswered=1,
    changed=Proportion(24, 200),
    single=SINGLE,
    strategy=STRATEGY,
    judged=Judged(
        wins=15, losses=3, ties=180, single=0.71, strategy=0.77, interval=Interval(0.02, 0.1)
    ),
    unjudged={"error": 2},
    cut=1,
    dropped=3,
    errors={"TimeoutError": 4, "APIStatusError(429)": 1},
    spent=Total(
        calls=1050,
        usage=Usage(input_tokens=200_000, output_tokens=50_000, source="provider"),
        cost=Decimal("2.2"),
    ),
    stopped_by=Limit(kind="cost", allowed=Decimal("2.2"), spent=Decimal("2.2")),
)


def test_a_report_reads_as_a_small_table():
    """What somebody needs to decide, and nothing that there is none of."""
    assert str(FULL).splitlines() == [
        "compared      200 of 4000 requests (share 0.05)",
        "changed       12.0% (8.2% to 17.2%), 24 of 200",
        f"judged        {FULL.judged}",
        "not judged    2 error",
        "not compared  1 unanswered, 1 cut, 3 dropped, 4 TimeoutError, 1 APIStatusError(429)",
        "spent         1,050 calls, 250,000 tokens, $2.2000",
        "stopped       budget of 2.2 USD used up (2.2 spent)",
        "",
        "a request   single  strategy     extra",
        "calls          1.0       5.2      +4.2",
        "tokens          48     1,250    +1,202",
        "cost       $0.0021   $0.0110  +$0.0089",
        "seconds        0.9      2.04     +1.14",
    ]


def test_a_report_of_nothing_says_so():
    """Without a table of costs."""
    assert str(EMPTY).splitlines() == [
        "compared  0 of 0 requests (share 0.05)",
        "changed   0 of 0",
        "spent     nothing",
    ]
    assert EMPTY.extra is None


def test_what_is_not_known_is_not_zero():
    """Tokens and money."""
    unknown = replace(SINGLE, tokens=None, cost=None)
    table = str(replace(FULL, single=unknown)).splitlines()
    assert table[-3:-1] == [
        "tokens      unknown     1,250   unknown",
        "cost       unpriced   $0.0110  unpriced",
    ]


def test_costs_of_a_part_say_of_how_many():
    """Requests without a price are in no mean."""
    assert "cost (of 150)" in str(replace(FULL, unpriced=50))
    assert "cost  " in str(replace(FULL, unpriced=200))


def test_a_strategy_may_be_cheaper():
    """Such as a cascade in the place of a large model."""
    cheaper = replace(FULL, single=STRATEGY, strategy=SINGLE)
    assert str(cheaper).splitlines()[-2] == "cost       $0.0110   $0.0021  -$0.0089"


def test_calls_without_a_price_are_named_beside_the_money():
    """A sum must not pass for the whole."""
    spent = Total(calls=3, cost=Decimal(1), unpriced=2)
    assert "3 calls, unknown tokens, $1.0000 + 2 unpriced" in str(replace(EMPTY, spent=spent))


def test_its_repr_is_one_line():
    """For logs."""
    assert repr(FULL) == (
        "<ShadowReport: 200 of 4000 requests compared, changed 12.0% (8.2% to 17.2%), 24 of 200>"
    )


def test_notebooks_get_the_same_as_tables():
    """With what browsers would take for markup made harmless."""
    shown = replace(FULL, errors={"<Odd>": 1})._repr_html_()
    assert "<th>changed</th><td>12.0% (8.2% to 17.2%), 24 of 200</td>" in shown
    assert "<td>+$0.0089</td>" in shown
    assert "<Odd>" not in shown
    assert EMPTY._repr_html_().count("<table>") == 1


def test_it_cannot_be_changed():
    """It is a picture of a moment."""
    with pytest.raises(FrozenInstanceError):
        EMPTY.requests = 3  # type: ignore[misc]
