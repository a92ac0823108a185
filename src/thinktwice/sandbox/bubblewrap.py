"""A sandbox of kernel namespaces, by bubblewrap (Linux)."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from thinktwice.sandbox import seccomp
from thinktwice.sandbox.child import Command
from thinktwice.sandbox.processes import Place, interpreter
from thinktwice.sandbox.protocol import Case, Execution, Limits
from thinktwice.sandbox.values import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

NOBODY: Final = 65534

_ALONE: Final = [
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
]
_ROOT: Final = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
_USER: Final = ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]

# Libraries of the system, without which no interpreter starts, and time zones.
_SYSTEM: Final = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64"),
    *("/etc/ld.so.cache", "/usr/share/zoneinfo"),
)

_ENVIRONMENT: Final = {
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own
    "LC_ALL": "C.UTF-8",
    "MALLOC_ARENA_MAX": "1",  # each thread takes address space for its own, which is limited
    "OPENBLAS_NUM_THREADS": "1",  # for the same reason
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "0",  # sets in the same order every time
}

_PROBE: Final = """
import os, socket

FOLDERS = ["", "/dev", "/dev/shm", "/usr/lib"]

def refused(action):
    try:
        action()
    except OSError:
        return True
    return False

def write(folder):
    open(f"{folder}/x", "w").close()
    os.remove(f"{folder}/x")  # of the machine, if the profile does not hold

def found():
    lines = (line.split(None, 1) for line in open("/proc/self/status"))
    status = {line[0]: line[1].split() for line in lines if len(line) > 1}
    return {
        "user": status["Uid:"] + status["Gid:"],
        "capabilities": [status["CapEff:"], status["CapPrm:"], status["CapAmb:"]],
        "locked": [status["NoNewPrivs:"], status["Seccomp:"]],
        "alone": os.getpid() < 10,
        "no network": refused(socket.socket),
        "no processes": refused(os.fork),
        "no files": refused(lambda: open("/etc/passwd")),
        "no writing": [refused(lambda: write(p)) for p in FOLDERS],
        "own folder": refused(lambda: write("/tmp")),
        "variables": set(os.environ),
    }
"""


@dataclass(frozen=True)
class Bubblewrap:
    """Runs programs under Linux namespaces, as nobody, with a filter of system calls and limits.

    A program sees the standard library of this interpreter, an own `/tmp`, and no other file of
    this machine, no network, no other process and none of this process's environment. It can start
    threads, and no processes. It runs on the kernel of this machine, and native code in it can
    attack that kernel: for code of adversaries, or of several tenants, use a virtual machine.

    The profile is tried out before the first program runs, by a program that looks whether it
    holds; if it does not, every execution is an error that says why. Kernels and containers that
    forbid namespaces make it so.

    Cost: 20 to 40 ms per execution.

    Attributes:
        packages: Folders to import from besides the standard library, such as a `site-packages`;
            all in them can be read by the program.
        executable: The bubblewrap to use, by name or path.
    """

    packages: tuple[str | Path, ...] = ()
    executable: str = field(default="bwrap", kw_only=True)

    @property
    def name(self) -> str:
        """As it stands in executions."""
        return "bubblewrap"

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Run the program, in namespaces of its own."""
        reason = await self.unusable()
        if reason:
            return Execution(status="error", sandbox=self.name, reason=reason)
        return await self._place().execute(program, cases, limits=limits)

    async def unusable(self) -> str:
        """Why it cannot be used here, and what helps; empty if it can. Tried once if it can."""
        if self in _tried:
            return ""
        machine = os.uname().machine if hasattr(os, "uname") else "Windows"
        if machine not in seccomp.MACHINES:
            return f"there is no filter of system calls for {machine}"
        if shutil.which(self.executable) is None:
            return f"{self.executable} is not installed: apt-get install bubblewrap, or the like"
        tried = await self._place().execute(_PROBE, [Case("found()")], limits=Limits())
        if tried.status != "ok":
            return f"{tried.reason} (containers and kernels may forbid namespaces)"
        if tried.cases[0].value != encode(_FOUND):
            return f"the profile does not hold here: {tried.cases[0]}"
        _tried.add(self)
        return ""

    def _place(self) -> Place:
        return Place(
            name=self.name,
            command=self._command,
            user=self._user(),
            folders=tuple(str(Path(p).resolve()) for p in self.packages),
        )

    def _user(self) -> int | None:
        return NOBODY if os.geteuid() == 0 else None

    def _command(self, limits: Limits) -> Command:
        machine = os.uname().machine
        found = shutil.which(self.executable) or self.executable
        return Command(
            arguments=lambda results, extra: [
                found,
                *profile(root=os.geteuid() == 0, disk=limits.disk, packages=self.packages),
                *("--seccomp", str(extra)),
                "--",
                *interpreter(results),
            ],
            extra=seccomp.program(machine),
            user=self._user(),
            environment=_ENVIRONMENT,
        )


_tried: set[Bubblewrap] = set()

_FOUND: Final = {
    "user": [str(NOBODY)] * 8,
    "capabilities": [["0000000000000000"]] * 3,
    "locked": [["1"], ["2"]],
    "alone": True,
    "no network": True,
    "no processes": True,
    "no files": True,
    "no writing": [True] * 4,
    "own folder": False,
    "variables": {*_ENVIRONMENT, "PWD"},
}


def profile(*, root: bool, disk: int, packages: Sequence[str | Path] = ()) -> list[str]:
    """The arguments of bubblewrap that make the sandbox, without its filter of system calls.

    Args:
        root: Whether it is started as root. Then the driver becomes nobody inside, in the kernel's
            eyes too, and keeps for that the right to change its user. Otherwise it gets a user
            namespace, in which it is nobody.
        disk: Bytes that `/tmp` holds.
        packages: Folders that can be read besides.
    """
    packages = [Path(p).resolve() for p in packages]
    seen = [Path(sys.base_prefix), Path(sys.executable).resolve(), *packages]
    # bubblewrap gives the folders above what it binds to its own user alone.
    paths = [*map(Path, _SYSTEM), *seen]
    above = dict.fromkeys(str(p) for path in paths for p in reversed(path.parents[:-1]))
    return [
        *_ALONE,
        *(_ROOT if root else _USER),
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
        *("--size", str(disk), "--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108
        *(a for p in above for a in ("--perms", "0755", "--dir", p)),
        *(a for p in _SYSTEM for a in ("--ro-bind-try", p, p)),
        *(a for p in seen for a in ("--ro-bind", str(p), str(p))),
        *("--remount-ro", "/", "--chdir", "/tmp"),  # noqa: S108 - a writable root is memory
    ]
