"""Strategies, prices and books for workflows."""

from __future__ import annotations

from functools import partial

from thinktwice import AtMost, Ledger, Price, Vote, solve
from thinktwice.budget import Need
from thinktwice.entry import Entry
from thinktwice.sample import Usage
from thinktwice.testing import ScriptedSampler

TWO = Vote(2, stop=AtMost(2))
EIGHT = Vote(8, stop=AtMost(8))
NINE = Vote(9, stop=AtMost(9))
PRICES = {"fake-model": Price("1000000", "1000000")}  # a dollar a token
run = partial(solve, prices=PRICES)  # given, so that no price list is loaded beside virtual time


def model(**more: object) -> ScriptedSampler[str]:
    return ScriptedSampler(["a"], **more)  # type: ignore[arg-type]


def spend(ledger: Ledger, calls: int = 1, **used: object) -> None:
    """Make calls directly in the books."""
    for _ in range(calls):
        got = ledger.reserve(Need())
        assert isinstance(got, list)
        got[0].settle(Entry(role="sample", status="ok", **used))  # type: ignore[arg-type]


def tokens(count: int) -> Usage:
    return Usage(input_tokens=0, output_tokens=count, source="provider")
