# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "matplotlib"]
# ///
"""Stop rules against each other on recorded samples: calls, overturned votes, accuracy.

    python tests/bench/frontier.py [--orders 20] [--csv rows.csv] [--plot docs/images]

Counts are replayed one by one in seeded orders; nothing is called. Each family of rules is swept
over its parameter, with the certain stop as votes have it, except where it says "as published". A
vote is overturned if another answer has strictly more votes after all n draws. Figures are means
over the five pools of `pools.py`, each with equal weight; intervals resample the questions of each
pool 1,000 times (95 %).

Between two settings of a family the figures are those of a vote that picks one of the two at random
beforehand. "At 1 % overturned" is the cheapest such mixture, "at these calls" that of the two
thresholds of `Settled` next to it.

The Bayes rules are the limits of what counts can tell. They minimise calls + loss * overturns by
dynamic programming over (draws, leader, runner-up), under a uniform prior on the shares of the two,
or under the transitions seen in the other four pools, or in all five: that one knows the answers
that it is graded on, and no rule on counts can be expected to do better. Three minutes.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pools
from bayes_stop import optimal, priors
from replayed import Runs, replay, table

from thinktwice.stop import (
    AdaptiveConsistency,
    Certain,
    Certificate,
    EarlyStopping,
    Lead,
    Quorum,
    Settled,
    Stop,
    Tally,
    with_certain,
)
from thinktwice.stop.algebra import CountRule
from thinktwice.stop.curtail import UNIFORM, overturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Replayed = dict[str, Runs]

SIZES: Final = (16, 30)
RATE: Final = 1.0  # percent of votes overturned, at which families are compared
RESAMPLES: Final = 1000
OURS: Final = "Settled, by threshold"
PUBLISHED: Final = "Adaptive-Consistency, as published"


@dataclass(frozen=True)
class Threshold(CountRule):
    """What `Settled` does at a threshold that is not calibrated to a risk."""

    chance: float

    def fired(self, tally: Tally) -> Stop | None:
        """Itself, when an overturn is improbable enough."""
        votes = int(tally.leader), int(tally.runner_up)
        return self if overturn(*votes, tally.remaining, UNIFORM) <= self.chance else None


FAMILIES: Final[dict[str, Sequence[Stop]]] = {
    "Settled": [with_certain(Settled(risk)) for risk in (0.01, 0.02, 0.05, 0.1)],
    OURS: [with_certain(Threshold(float(c))) for c in np.geomspace(0.002, 0.15, 50).round(5)],
    "Lead": [with_certain(Lead(k)) for k in range(1, 10)],
    PUBLISHED: [AdaptiveConsistency(float(c)) for c in np.arange(0.76, 0.995, 0.005).round(3)],
    "Adaptive-Consistency": [
        with_certain(AdaptiveConsistency(float(c))) for c in np.arange(0.76, 0.995, 0.005).round(3)
    ],
    "ESC, as published": [EarlyStopping(window) for window in range(2, 9)],
    "ESC": [with_certain(EarlyStopping(window)) for window in range(2, 9)],
    "Quorum": [with_certain(Quorum(k)) for k in range(2, 11)],
    "Certificate": [
        with_certain(Certificate(r)) for r in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
    ],
}
LOSSES: Final = tuple(np.geomspace(15, 3000, 43).round(1).tolist())
"""Calls that an overturn is worth, for the Bayes rules."""
SHOWN: Final = {  # what is printed; the rest is in the CSV file
    *FAMILIES["Settled"], *FAMILIES["Lead"][1:6], *FAMILIES["ESC"], *FAMILIES["Quorum"][1:7:2],
    *FAMILIES["Certificate"], *(AdaptiveConsistency(c) for c in (0.8, 0.85, 0.88, 0.9, 0.95)),
    *(with_certain(AdaptiveConsistency(c)) for c in (0.8, 0.85, 0.88, 0.9, 0.95)),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One setting of a family.

    Attributes:
        family: Its family.
        setting: Its parameter.
        means: Of each pool: calls, overturned and right of each question.
        shown: It is printed.
    """

    family: str
    setting: str
    means: dict[str, Floats] = field(repr=False)
    shown: bool

    @property
    def figures(self) -> Floats:
        """Calls, overturned in %, right in %."""
        return _percent(np.mean([each.mean(axis=1) for each in self.means.values()], axis=0))


def _percent(figures: Floats) -> Floats:
    return figures * np.array([1.0, 100.0, 100.0])


# --- rules ---------------------------------------------------------------------------------------


def points(replayed: Replayed, n: int) -> list[Point]:
    """Every setting of every family."""
    found: list[Point] = []
    for family, rules in FAMILIES.items():
        for rule in rules:
            fires = table(rule, n) if rule.counts_only else None
            means = {
                pool: runs.means(
                    runs.stops_by_history(rule) if fires is None else runs.stops_by_counts(fires)
                )
                for pool, runs in replayed.items()
            }
            found.append(Point(family, _parameter(rule), means, rule in SHOWN))
    return found + bayes_points(replayed, n)


def _parameter(rule: Stop) -> str:
    part = getattr(rule, "parts", (rule,))[-1]
    return f"{next(iter(vars(part).values())):g}"


def bayes_points(replayed: Replayed, n: int) -> list[Point]:
    """The Bayes rules under three priors, for a range of losses."""
    certain = table(Certain(), n)
    found: list[Point] = []
    for (family, prior), loss in itertools.product(priors(replayed, n).items(), LOSSES):
        rules = {id(each): optimal(each, loss) | certain for each in prior.values()}
        means = {
            pool: runs.means(runs.stops_by_counts(rules[id(prior[pool])]))
            for pool, runs in replayed.items()
        }
        found.append(Point(family, f"{loss:g}", means, LOSSES.index(loss) % 6 == 0))
    return found


# --- comparison ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sweep:
    """The settings of one family as arrays, by resample of the questions; the first is the data."""

    family: str
    calls: Floats
    overturned: Floats
    right: Floats

    def at_equal_overturns(self) -> Floats:
        """Calls of the cheapest mixture of two settings that overturns `RATE`; nan if none does."""
        low, high = self.overturned[:, :, None], self.overturned[:, None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (RATE - low) / (high - low)
            mixed = self.calls[:, :, None] * (1 - share) + self.calls[:, None, :] * share
        mixed[~((low <= RATE) & (high > RATE))] = np.inf
        best = mixed.min(axis=(1, 2))
        return np.where(np.isfinite(best), best, np.nan)


def sweeps(found: Iterable[Point], replayed: Replayed) -> dict[str, Sweep]:
    """Figures of each family, for the data and for resamples of the questions of each pool."""
    rng = np.random.default_rng(0)
    weights: dict[str, Floats] = {}
    for pool, runs in replayed.items():
        even = np.full(runs.questions, 1 / runs.questions)
        resampled = rng.multinomial(runs.questions, even, RESAMPLES) / runs.questions
        weights[pool] = np.vstack([even, resampled])
    families: dict[str, list[Floats]] = {}
    for point in found:
        own = [weights[pool] @ means.T for pool, means in point.means.items()]
        families.setdefault(point.family, []).append(_percent(np.mean(own, axis=0)))
    return {
        family: Sweep(family, *np.stack(rows, axis=1).transpose(2, 0, 1))
        for family, rows in families.items()
    }


def accuracy_beyond(ours: Sweep, other: Sweep, setting: int) -> Floats:
    """How much more often another rule is right than ours at its calls."""
    order = ours.calls[0].argsort()
    known, at = ours.calls[0][order], other.calls[0, setting]
    above = int(np.clip(np.searchsorted(known, at), 1, len(known) - 1))
    low, high = order[above - 1], order[above]
    gap = known[above] - known[above - 1]
    share = float(np.clip((at - known[above - 1]) / gap, 0, 1)) if gap else 0.0
    mixed = ours.right[:, low] * (1 - share) + ours.right[:, high] * share
    return other.right[:, setting] - mixed


def interval(values: Floats) -> tuple[float, float, float]:
    """Of the data, and 95 % of the resamples."""
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return float(values[0]), float(low), float(high)


def rows(found: Sequence[Point], swept: dict[str, Sweep], n: int) -> list[dict[str, object]]:
    """One a setting, for the table and for the CSV file."""
    names = ("calls", "overturned", "accuracy", "beyond", "low", "high")
    out: list[dict[str, object]] = []
    for family, group in itertools.groupby(found, key=lambda point: point.family):
        for number, point in enumerate(group):
            beyond = interval(accuracy_beyond(swept[OURS], swept[family], number))
            figures = (round(float(each), 3) for each in (*point.figures, *beyond))
            row = {"n": n, "family": family, "setting": point.setting, "shown": point.shown}
            out.append(row | dict(zip(names, figures, strict=True)))
    return out


# --- output --------------------------------------------------------------------------------------


def show(listed: Sequence[dict[str, object]], swept: dict[str, Sweep], n: int) -> None:
    """Print both tables in Markdown."""
    print(f"\n## n = {n}\n")
    print("| rule | setting | calls | overturned % | accuracy % | beyond Settled at these calls |")
    print("|---|---|---|---|---|---|")
    for row in listed:
        if row["shown"]:
            beyond = f"{row['beyond']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
            print(
                f"| {row['family']} | {row['setting']} | {row['calls']:.2f} "
                f"| {row['overturned']:.2f} | {row['accuracy']:.2f} | {beyond} |"
            )
    ours = swept[OURS].at_equal_overturns()
    print(f"\n| family, at {RATE:g} % overturned | calls | calls of Settled / calls of this |")
    print("|---|---|---|")
    for family, sweep in swept.items():
        calls = sweep.at_equal_overturns()
        if np.isnan(calls[0]):
            print(f"| {family} | never | |")
            continue
        ratio, low, high = interval(ours / calls)
        print(f"| {family} | {calls[0]:.2f} | {ratio:.3f} ({low:.3f} to {high:.3f}) |")


def main() -> int:
    """Print the tables; without recordings, say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20, help="orders of a question")
    parser.add_argument("--csv", type=Path, help="write every setting to this file")
    parser.add_argument("--plot", type=Path, help="draw the pictures into this folder")
    chosen = parser.parse_args()
    if not pools.folder().is_dir():
        print(f"skipped: no recordings in {pools.folder()}; set THINKTWICE_DATA to their folder")
        return 0
    everything: list[dict[str, object]] = []
    for n in SIZES:
        replayed = {pool: replay(pool, n, chosen.orders) for pool in pools.POOLS}
        found = points(replayed, n)
        swept = sweeps(found, replayed)
        listed = rows(found, swept, n)
        show(listed, swept, n)
        everything += listed
    if chosen.csv:
        with chosen.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(everything[0]))
            writer.writeheader()
            writer.writerows(everything)
    if chosen.plot:
        import frontier_plots

        frontier_plots.draw(everything, chosen.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
