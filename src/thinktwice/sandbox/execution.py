"""Running the program of an answer, in the caller's sandbox or in what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.answers.literals import check_function
from thinktwice.errors import UsageError
from thinktwice.sandbox.auto import attempted, auto
from thinktwice.sandbox.protocol import Execution, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sandbox.protocol import Case, Sandbox


def check_execution(sandbox: object, limits: object, entry_point: object = None) -> None:
    """Refuse what `executed` cannot use, where it is given.

    Raises:
        UsageError: The sandbox has no `execute`, the limits are none, or the entry point is no
            name.
    """
    runs = callable(getattr(sandbox, "execute", None)) and not isinstance(sandbox, type)
    if sandbox is not None and not runs:
        raise UsageError("sandbox", sandbox, "give a Sandbox, such as Monty(), or None")
    if not isinstance(limits, Limits):
        raise UsageError("limits", limits, "give Limits(...)")
    if entry_point is not None:
        check_function(entry_point)


async def executed(
    program: str, cases: Sequence[Case], *, sandbox: Sandbox | None, limits: Limits
) -> Execution:
    """Run a program; where there is no sandbox, or it raises, the execution is an error.

    Args:
        program: Its source.
        cases: What to run it on.
        sandbox: Where; None for what `auto` finds.
        limits: What it may use.
    """
    try:
        chosen = sandbox or auto()
    except UsageError as missing:
        return Execution(status="error", sandbox="none", reason=missing.remedy)
    return await attempted(chosen, program, cases, limits)
