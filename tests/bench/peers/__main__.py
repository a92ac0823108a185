"""thinktwice and its peers, side by side over one replaying server.

    make bench-peers                  about 10 minutes
    make bench-peers ARGS=--quick     about one
    make bench-peers ARGS="--pools SVAMP AQuA --weather hang --write docs/peers"

Every peer runs in its own environment, and asks the same questions of a server on loopback which
answers with recorded samples of real models, in one seeded order that is the same for all. What a
peer sent, and what it broke off, is what the server saw. The recordings are looked for in
`THINKTWICE_DATA`, else beside the checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import report
from arms import ARMS
from drive import Runner, Scenario
from measure import WARMUP, Row, measured
from recordings import POOLS, load, path_of
from replay import FAULTS, ReplayServer, Weather

STRAGGLERS = "stragglers"


def scenarios(chosen: argparse.Namespace) -> list[Scenario]:
    """Each pool when nothing goes wrong, then the first with stragglers and faults."""
    count, seed = chosen.questions + WARMUP, chosen.seed
    clean = [Scenario(pool, "clean", load(pool, count, seed)) for pool in chosen.pools]
    pool = chosen.pools[0]
    few = load(pool, min(chosen.rough, chosen.questions) + WARMUP, seed)
    return clean + [
        Scenario(
            pool,
            name,
            few,
            Weather(stragglers=chosen.share, seed=seed)
            if name == STRAGGLERS
            else Weather(fault=name, share=chosen.share, seed=seed),
            timeout=3.0,
            limit=10.0,
        )
        for name in chosen.weather
    ]


async def main(chosen: argparse.Namespace) -> int:
    """Measure, print, write; 1 if an arm did not do what it says."""
    rows: list[Row] = []
    strange: list[str] = []
    async with ReplayServer() as server, AsyncExitStack() as stack:
        runners = [await stack.enter_async_context(Runner(arm, server)) for arm in ARMS]
        for scenario in scenarios(chosen):
            kinds = wanted(scenario)
            own = [runner for runner in runners if runner.arm.where in kinds]
            new, odd = await measured(scenario, own)
            if scenario.clean:
                show(scenario.pool, report.clean(new))
            rows += new
            strange += odd
    tables = summary(rows)
    for title, table in tables.items():
        show(title, table)
    if chosen.write:
        write(chosen.write, rows, tables)
    for line in strange:
        print("unexpected:", line)
    return bool(strange)


def show(title: str, table: str) -> None:
    """Print a table."""
    print(f"\n### {title}\n\n{table}", flush=True)


def summary(rows: list[Row]) -> dict[str, str]:
    """The mean over the pools, best-of-n, what came of faults, and versions."""
    clean = [row for row in rows if row.scenario == "clean"]
    rough = [row for row in rows if row.scenario != "clean"]
    scored = [row for row in clean if row.arm.startswith("BestOfN")]
    tables = {"versions": report.versions()}
    if len({row.pool for row in clean}) > 1:
        tables["mean of the pools"] = report.clean(report.mean(clean))
    if scored:
        tables["best of n"] = report.clean(scored)
    if rough:
        tables["when things go wrong"] = report.rough(rough)
    return tables


def wanted(scenario: Scenario) -> set[str]:
    """The kinds of arms that are put through a scenario."""
    scores = scenario.questions[0].samples[0].score is not None
    return {"both", *(["clean"] + ["scores"] * scores if scenario.clean else ["rough"])}


def write(where: Path, rows: list[Row], tables: dict[str, str]) -> None:
    """CSV of everything, a picture of each pool, and the tables into the page beside the folder."""
    where.mkdir(parents=True, exist_ok=True)
    for pool in dict.fromkeys(row.pool for row in rows):
        own = [row for row in rows if row.pool == pool]
        stem = pool.lower().replace(" ", "-")
        report.write_csv(where / f"{stem}.csv", own)
        report.plot(where / f"{stem}.png", [row for row in own if row.scenario == "clean"])
    page = where.with_suffix(".md")
    if page.exists():
        for title, table in tables.items():
            report.fill(page, title, table)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="peers", description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=25, help="of each pool")
    parser.add_argument("--rough", type=int, default=12, help="questions where things go wrong")
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--weather", nargs="*", choices=[STRAGGLERS, *FAULTS])
    parser.add_argument("--share", type=float, default=0.05, help="of requests that go wrong")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="folder for CSV, pictures; a page")
    parser.add_argument("--quick", action="store_true", help="few questions of one pool")
    parser.set_defaults(weather=[STRAGGLERS, *FAULTS])
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.questions, chosen.rough, chosen.pools, chosen.weather = 8, 4, ["SVAMP"], ["garbage"]
    return chosen


if __name__ == "__main__":
    chosen = parsed()
    absent = [str(path_of(pool)) for pool in chosen.pools if not path_of(pool).exists()]
    if absent:
        print(f"skipped: set THINKTWICE_DATA to the folder with {', '.join(absent)}")
        sys.exit(0)
    sys.exit(asyncio.run(main(chosen)))
