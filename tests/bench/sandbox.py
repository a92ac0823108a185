"""What an execution costs: milliseconds alone, and executions a second with all cores at work.

    make bench-sandbox

A small function on two cases, in each sandbox that is here, one execution after the other; the
sandboxes take turns in rounds of fifty, so that a change in the machine's speed meets all. A bare
interpreter is the measure of that speed: bubblewrap has to start one each time. On a machine that
does other work as well, `chrt -r 1 make bench-sandbox` comes first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

from thinktwice.sandbox.bubblewrap import Bubblewrap
from thinktwice.sandbox.monty import Monty
from thinktwice.sandbox.places import PLACES
from thinktwice.sandbox.processes import interpreter
from thinktwice.sandbox.protocol import Case, Limits
from thinktwice.sandbox.unsafe import UnsafeSubprocess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from thinktwice.sandbox.protocol import Sandbox

PROGRAM = """
def total(numbers):
    result = 0
    for number in numbers:
        result += number
    return result
"""
CASES = [Case("total([1, 2, 3])"), Case("total([])")]


async def verify(sandbox: Sandbox) -> None:
    """One execution, with its results as they must be."""
    execution = await sandbox.execute(PROGRAM, CASES, limits=Limits())
    assert [case.value for case in execution.cases] == ["6", "0"], execution


async def bare() -> None:
    """The interpreter that a sandbox starts, without a sandbox or a job."""
    python, *options = interpreter(0)[:-3]
    command = [python, *options, "-c", "pass"]
    await asyncio.to_thread(subprocess.run, command, check=True, env={})


def sandboxes() -> list[Sandbox]:
    """Those that are here, and the one that isolates nothing."""
    found: list[Sandbox] = [UnsafeSubprocess(allow_unsafe=True)]
    for make in (Bubblewrap, Monty):
        try:
            sandbox = make()
            asyncio.run(verify(sandbox))
        except (AssertionError, ValueError) as reason:
            print(f"{make.__name__} is not here: {reason}")
        else:
            found.append(sandbox)
    return found


async def alone(actions: Mapping[str, Callable[[], Awaitable[None]]], rounds: int) -> None:
    """Print the milliseconds that one execution takes."""
    took: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            for _ in range(50):
                since = time.perf_counter()
                await action()
                took[name].append(1000 * (time.perf_counter() - since))
    print(f"{'':20}{'median':>10}{'fastest':>10}   ms")
    for name, each in took.items():
        print(f"{name:20}{median(each):10.2f}{min(each):10.2f}")


async def together(sandbox: Sandbox, count: int) -> float:
    """Executions a second, all asked for at once."""
    since = time.perf_counter()
    await asyncio.gather(*(verify(sandbox) for _ in range(count)))
    return count / (time.perf_counter() - since)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found = sandboxes()
    load = os.getloadavg()[0]
    print(f"{PLACES.max_concurrency} programs at a time; load of the machine before: {load:.1f}\n")
    actions = {"bare interpreter": bare}
    actions |= {sandbox.name: lambda sandbox=sandbox: verify(sandbox) for sandbox in found}
    asyncio.run(alone(actions, rounds))
    print()
    for sandbox in found:
        rates = [asyncio.run(together(sandbox, 20)) for _ in range(rounds)]
        print(f"{sandbox.name:20}{median(rates):10.0f}   executions a second")


if __name__ == "__main__":
    main()
