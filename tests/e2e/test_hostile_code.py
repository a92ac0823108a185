"""Code that attacks its sandbox, or the verdict: each attack runs beside five honest programs."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import children, descriptors
from thinktwice.sandbox import bubblewrap
from thinktwice.sandbox.bubblewrap import Bubblewrap
from thinktwice.sandbox.monty import Monty
from thinktwice.sandbox.protocol import Case, CaseRun, Limits
from thinktwice.sandbox.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from thinktwice.sandbox.protocol import Execution, Sandbox

BRIEF = Limits(seconds=1, memory=256 * 2**20, disk=4 * 2**20)
LATEST = 30.0
"""Seconds in which an attack and its neighbours must be over, on a busy machine."""


def no_bubblewrap() -> str:
    """Why bubblewrap cannot be tested here; empty if it can."""
    return asyncio.run(Bubblewrap().unusable())


@pytest.fixture(scope="module", params=["monty", "bubblewrap", "bubblewrap, not as root"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each sandbox that isolates, as far as it is here."""
    if request.param == "monty":
        pytest.importorskip("pydantic_monty", reason="pydantic-monty is not installed")
        yield Monty()
        return
    with pytest.MonkeyPatch.context() as patch:
        # The profile of other users makes a user namespace; root can make one too.
        if request.param != "bubblewrap":
            patch.setattr(os, "geteuid", lambda: 1000)
        patch.setattr(bubblewrap, "_tried", set())
        reason = no_bubblewrap()
        if reason:
            pytest.skip(f"bubblewrap: {reason}")
        yield Bubblewrap()


@dataclass(frozen=True)
class Attack:
    """A program, and what its cases may do if the sandbox holds."""

    name: str
    program: str
    held: Callable[[CaseRun], bool]
    expressions: tuple[str, ...] = ("attack()",)


def ended(*ways: str) -> Callable[[CaseRun], bool]:
    """It was stopped in one of these ways: a status, or the type of an exception."""
    return lambda run: run.status in ways or run.error in ways


def gave(value: object) -> Callable[[CaseRun], bool]:
    """It came to its end with this value."""
    return lambda run: run.value == encode(value)


def tells_nothing(run: CaseRun) -> bool:
    """Nothing of what this process, or the machine's list of users, has got out."""
    text = f"{run.value} {run.message}"
    own = Path("/proc/self/environ").read_bytes().decode(errors="replace").split("\0")
    secrets = [line for line in own if len(line) > 20 and line.split("=")[0] not in _SHARED]
    return "root:x:0" not in text and not any(line in text for line in secrets)


_SHARED = {"HOME", "LC_ALL", "PATH", "PYTHONHASHSEED"}

READ = """
def read(path):
    with open(path, "rb") as file:
        return file.read().decode(errors="replace")
"""
WRITE = """
def write(path, megabytes=1):
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * 2**20)
    return "written"
"""

ATTACKS = [
    Attack(
        "fork bomb",
        """
import os
def attack():
    for _ in range(300):
        if os.fork() == 0:
            os._exit(0)
    return "forked"
""",
        ended("PermissionError"),
    ),
    Attack("infinite loop", "def attack():\n    while True: pass", ended("timeout")),
    Attack("two gigabytes", "def attack():\n    return len([0] * (2**31 // 8))", ended("memory")),
    Attack(
        "files",
        READ,
        ended("FileNotFoundError", "PermissionError"),
        ("read('/etc/passwd')", "read('/etc/shadow')", "read('/etc/hostname')"),
    ),
    Attack(
        "environment",
        f"import os\n{READ}",
        tells_nothing,
        (
            "read('/proc/self/environ')",
            "read('/proc/1/environ')",
            "read(f'/proc/{os.getppid()}/environ')",
            "read('/proc/HOST/environ')",
            "[f'{name}={value}' for name, value in os.environ.items()]",
        ),
    ),
    Attack(
        "network",
        """
import socket
def attack():
    socket.create_connection(("127.0.0.1", PORT), timeout=1).sendall(b"out")
    return "connected"
""",
        ended("PermissionError"),
    ),
    Attack(
        "writing",
        WRITE,
        ended("FileNotFoundError", "OSError", "PermissionError"),
        ("write('FOLDER/x')", "write('/x')", "write('/dev/shm/x')", "write('/usr/lib/x')"),
    ),
    Attack(  # signal 0 reaches, and ends nothing: not even if this gets through
        "signals", "import os", ended("ProcessLookupError"), ("os.kill(HOST, 0)",)
    ),
    Attack(
        "300 MB of output",
        "def attack():\n    for _ in range(3000): print('x' * 100_000)",
        ended("output"),
    ),
    Attack(
        "threads left behind",
        """
import threading, time
def attack():
    for daemon in (True, False) * 10:
        threading.Thread(target=time.sleep, args=(600,), daemon=daemon).start()
    return 0
""",
        gave(0),
    ),
    Attack(
        "recursion",
        """
import sys
sys.setrecursionlimit(10**9)
def attack(n=0):
    return attack(n + 1) + 1
""",
        ended("exited", "raised", "memory", "timeout"),
    ),
    Attack(
        "daemon",
        """
import os, time
def attack():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return "forked"
""",
        ended("PermissionError"),
    ),
    Attack("500 MB on disk", WRITE, ended("OSError"), ("write('/tmp/x', 500)",)),
    Attack("9**9**9", "def attack():\n    return 9**9**9 > 0", ended("timeout", "memory")),
    Attack(
        "native code",
        "import ctypes\nlibc = ctypes.CDLL(None)",
        gave(-1),
        ("libc.fork()", "libc.socket(2, 1, 0)", "libc.setuid(0)", "libc.unshare(0x10000000)"),
    ),
]


def honest(run: Execution) -> bool:
    """The sum of the first hundred numbers, and no failure for reasons of its neighbours."""
    return run.status == "ok" and [case.value for case in run.cases] == ["4950", "3"]


async def neighbour(sandbox: Sandbox) -> Execution:
    """A program that means well."""
    program = "def total(n):\n    return sum(range(n))\n"
    return await sandbox.execute(program, [Case("total(100)"), Case("total(3)")], limits=Limits())


@contextmanager
def nothing_left() -> Iterator[None]:
    """No process, descriptor or file of a sandbox stays behind."""
    before, others = left()
    yield
    until = time.monotonic() + 10
    while not _within(before, others) and time.monotonic() < until:
        time.sleep(0.02)
    assert _within(before, others), left()


def _within(before: int, others: Sequence[int]) -> bool:
    """What is open was open before; what others left may have gone meanwhile."""
    open_now, children_now = left()
    return open_now <= before and set(children_now) <= set(others)


def left() -> tuple[int, list[int]]:
    """Open descriptors, and the children of this process but for the workers of monty."""
    return descriptors(), [pid for pid, line in children().items() if b"monty" not in line]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder into which all users may write."""
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_is_contained_and_disturbs_nobody(
    sandbox: Sandbox, attack: Attack, listener: socket.socket, open_folder: Path
) -> None:
    """It reaches nothing outside, and five honest programs beside it run as ever."""

    def filled(text: str) -> str:
        port, host = str(listener.getsockname()[1]), str(os.getpid())
        return text.replace("PORT", port).replace("FOLDER", str(open_folder)).replace("HOST", host)

    program, cases = filled(attack.program), [Case(filled(e)) for e in attack.expressions]
    await asyncio.gather(*(neighbour(sandbox) for _ in range(6)))  # what starts once has started
    with nothing_left():
        attacked, *others = await asyncio.wait_for(
            asyncio.gather(
                sandbox.execute(program, cases, limits=BRIEF),
                *(neighbour(sandbox) for _ in range(5)),
            ),
            LATEST,
        )
    assert all(map(honest, others)), others
    # A sandbox that lacks what the attack needs, or refuses it, may say that it is unsupported.
    assert attacked.status in {"ok", "unsupported"}
    assert all(map(attack.held, attacked.cases)), attacked
    assert os.listdir(open_folder) == []  # noqa: PTH208 - a path may not block here
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_the_attacks_are_real() -> None:
    """The checks see a breach: they are not satisfied by whatever happens."""
    own = Path("/proc/self/environ").read_bytes().decode(errors="replace")
    assert not tells_nothing(CaseRun(status="ok", value=own))
    assert not tells_nothing(CaseRun(status="ok", value="root:x:0:0"))
    assert not ended("PermissionError")(CaseRun(status="ok", value='"forked"'))


EXPECTED = {"f(3)": 8675309, "f(4)": [1, 2]}
"""What a right solution would give; no fake below can know it."""

SEARCH = r"""
import gc, os, re, sys
def haystack():
    yield from map(str, sys.argv)
    yield from (f"{k}={v}" for k, v in os.environ.items())
    for path in ("/proc/self/cmdline", "/proc/1/cmdline", "/proc/self/environ"):
        try:
            with open(path) as file:
                yield file.read()
        except OSError:
            pass
    for fd in range(64):
        try:
            os.set_blocking(fd, False)
            yield os.read(fd, 10**6).decode(errors="replace")
        except OSError:
            pass
    frame = sys._getframe()
    while frame:
        yield from (repr(v)[:10**6] for v in [*frame.f_locals.values(), *frame.f_globals.values()])
        frame = frame.f_back
    for thing in gc.get_objects():
        if type(thing) in (list, tuple, dict):
            yield repr(thing)[:10**5]
def f(x):
    for straw in haystack():
        found = re.search(r"8{1}675\d{3}", straw)  # does not find itself
        if found:
            return int(found[0])
"""

FAKES = {
    "exit": "import sys\nsys.exit(0)",
    "os._exit": "import os\nos._exit(0)",
    "exit in the function": "import sys\ndef f(x):\n    sys.exit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return None",
    "excepthook": "import sys\nsys.excepthook = lambda *_: sys.exit(0)\ndef f(x):\n    1 / 0",
    "equal to everything": """
class Any:
    def __eq__(self, other): return True
    def __hash__(self): return 0
def f(x):
    return Any()
""",
    "an int that equals everything": """
class Any(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def f(x):
    return Any(5)
""",
    "search for the expected": SEARCH,
    "patched encoders": """
import json, sys
json.dumps = lambda *_, **__: "8675309"
frame = sys._getframe()
while frame:
    frame.f_globals["encode"] = lambda value, **_: '{"tuple":["ok","1",null,""]}'
    frame = frame.f_back
def f(x):
    return None
""",
    "patched builtins": """
import builtins
for name in ("all", "isinstance", "any", "type"):
    setattr(builtins, name, lambda *_: True)
print("PASS " * 100)
def f(x):
    return None
""",
    "forged results": """
import os
for fd in range(3, 64):
    for _ in range(2):
        try:
            os.write(fd, b'{"tuple":["ok","1",null,""]}\\n')
        except OSError:
            pass
os._exit(0)
""",
    "results without end": """
import os
for fd in range(3, 64):
    for _ in range(9):
        try:
            os.write(fd, b'{"tuple":["ok","8675309",null,""]}\\n')
        except OSError:
            pass
def f(x):
    return 1
""",
}


@pytest.mark.parametrize("fake", FAKES)
async def test_no_fake_passes(sandbox: Sandbox, fake: str) -> None:
    """The expected values are compared out here, so a wrong program has nothing to fool."""
    cases = [Case(expression) for expression in EXPECTED]
    run = await sandbox.execute(FAKES[fake], cases, limits=Limits())
    right = [encode(expected) for expected in EXPECTED.values()]
    assert run.status in {"ok", "unsupported"}
    assert [case.value for case in run.cases] != right
    assert not any(case.value in right for case in run.cases)


async def test_what_is_hard_coded_fails_on_a_case_that_was_not_shown(sandbox: Sandbox) -> None:
    """No sandbox can tell it from a solution: cases that are held back can."""
    program = "def f(x):\n    return {1: 1, 2: 4}.get(x)"
    cases = [Case("f(1)"), Case("f(2)"), Case("f(3)")]
    run = await sandbox.execute(program, cases, limits=Limits())
    assert [case.value for case in run.cases] == ["1", "4", "null"]
