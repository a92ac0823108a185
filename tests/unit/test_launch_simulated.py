"""The figures on launching in the documentation, against a simulator of votes in flight."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

from tests.simulator import Question, Schedule, mixed, simulate, summary

PAGE = Path(__file__).resolve().parents[2] / "docs" / "launching.md"
TAU = {"cost": 1.0, "balanced": 0.5, "latency": 0.0}
TRIALS = 400
CONCURRENCY = 16


def table(name: str) -> list[list[str]]:
    """The cells of a table of the page, below its head."""
    text = PAGE.read_text(encoding="utf-8").split(f"<!-- table: {name} -->")[1]
    lines = text.split("<!-- end -->")[0].strip().splitlines()[2:]
    return [[cell.strip(' `"') for cell in line.strip("|").split("|")] for line in lines]


@cache
def simulated(n: int, tau: float) -> dict[str, float]:
    """Fewer trials than the page has."""
    schedule = Schedule(tau, CONCURRENCY)
    return summary(mixed, n, schedule, random.Random(n + 7), trials=TRIALS)


def test_the_page_shows_every_mode():
    """For each n."""
    assert len(table("modes")) == 9
    assert {row[1] for row in table("modes")} == set(TAU)


@pytest.mark.parametrize("row", range(9))
def test_calls_and_times_of_the_modes(row: int):
    """Within the error of so few trials."""
    cells = table("modes")[row]
    got = simulated(int(cells[0]), TAU[cells[1]])
    assert got["used"] == pytest.approx(float(cells[2]), rel=0.12)
    assert got["launched"] == pytest.approx(float(cells[3]), rel=0.12)
    assert got["wall"] == pytest.approx(float(cells[4]), rel=0.2)
    assert got["p95"] == pytest.approx(float(cells[5]), rel=0.35)


def test_the_bias_of_arrival():
    """Right winners in percent, from the fastest to the slowest rivals."""
    for cells in table("bias"):
        launch_order = "launch" in cells[0]
        tau = TAU[cells[0].partition('"')[0].partition(",")[0]]
        schedule = Schedule(tau, 40 if tau == 0 else CONCURRENCY, in_order=launch_order)
        question = Question((0.55, 0.25, 0.2), (1.0, 0.5, 0.5))
        rng = random.Random(3)
        got = summary(lambda _, q=question: q, 40, schedule, rng, trials=TRIALS)  # type: ignore[misc]
        assert got["right"] == pytest.approx(float(cells[1]), abs=6)


def test_with_cost_nothing_is_thrown_away_and_latency_decides_nothing():
    """The same draws are counted, however fast their answers are."""
    for seed in range(100):
        rng = random.Random(seed)
        fair = Question(mixed(rng).shares)
        skewed = Question(fair.shares, [0.2, *[3.0] * 7])
        ballots = [
            simulate(question, 16, Schedule(1.0, 8), random.Random(seed))
            for question in (fair, skewed)
        ]
        assert all(ballot.launched == ballot.used for ballot in ballots)
        assert ballots[0].used == ballots[1].used
        assert ballots[0].winner == ballots[1].winner


def test_more_haste_more_waste():
    """Along the modes calls rise and time falls; the winner is as often right."""
    rows = [simulated(40, tau) for tau in (1.0, 0.5, 0.0)]
    assert rows[0]["launched"] < rows[1]["launched"] < rows[2]["launched"]
    assert rows[0]["wall"] > rows[1]["wall"] > rows[2]["wall"]
    assert max(row["right"] for row in rows) - min(row["right"] for row in rows) < 5
