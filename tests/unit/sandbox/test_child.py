"""Child processes: fed, read, capped, killed, and gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.processes import children, descriptors
from thinktwice.sandbox.child import Child, Command, Ended

LONG = 20.0
"""Seconds that no test waits for."""


def shell(script: str, *, extra: bytes = b"") -> Command:
    """A shell that has the two descriptors as $1 and $2."""
    return Command(
        arguments=lambda results, filled: [
            "/bin/sh",
            "-c",
            script,
            "sh",
            str(results),
            str(filled),
        ],
        extra=extra,
        environment={"PATH": os.defpath, "LEFT": "this"},
    )


def run(
    command: Command, given: bytes = b"", *, seconds: float = LONG, output: int = 10**6
) -> Ended:
    """Run it to its end."""
    return Child(command, given, seconds=seconds, output=output).run()


def test_all_that_it_writes_is_read_apart() -> None:
    """Output, errors and results, and how it ended."""
    ended = run(shell("echo out; echo err >&2; echo res >/dev/fd/$1; exit 3"))
    assert (ended.cause, ended.code) == ("exited", 3)
    assert (ended.output, ended.errors, ended.results) == (b"out\n", b"err\n", b"res\n")


def test_it_gets_what_it_is_given() -> None:
    """Standard input, more than a pipe holds, and what is ready on a descriptor."""
    ended = run(shell('wc -c; cat <&"$2"', extra=b"filter"), b"x" * 10**6)
    assert ended.output.split() == [b"1000000", b"filter"] or b"1000000" in ended.output


def test_it_gets_no_environment_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this process's."""
    monkeypatch.setenv("SECRET", "key")
    assert b"key" not in run(shell("env")).output
    assert b"LEFT=this" in run(shell("env")).output


def test_one_that_reads_nothing_is_no_trouble() -> None:
    """Its input is dropped."""
    assert run(shell("exit 0"), b"x" * 10**6).cause == "exited"


def test_one_that_is_late_is_killed() -> None:
    """By the clock, whatever it does."""
    since = time.monotonic()
    ended = run(shell("trap '' TERM; while :; do :; done"), seconds=0.2)
    assert (ended.cause, ended.code) == ("timeout", -signal.SIGKILL)
    assert time.monotonic() - since < LONG / 2


def test_one_that_closes_all_and_stays_is_killed() -> None:
    """Nothing to read is no end."""
    script = "import os\nos.closerange(0, 99)\nwhile True: pass"
    command = Command(arguments=lambda *_: [sys.executable, "-S", "-c", script])
    assert run(command, seconds=0.5).cause == "timeout"


def test_one_that_writes_too_much_is_killed() -> None:
    """With what it may write kept."""
    ended = run(
        shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"), output=10**4
    )
    assert ended.cause == "output"
    assert len(ended.output) == 10**4


def test_one_that_writes_too_many_results_is_killed() -> None:
    """They have a cap as well."""
    script = "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >/dev/fd/$1; done"
    assert run(shell(script), output=1000).cause == "output"


def test_errors_without_end_are_dropped() -> None:
    """The first of them are kept, to say what went wrong."""
    ended = run(shell("i=0; while [ $i -lt 9999 ]; do echo error$i >&2; i=$((i+1)); done"))
    assert ended.cause == "exited"
    assert ended.errors.startswith(b"error0\n")
    assert len(ended.errors) <= 2000


def test_whom_it_leaves_behind_is_killed_with_it(tmp_path: Path) -> None:
    """Its group goes, and a pipe that another one holds is not waited for."""
    pid = tmp_path / "pid"
    since = time.monotonic()
    ended = run(shell(f"sleep 600 & echo $! > {pid}"))
    assert ended.cause == "exited"
    assert time.monotonic() - since < LONG / 2
    assert gone(int(pid.read_text()))


def gone(pid: int) -> bool:
    """Whether a process has ended, or is about to be reaped by init."""
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_cancelling_kills_at_once() -> None:
    """From another thread."""
    child = Child(shell("sleep 600"), b"", seconds=LONG, output=100)
    threading.Timer(0.1, child.cancel).start()
    since = time.monotonic()
    assert child.run().cause == "cancelled"
    assert time.monotonic() - since < LONG / 2


def test_one_that_was_cancelled_before_ends_at_once() -> None:
    """And cancelling it again later does nothing."""
    child = Child(shell("sleep 600"), b"", seconds=LONG, output=100)
    child.cancel()
    assert child.run().cause == "cancelled"
    child.cancel()


def test_one_that_cannot_be_started_is_an_error() -> None:
    """An OSError, which the sandbox reports."""
    with pytest.raises(FileNotFoundError):
        run(Command(arguments=lambda *_: ["/no/such/program"]))


def test_no_descriptor_and_no_child_is_left() -> None:
    """However it ended."""
    before, others = descriptors(), set(children())
    for script, seconds in (("exit 1", LONG), ("sleep 600", 0.05), ("sleep 600 &", LONG)):
        run(shell(script), seconds=seconds)
    with pytest.raises(FileNotFoundError):
        run(Command(arguments=lambda *_: ["/no/such/program"]))
    assert descriptors() <= before
    assert set(children()) <= others
