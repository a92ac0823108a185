"""Running the program of an answer, in the caller's sandbox or in what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.errors import UsageError
from thinktwice.sandbox.auto import auto
from thinktwice.sandbox.protocol import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sandbox.protocol import Case, Limits, Sandbox


async def executed(
    program: str, cases: Sequence[Case], *, sandbox: Sandbox | None, limits: Limits
) -> Execution:
    """Run a program; where there is no sandbox at all, the execution is an error that says so.

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
    return await chosen.execute(program, cases, limits=limits)
