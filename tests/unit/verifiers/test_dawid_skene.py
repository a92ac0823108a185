"""How reliable verifiers are, by how far they agree."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest

from thinktwice.verifiers.dawid_skene import reliabilities

RATES = [(0.9, 0.2), (0.8, 0.3), (0.7, 0.1), (0.6, 0.5)]
PRIOR = 0.3


def population(size=200_000):
    """Verdicts in the very shares that the model gives them."""
    rows = []
    for row in product([True, False], repeat=len(RATES)):
        chances = [
            prod(rate if passed else 1 - rate for passed, rate in zip(row, rates, strict=True))
            for rates in zip(*RATES, strict=True)
        ]
        share = PRIOR * chances[0] + (1 - PRIOR) * chances[1]
        rows += [row] * round(size * share)
    return list(zip(*rows, strict=True))


def test_a_population_gives_back_the_model():
    """Rates and prior, from agreement alone."""
    found, prior = reliabilities(population())
    assert prior == pytest.approx(PRIOR, abs=0.005)
    for rates, expected in zip(found, RATES, strict=True):
        assert rates == pytest.approx(expected, abs=0.01)


def test_the_order_of_the_samples_does_not_matter():
    """Only how often each pattern occurs."""
    columns = population(2000)
    found, prior = reliabilities(columns)
    again, same = reliabilities([column[::-1] for column in columns])
    assert prior == pytest.approx(same)
    for rates, others in zip(found, again, strict=True):
        assert rates == pytest.approx(others)


def test_no_rate_is_0_or_1():
    """Also of verifiers that never differ: a sample more could."""
    found, prior = reliabilities([[True] * 5 + [False] * 5] * 3)
    assert 0 < prior < 1
    for rates in found:
        assert 0 < rates.wrong < rates.right < 1


def test_samples_that_nobody_judged_say_nothing():
    """They change no rate."""
    columns = [list(column) for column in population(2000)]
    found, _ = reliabilities(columns)
    more, _ = reliabilities([[*column, *([None] * 10)] for column in columns])
    for rates, others in zip(found, more, strict=True):
        assert rates == pytest.approx(others, abs=0.01)
