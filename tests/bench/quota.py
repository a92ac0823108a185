"""What a reservation in a quota takes, alone and with several processes at one cap.

Run it by `make bench-quota`.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from thinktwice import Budget, Entry, Usage
from thinktwice.account import Refusal
from thinktwice.budget import Need
from thinktwice.quota import Quota, SqliteStore

CALLS = 500
NEED = Need(tokens=10, cost=Decimal("0.001"))
ENTRY = Entry(
    role="sample",
    status="ok",
    usage=Usage(input_tokens=5, output_tokens=2, source="provider"),
    cost=Decimal("0.0007"),
)


def hammer(path: str, cap: int) -> tuple[int, list[float]]:
    """Reserve and settle; count what was allowed, and the seconds of each reservation."""
    quota, allowed, seconds = Quota("bench", Budget(calls=cap), store=SqliteStore(path)), 0, []
    with quota.scope() as ledger:
        for _ in range(CALLS):
            started = time.perf_counter()
            got = ledger.reserve(NEED)
            seconds.append(time.perf_counter() - started)
            if not isinstance(got, Refusal):
                allowed += 1
                got[0].settle(ENTRY)
    return allowed, seconds


def main() -> None:
    """Print a line for each number of processes."""
    context = multiprocessing.get_context("spawn")
    print(f"{'processes':>10}{'cap':>8}{'allowed':>9}{'mean':>10}{'median':>10}{'p99':>10}")
    for processes in (1, 2, 4):
        cap = processes * CALLS * 3 // 4
        with tempfile.TemporaryDirectory() as folder, context.Pool(processes) as pool:
            path = str(Path(folder) / "quotas.db")
            runs = pool.starmap(hammer, [(path, cap)] * processes)
        seconds = sorted(each for _, taken in runs for each in taken)
        allowed = sum(each for each, _ in runs)
        late = seconds[len(seconds) * 99 // 100]
        figures = (statistics.fmean(seconds), statistics.median(seconds), late)
        columns = "".join(f"{each * 1e3:>7.2f} ms" for each in figures)
        print(f"{processes:>10}{cap:>8}{allowed:>9}{columns}")


if __name__ == "__main__":
    main()
