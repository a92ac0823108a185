"""A sandbox for programs that the tests wrote themselves: it runs them right here."""
# ruff: noqa: BLE001, S102, S307

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thinktwice.sandbox.protocol import Case, CaseRun, Execution, Limits
from thinktwice.sandbox.values import NoText, encode

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Here:
    """Runs what it is given; `status` other than "ok" is trouble, told before it runs anything."""

    status: str = "ok"
    reason: str = ""
    name: str = "here"
    programs: list[str] = field(default_factory=list)
    cases: list[tuple[Case, ...]] = field(default_factory=list)

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        assert limits.seconds > 0
        self.programs.append(program)
        self.cases.append(tuple(cases))
        if self.status != "ok":
            return Execution(status=self.status, sandbox=self.name, reason=self.reason)  # type: ignore[arg-type]
        runs = tuple(_ran(program, cases))
        return Execution(status="ok", sandbox=self.name, cases=runs)


def _ran(program: str, cases: Sequence[Case]):
    space: dict[str, object] = {"__name__": "candidate"}
    broken = None if cases[0].expression is None else _outcome(lambda: exec(program, space))
    for case in cases:
        if case.stdin is not None:
            yield _whole(program, case.stdin)
        elif isinstance(broken, CaseRun):
            yield broken
        else:
            run = _outcome(lambda case=case: encode(eval(case.expression, space)))
            yield run if isinstance(run, CaseRun) else CaseRun(status="ok", value=run)


def _whole(program: str, stdin: str) -> CaseRun:
    lines = iter(stdin.splitlines())
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        run = _outcome(lambda: exec(program, {"input": lambda: next(lines)}))
    return run if isinstance(run, CaseRun) else CaseRun(status="ok", stdout=printed.getvalue())


def _outcome(work):
    try:
        return work()
    except NoText:
        return CaseRun(status="no_result")
    except SystemExit:
        return CaseRun(status="exited")
    except Exception as error:
        return CaseRun(status="raised", error=type(error).__name__, message=str(error))


class Scripted:
    """A sandbox that returns what it is told."""

    name = "scripted"

    def __init__(self, *runs: CaseRun) -> None:
        self.runs = runs

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        return Execution(status="ok", sandbox=self.name, cases=self.runs)
