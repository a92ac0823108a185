"""Runs inside a sandbox, as compiled code: gives up what it may do, and runs the program.

It writes one line for "ready", and one per case of an expression. All that it says before the
program runs can be trusted, and nothing after: the program shares its process. A program can fake
what its own results are, and no more, since what is expected of it is not here. Only what costs
little start-up time is imported.
"""

from __future__ import annotations

import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Final, TypeAlias

    # In a sandbox it has run before this, in the same namespace.
    from thinktwice.sandbox.encoding import NoText, encode  # noqa: TC004

    Job: TypeAlias = tuple[
        str,  # the program
        tuple[str, ...] | None,  # the expressions; None runs it whole
        int | None,  # user and group to become
        dict[int, tuple[int, int]],  # limits: soft and hard
        tuple[str, ...],  # folders to import from
        int,  # most characters of a value
    ]
    Said: TypeAlias = tuple[str, str | None, str | None, str]  # status, value, error, message

MESSAGE: Final = 2000
"""Most characters of an exception's text that leave the sandbox."""

_ANY: Final = 1 << 40  # what is said is short but for a value, which was cut before


def run(job: Job, descriptor: int) -> None:
    """Run the program of a job, in the process that this is.

    Expressions end the process; a whole program comes back here, and ends as a script does.
    """
    program, expressions, user, limits, folders, size = job
    results = os.dup(descriptor)  # under a number that the program does not know
    os.close(descriptor)
    sys.argv[:] = ["program.py"]
    _confine(user, limits)
    sys.path.extend(folders)
    os.write(results, b"ready\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    namespace = _namespace("__main__" if expressions is None else "program")
    if expressions is None:
        _run_whole(program, namespace, results)
        return
    failed = _attempt(lambda: _execute(program, namespace))
    for expression in expressions:
        said = failed or _evaluate(expression, namespace, size)
        os.write(results, encode(said, size=_ANY).encode() + b"\n")
    os._exit(0)


def _confine(user: int | None, limits: dict[int, tuple[int, int]]) -> None:
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for limit, amounts in limits.items():
        most = resource.getrlimit(limit)[1]
        if most != resource.RLIM_INFINITY:  # stricter around the sandbox already
            amounts = (min(amounts[0], most), min(amounts[1], most))  # noqa: PLW2901
        resource.setrlimit(limit, amounts)


def _namespace(name: str) -> dict[str, object]:
    """That of an empty module; only a whole program is `__main__`, and reads its input."""
    module = type(sys)(name)
    sys.modules[name] = module
    builtins = sys.modules["builtins"].__dict__
    builtins.setdefault("exit", sys.exit)  # what `site` gives a script, which is not loaded
    builtins.setdefault("quit", sys.exit)
    return module.__dict__


def _run_whole(program: str, namespace: dict[str, object], results: int) -> None:
    def report(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        del kind, traceback
        os.write(results, encode(_raised(error), size=_ANY).encode() + b"\n")

    sys.excepthook = report
    _execute(program, namespace)


def _execute(program: str, namespace: dict[str, object]) -> None:
    exec(compile(program, "<program>", "exec", dont_inherit=True), namespace)  # noqa: S102 - the point


def _evaluate(expression: str, namespace: dict[str, object], size: int) -> Said:
    said: Said = ("no_result", None, None, "")

    def evaluate() -> None:
        nonlocal said
        code = compile(expression, "<case>", "eval", dont_inherit=True)
        value = eval(code, namespace)  # noqa: S307 - the point
        try:
            said = ("ok", encode(value, size=size), None, "")
        except NoText as reason:
            said = ("no_result", None, None, str(reason))
        except Exception as error:  # noqa: BLE001 - of a type of the program, which is odd
            said = ("no_result", None, None, _text(error))

    return _attempt(evaluate) or said


def _attempt(action: Callable[[], None]) -> Said | None:
    """What went wrong in it, if something did."""
    try:
        action()
    except BaseException as error:  # noqa: BLE001 - anything may come out of a program
        return _raised(error)
    return None


def _raised(error: BaseException) -> Said:
    status = "raised"
    if isinstance(error, SystemExit):
        status = "exited"
    elif isinstance(error, MemoryError):
        status = "memory"
    return status, None, type(error).__name__, _text(error)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE]
    except BaseException:  # noqa: BLE001 - its own __str__ may do anything
        return ""
