"""What a child process did, read from what it wrote: nothing in it is trusted."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, cast

from thinktwice.sandbox.protocol import CaseRun
from thinktwice.sandbox.values import NoText, decode

if TYPE_CHECKING:
    from thinktwice.sandbox.child import Ended
    from thinktwice.sandbox.protocol import CaseStatus

READY: Final = b"ready\n"

_SHELL: Final = 128  # bubblewrap exits with this plus the signal, as shells do
_MESSAGE: Final = 500
_SAID: Final[frozenset[CaseStatus]] = frozenset({"ok", "raised", "memory", "exited", "no_result"})


def began(ended: Ended) -> bool:
    """Whether the child came to the point where the program runs."""
    return ended.results.startswith(READY)


def killed(ended: Ended) -> bool:
    """Whether something killed it: the system, an operator, or the program itself."""
    return ended.cause == "exited" and _signal(ended) == signal.SIGKILL


def expression_runs(ended: Ended, count: int, *, seconds: float) -> tuple[CaseRun, ...]:
    """What the cases of expressions did, one each.

    Args:
        ended: A child that began.
        count: How many there were.
        seconds: Computing time that they had.
    """
    lines = ended.results[len(READY) :].split(b"\n")
    # The last line has no end: cut off, or empty.
    runs = [_run(line) for line in lines[:-1]]
    if len(runs) > count:  # more than the driver writes: so the program wrote some
        return (CaseRun(status="no_result", message="the results were tampered with"),) * count
    if len(runs) < count:
        runs.append(_cut_off(ended, seconds))
    return (*runs, *[NOT_RUN] * (count - len(runs)))


def whole_run(ended: Ended, *, seconds: float) -> CaseRun:
    """What a whole program did.

    Args:
        ended: A child that began.
        seconds: Computing time that it had.
    """
    output = ended.output.decode(errors="backslashreplace")
    said = ended.results[len(READY) :].split(b"\n")
    if ended.cause == "exited" and ended.code == 0:
        return CaseRun(status="ok", stdout=output)
    run = _run(said[0]) if len(said) > 1 else _cut_off(ended, seconds)
    if run.status in {"ok", "no_result"}:  # whole programs have no values
        run = _cut_off(ended, seconds)
    return CaseRun(status=run.status, stdout=output, error=run.error, message=run.message)


NOT_RUN: Final = CaseRun(
    status="not_run", message="an earlier case hit a limit or ended the process"
)


def sanitised(text: str, *, most: int = _MESSAGE) -> str:
    """A text from outside on one line, cut, and without characters that control anything."""
    kept = "".join(c if c.isprintable() else " " for c in text[: 4 * most])
    kept = " ".join(kept.split())
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def _run(line: bytes) -> CaseRun:
    """One line of the driver, or of a program that pretends to be it."""
    try:
        said = decode(line.decode())
    except (NoText, UnicodeDecodeError):
        said = None
    if not isinstance(said, tuple) or len(cast("tuple[object, ...]", said)) != 4:  # noqa: PLR2004
        return _UNREADABLE
    status, value, error, message = cast("tuple[object, ...]", said)
    if not isinstance(status, str) or status not in _SAID or not isinstance(message, str):
        return _UNREADABLE
    if status == "ok":
        return _valued(value)
    return CaseRun(
        status=cast("CaseStatus", status),
        error=sanitised(error, most=100) if isinstance(error, str) else None,
        message=sanitised(message),
    )


def _valued(value: object) -> CaseRun:
    try:
        decode(cast("str", value))
    except (NoText, TypeError):
        return _UNREADABLE
    return CaseRun(status="ok", value=cast("str", value))


_UNREADABLE: Final = CaseRun(status="no_result", message="the result cannot be read")


def _cut_off(ended: Ended, seconds: float) -> CaseRun:
    """The case during which the child ended or was killed."""
    if ended.cause == "output":
        return CaseRun(status="output", message="it wrote more than it may")
    died = _signal(ended)
    used_up = died == signal.SIGKILL and ended.seconds >= seconds  # having ignored SIGXCPU
    if ended.cause == "timeout" or died == signal.SIGXCPU or used_up:
        return CaseRun(status="timeout", message="it ran longer than it may")
    if died is not None:
        return CaseRun(status="exited", message=f"ended by {died.name}")
    return CaseRun(status="exited", message=f"ended with exit status {ended.code}")


def _signal(ended: Ended) -> signal.Signals | None:
    number = -ended.code if ended.code < 0 else ended.code - _SHELL
    return signal.Signals(number) if number in set(signal.Signals) else None
