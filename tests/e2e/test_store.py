"""The store of costs between real processes: at exit, when killed, several at once, forked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from thinktwice.store.costs import read_costs
from thinktwice.store.reading import opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
SETUP = """
import asyncio, os, sys, warnings
from thinktwice import AtMost, Completion, Price, Usage, Vote, solve
from thinktwice.store import observe

async def ask(prompt):
    return Completion(
        value="a", model="m", usage=Usage(input_tokens=1000, output_tokens=100, source="provider")
    )

async def votes(count):
    for _ in range(count):
        await solve(
            "q", sampler=ask, strategy=Vote(4, stop=AtMost(4)), prices={"m": Price("1", "10")}
        )

observer = observe()
"""
COST = 4 * 0.002


def start(path: Path, code: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "THINKTWICE_STORE": str(path)}
    return subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", SETUP + textwrap.dedent(code)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert not err
    return out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spans.db"


def requests(path: Path) -> int:
    found = read_costs(path)
    assert float(found.total.cost) == pytest.approx(COST * found.total.requests, rel=1e-12)
    return found.total.requests


def test_nothing_is_lost_at_exit(path):
    """The last request is a moment old, and nobody flushes."""
    ended(start(path, "asyncio.run(votes(5))"))
    assert requests(path) == 5


@pytest.mark.parametrize("way", ["sys.exit(0)", "1 / 0", "raise KeyboardInterrupt"])
def test_nothing_is_lost_however_it_ends(path, way):
    """An exception ends the interpreter in the same way."""
    process = start(path, f"asyncio.run(votes(3))\n{way}")
    process.communicate(timeout=50)
    assert requests(path) == 3


def test_a_killed_process_leaves_what_was_finished(path):
    """SIGKILL in the middle of a request: the ones before are whole, and it is told apart."""
    code = """
    async def main():
        await votes(3)

        async def slow(prompt):
            if ask.left:
                ask.left -= 1
                return await ask(prompt)
            print("now", flush=True)
            await asyncio.sleep(60)

        ask.left = 2
        prices = {"m": Price("1", "10")}
        await solve("q", sampler=slow, strategy=Vote(4, stop=AtMost(4)), prices=prices)

    asyncio.run(main())
    """
    process = start(path, code)
    with closing(process.stdout):
        assert process.stdout.readline() == "now\n"
        until = time.monotonic() + 20
        while time.monotonic() < until and not (path.exists() and spans(path) >= 29):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process.stderr.close()
    found = read_costs(path)
    assert (found.total.requests, found.unfinished) == (4, 1)
    assert float(found.total.cost) == pytest.approx(3.5 * COST)


def spans(path: Path) -> int:
    """How many are stored; 3 requests of 9, and 2 samples that are finished, are 31."""
    try:
        with opened(path) as db:
            (count,) = db.execute("SELECT count(*) FROM spans").fetchone()
    except ValueError:  # it is being made
        return 0
    return count


def test_several_processes_at_once(path):
    """They write to one file, made by whoever is first, and lose nothing."""
    processes = [start(path, "asyncio.run(votes(40)); print(observer.dropped)") for _ in range(4)]
    assert [ended(process) for process in processes] == ["0\n"] * 4
    assert requests(path) == 160


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(path, tmp_path, method):
    """Children of `multiprocessing` end without atexit; what they did is there all the same."""
    script = tmp_path / "script.py"
    body = """
    import multiprocessing

    def work():
        warnings.simplefilter("ignore")
        asyncio.run(votes(2))

    if __name__ == "__main__":
        asyncio.run(votes(1))
        context = multiprocessing.get_context(sys.argv[1])
        children = [context.Process(target=work) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
        asyncio.run(votes(1))
    """
    script.write_text(SETUP + textwrap.dedent(body))
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, str(script), method],
        env={**os.environ, "THINKTWICE_STORE": str(path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert requests(path) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_many_processes_that_were_forked(path):
    """Eight of them, at once, into one file: to the last request."""
    code = """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    def work(count):
        asyncio.run(votes(count))

    warnings.simplefilter("ignore")
    with ProcessPoolExecutor(8, mp_context=get_context("fork")) as workers:
        list(workers.map(work, [50] * 8))
    """
    ended(start(path, code))
    assert requests(path) == 400


def test_a_cancelled_request(path):
    """It is whole, and told apart from one that was killed."""
    code = """
    async def main():
        async def slow(prompt):
            await asyncio.sleep(60)

        task = asyncio.create_task(solve("q", sampler=slow, strategy=Vote(2)))
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")

    asyncio.run(main())
    """
    assert ended(start(path, code)) == "cancelled\n"
    found = read_costs(path)
    assert (found.total.requests, found.unfinished) == (1, 0)
    draws = found.total.draws
    assert (draws.launched, draws.wasted, draws.saved) == (1, 1, 0)


DISK = """
    for _ in range(100):
        asyncio.run(votes(3))
    print(observer.flush(), observer.dropped)
    {more}
    print(observer.flush(), observer.dropped)
"""


@pytest.mark.skipif(os.name != "posix", reason="this platform has no limit on the size of files")
def test_a_file_that_may_not_grow(path):
    """What does not fit waits, and is written when there is room; the runs go on."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, ({}, resource.RLIM_INFINITY))"
    code = f"""
    import resource
    warnings.simplefilter("ignore")
    {limit.format(200_000)}
    {DISK.format(more=limit.format("resource.RLIM_INFINITY"))}
    """
    assert ended(start(path, code)) == "False 0\nTrue 0\n"
    assert requests(path) == 300


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    program = shutil.which("mount")
    command = [program or "mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if program is None or subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603 - as written here
        pytest.skip("mounting a small disk takes root")
    yield place
    subprocess.run([shutil.which("umount") or "umount", str(place)], check=True)  # noqa: S603


def test_a_full_disk(small_disk):
    """The runs go on, one line says it and one what was lost, and what is there can be read."""
    path = small_disk / "spans.db"
    process = start(path, DISK.format(more="observer.close()"))
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert out.startswith("False 0\n")
    lost = int(out.split()[-1])
    assert lost > 100
    said = [line for line in err.splitlines() if "Warning" in line]
    assert len(said) == 2
    assert "(database or disk is full): spans wait for it" in said[0]
    assert f"{lost} spans are lost to the store of costs {path}" in said[1]
    assert 0 < read_costs(path).total.requests < 300


def test_the_command(path):
    """`python -m thinktwice.cli` in a pipe that is closed early does not complain."""
    ended(start(path, "asyncio.run(votes(2))"))
    command = f"{sys.executable} -m thinktwice.cli costs --store {path}"
    done = subprocess.run(  # noqa: S603 - our own code
        ["/bin/sh", "-c", f"{command} | head -n 1"], capture_output=True, text=True, check=False
    )
    assert done.stdout.count("\n") == 1
    assert not done.stderr
