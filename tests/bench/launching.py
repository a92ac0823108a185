"""Latency against cost: what the launch modes, hedging and the order of counting do.

    python tests/bench/launching.py [--trials 10000] [--csv FOLDER] [--plot FILE]

Schedules are simulated (`tests/simulator.py`): a population of easy and hard questions, lognormal
latencies with sigma .5, 3 % of the calls 6 times as slow. Hedging runs the public `solve` on a
virtual clock: lognormal latencies around 50 ms, 5 % of the calls take 2 s. About five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import sys
import warnings
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulator import Question, Schedule, mixed, summary

from thinktwice import AtMost, Vote, solve
from thinktwice.history import History
from thinktwice.testing import run_virtual

SIZES = (8, 16, 40)
MODES = {"cost": 1.0, ".75": 0.75, "balanced": 0.5, ".25": 0.25, "latency": 0.0}
CONCURRENCY = 16
SLOWER = (0.5, 0.7, 1.0, 1.5, 2.0)
MEDIAN = 0.05
STRAGGLER = 2.0


def modes(trials: int) -> list[dict[str, object]]:
    """Calls, time and right answers of each mode."""
    rows: list[dict[str, object]] = []
    for n in SIZES:
        for name, tau in MODES.items():
            schedule = Schedule(tau, CONCURRENCY)
            got = summary(mixed, n, schedule, random.Random(n), trials=trials)
            rows.append({"n": n, "prefer": name, **{k: round(v, 2) for k, v in got.items()}})
    return rows


def bias(trials: int) -> list[dict[str, object]]:
    """How often the most probable answer wins, if the others are faster or slower than it."""
    rows: list[dict[str, object]] = []
    for name, schedule in (
        ("cost", Schedule(1.0, CONCURRENCY)),
        ("balanced", Schedule(0.5, CONCURRENCY)),
        ("latency", Schedule(0.0, 40)),
        ("latency, launch order", Schedule(0.0, 40, in_order=True)),
    ):
        row: dict[str, object] = {"prefer": name}
        for factor in SLOWER:
            question = Question((0.55, 0.25, 0.2), (1.0, factor, factor))
            got = summary(lambda _, q=question: q, 40, schedule, random.Random(1), trials=trials)
            row[f"x {factor:g}"] = round(got["right"], 1)
        rows.append(row)
    return rows


class Straggling:
    """A sampler of which 5 % of the calls take 2 s."""

    def __init__(self, seed: int) -> None:
        self.history = History()
        self.random = random.Random(seed)
        self.shares: tuple[float, ...] = (1.0,)

    async def __call__(self, prompt: str) -> int:
        """Draw an answer, after its time."""
        late = self.random.random() < 0.05
        await asyncio.sleep(STRAGGLER if late else MEDIAN * self.random.lognormvariate(0, 0.5))
        return self.random.choices(range(len(self.shares)), self.shares)[0]


def hedging(runs: int) -> list[dict[str, object]]:
    """Time to the answer in medians of a call, with and without hedges."""
    rows: list[dict[str, object]] = []
    for n in (8, 16, 32):
        for prefer in ("balanced", "latency"):
            rows += [_hedging(n, prefer, runs, hedge=hedge) for hedge in (False, True)]
    rows += [_hedging(n, "latency", runs, hedge=True, full=True) for n in (8, 16, 32)]
    return rows


def _hedging(
    n: int, prefer: str, runs: int, *, hedge: bool, full: bool = False
) -> dict[str, object]:
    ask = Straggling(n)
    questions = random.Random(5)

    async def main() -> tuple[list[float], int, int]:
        walls, launched, hedges = [], 0, 0
        stop = {"stop": AtMost(n)} if full else {}
        for _ in range(runs):
            ask.shares = tuple(mixed(questions).shares)
            strategy = Vote(n, prefer=prefer, hedge=hedge, **stop)  # type: ignore[arg-type]
            result = await solve("q", sampler=ask, strategy=strategy, max_concurrency=64)
            walls.append(result.ledger.seconds / MEDIAN)
            launched += result.launched
            hedges += result.hedges
        return sorted(walls), launched, hedges

    walls, launched, hedges = run_virtual(main())
    return {
        "n": n,
        "prefer": f"{prefer}, all n" if full else prefer,
        "hedge": hedge,
        "mean": round(mean(walls), 2),
        "p95": round(walls[int(0.95 * runs)], 2),
        "p99": round(walls[int(0.99 * runs)], 2),
        "calls": round(launched / runs, 2),
        "hedges, %": round(100 * hedges / launched, 2),
    }


def detection(runs: int) -> list[dict[str, object]]:
    """After how many requests the association of latency and answer is found."""
    rows: list[dict[str, object]] = []
    for factor in (1.0, 1.3, 2.0):
        found = sorted(_requests(factor, seed) for seed in range(runs))
        middle = found[len(found) // 2]
        rows.append(
            {
                "times as slow": factor,
                "found within 500": sum(each < 500 for each in found),
                "of": runs,
                "median requests": middle if middle < 500 else "-",
            }
        )
    return rows


def _requests(factor: float, seed: int) -> int:
    rng = random.Random(seed)
    history = History()
    questions = [0.5, 0.6, 0.7, 0.9]
    share = 0.5

    async def ask(prompt: str) -> str:
        answer = "a" if rng.random() < share else "b"
        await asyncio.sleep(rng.lognormvariate(0, 0.5) * (factor if answer == "b" else 1.0))
        return answer

    ask.history = history  # type: ignore[attr-defined]

    async def main() -> int:
        nonlocal share
        for number in range(500):
            share = rng.choice(questions)
            await solve("q", sampler=ask, strategy=Vote(16, hedge=False))
            if history.association.found:
                return number + 1
        return 500

    return run_virtual(main())


def show(title: str, rows: list[dict[str, object]], folder: Path | None) -> None:
    """Print a table, and write it as CSV."""
    print(f"\n{title}")
    names = list(rows[0])
    widths = [
        max(len(str(each)) for each in (name, *(row[name] for row in rows))) for name in names
    ]
    for row in ({name: name for name in names}, *rows):
        print("  ".join(str(row[name]).rjust(w) for name, w in zip(names, widths, strict=True)))
    if folder is not None:
        with (folder / f"{title.partition(',')[0].replace(' ', '-')}.csv").open("w") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


def plot(rows: list[dict[str, object]], file: Path) -> None:
    """Calls against time, a curve for each n."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "launching"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    for n in SIZES:
        mine = [row for row in rows if row["n"] == n]
        xs = [float(str(row["launched"])) for row in mine]
        ys = [float(str(row["wall"])) for row in mine]
        axes.plot(xs, ys, marker="o", label=f"n = {n}")
        for row, x, y in zip(mine, xs, ys, strict=True):
            if not str(row["prefer"]).startswith("."):
                axes.annotate(
                    str(row["prefer"]),
                    (x, y),
                    textcoords="offset points",
                    xytext=(5, 4),
                    fontsize=8,
                )
    axes.set_xlabel("calls launched (mean)")
    axes.set_ylabel("time to the answer (mean latencies of a call)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.csv:
        asked.csv.mkdir(parents=True, exist_ok=True)
    by_mode = modes(asked.trials)
    show("launch modes, Settled(.05)", by_mode, asked.csv)
    if asked.plot:
        plot(by_mode, asked.plot)
    show(
        "arrival bias, n = 40: right winners in % if the rest is x times as slow",
        bias(asked.trials // 2),
        asked.csv,
    )
    show("hedging, 500 requests, in median latencies", hedging(500), asked.csv)
    show("detection, n = 16, balanced", detection(5), asked.csv)


if __name__ == "__main__":
    main()
