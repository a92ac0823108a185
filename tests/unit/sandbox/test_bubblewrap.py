"""The profile of bubblewrap, the trial before it is used, and its faults."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import children, command_line, descriptors
from thinktwice.sandbox import bubblewrap as module
from thinktwice.sandbox.bubblewrap import Bubblewrap, profile
from thinktwice.sandbox.protocol import Case, Limits

if TYPE_CHECKING:
    from thinktwice.sandbox.protocol import CaseRun, Execution

MEBIBYTE = 2**20


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile has been tried out yet."""
    monkeypatch.setattr(module, "_tried", set())


def fake(folder: Path, script: str) -> Bubblewrap:
    """A program that is no bubblewrap."""
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Bubblewrap(executable=str(path))


async def run(sandbox: Bubblewrap, program: str = "", *cases: str, **limits: float) -> Execution:
    """Run it on expressions."""
    given = [Case(case) for case in cases or ("1 + 1",)]
    return await sandbox.execute(program, given, limits=Limits(**limits))


async def only(sandbox: Bubblewrap, program: str, **limits: float) -> CaseRun:
    """What f() did."""
    execution = await run(sandbox, program, "f()", **limits)
    assert execution.status == "ok", execution
    return execution.cases[0]


def test_the_profile_shares_nothing_and_shows_little() -> None:
    """All namespaces, no rights, read-only, a small folder of its own."""
    arguments = profile(root=False, disk=5)
    for option in ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-user"):
        assert option in arguments
    assert "--cap-add" not in arguments
    assert arguments[arguments.index("--size") + 1] == "5"
    assert not [a for a in arguments if a.startswith("--bind")]
    assert arguments.index("--tmpfs") < len(arguments) - 1 - arguments[::-1].index("--remount-ro")


def test_root_keeps_the_right_to_become_nobody_and_no_other() -> None:
    """In a user namespace root would stay root, in the kernel's eyes."""
    arguments = profile(root=True, disk=5)
    added = [arguments[i + 1] for i, a in enumerate(arguments) if a == "--cap-add"]
    assert added == ["CAP_SETUID", "CAP_SETGID"]
    assert "--unshare-user" not in arguments


@pytest.mark.usefixtures("untried")
async def test_a_missing_one_is_an_error_that_says_what_to_install() -> None:
    """And not an exception."""
    execution = await run(Bubblewrap(executable="no-such-bwrap"))
    assert execution.status == "error"
    assert "no-such-bwrap is not installed: apt-get install bubblewrap" in execution.reason


@pytest.mark.usefixtures("untried")
async def test_another_machine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no filter of system calls for it."""
    monkeypatch.setattr(module.os, "uname", lambda: os.uname_result(("L", "", "", "", "riscv64")))
    assert "riscv64" in (await run(Bubblewrap())).reason


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'setting up uid map: Permission denied' >&2; exit 1", "uid map: Permission denied"),
        ("exit 0", "did not start"),
        ("kill -9 $$", "killed"),
    ],
)
async def test_one_that_may_not_make_namespaces_is_an_error(
    tmp_path: Path, script: str, reason: str
) -> None:
    """Kernels and containers forbid them; `which bwrap` does not tell."""
    execution = await run(fake(tmp_path, script))
    assert (execution.status, execution.sandbox) == ("error", "bubblewrap")
    assert reason in execution.reason


@pytest.mark.usefixtures("untried")
async def test_one_that_isolates_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever starts the interpreter is looked at from inside, which leaves nothing behind."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    script = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    sandbox = fake(tmp_path, script)
    execution = await run(sandbox)
    assert execution.status == "error"
    assert "the profile does not hold here" in execution.reason
    assert sandbox not in module._tried
    assert not [folder for folder in ("/", "/dev", "/dev/shm") if Path(folder, "x").exists()]  # noqa: ASYNC240, S108


async def test_it_is_tried_once(bubblewrap: Bubblewrap, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has been found to hold it is not looked at again."""
    monkeypatch.setattr(module, "_PROBE", "1 / 0")
    assert await Bubblewrap().unusable() == ""
    assert (await run(bubblewrap)).status == "ok"


async def test_programs_run_by_this_interpreter_with_its_standard_library(
    bubblewrap: Bubblewrap,
) -> None:
    """Of the same version, with all modules of the standard library and nothing else."""
    program = "import sys, decimal, heapq, unittest, ssl, sqlite3, asyncio\nf = lambda: sys.version"
    assert sys.version.split()[0] in str((await only(bubblewrap, program)).value)


async def test_time_zones_are_there(bubblewrap: Bubblewrap) -> None:
    """As this machine has them."""
    if "Europe/Vienna" not in zoneinfo.available_timezones():
        pytest.skip("this machine has no time zones")
    program = "import zoneinfo\ndef f(): return str(zoneinfo.ZoneInfo('Europe/Vienna'))"
    assert (await only(bubblewrap, program)).value == '"Europe/Vienna"'


async def test_threads_and_event_loops_work(bubblewrap: Bubblewrap) -> None:
    """Honest programs use them: twenty threads, and asyncio."""
    program = """
import asyncio, threading
def f():
    done = []
    threads = [threading.Thread(target=done.append, args=(i,)) for i in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    async def later():
        await asyncio.sleep(0)
        return len(done)
    return asyncio.run(later())
"""
    assert (await only(bubblewrap, program)).value == "20"


async def test_its_own_folder_is_writable_and_small(bubblewrap: Bubblewrap) -> None:
    """A program that fills it gets an error, as on a full disk, also with many files."""
    program = """
def f():
    for i in range(99):
        with open(f"{i}", "wb") as file:
            file.write(b"x" * 2**20)
"""
    run = await only(bubblewrap, program, disk=4 * MEBIBYTE)
    assert (run.status, run.error) == ("raised", "OSError")
    assert "No space left" in run.message
    assert (await only(bubblewrap, "def f(): return open('x', 'w').write('abc')")).value == "3"


async def test_a_whole_program_reads_its_input(bubblewrap: Bubblewrap) -> None:
    """From a descriptor or a device, more than a pipe holds."""
    cases = [Case(stdin="x" * 10**6)]
    for source in ("sys.stdin", "open(0)", "open('/dev/stdin')"):
        program = f"import sys\nprint(len({source}.read()))"
        execution = await bubblewrap.execute(program, cases, limits=Limits())
        assert execution.cases[0].stdout == "1000000\n", source


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a module, which all users may read."""
    tmp_path.chmod(0o755)
    (tmp_path / "helper.py").write_text("VALUE = 7")
    return tmp_path


@pytest.mark.usefixtures("bubblewrap")
async def test_folders_can_be_added_to_import_from(package: Path) -> None:
    """They are read-only, and all of them can be seen."""
    sandbox = Bubblewrap((package,))
    program = "import helper\ndef f(): return helper.VALUE\ndef g(): open(helper.__file__, 'w')"
    execution = await run(sandbox, program, "f()", "g()")
    assert execution.cases[0].value == "7", execution
    assert execution.cases[1].error == "OSError"


_RUNNING = "import time\ndef f():\n    open('running', 'w').close()\n    time.sleep(0.5)"


def kill_inside(times: int) -> threading.Thread:
    """Kill the interpreter in the sandbox, so many times, from outside."""

    def kill() -> None:
        done: set[int] = set()
        until = time.monotonic() + 20
        while len(done) < times and time.monotonic() < until:
            time.sleep(0.02)
            for pid in interpreters() - done:
                os.kill(pid, 9)
                done.add(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def interpreters() -> set[int]:
    """Those in sandboxes that have come to the point where they wait."""
    processes = [p for p in Path("/proc").glob("[0-9]*") if waits(p)]
    return {int(process.name) for process in processes}


def waits(process: Path) -> bool:
    """Whether it is an interpreter, and no bubblewrap, whose arguments hold its own."""
    line = command_line(process)
    if b"marshal" not in line or b"bwrap" in line.split(b"\0")[0]:
        return False
    try:
        return (process / "root/tmp/running").exists()
    except OSError:  # it has ended
        return False


@pytest.mark.parametrize(("times", "status"), [(1, "ok"), (2, "exited")])
async def test_a_program_that_is_killed_runs_once_more(
    bubblewrap: Bubblewrap, times: int, status: str
) -> None:
    """A second time it is taken for what the program does."""
    killer = kill_inside(times)
    run = await only(bubblewrap, _RUNNING)
    killer.join()
    assert run.status == status


async def test_cancelling_leaves_nothing_running(bubblewrap: Bubblewrap) -> None:
    """No bubblewrap, no interpreter in it, and no descriptor."""
    before = descriptors()
    task = asyncio.create_task(run(bubblewrap, "import time\ntime.sleep(60)"))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    until = time.monotonic() + 20
    while any(b"bwrap" in line for line in children().values()) or descriptors() != before:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_many_at_a_time_all_get_their_results(bubblewrap: Bubblewrap) -> None:
    """More than there are places, each in namespaces of its own."""
    program = "import os\ndef f(n): return n * n"
    executions = await asyncio.gather(
        *(run(bubblewrap, program, f"f({n})", "os.getpid() < 10") for n in range(12))
    )
    assert [e.cases[0].value for e in executions] == [str(n * n) for n in range(12)]
    assert {e.cases[1].value for e in executions} == {"true"}
