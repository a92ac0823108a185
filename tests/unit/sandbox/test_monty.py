"""pydantic-monty: what it runs, what it hands on, and its faults."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.processes import children
from thinktwice.errors import UsageError
from thinktwice.sandbox import monty as module
from thinktwice.sandbox.monty import Monty
from thinktwice.sandbox.protocol import Case, Limits
from thinktwice.testing import run_virtual
from thinktwice.threads import run_sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thinktwice.sandbox.protocol import CaseRun, Execution


async def run(sandbox: Monty, program: str, *cases: str, **limits: float) -> Execution:
    """Run it on expressions."""
    given = [Case(case) for case in cases or ("f()",)]
    return await sandbox.execute(program, given, limits=Limits(**limits))


async def only(sandbox: Monty, program: str, case: str = "f()", **limits: float) -> CaseRun:
    """What its only case did."""
    execution = await run(sandbox, program, case, **limits)
    assert execution.status == "ok", execution
    return execution.cases[0]


async def test_expressions_have_values(monty: Monty) -> None:
    """Of the types that Python gives them, with the program's state between them."""
    program = "from collections import Counter\nseen = []\ndef add(a, b): return a + b"
    cases = ("add(1, 2)", "seen.append(1)", "(seen, {'a': 1.0}, True)", "Counter('a')  # one")
    execution = await run(monty, program, *cases)
    assert (execution.status, execution.sandbox) == ("ok", "monty")
    assert [case.value for case in execution.cases] == [
        "3",
        "null",
        '{"tuple":[[1],{"dict":[["a",1.0]]},true]}',
        '{"dict":[["a",1]]}',
    ]


async def test_each_execution_has_an_interpreter_of_its_own(monty: Monty) -> None:
    """Nothing is left of the one before."""
    await run(monty, "secret = 1", "secret")
    assert (await run(monty, "", "secret")).status == "unsupported"


@pytest.mark.parametrize(
    ("program", "status", "error"),
    [
        ("def f(): return [][1]", "raised", "IndexError"),
        ("def f(): raise ValueError('x')", "raised", "ValueError"),
        ("def f(): assert 1 == 2, 'no'", "raised", "AssertionError"),
        ("1 / 0", "raised", "ZeroDivisionError"),
        ("def f(:", "raised", "SyntaxError"),
        ("x = '\0'", "raised", "SyntaxError"),
        ("def f(): return [0] * 10**9", "memory", "MemoryError"),
        ("def f(): return 9**9**9", "memory", "MemoryError"),
        ("def f():\n  while True: print('x' * 99999)", "output", None),
        ("def f(): return 'x' * 2**21", "no_result", None),
        ("def f():\n  x = 1\n  for _ in range(99): x = [x]\n  return x", "no_result", None),
    ],
)
async def test_what_goes_wrong_is_told_apart(
    monty: Monty, program: str, status: str, error: str | None
) -> None:
    """Where it would go wrong in CPython in the same way."""
    run = await only(monty, program)
    assert (run.status, run.error) == (status, error)


@pytest.mark.parametrize(
    "program",
    [
        "import heapq",
        "from collections import OrderedDict",
        "class A(int): pass",
        "def f(): yield 1",
        "del f",
        "def f(): return input()",
        "import sys\nsys.exit(0)",
        "def f(): return 'a'.translate({})",
        "def f(): return f()",
        "def f(): return 1 + ''",
        "def f(): return range(3)",
        "def f(): return lambda: 1",
        "def f(): return [{1: 2}.keys()]",
        "def f(): return map(int, '1')",
        "class A: pass\ndef f(): return A()",
        "def f():\n  try: import heapq\n  except ImportError: return 1",
        "raise NotImplementedError",
        f"x = '{'a' * 30_000}'",
        "(" * 150 + ")" * 150,
        "def f(): return open('/etc/passwd').read()",
    ],
)
async def test_what_it_lacks_or_does_otherwise_says_nothing_of_the_program(
    monty: Monty, program: str
) -> None:
    """Unsupported is never wrong: another sandbox decides."""
    execution = await run(monty, program)
    assert execution.cases == () or execution.cases[0].error == "SyntaxError"
    assert execution.status == "unsupported" or program.startswith("(")
    assert execution.reason or program.startswith("(")


async def test_a_program_that_replaces_what_looks_at_its_results_gains_nothing(
    monty: Monty,
) -> None:
    """It is unsupported then."""
    program = "type = 5\n_thinktwice_kinds = 5\ndef f(): return 'range(0, 3)'"
    assert (await run(monty, program)).status == "unsupported"


async def test_workers_that_cannot_be_started_are_an_error(
    monty: Monty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not an exception."""

    def missing(_: int) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(module, "_pool", missing)
    execution = await run(monty, "", "1")
    assert (execution.status, execution.cases) == ("error", ())
    assert execution.reason == "it cannot be started: FileNotFoundError"


async def test_standard_input_is_unsupported(monty: Monty) -> None:
    """It has none."""
    execution = await monty.execute("print(1)", [Case(stdin="")], limits=Limits())
    assert (execution.status, execution.reason) == ("unsupported", "it has no standard input")


async def test_time_is_limited_and_the_rest_is_not_run(monty: Monty) -> None:
    """For all cases together; sleeping takes none."""
    loop = "import time\ndef f():\n  while True: pass"
    execution = await run(monty, loop, "time.sleep(9)", "f()", "1", seconds=0.1)
    assert [case.status for case in execution.cases] == ["ok", "timeout", "not_run"]
    slow = "def f():\n  for _ in range(10**5): pass"
    execution = await run(monty, slow, *["f()"] * 1000, seconds=0.1)
    statuses = [case.status for case in execution.cases]
    assert statuses[0] == "ok"
    assert statuses[-1] == "not_run"
    assert execution.seconds < 5


async def test_patience_hands_a_slow_program_on() -> None:
    """Before its time is over, to a sandbox that may be faster."""
    loop = "def f():\n  while True: pass"
    impatient = Monty(patience=0.1)
    execution = await run(impatient, loop)
    assert (execution.status, execution.cases) == ("unsupported", ())
    assert (await only(impatient, loop, seconds=0.05)).status == "timeout"


@contextmanager
def killing(times: float = math.inf) -> Iterator[None]:
    """Kill the workers that this process has, every fifth of a second, so many times."""
    over = threading.Event()

    def kill() -> None:
        done = 0
        while done < times and not over.wait(0.2):
            done += 1
            for pid in workers():
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    over.set()
    thread.join()


def workers() -> set[int]:
    """The processes of monty."""
    return {pid for pid, line in children().items() if b"monty" in line}


LONG = "def f():\n  for _ in range(9 * 10**6): pass\n  return 1"
"""Half a second or more."""


async def test_a_worker_that_is_killed_is_replaced(monty: Monty) -> None:
    """The program runs once more, and a second time it is an error."""
    await run(monty, "", "1")
    with killing(1):
        assert (await only(monty, LONG, seconds=60)).value == "1"
    with killing():
        execution = await run(monty, "def f():\n  while True: pass", seconds=20)
    assert (execution.status, execution.reason) == ("error", "its process died, twice")
    assert (await only(monty, "", "1 + 1")).value == "2"


async def test_cancelling_ends_it_at_once(monty: Monty) -> None:
    """The worker dies with it, and the next call gets another."""
    task = asyncio.create_task(run(monty, "def f():\n  while True: pass", seconds=60))
    await asyncio.sleep(0.2)
    busy = workers()
    since = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - since < 1
    while workers() >= busy:
        assert time.monotonic() - since < 20
        await asyncio.sleep(0.01)
    assert (await only(monty, "", "1 + 1")).value == "2"


async def test_many_at_a_time_all_get_their_results(monty: Monty) -> None:
    """More than there are workers."""
    executions = await asyncio.gather(*(run(monty, "", f"{n} * {n}") for n in range(50)))
    assert [e.cases[0].value for e in executions] == [str(n * n) for n in range(50)]


def test_it_runs_under_any_loop(monty: Monty) -> None:
    """Loops come and go, and the workers stay."""
    assert run_sync(lambda: only(monty, "", "1 + 1")).value == "2"
    assert run_virtual(only(monty, "", "1 + 1")).value == "2"
    assert asyncio.run(only(monty, "", "1 + 1")).value == "2"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """At construction."""
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'thinktwice\[code\]'"):
        Monty()
