"""Executions in child processes, by the sandbox that isolates nothing, with programs known here."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.processes import children
from thinktwice.errors import UsageError
from thinktwice.sandbox.child import Command
from thinktwice.sandbox.processes import Place, interpreter
from thinktwice.sandbox.protocol import Case, Limits
from thinktwice.sandbox.unsafe import UnsafeSubprocess
from thinktwice.testing import run_virtual
from thinktwice.threads import run_sync

if TYPE_CHECKING:
    from thinktwice.sandbox.protocol import CaseRun, Execution

SANDBOX = UnsafeSubprocess(allow_unsafe=True)
ADD = "def add(a, b):\n    return a + b\n"


async def run(program: str, *cases: Case | str, **limits: float) -> Execution:
    """Run it; a text is an expression."""
    given = [case if isinstance(case, Case) else Case(case) for case in cases]
    return await SANDBOX.execute(program, given, limits=Limits(**limits))


async def only(program: str, case: Case | str = "f()", **limits: float) -> CaseRun:
    """What its only case did."""
    execution = await run(program, case, **limits)
    assert execution.status == "ok", execution
    return execution.cases[0]


async def test_expressions_have_values_or_exceptions() -> None:
    """Each its own, in order, with the program's state between them."""
    execution = await run(f"{ADD}seen = []", "add(1, 2)", "add(1, '')", "seen.append(1)", "seen")
    assert (execution.status, execution.sandbox) == ("ok", "unsafe_subprocess")
    assert [case.status for case in execution.cases] == ["ok", "raised", "ok", "ok"]
    assert [case.value for case in execution.cases] == ["3", None, "null", "[1]"]
    assert execution.cases[1].error == "TypeError"
    assert execution.seconds > 0


async def test_whole_programs_read_and_write() -> None:
    """Each input in a process of its own, in order among expressions."""
    program = "import sys\nn = int(sys.stdin.readline() or 0)\nprint(n * 2)"
    execution = await run(program, Case(stdin="4\n"), "n", Case(stdin="é"), Case(stdin="5"))
    first, value, failed, last = execution.cases
    assert (first.status, first.stdout) == ("ok", "8\n")
    assert (value.status, value.value, value.stdout) == ("ok", "0", "")
    assert (failed.status, failed.error) == ("raised", "ValueError")
    assert (last.status, last.stdout) == ("ok", "10\n")


async def test_waiting_for_a_place_is_not_counted() -> None:
    """Seconds are those of the program."""
    executions = await asyncio.gather(*(run("import time", "time.sleep(0.2)") for _ in range(4)))
    since = time.monotonic()
    alone = await run("import time", "time.sleep(0.2)")
    assert alone.seconds <= time.monotonic() - since
    assert all(execution.seconds >= 0.2 for execution in executions)


@pytest.mark.parametrize(
    ("program", "status", "stdout"),
    [
        ("import sys\nprint(1)\nsys.exit()", "ok", "1\n"),
        ("print(1)\nexit(0)", "ok", "1\n"),
        ("import os\nprint(1, flush=True)\nos._exit(0)", "ok", "1\n"),
        ("import sys\nsys.exit('no')", "exited", ""),
        ("import os\nos.write(1, os.read(0, 9))", "ok", "in"),
        ("print(open(0).read())", "ok", "in\n"),
        ("import atexit\natexit.register(print, 'late')", "ok", "late\n"),
        ("import threading\nthreading.Thread(target=print, args=('t',)).start()", "ok", "t\n"),
        ("import sys\nsys.stdout.buffer.write(b'\\xff\\0')", "ok", "\\xff\0"),
        ("if __name__ == '__main__': print(__name__)", "ok", "__main__\n"),
        ("import __main__\nx = 1\nprint(__main__.x)", "ok", "1\n"),
        ("import sys\nprint(sys.argv)", "ok", "['program.py']\n"),
        ("raise MemoryError", "memory", ""),
        ("import sys\nsys.excepthook = None\n1 / 0", "exited", ""),
    ],
)
async def test_a_whole_program_runs_as_a_script_does(
    program: str, status: str, stdout: str
) -> None:
    """With its own descriptors, threads, handlers and exit status."""
    run = await only(program, Case(stdin="in"))
    assert (run.status, run.stdout) == (status, stdout)


@pytest.mark.parametrize(
    ("program", "status", "error"),
    [
        ("def f(:", "raised", "SyntaxError"),
        ("x = '\0'", "raised", "SyntaxError"),
        ("x = '\ud800'", "raised", "UnicodeEncodeError"),
        ("1 / 0", "raised", "ZeroDivisionError"),
        ("import no_such_module", "raised", "ModuleNotFoundError"),
        ("def f(): return f()", "raised", "RecursionError"),
        ("def f(): return input()", "raised", "EOFError"),
        ("class E(BaseException): pass\ndef f(): raise E", "raised", "E"),
        ("def f(): raise type('E' * 9**4, (Exception,), {})", "raised", "E" * 99 + "…"),
        ("def f(): return [0] * 2**40", "memory", "MemoryError"),
        ("import sys\ndef f(): sys.exit(0)", "exited", "SystemExit"),
        ("import os\ndef f(): os._exit(0)", "exited", None),
        ("import os\ndef f(): os.abort()", "exited", None),
        ("def f(): return object()", "no_result", None),
        ("def f(): return (x for x in ())", "no_result", None),
        ("def f(): return 'x' * 2**21", "no_result", None),
        ("class L(list):\n  def __iter__(self): 1 / 0\ndef f(): return L([1])", "no_result", None),
        ("def f():\n  while True: print('x' * 99999)", "output", None),
        ("class E(Exception):\n  def __str__(self): 1 / 0\ndef f(): raise E", "raised", "E"),
    ],
)
async def test_what_goes_wrong_is_told_apart(program: str, status: str, error: str | None) -> None:
    """In the program, or in the case."""
    run = await only(program)
    assert (run.status, run.error, run.value) == (status, error, None)


async def test_a_case_that_ends_the_process_leaves_the_rest_unrun() -> None:
    """They say nothing."""
    execution = await run("import os", "1", "os._exit(0)", "2")
    assert [case.status for case in execution.cases] == ["ok", "exited", "not_run"]


async def test_computing_time_is_limited() -> None:
    """Of all expressions together, also where the program would not be told."""
    deaf = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f():\n  while 1: pass"
    execution = await run(deaf, "1", "f()", "2", seconds=0.5)
    assert [case.status for case in execution.cases] == ["ok", "timeout", "not_run"]


async def test_waiting_is_limited_by_the_clock() -> None:
    """A program that sleeps uses no computing time."""
    since = time.monotonic()
    assert (await only("import time", "time.sleep(60)", seconds=0.1)).status == "timeout"
    assert time.monotonic() - since < 20


async def test_whole_programs_stop_at_the_first_that_is_late() -> None:
    """So that many inputs do not take many times the limit."""
    program = "import time\ntime.sleep(int(input()))"
    cases = [Case(stdin="0"), Case(stdin="60"), Case(stdin="0")]
    execution = await run(program, *cases, seconds=0.1)
    assert [case.status for case in execution.cases] == ["ok", "timeout", "not_run"]


async def test_a_module_that_is_here_but_not_inside_says_nothing_of_the_program() -> None:
    """Another sandbox may have it."""
    execution = await run("import pytest", "1")
    assert (execution.status, execution.cases) == ("unsupported", ())
    assert execution.reason == "it has no module pytest"


async def test_a_large_program_and_a_large_input_come_through() -> None:
    """A megabyte of each."""
    program = f"import sys\nx = '{'a' * 10**6}'\nprint(len(x), len(sys.stdin.read()))"
    assert (await only(program, Case(stdin="b" * 10**6))).stdout == "1000000 1000000\n"


async def test_set_order_is_the_same_every_time() -> None:
    """Equal programs behave equally."""
    program = "def f(): return list({str(i) for i in range(50)})"
    assert (await only(program)).value == (await only(program)).value


def kill_one(after: float, *, times: int = 1) -> threading.Thread:
    """Kill this process's child, so many times, as an operator would."""

    def kill() -> None:
        done: set[int] = set()
        until = time.monotonic() + 20
        while len(done) < times and time.monotonic() < until:
            time.sleep(after)
            for pid in interpreters() - done:
                os.kill(pid, 9)
                done.add(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def interpreters() -> set[int]:
    """Those that run a job for this process."""
    return {pid for pid, line in children().items() if b"marshal" in line}


async def test_one_that_is_killed_from_outside_runs_once_more() -> None:
    """It is no failure of the program."""
    killer = kill_one(0.2)
    run = await only("import time", "time.sleep(0.6)")
    killer.join()
    assert (run.status, run.value) == ("ok", "null")


async def test_one_that_is_killed_twice_is_an_error() -> None:
    """It says nothing of the program."""
    killer = kill_one(0.2, times=2)
    execution = await run("import time", "time.sleep(5)")
    killer.join()
    assert (execution.status, execution.cases) == ("error", ())
    assert execution.reason == "it was killed, twice"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/no/such/program"], "it cannot be started: No such file or directory"),
        (["/bin/sh", "-c", "echo 'no \x1b[31m way' >&2; exit 1"], "it did not start: no [31m way"),
        (["/bin/sh", "-c", "exit 0"], "it did not start: exited"),
        (["/bin/sh", "-c", "echo ready"], "it did not start: exited"),
    ],
)
async def test_one_that_does_not_start_is_an_error(arguments: list[str], reason: str) -> None:
    """With the reason, and never a failure of the program."""
    place = Place(name="broken", command=lambda _: Command(arguments=lambda *_: arguments))
    execution = await place.execute("", [Case("1")], limits=Limits())
    assert (execution.status, execution.sandbox) == ("error", "broken")
    assert execution.reason == reason


async def test_cancelling_leaves_nothing_running() -> None:
    """The call returns at once, and its child is gone soon after."""
    task = asyncio.create_task(run("import time", "time.sleep(60)"))
    await asyncio.sleep(0.3)
    since = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - since < 1
    while interpreters():
        assert time.monotonic() - since < 20
        await asyncio.sleep(0.01)


async def test_the_loop_is_free_while_a_program_runs() -> None:
    """Nothing in an execution blocks it for long."""
    task = asyncio.create_task(run("import time", "time.sleep(0.8)"))
    longest = 0.0
    while not task.done():
        since = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - since)
    assert longest < 0.5


def test_it_runs_under_blocking_code_and_a_virtual_clock() -> None:
    """A private loop, and one whose time leaps where nothing is waited for."""
    assert run_sync(lambda: only(ADD, "add(1, 2)")).value == "3"
    assert run_virtual(only("import time", "time.sleep(0.1)")).status == "ok"


def test_the_unsafe_sandbox_must_be_asked_for() -> None:
    """By its name and by a parameter."""
    with pytest.raises(UsageError, match="allow_unsafe=True if the machine may be lost"):
        UnsafeSubprocess()
    assert "unsafe" in SANDBOX.name


def test_the_arguments_tell_nothing_of_the_program() -> None:
    """Other users of the machine can read them."""
    assert interpreter(7)[0] == os.path.realpath(sys.executable)
    assert interpreter(7)[-1] == "7"
