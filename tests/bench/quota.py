"""What a reservation in a quota takes, alone and with several processes at one cap.

The processes do nothing else, so on fewer cores than processes they wait for their turns as well.
What that makes is seen where each has a file of its own and waits for nobody; and in what it took
of the processor, and of the clock for all reservations together. A reservation counts from the call
to the answer; processor and clock count its settlement, too.

Run it by `make bench-quota`.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
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
COLUMNS = ("processes", "file", "cap", "allowed", "mean", "median", "p99", "processor", "clock")


@dataclass(frozen=True)
class Ran:
    """What one process has done.

    Attributes:
        allowed: How many reservations.
        waited: Seconds of each reservation.
        worked: Seconds of the processor, for all of them.
        began: On the clock of the machine.
        ended: On the same.
    """

    allowed: int
    waited: list[float]
    worked: float
    began: float
    ended: float


def hammer(path: str, cap: int, at: float) -> Ran:
    """Reserve and settle, all processes from the same moment on."""
    quota, allowed, waited = Quota("bench", Budget(calls=cap), store=SqliteStore(path)), 0, []
    with quota.scope() as ledger:
        time.sleep(max(0.0, at - time.time()))
        began, worked = time.time(), time.process_time()
        for _ in range(CALLS):
            started = time.perf_counter()
            got = ledger.reserve(NEED)
            waited.append(time.perf_counter() - started)
            if not isinstance(got, Refusal):
                allowed += 1
                got[0].settle(ENTRY)
    return Ran(allowed, waited, time.process_time() - worked, began, time.time())


def compared(processes: int, *, shared: bool) -> tuple[str, ...]:
    """A row: one file for all, or one for each."""
    cap = CALLS * 3 // 4 * (processes if shared else 1)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, context.Pool(processes) as pool:
        pool.map(os.path.exists, ["/"] * processes, chunksize=1)  # they have begun
        names = [str(Path(folder) / f"{0 if shared else at}.db") for at in range(processes)]
        at = time.time() + 1
        runs = pool.starmap(hammer, [(name, cap, at) for name in names], chunksize=1)
    waited = sorted(each for run in runs for each in run.waited)
    clock = max(run.ended for run in runs) - min(run.began for run in runs)
    figures = (
        statistics.fmean(waited),
        statistics.median(waited),
        waited[len(waited) * 99 // 100],
        sum(run.worked for run in runs) / len(waited),
        clock / len(waited),
    )
    counted = str(cap * (1 if shared else processes)), str(sum(run.allowed for run in runs))
    file = "one" if shared else "each its own"
    return str(processes), file, *counted, *(f"{each * 1e3:.2f} ms" for each in figures)


def main() -> None:
    """Print a line for each number of processes, with one file and with one for each."""
    rows = [COLUMNS, *(compared(n, shared=True) for n in (1, 2, 4)), compared(4, shared=False)]
    for row in rows:
        print("".join(f"{cell:>{14 if at == 1 else 10}}" for at, cell in enumerate(row)))


if __name__ == "__main__":
    main()
