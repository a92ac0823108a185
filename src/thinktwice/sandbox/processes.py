"""Executions in child processes: what bubblewrap and the unsafe sandbox have in common."""

from __future__ import annotations

import functools
import importlib.resources
import marshal
import math
import os
import re
import signal
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from thinktwice.sandbox.child import Child
from thinktwice.sandbox.places import in_place
from thinktwice.sandbox.protocol import Execution
from thinktwice.sandbox.reading import (
    NOT_RUN,
    began,
    expression_runs,
    killed,
    sanitised,
    whole_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType

    from thinktwice.sandbox.child import Command, Ended
    from thinktwice.sandbox.protocol import Case, CaseRun, Limits

_FILES: Final = 64  # open at a time

_BOOTSTRAP: Final = (
    "import marshal, os, sys\n"
    "def read(n):\n"
    "    parts = []\n"
    "    while n and (part := os.read(0, n)):\n"
    "        parts.append(part)\n"
    "        n -= len(part)\n"
    "    return b''.join(parts)\n"
    "encoding, driver, job = marshal.loads(read(int.from_bytes(read(8), 'little')))\n"
    "exec(encoding)\n"
    "exec(driver)\n"
    "run(job, int(sys.argv[1]))\n"
)


def interpreter(results: int) -> list[str]:
    """How to start this interpreter so that it does a job from its standard input.

    The standard library is all that it imports from, and only the bootstrap stands in its
    arguments, which other users of the machine can see.

    Args:
        results: Descriptor for the results.
    """
    options = ["-s", "-P", "-S", "-B", "-X", "utf8"]
    return [os.path.realpath(sys.executable), *options, "-c", _BOOTSTRAP, str(results)]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where children run.

    Attributes:
        name: Of the sandbox.
        command: How to start there what `interpreter` says.
        user: User and group to become inside; None to stay who one is.
        folders: To import from, as they are called inside.
    """

    name: str
    command: Callable[[Limits], Command]
    user: int | None = None
    folders: tuple[str, ...] = ()

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Run all cases of expressions in one child, and each whole program in one of its own."""
        work = _Work(self, program, limits)
        try:
            runs = await work.runs(cases)
        except _TroubleError as trouble:
            status, runs, reason = "error", (), str(trouble)
        else:
            reason = _lacking(runs)
            status, runs = ("unsupported", ()) if reason else ("ok", runs)
        return Execution(
            status=status, sandbox=self.name, cases=runs, reason=reason, seconds=work.took
        )


class _Work:
    """One execution."""

    def __init__(self, place: Place, program: str, limits: Limits) -> None:
        self.place = place
        self.program = program
        self.limits = limits
        self.took = 0.0

    async def runs(self, cases: Sequence[Case]) -> tuple[CaseRun, ...]:
        expressions = tuple(case.expression for case in cases if case.expression is not None)
        valued = iter(await self.expressions(expressions))
        runs: list[CaseRun] = []
        late = False
        for case in cases:
            if case.stdin is None:
                runs.append(next(valued))
            else:
                runs.append(NOT_RUN if late else await self.whole(case.stdin))
                late = late or runs[-1].status == "timeout"
        return tuple(runs)

    async def expressions(self, expressions: tuple[str, ...]) -> tuple[CaseRun, ...]:
        if not expressions:
            return ()
        ended = await self.child(self.job(expressions))
        return expression_runs(ended, len(expressions), seconds=self.limits.seconds)

    async def whole(self, stdin: str) -> CaseRun:
        given = self.job(None) + stdin.encode(errors="surrogatepass")
        return whole_run(await self.child(given), seconds=self.limits.seconds)

    def job(self, expressions: tuple[str, ...] | None) -> bytes:
        user, folders = self.place.user, self.place.folders
        resources, size = _resources(self.limits), self.limits.output
        job = (self.program, expressions, user, resources, folders, size)
        code = marshal.dumps((*_code(), job))
        return len(code).to_bytes(8, "little") + code

    async def child(self, given: bytes) -> Ended:
        """Run a child, and once more if it was killed from outside, or did not begin."""
        ended = await self.attempt(given)
        if killed(ended) or not began(ended):
            ended = await self.attempt(given)
        if ended.cause == "exited" and ended.code == -signal.SIGKILL:
            raise _TroubleError("it was killed, twice")
        if not began(ended):
            said = sanitised(ended.errors.decode(errors="replace"))
            raise _TroubleError(f"it did not start: {said or ended.cause}")
        return ended

    async def attempt(self, given: bytes) -> Ended:
        command, limits = self.place.command(self.limits), self.limits
        child = Child(command, given, seconds=limits.wall, output=limits.output)
        try:
            ended = await in_place(child.run, child.cancel)
        except OSError as error:
            raise _TroubleError(f"it cannot be started: {error.strerror}") from error
        self.took += ended.seconds
        return ended


class _TroubleError(Exception):
    """The sandbox itself did not work; the message says why."""


@functools.cache
def _code() -> tuple[CodeType, CodeType]:
    """What runs inside, compiled here: its interpreter is of the same version."""
    here = importlib.resources.files("thinktwice.sandbox")
    encoding, driver = (
        compile((here / name).read_text(encoding="utf-8"), f"<{name}>", "exec", dont_inherit=True)
        for name in ("encoding.py", "driver.py")
    )
    return encoding, driver


def _resources(limits: Limits) -> dict[int, tuple[int, int]]:
    """The kernel's limits for the process: soft, which the program is told of, and hard.

    Never RLIMIT_NPROC: it counts the processes of a user in all sandboxes together.
    """
    import resource

    seconds = math.ceil(limits.seconds)
    return {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_AS: (limits.memory, limits.memory),
        resource.RLIMIT_FSIZE: (limits.disk, limits.disk),
        resource.RLIMIT_NOFILE: (_FILES, _FILES),
        resource.RLIMIT_CORE: (0, 0),
    }


def _lacking(runs: Sequence[CaseRun]) -> str:
    """Why nothing is said of the program: it wants a module that is here, and not in there."""
    for run in runs:
        if run.error == "ModuleNotFoundError":
            found = _MODULE.search(run.message)
            if found and find_spec(found[1]) is not None:
                return f"it has no module {found[1]}"
    return ""


_MODULE: Final = re.compile(r"No module named '([A-Za-z_][A-Za-z_0-9]*)")
