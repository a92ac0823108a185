"""The first sandbox that can run a program."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.sandbox.bubblewrap import Bubblewrap
from thinktwice.sandbox.monty import Monty
from thinktwice.sandbox.protocol import Execution
from thinktwice.sandbox.unsafe import UnsafeSubprocess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sandbox.protocol import Case, Limits, Sandbox

_REMEDY: Final = (
    "install bubblewrap (Linux: apt-get install bubblewrap), or pass a sandbox of your own"
)
_NONE: Final = f"nothing here runs model-written code: pip install 'thinktwice[code]', {_REMEDY}"
_PATIENCE: Final = 0.5


@dataclass(frozen=True)
class FirstOf:
    """Tries sandboxes in their order, until one says something of the program.

    What one does not support, or cannot run for trouble of its own, the next one gets. The
    execution names the sandbox that ran it.

    Attributes:
        sandboxes: At least one.
        remedy: Added to the reason if none could run it.

    Raises:
        UsageError: There is none.
    """

    sandboxes: tuple[Sandbox, ...]
    remedy: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """See that there is one."""
        if not self.sandboxes:
            raise UsageError("sandbox", None, _NONE)

    @property
    def name(self) -> str:
        """The names of all, as `"monty, bubblewrap"`."""
        return ", ".join(sandbox.name for sandbox in self.sandboxes)

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Run the program in the first that can."""
        tried: list[Execution] = []
        for sandbox in self.sandboxes:
            execution = await attempted(sandbox, program, cases, limits)
            if execution.status == "ok":
                return execution
            tried.append(execution)
        status = "error" if any(e.status == "error" for e in tried) else "unsupported"
        reasons = [f"{execution.sandbox}: {execution.reason}" for execution in tried]
        return replace(
            tried[-1],
            status=status,
            reason="; ".join(reasons + [self.remedy] * bool(self.remedy)),
            seconds=sum(execution.seconds for execution in tried),
        )


async def attempted(
    sandbox: Sandbox, program: str, cases: Sequence[Case], limits: Limits
) -> Execution:
    """Run a program in one; where that raises, it is an error, and no fault of the program."""
    try:
        return await sandbox.execute(program, cases, limits=limits)
    except Exception as error:  # noqa: BLE001 - of a sandbox of the user's
        reason = f"it raised {type(error).__name__}"
        return Execution(status="error", sandbox=sandbox.name, reason=reason)


def auto(*sandboxes: Sandbox, allow_unsafe: bool = False) -> Sandbox:
    """The sandboxes that this machine has: pydantic-monty, then bubblewrap, then those given.

    Each gets what those before it do not support. Where nothing can run a program its execution is
    an error that says what to install; nothing falls back to a plain process.

    Args:
        sandboxes: Your own, tried last.
        allow_unsafe: Add `UnsafeSubprocess` behind all others. It is no sandbox.

    Raises:
        UsageError: There is none at all.
    """
    isolated = [Bubblewrap()] if shutil.which("bwrap") else []
    unsafe = [UnsafeSubprocess(allow_unsafe=True)] if allow_unsafe else []
    behind: list[Sandbox] = [*isolated, *sandboxes, *unsafe]
    quick = [Monty(patience=_PATIENCE if behind else None)] if find_spec("pydantic_monty") else []
    return FirstOf((*quick, *behind), remedy="" if isolated else _REMEDY)
