"""What runs model-written code: the protocol, what goes in, and what comes out.

Only the program and its inputs go in; results come out as text, and whoever knows the expected ones
compares them outside. Code in a sandbox can so neither read an expected value nor alter one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

CaseStatus: TypeAlias = Literal[
    "ok", "raised", "timeout", "memory", "output", "exited", "no_result", "not_run"
]
"""How one case ended.

- ok: an expression gave a value that can be written down, or a whole program came to its end.
- raised: an exception, also a SyntaxError of the program.
- timeout, memory, output: that limit was hit.
- exited: it ended the process, by `sys.exit`, `os._exit` or a crash. A whole program may call
  `sys.exit`: with status 0 it is ok.
- no_result: the value has no canonical text: an object of a class of its own, a generator, data too
  deep or too large.
- not_run: an earlier case hit a limit or ended the process.
"""

ExecutionStatus: TypeAlias = Literal["ok", "unsupported", "error"]
"""Whether the cases say anything of the program.

- ok: they do.
- unsupported: this sandbox lacks something that the program uses; another may have it. Says nothing
  of the program.
- error: trouble of the sandbox itself: missing, killed, out of disk. Says nothing of the program.
"""

_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One input of a program: an expression, or the standard input of a whole program.

    Attributes:
        expression: Evaluated where the program was run, such as `"f(1, [2])"`; what it gives is the
            value of the case. The cases of one execution share the program's state, in their order.
        stdin: Text that the whole program reads; its standard output is the result. The program
            runs once per such case, in a process of its own.

    Raises:
        UsageError: Not exactly one of the two was given.
    """

    expression: str | None = None
    stdin: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """See that it is one of the two."""
        if (self.expression is None) == (self.stdin is None):
            raise UsageError("Case", None, "give an expression or stdin, one of the two")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one execution may use at most.

    Attributes:
        seconds: Computing time of all cases of expressions together, and of each whole program;
            kernels count whole ones, rounded up. The clock is allowed more (`wall`), since a busy
            machine is no fault of the program.
        memory: Bytes.
        output: Bytes of standard output, and of all results together.
        disk: Bytes written to the sandbox's own `/tmp`.

    Raises:
        UsageError: A limit is not a positive number.
    """

    seconds: float = 3.0
    memory: int = 512 * _MEBIBYTE
    output: int = _MEBIBYTE
    disk: int = 32 * _MEBIBYTE

    def __post_init__(self) -> None:
        """See that there is a limit everywhere."""
        for name in ("seconds", "memory", "output", "disk"):
            limit: float = getattr(self, name)
            if not (0 < limit < math.inf):
                raise UsageError(name, limit, "give a number above 0: nothing runs without a limit")

    @property
    def wall(self) -> float:
        """Seconds on the clock after which an execution is killed."""
        return 2 * self.seconds + 1.0


@dataclass(frozen=True, kw_only=True)
class CaseRun:
    r"""What one case did.

    Attributes:
        status: How it ended.
        value: Canonical text of the value (`thinktwice.sandbox.values`) of an expression that is
            ok, else None. Equal texts are equal values of equal types.
        stdout: What a whole program wrote, capped; empty for expressions. Bytes that are no
            UTF-8 are written as `\xNN`.
        error: Type of the exception, such as `"ValueError"`; None if there was none.
        message: Text of the exception or the reason of the status, from the program: short, and
            without control characters, but not to be trusted.
    """

    status: CaseStatus
    value: str | None = None
    stdout: str = ""
    error: str | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a program did in a sandbox.

    Attributes:
        status: Whether `cases` says anything of the program.
        sandbox: Name of the sandbox that ran it, or of the last that was tried.
        cases: One per case, in their order, if the status is ok; else empty.
        reason: Why it is not ok, and what helps; empty if it is.
        seconds: On the clock, without waiting for a free place.
    """

    status: ExecutionStatus
    sandbox: str
    cases: tuple[CaseRun, ...] = ()
    reason: str = ""
    seconds: float = 0.0


class Sandbox(Protocol):
    """Runs a program that nobody has read.

    What a user implements to bring their own: a container, a remote service.
    """

    @property
    def name(self) -> str:
        """Shown in executions, verdicts and spans."""
        ...

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Run the program on the cases, in a process or interpreter that nothing else has used.

        Does not raise for what the program does, nor for trouble of the sandbox: both are in the
        execution. A cancelled call leaves nothing running.
        """
        ...
