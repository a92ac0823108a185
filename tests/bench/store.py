"""The local store of costs: spans that it loses, bytes and CPU a sample, and how fast it is read.

    make bench-store

Times `thinktwice costs` as a process over a store of a million spans. Then, on one core and at so
many samples a second: spans as votes write them, without the votes, so that a slow machine reaches
the rate, too; and whole votes, with the store and without it by turns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from thinktwice import AtMost, Completion, Entry, Price, Usage, Vote, solve, telemetry
from thinktwice.entry import Total
from thinktwice.store import observe
from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.rows import RequestRow, SpanRow, SpendRow
from thinktwice.store.tree import Spend

N = 10
VOTE = Vote(N, stop=AtMost(N))
ROUNDS = 9
PRICES = {"fake": Price("1", "2")}
USAGE = Usage(input_tokens=1000, output_tokens=300, source="provider")
ENTRY = Entry(role="sample", status="ok", usage=USAGE, cost=Decimal("0.0016"), model="fake")
TOTAL = Total.of([ENTRY])


async def sampler(prompt: str) -> Completion[str]:
    """Answers at once."""
    return Completion(value=random.choice("abc"), usage=USAGE, model="fake")


async def load(rate: int, seconds: float) -> tuple[float, float]:
    """Run votes at a rate; samples a second, and CPU in microseconds a sample."""
    started, cpu, requests = time.perf_counter(), time.process_time(), 0
    for at in range(int(rate * seconds / N)):
        late = started + at * N / rate - time.perf_counter()
        await asyncio.sleep(max(0, late))
        await solve("p", sampler=sampler, strategy=VOTE, prices=PRICES)
        requests += 1
    samples = requests * N
    took = time.perf_counter() - started
    return samples / took, (time.process_time() - cpu) / samples * 1e6


def emit(rate: int, seconds: float) -> float:
    """Write the spans of votes at a rate; samples a second."""
    recorder = telemetry.Recorder()
    started = time.perf_counter()
    requests = int(rate * seconds / N)
    for at in range(requests):
        time.sleep(max(0, started + at * N / rate - time.perf_counter()))
        start = telemetry.strategy_attributes("Vote", f"{at:016x}", N)
        with recorder.span("invoke_workflow Vote", "CHAIN", start) as run:
            for index in range(N):
                opened = {telemetry.RUN_ID: f"{at:016x}", telemetry.INDEX: index}
                with recorder.span("thinktwice.sample", "CHAIN", opened) as on:
                    leaf = recorder.leaf("fake", None, {})
                    leaf.end(ENTRY)
                    on.set_attributes(telemetry.total_attributes(TOTAL))
                    on.set_attributes({telemetry.GROUP: index % 3, telemetry.ARRIVAL: index})
                    on.set_attributes({telemetry.STATUS: "ok", telemetry.MODEL: "fake"})
            run.set_attributes(telemetry.total_attributes(TOTAL))
            run.set_attributes({telemetry.LAUNCHED: N, telemetry.USED: N})
    return requests * N / (time.perf_counter() - started)


def size(path: Path) -> int:
    """Bytes of the file and its log."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


def ingest(folder: Path, rate: int, seconds: float) -> None:
    """Print what the store does under load."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    trace.set_tracer_provider(TracerProvider())
    observer = observe(folder / "spans.db")
    before = time.process_time()
    reached = emit(rate, seconds)
    observer.close()
    samples = int(rate * seconds / N) * N
    cpu = (time.process_time() - before) / samples * 1e6
    print(f"spans alone: {rate} samples a second asked for, {reached:.0f} reached, {seconds:g} s")
    print(f"  written {observer.written:,}, dropped {observer.dropped:,}")
    print(f"  bytes a sample {size(observer.path) / samples:.0f}, CPU a sample {cpu:.0f} us")
    votes(folder, rate, seconds / ROUNDS)


def votes(folder: Path, rate: int, seconds: float) -> None:
    """Print what the store adds to votes: the median of pairs, since each total is a noisy one."""
    asyncio.run(load(rate, 1))
    rates, with_store, added, dropped = [], [], [], 0
    for at in range(ROUNDS):
        _, bare = asyncio.run(load(rate, seconds))
        observer = observe(folder / f"load{at}.db")
        reached, cpu = asyncio.run(load(rate, seconds))
        started = time.process_time()
        observer.close()
        cpu += (time.process_time() - started) / (rate * seconds) * 1e6
        rates.append(reached)
        with_store.append(cpu)
        added.append(cpu - bare)
        dropped += observer.dropped
    few, _, many = statistics.quantiles(added, n=4)
    print(
        f"whole votes: {statistics.median(rates):.0f} samples a second reached, {dropped} dropped"
    )
    print(f"  CPU a sample {statistics.median(with_store):.0f} us, of it the store ", end="")
    print(f"{statistics.median(added):.0f} us (half of {ROUNDS} rounds: {few:.0f} to {many:.0f})")


def fill(path: Path, spans: int) -> None:
    """A store of so many spans, of votes of eight samples over 90 days."""
    rng, file, batch = random.Random(0), StoreFile(path, 2**40), Batch([], [], [], [])
    for at in range(spans // 17):
        request, began = rng.getrandbits(63), 1_750_000_000_000_000 + at * 132_000_000
        model, cost = rng.choice(["small", "large"]), rng.randrange(10**8, 10**10)
        strategy = rng.choice(["Vote", "BestOfN", "CritiqueRepair"])
        batch.ended.append(
            RequestRow(
                id=request,
                run=f"{request:016x}",
                trace=f"{rng.getrandbits(128):032x}",
                strategy=strategy,
                started=began,
                took=900_000,
                requested=16,
                launched=8,
                used=7,
                failed=0,
                stopped_by="Settled(risk=0.05)",
                cut=0,
                agreement=0.75,
                calls=8,
                input=8000,
                output=2400,
                cost=8 * cost,
                unpriced=0,
                sampled=8 * cost,
                wasted=cost,
            )
        )
        batch.spend.append(SpendRow(request, model, "sample", Spend(8, 8000, 2400, 8 * cost), 0))
        batch.spans.append(span(request, None, request, "run", began=began, cost=8 * cost))
        for position in range(8):
            sample = rng.getrandbits(63)
            drawn = span(
                sample, request, request, "sample", began=began, cost=cost, position=position
            )
            call = span(rng.getrandbits(63), sample, request, "call", began=began, cost=cost)
            batch.spans.extend([drawn, call])
        if len(batch.spans) > 50_000:
            file.write(batch)
            batch = Batch([], [], [], [])
    file.write(batch)
    file.close()


def span(
    number: int,
    parent: int | None,
    request: int,
    kind: str,
    *,
    began: int,
    cost: int,
    position: int | None = None,
) -> SpanRow:
    """One of them."""
    return SpanRow(
        id=number,
        parent=parent,
        request=request,
        kind=kind,
        name=None,
        model="small",
        status="ok",
        started=began,
        took=800_000,
        position=position,
        arrival=position,
        answer=None if position is None else position % 3,
        score=None,
        calls=1,
        input=1000,
        output=300,
        cost=cost,
    )


def read(folder: Path, spans: int) -> None:
    """Print how long it takes to add a large store up."""
    path = folder / "large.db"
    fill(path, spans)
    for arguments in (["costs"], ["costs", "--by", "model", "--json"], ["trace", "0a"]):
        command = [sys.executable, "-m", "thinktwice.cli", *arguments, "--store", str(path)]
        started, before = time.perf_counter(), os.times()
        subprocess.run(command, check=False, capture_output=True)
        took, after = time.perf_counter() - started, os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])
        print(
            f"{' '.join(arguments)}: {took:.2f} s, CPU {cpu:.2f} s, "
            f"over {spans:,} spans, {size(path) >> 20} MiB"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="samples a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--spans", type=int, default=1_000_000, help="0: leave reading out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.spans:
            read(Path(name), given.spans)
        ingest(Path(name), given.rate, given.seconds)
