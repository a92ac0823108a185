"""A sandbox that is an interpreter of its own: pydantic-monty."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NoReturn, cast

from thinktwice.errors import UsageError
from thinktwice.sandbox.monty_differences import (
    BELIEVED,
    KINDS,
    hides_missing,
    keeps_iterator,
    parsed,
    same_kinds,
    unmistakable,
)
from thinktwice.sandbox.places import PLACES, in_place
from thinktwice.sandbox.protocol import CaseRun, Execution
from thinktwice.sandbox.reading import NOT_RUN, sanitised
from thinktwice.sandbox.values import NoText, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_monty import Monty as Pool
    from pydantic_monty import MontyError, MontySession

    from thinktwice.sandbox.protocol import Case, CaseStatus, Limits

_PARSED: Final = 20_000  # characters of a program, which is parsed here first

_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one of them

_RESULT: Final = "_thinktwice_result"
_STARTING: Final = threading.Lock()


@dataclass(frozen=True)
class Monty:
    """Runs programs in pydantic-monty: another Python interpreter, with no access to the system.

    It knows a part of Python: no inheritance, no `yield`, few modules, no standard input. What it
    does not know is "unsupported", and so is whatever might be: a result that it cannot hand over
    as what it is, and any exception that may stand for a missing name, method or module. It is
    young, and no formal audit of it is known; it runs in processes of its own, which are replaced
    when they crash.

    Cost: about 1 ms per execution, after 30 ms for the first. A program takes up to twice as
    long as in CPython.

    Attributes:
        patience: Seconds after which a program is unsupported rather than out of time, so that a
            faster sandbox can have it; None if there is no other.

    Raises:
        UsageError: pydantic-monty is not installed.
    """

    patience: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """See that it is there."""
        if find_spec("pydantic_monty") is None:
            raise UsageError("sandbox", "monty", "pip install 'thinktwice[code]'")

    @property
    def name(self) -> str:
        """As it stands in executions."""
        return "monty"

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Run the program in an interpreter that nothing else has used."""
        session = _Session(program, cases, limits, self.patience)
        runs, status, reason = (), "error", ""
        try:
            runs = await in_place(session.run, session.cancel)
            status = "ok"
        except _UnsupportedError as unsupported:
            status, reason = "unsupported", str(unsupported)
        except _CrashedError as crashed:
            reason = str(crashed)
        return Execution(
            status=status, sandbox=self.name, cases=runs, reason=reason, seconds=session.took
        )


class _UnsupportedError(Exception):
    """The program uses what is missing here, or may."""


class _CrashedError(Exception):
    """The worker process died."""


class _StopError(Exception):
    """The program cannot go on; all cases from here on end like this."""

    def __init__(self, status: CaseStatus, message: str) -> None:
        self.run = CaseRun(status=status, message=message)
        super().__init__(message)


class _Session:
    """One execution, on a thread of its own."""

    def __init__(
        self, program: str, cases: Sequence[Case], limits: Limits, patience: float | None
    ) -> None:
        self.program = program
        self.cases = cases
        self.limits = limits
        self.hands_over = patience is not None and patience < limits.seconds
        self.seconds = limits.seconds if patience is None else min(patience, limits.seconds)
        self.took = 0.0
        self.printed = 0
        self.worker: int | None = None
        self.lock = threading.Lock()
        self.cancelled = False

    def cancel(self) -> None:
        """End it at once."""
        with self.lock:
            self.cancelled = True
            self.kill()

    def kill(self) -> None:
        """Kill the worker; the pool starts another."""
        if self.worker is not None:
            with suppress(ProcessLookupError):
                os.kill(self.worker, _KILL)

    def run(self) -> tuple[CaseRun, ...]:
        """Run the program on its cases, and once more if its worker was killed."""
        since = time.monotonic()
        try:
            return self.checked()
        finally:
            self.took = time.monotonic() - since

    def checked(self) -> tuple[CaseRun, ...]:
        if any(case.stdin is not None for case in self.cases):
            raise _UnsupportedError("it has no standard input")
        failed = _check(self.program)
        if failed is not None:
            return (failed,) * len(self.cases)
        try:
            return self.attempt()
        except _CrashedError:
            if self.cancelled:
                raise
            return self.attempt()

    def attempt(self) -> tuple[CaseRun, ...]:
        try:
            pool = _pool(os.getpid())
        except Exception as error:
            raise _CrashedError(f"it cannot be started: {type(error).__name__}") from error
        checkout = pool.checkout(
            limits={
                "max_feed_duration_secs": self.seconds,
                "max_memory": self.limits.memory,
                "max_recursion_depth": 1000,
            },
            os_policy={"sleep": "zero"},
            assert_message_annotations=False,
        )
        with checkout as session:
            try:
                self.hold(session.worker_pid)
                return self.all_cases(session)
            finally:
                self.hold(None)

    def hold(self, worker: int | None) -> None:
        with self.lock:
            self.worker = worker
            if self.cancelled and worker is not None:
                raise _CrashedError("cancelled")

    def all_cases(self, session: MontySession) -> tuple[CaseRun, ...]:
        until = time.monotonic() + self.seconds
        runs: list[CaseRun] = []
        try:
            failed = self.attempted(lambda: self.feed(session, self.program))
            for case in self.cases:
                if time.monotonic() > until:
                    self.out_of_time()
                runs.append(failed or self.case_run(session, cast("str", case.expression)))
        except _StopError as stop:
            runs.append(stop.run)
        return (*runs, *[NOT_RUN] * (len(self.cases) - len(runs)))

    def feed(self, session: MontySession, code: str) -> object:
        return session.feed_run(code, print_callback=self.print)

    def print(self, _: str, text: str) -> None:
        self.printed += len(text)
        if self.printed > self.limits.output:
            self.kill()  # an exception would reach it when its time is over

    def case_run(self, session: MontySession, expression: str) -> CaseRun:
        run = CaseRun(status="no_result")

        def evaluate() -> None:
            nonlocal run
            value = self.feed(session, f"{_RESULT} = (\n{expression}\n)\n{_RESULT}")
            try:
                if not unmistakable(value) and not same_kinds(self.kinds(session), value):
                    raise _UnsupportedError("a result is of a type that it cannot hand over")
                run = CaseRun(status="ok", value=encode(value, size=self.limits.output))
            except RecursionError:
                run = CaseRun(status="no_result", message="nested too deep")
            except NoText as reason:
                run = CaseRun(status="no_result", message=str(reason))

        return self.attempted(evaluate) or run

    def kinds(self, session: MontySession) -> object:
        return self.feed(session, f"{KINDS}\n_thinktwice_kinds({_RESULT})")

    def attempted(self, action: Callable[[], object]) -> CaseRun | None:
        """What went wrong in it, if something did."""
        from pydantic_monty import MontyCrashedError, MontyError

        try:
            action()
        except MontyCrashedError as crash:
            if self.printed > self.limits.output:
                raise _StopError("output", "it wrote more than it may") from None
            if crash.timed_out:
                self.out_of_time()
            raise _CrashedError("its process died, twice") from None
        except MontyError as error:
            return self.raised(error)
        return None

    def raised(self, error: MontyError) -> CaseRun:
        inner = error.exception()
        kind, message = type(inner).__name__, sanitised(str(inner))
        if kind == "TimeoutError":
            self.out_of_time()
        if kind == "MemoryError":
            return CaseRun(status="memory", error=kind, message=message)
        if kind in BELIEVED:
            return CaseRun(status="raised", error=kind, message=message)
        raise _UnsupportedError(f"{kind}: {message}")

    def out_of_time(self) -> NoReturn:
        if self.hands_over:
            raise _UnsupportedError("a faster sandbox may have the time")
        raise _StopError("timeout", "it ran longer than it may")


def _check(program: str) -> CaseRun | None:
    """See that the program is Python, and behaves there as elsewhere.

    Returns:
        How all cases end if it is not; None if it can run.
    """
    if len(program) > _PARSED:
        raise _UnsupportedError("it is too long to look at")
    try:
        tree = parsed(program)
    except (SyntaxError, ValueError) as error:
        return CaseRun(status="raised", error="SyntaxError", message=sanitised(str(error)))
    except (MemoryError, RecursionError):
        raise _UnsupportedError("it is nested too deep") from None
    if keeps_iterator(tree):
        raise _UnsupportedError("iterators are lists there")
    if hides_missing(tree):
        raise _UnsupportedError("it may catch what is missing there")
    return None


def _pool(process: int) -> Pool:
    """The workers of this process, started once, whichever of its threads is first."""
    with _STARTING:
        return _started(process)


@functools.lru_cache(maxsize=1)
def _started(process: int) -> Pool:
    """The workers of a process, which are kept warm until it ends."""
    from pydantic_monty import Monty as Workers

    del process  # a child that was forked gets workers of its own
    pool = Workers(max_processes=PLACES.max_concurrency + 1)
    pool.__enter__()
    atexit.register(_end, pool, os.getpid())
    return pool


def _end(pool: Pool, process: int) -> None:
    if os.getpid() == process:  # and not a child that was forked, whose they are not
        pool.__exit__(None, None, None)
